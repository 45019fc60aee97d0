"""What every loader of images returns, and how loaders write images in batches."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts, notes
from dagal.artifacts import Kind, Writer
from dagal.datasets import raw
from dagal.errors import UserError
from dagal.pace import Reporter
from dagal.registry import Registry

NOT_ANNOTATED = 3  # in `split`
MOST_LETTERS = 200  # of the name of a class

IMAGES = Kind(
    "images",
    1,
    {
        "images": "images (N,H,W,C), uint8 intensities 0..255",
        "split": "published part of each image (N,): 0 train, 1 test",
        "group": "what each image belongs to (N,), position in group_names; nothing of a group is in two parts; only where a study has groups",
        "group_names": "names of the groups (G,), bytes",
        "file": "file of each image (N,), bytes, below the path of the data set (of a table: its folder); in an archive, its name there; of "
        "a frame, its video; of arrays and published sets, part and position",
        "raw_file": "every file of the data set (F,), bytes, below its path; only where files have to be brought",
        "raw_size": "size of each of these files in bytes (F,)",
        "raw_sha256": "SHA-256 of each of these files (F,), hexadecimal",
        "video": "video of each image (N,), position in video_names; videos only",
        "video_names": "name of each video (V,); videos only",
        "frame": "number of each image in its video (N,), rising with time; videos only",
        "source": "camera traps: image that each crop is of (N,), position in files",
        "box": "camera traps: box of each crop (N,4), x1 y1 x2 y2 in shares of the image's width and height",
        "confidence": "camera traps: confidence of the detector in each crop (N,)",
        "files": "camera traps: the survey's images (S,), below the path of the data set",
        "detected": "camera traps: animals that the detector counts in each of the survey's images (S,)",
    },
)

GIVEN = Kind(
    "given",
    1,
    {
        "ids": "images whose label the data set brings (n,), ascending",
        "labels": "class of each of them (n,), position in the attribute class_names",
    },
)

TRUTH = Kind(
    "truth",
    1,
    {
        "labels": "true class of each image (N,), position in the attribute class_names",
        "masks": "segmentation: class of each pixel (N,H,W), position in the attribute class_names, 255 none",
        "instances": "on request, rendered only: object seen in each pixel (N,H,W), its number in `tracks` + 1, 0 none",
        "depth": "on request, rendered only: distance of what is seen in each pixel (N,H,W), along the camera's axis, in cm up to 65,535; "
        "0 sky",
        "animals": "camera traps: true number of animals in each of the survey's images (S,), 0 empty, -1 not counted",
        "boxes": "detection: box of each object (M,4), x1 y1 x2 y2 in pixels",
        "box_labels": "detection: class of each object (M,), position in the attribute class_names",
        "tracks": "detection: which object of the video each box is (M,), -1 where unknown",
        "offsets": "detection: image i has the boxes offsets[i] to offsets[i+1] (N+1,)",
    },
)


@dataclass(frozen=True)
class Source:
    """A data set, listed but not yet decoded: rows 0 .. n_train-1 are for training, the rest for testing, and the last for validation."""

    class_names: list[str]
    labels: np.ndarray  # (N,) int64, positions in class_names, -1 none
    n_train: int
    images: Iterator[tuple[int, np.ndarray]]  # (row, uint8 image: RGB (H,W,3), gray (H,W) or (H,W,1)), any order
    about: dict[str, np.ndarray] = field(default_factory=dict)  # what else images.h5 holds
    sealed: dict[str, np.ndarray] = field(default_factory=dict)  # what else truth.h5 holds
    n_validation: int = 0  # last rows that the data themselves keep for validation
    files: Sequence[str] = ()  # file of each image (N), see `IMAGES`; empty where there are no files
    notes: list[str] = field(default_factory=list)  # lines for the user, complete when all images are decoded

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Write images.h5 and truth.h5, or, where a person labels, the labels that are `given` instead of the truth. Raises UserError if these are not the published images, or differ in size."""
        check_names(self.class_names, settings.get("path"))
        published = PUBLISHED_COUNTS.get(settings["loader"])
        if published is not None and not np.array_equal(count(self), published):
            raise UserError(
                f"{settings['path']} does not hold the published number of training images of each class "
                f"({self.n_train:,} of {sum(published):,} in all): delete it and put the data set there again."
            )
        with artifacts.create(images_path, IMAGES, origin) as writer:
            n = len(self.labels)
            part_N = (np.arange(n) >= self.n_train).astype(np.uint8)
            part_N[n - self.n_validation :] = 2
            split = writer.dataset("split", (n,), np.uint8)
            split[...] = part_N
            if self.n_validation:
                split.attrs["description"] += ", 2 validation"
            for name, values in self.about.items():
                writer.dataset(name, values.shape, values.dtype)[...] = values
            write_images(writer, n, fitted(self, settings))
            write_origins(writer, settings, self.files)
            notes.tell(writer, *self.notes)
        if settings.get("labels"):
            ids = self.given(settings["labels"])
            data = {"ids": ids, "labels": self.labels[ids]}
            names = np.array(self.class_names, h5py.string_dtype())
            artifacts.write(truth_path, GIVEN, origin, data, class_names=names)
            return
        truth = {"labels": self.labels, **self.sealed}
        artifacts.write(truth_path, TRUTH, origin, truth, class_names=self.class_names)

    def given(self, labels: str) -> np.ndarray:
        """Ids, ascending, of the images whose label may be used where a person labels (`dataset.labels`)."""
        rows = np.arange(len(self.labels))
        known = {"none": False, "some": True, "test": (rows >= self.n_train) & (rows < len(rows) - self.n_validation)}
        return np.flatnonzero(known[labels] & (self.labels >= 0))


