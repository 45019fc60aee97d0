"""The data set of a study, and the labeled source of an embedding: which keys a loader has."""

import math
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dagal import MOST_PIXELS, datasets
from dagal.config.fields import File, Mistake, Name, Number, Section, Seed, Variants, Whole, setting, shown
from dagal.tasks import TASKS

# loaders that read nothing, or may download what is missing
SELF_SUFFICIENT = {"digits", "two_moons", "synthia_al", "rendered_scenes"}
MOST_LENGTH = math.isqrt(MOST_PIXELS)  # of a stored image

BAD_RECORDS = "Share of the records (images and boxes) that may be unusable: they are skipped, counted and told. Above it nothing is read."


def check_pattern(pattern: str | None, key: str) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise Mistake(f"{key}.group_pattern", f"is no regular expression ({error}): correct it.") from None


class Dataset(Section):
    # keys that came later: left out where they are not set, so that data sets without them stay what they were
    added: ClassVar = (
        "intensity", "background", "group_pattern", "group", "content", "labels", "junctions", "per_pixel",
    )  # fmt: skip

    name: Name = setting("Name of the data set, also its folder in `results/datasets`.")
    loader: str = setting(
        "How the raw data is read.",
        "",
        otherwise="same as `dataset.name`",
        papers="000: `cifar10`, `cifar100`; 001: `mnist`, `fashion_mnist`, `cifar10`; 003: + `tiny_imagenet`; 004: + "
        "`caltech101`, `two_moons`",
    )
    task: str | None = setting("What is learnt from the data set.", None, otherwise="what the loader is for")
    path: File | None = setting("Where the raw data is.", None, otherwise="`data/raw/<name>`")
    test_fraction: Number | None = setting(
        "Share of each class (of the videos; of the crops, by whole locations) that becomes the test set where the raw data has "
        "no test part; by default 0.2, or for `caltech101` 1019/9144.",
        None,
        gt=0,
        lt=1,
        papers="004 (Caltech-101)",
    )

    def check(self, key: str) -> None:
        self.path = self.path or f"data/raw/{self.name}"
        self.task = self.task or datasets.task(self.loader)
        if self.task not in TASKS:
            raise Mistake(f"{key}.task", f"is {self.task!r}: must be one of {', '.join(TASKS)}.")

    def plain(self) -> dict:
        """Without the task, which the study has at its top."""
        unset = {name for name in self.added if getattr(self, name, None) is None}
        return {name: value for name, value in super().plain().items() if name != "task" and name not in unset}