def check_names(class_names: Sequence[str], path: str | Path) -> None:
    """Raise UserError for a class whose name does not fit into a line of a table or figure, or is no text that can be shown."""
    for name in class_names:
        if not name.isprintable() or len(name) > MOST_LETTERS:
            raise UserError(
                f"{path} has a class called {name[:MOST_LETTERS]!r}: a name must have at most {MOST_LETTERS} letters, all of which can be "
                "printed."
            )


def count(source: Source) -> np.ndarray:
    """Training images of each class (C,)."""
    return np.bincount(source.labels[: source.n_train], minlength=len(source.class_names))


# training images per class, known before anything is read
PUBLISHED_COUNTS = Registry(
    {
        "digits": [142, 146, 142, 146, 145, 145, 145, 143, 139, 144],
        "two_moons": [500, 50],
        "cifar10": [5000] * 10,
        "cifar100": [500] * 100,
        "mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "fashion_mnist": [6000] * 10,
        "svhn": [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659],
        "tiny_imagenet": [500] * 200,
    }
)

# shape (H,W,C) of an image, known before anything is read
PUBLISHED_SHAPES = {
    "digits": (8, 8, 1),
    "two_moons": (1, 1, 2),
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "svhn": (32, 32, 3),
    "tiny_imagenet": (64, 64, 3),
}


BATCH_BYTES = 32 << 20


def write_origins(writer: Writer, settings: dict, files: Sequence[str]) -> None:
    """Write where each image is from, and what was brought.

    ``files``: see the data set `file` (N); empty where there are no files.
    """
    brought = raw.raw_files(settings, sorted(files))
    lists = {
        "file": list(map(os.fsencode, files)),
        "raw_file": list(map(os.fsencode, brought)),
        "raw_size": [Path(path).stat().st_size for path in brought.values()],
        "raw_sha256": [digest.encode() for digest in raw.hashes(brought)],
    }
    for name, values in lists.items():
        if values:
            values = np.array(values)
            writer.dataset(name, values.shape, values.dtype)[...] = values


def write_images(
    writer: Writer, n: int, images: Iterator[tuple[int, np.ndarray]], what: str = "images", name: str = "images"
) -> None:
    """Write ``n`` images of one shape, given as (row, uint8 image) in any order, in batches, as the data set ``name``; prints progress."""
    dataset, batch, report = None, {}, Reporter(n, what)
    for done, (row, image) in enumerate(images, 1):
        if dataset is None:
            dataset = writer.dataset(name, (n, *image.shape), np.uint8)
        batch[row] = image
        if len(batch) * image.nbytes >= BATCH_BYTES:
            flush(dataset, batch)
        report(done)
    if batch:
        flush(dataset, batch)
    print(f"{n:,} {what} decoded")


def write_names(writer: Writer, name: str, names: list[str]) -> None:
    """Write names as a data set; an attribute holds but 4,096 of them."""
    writer.dataset(name, (len(names),), h5py.string_dtype())[...] = names


def flush(dataset, batch: dict[int, np.ndarray]) -> None:
    """Write the images of a batch (row -> image), neighbouring rows together (single ones are slow), and empty it."""
    rows = np.array(sorted(batch), dtype=np.int64)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        dataset[run[0] : run[-1] + 1] = np.stack([batch[row] for row in run])
    batch.clear()


def fitted(source: Source, settings: dict) -> Iterator[tuple[int, np.ndarray]]:
    """The decoded images, fitted, at the rows the loader gives them; UserError where one has another size than the first."""
    shape = None
    for row, image in source.images:
        image = fit(image, settings.get("image_size"), settings.get("grayscale"))
        shape = shape or image.shape
        if image.shape != shape:
            (height, width), (other_height, other_width) = shape[:2], image.shape[:2]
            raise UserError(
                f"The images in {settings['path']} differ in size ({height} x {width} and {other_height} x "
                f"{other_width} pixels): set dataset.image_size in the config."
            )
        yield row, image


def fit(image: np.ndarray, size: int | None, grayscale: bool | None) -> np.ndarray:
    """(H,W), (H,W,1) or RGB (H,W,3) -> (H,W,C), gray if asked for and resized to size x size if given."""
    import cv2

    if grayscale and image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if size is not None:
        shrinks = min(image.shape[:2]) >= size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image.reshape(*image.shape[:2], -1)