class Images(Dataset):
    label = "images"
    labels: Literal["some", "test", "none"] | None = setting(
        "Which labels there are, with `oracle.kind: person`. `none`: whatever the folders of images are called; `some`: images in a folder "
        "(of a table: with a cell in the column `label`) have that class, those beside the folders, or in `unlabeled/`, have none; "
        "`test`: those of the test part, of data that have a label for each image.",
        None,
        otherwise="every image has one",
    )
    download: bool = setting(
        "Allow the official download (checksum verified) of CIFAR, MNIST, Fashion-MNIST and SVHN.", False
    )
    image_size: Whole | None = setting(
        "Resize every image to this many pixels, square; needed where the files differ in size (`camera_trap`: by default 256).",
        None,
        ge=8,
        le=MOST_LENGTH,
        papers="002, camera traps: 256",
    )
    grayscale: bool = setting("Convert colour images to one channel.", False)
    intensity: Literal["full", "percentiles"] | Annotated[list[Number], Field(min_length=2, max_length=2)] | None = (
        setting(
            "What of images of more than 8 bits (PNG, TIFF and PGM of 16 bits, TIFF of 32 bits or floats, arrays) becomes 0 and 255, in between "
            "a straight line. `full`: the least and the largest value in the files; `percentiles`: the 0.5th and the 99.5th percentile of "
            "1,000 pixels of each image; `[low, high]`: these values. What lies outside is cut, and the log says in how many images.",
            None,
            otherwise="`full`",
        )
    )
    background: Annotated[list[Annotated[Whole, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)] | None = (
        setting(
            "Colour, as red, green, blue, on which transparent images are put.",
            None,
            otherwise="`[255, 255, 255]`, white",
        )
    )
    group_pattern: str | None = setting(
        "Regular expression that finds in the file name of an image, below `path`, what it belongs to (a patient, a place, a camera): the "
        "text of its first bracket, or all that it matches. Nothing of a group is in two of training, validation and test set. For "
        "`image_folder`, `caltech101` and tables.",
        None,
    )

    def check(self, key: str) -> None:
        super().check(key)
        if isinstance(self.intensity, list) and self.intensity[0] >= self.intensity[1]:
            raise Mistake(f"{key}.intensity", f"is {shown(self.intensity)}: give the smaller number first.")
        check_pattern(self.group_pattern, key)


class Table(Images):
    label = "image_table"
    group: str | None = setting(
        "Column that says what each image belongs to (a patient, a place, a camera), as `group_pattern`.",
        None,
        otherwise="`group`, where there is such a column",
    )


class CameraTraps(Images):
    label = "camera_trap"
    detections: File | None = setting(
        "What a detector found, as MegaDetector or COCO JSON.",
        None,
        otherwise="`detections.json` in `dataset.path`",
        papers="002, camera traps: MegaDetector v2",
    )
    annotations: File | None = setting(
        "Species (and number, box, location) of each image, as COCO Camera Traps JSON.",
        None,
        otherwise="`annotations.json` in `dataset.path`",
    )
    confidence: Number | None = setting(
        "Detections of at least this confidence are animals: cropped and counted.",
        None,
        otherwise="`typical_detection_threshold` of the detections, else 0.9",
        papers="002, camera traps: 0.9",
        ge=0,
        le=1,
    )
    content: Literal["images"] | None = setting(
        "What is classified. `images`: whole images with a detection, those of several species left out.",
        None,
        otherwise="the crops of the detections",
        papers="002, camera traps, sec. 4.3.3: both",
    )
    group_by: Literal["location", "sequence", "image"] = setting(
        "What is not torn apart by the test set, which is made of whole locations, of whole sequences, or of images.",
        "location",
    )
    sequence_annotations: Literal["keep", "leave_out"] = setting(
        "Annotations of a whole sequence (`sequence_level_annotation`): each of its images has them, or is left out.",
        "keep",
    )
    bad_records: Number = setting(BAD_RECORDS, 0.1, ge=0, le=1)

    def check(self, key: str) -> None:
        super().check(key)
        self.detections = self.detections or f"{self.path}/detections.json"
        self.annotations = self.annotations or f"{self.path}/annotations.json"
        self.image_size = self.image_size or 256


class Videos(Dataset):
    label = "videos"
    height: Whole | None = setting(
        "Rows of the stored frames in pixels; by default those of the files (300 where rendered).",
        None,
        ge=32,
        le=MOST_LENGTH,
        papers="003: 300",
    )
    width: Whole | None = setting(
        "Columns of the stored frames; frames of another shape are fitted in and padded. By default those of the files (400 "
        "where rendered).",
        None,
        ge=32,
        le=MOST_LENGTH,
    )
    classes: list[str] | None = setting(
        "Names of the classes to keep; by default all.",
        None,
        min_length=1,
        unique=True,
        papers="003 ImageNet-VID: the three of the loader",
    )


class FileVideos(Videos):
    labels: Literal["none"] | None = setting(
        "`none`: there are no boxes yet, with `oracle.kind: person` and `video_folder` only.", None, otherwise="boxes"
    )
    group_pattern: str | None = setting(
        "Regular expression, searched in the path of each frame or video file below `dataset.path`: its first group in brackets, "
        "or else all that it matches, names what must not be torn apart (a camera, a place). The test videos are whole groups.",
        None,
    )
    split_by: Literal["video", "time"] = setting(
        "Where the raw data has no test part: whole videos (or groups) are drawn for it, or it is the end of each video.",
        "video",
    )
    gap: Whole = setting(
        "With `split_by: time`, frames before the test part of a video that are in neither part, as they look alike.",
        10,
        ge=0,
    )
    unlisted: Literal["leave_out", "keep"] = setting(
        "Frames of the raw data that its annotations do not list: left out, or kept in `images.h5` (of training videos), but in no "
        "pool, as a simulated annotator cannot be asked for them.",
        "leave_out",
    )
    crowd: Literal["leave_out", "keep"] = setting("Boxes that stand for a crowd (`iscrowd: 1` in COCO).", "leave_out")
    ignored: Literal["leave_out", "keep"] = setting(
        "Boxes that are marked as to be ignored (`ignore: 1` in COCO, confidence 0 in MOT).", "leave_out"
    )
    invisible: Literal["keep", "leave_out"] = setting(
        "Boxes of visibility 0 (COCO, MOT): hidden objects of MOTChallenge, but any partly hidden one as CVAT exports it.",
        "keep",
    )
    rotated: Literal["enclose", "leave_out"] = setting(
        "Boxes with a `rotation` (COCO of CVAT): taken as the upright box around them, or left out.", "enclose"
    )
    bad_records: Number = setting(BAD_RECORDS, 0.1, ge=0, le=1)

    def check(self, key: str) -> None:
        super().check(key)
        check_pattern(self.group_pattern, key)
        if self.group_pattern and self.split_by == "time":
            raise Mistake(f"{key}.group_pattern", "has no meaning with split_by: time; delete one of the two.")


class RenderedVideos(Videos):
    label = "synthia_al"
    seed: Seed = setting("Seed of the rendered scenes.", 0)
    scale: Number = setting(
        "Share of the paper's 197 training and 97 test sequences that is rendered; at least one of each subset.",
        1,
        gt=0,
        papers="003: 1",
    )
    seconds: list[Annotated[Number, Field(gt=0)]] = setting(
        "Shortest and longest sequence.", [10, 30], min_length=2, max_length=2, papers="003: 10 to 30"
    )
    fps: Whole = setting("Frames per second.", 25, ge=1, papers="003: 25")
    quiet: Number = setting(
        "Share of the time that the camera drives through quiet stretches, where nobody is near: frames without boxes. Elsewhere "
        "the paper's probabilities hold at all spawn positions.",
        0.5,
        ge=0,
        lt=1,
        papers="003: unbalanced towards empty scenes, not stated",
    )
    junctions: Number | None = setting(
        "Probability that a side road crosses at each place where one may, every 96 m in cities and towns. Cars and cyclists come from it, and "
        "turn, at the spawn positions there, on a path drawn from all of them.",
        None,
        otherwise="0",
        ge=0,
        le=1,
        papers='003: "randomly predefined paths", not stated',
    )
    per_pixel: list[Literal["masks", "instances", "depth"]] | None = setting(
        "What `truth.h5` holds of every pixel besides: its class (`masks`), the object seen there (`instances`), the distance in cm (`depth`).",
        None,
        min_length=1,
        unique=True,
    )

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("classes", "test_fraction"):
            if getattr(self, name) is not None:
                raise Mistake(f"{key}.{name}", "has no meaning for rendered videos (synthia_al); delete it.")
        self.height, self.width = self.height or 300, self.width or 400


class Masks(Dataset):
    label = "masks"
    height: Whole | None = setting(
        "Rows of the stored images in pixels; with `width`, which is needed too. Images of another shape are fitted in, and what is left has "
        "no class. By default the size of the files, which must be the same for all.",
        None,
        ge=32,
        le=MOST_LENGTH,
    )
    width: Whole | None = setting("Columns of the stored images.", None, ge=32, le=MOST_LENGTH)

    def check(self, key: str) -> None:
        super().check(key)
        if (self.height is None) != (self.width is None):
            raise Mistake(
                f"{key}.{'width' if self.width is None else 'height'}", "is missing: give both, or none of them."
            )


class RenderedScenes(RenderedVideos):
    label = "rendered_scenes"
    scale: Number = setting(
        "Share of the 294 drives of `synthia_al` that is rendered; at least one of each subset.", 0.1, gt=0
    )
    fps: Whole = setting("Frames per second; neighbouring ones are alike.", 1, ge=1)


OWN_SECTION = {
    "camera_trap": CameraTraps,
    "image_table": Table,
    "synthia_al": RenderedVideos,
    "rendered_scenes": RenderedScenes,
}


def table() -> dict[str, type[Dataset]]:
    """Loader -> its section."""
    images = {loader: OWN_SECTION.get(loader, Images) for loader in datasets.IMAGE_LOADERS}
    masks = {loader: OWN_SECTION.get(loader, Masks) for loader in datasets.MASK_LOADERS}
    return images | {loader: OWN_SECTION.get(loader, FileVideos) for loader in datasets.VIDEO_LOADERS} | masks


class DatasetVariants(Variants):
    """The sections of loaders; without a loader, that which is called like the data set."""

    def prepare(self, value: dict, context: dict) -> dict:
        return {"loader": value["name"], **value} if isinstance(value.get("name"), str) else value

    def choose(self, value: dict, key: str, context: dict) -> tuple[str, type[Section]]:
        if "loader" not in value:
            return "", Dataset  # whose name is missing or no text
        if value["loader"] == value.get("name") and value["name"] not in self.table():
            raise Mistake(
                f"{key}.name",
                f"is {shown(value['name'])}, which is no built-in data set: set '{key}.loader' to one of {', '.join(self.table())}.",
            )
        loader, section = super().choose(value, key, context)
        return f"data set {loader!r}", section


class SourceVariants(DatasetVariants):
    """The source of an embedding, which takes the size of the study's images."""

    repeated = True  # the documentation has these keys under dataset

    def prepare(self, value: dict, context: dict) -> dict:
        own = context.get("dataset")
        size = {name: getattr(own, name) for name in ("image_size", "grayscale") if hasattr(own, name)}
        value = super().prepare(value, context)
        return {**size, **value} if table().get(value.get("loader"), Videos).label != "videos" else value


DATASET = DatasetVariants("loader", table)
SOURCE = SourceVariants("loader", table)


def may_download(loader: str) -> bool:
    """Whether a loader can fetch the official files."""
    return datasets.LOADERS[loader].startswith("dagal.datasets.torchvision_sets:")


def reads_files(dataset: dict) -> bool:
    """Whether the raw data must lie at ``path`` before anything runs."""
    return not (dataset["loader"] in SELF_SUFFICIENT or (dataset.get("download") and may_download(dataset["loader"])))


def same_labels(one: dict, other: dict) -> bool:
    """Whether two data sets are the same published one, or are read from the same place."""
    if one["loader"] != other["loader"] or one["loader"] not in ("image_folder", "image_table", "npz", "camera_trap"):
        return one["loader"] == other["loader"]
    places = [(one[key], other[key]) for key in ("path", "annotations") if one.get(key) and other.get(key)]
    return any(Path(place).resolve() == Path(another).resolve() for place, another in places)
