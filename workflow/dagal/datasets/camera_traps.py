"""Camera traps: what a detector found in a survey's images becomes crops to classify, and counts to be checked.

Norouzzadeh et al. 2019 (in 002), sec. 3.1: detections of an animal above a confidence are cropped and resized; their number is
the number of animals. The detector runs elsewhere (MegaDetector, say); here its boxes are read.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dagal import seeding
from dagal.datasets.source import Source
from dagal.errors import UserError

TEST_FRACTION = 0.2
EMPTY = "empty"  # class of a crop without an animal
EMPTY_NAMES = ("empty", "blank")
LOCATION = "location "  # begins the names of groups of one location
ANIMAL = "animal"  # category of MegaDetector, beside person and vehicle
COUNT_BINS = {
    "11-50": 11,
    "51+": 51,
}  # Snapshot Serengeti counts many animals in bins: their least number stands for them
UNKNOWN = -1  # number of animals that are there but were not counted
OVERSHOOT = 0.02  # detectors draw boxes a little beyond the edge

Box = tuple[float, float, float, float]  # x1 y1 x2 y2 in shares of width and height


@dataclass(frozen=True)
class Photo:
    """What people wrote about one image: its animals as (species, box or None), how many they are, and where and when it is from."""

    group: str | None  # what must not be torn apart: its location, or else its sequence, if any
    animals: list[tuple[str, Box | None]] = field(default_factory=list)
    counts: list[tuple[str, int]] = field(default_factory=list)  # (species, count of an annotation or `UNKNOWN`)


def camera_trap(settings: dict) -> Source:
    """Crops of the animals that ``detections`` finds in the images at ``path``, with the species that ``annotations`` tells.

    Images without result in either file are left out. Test crops are those of some groups of images, drawn once.
    ``about``: which image and box each crop is; all images and the number of animals detected in each. ``sealed``: their
    true numbers. Raises UserError for JSON that is damaged or of another format, and where nothing is left.
    """
    path, threshold = Path(settings["path"]), settings["confidence"]
    class_names, photos = read_annotations(Path(settings["annotations"]))
    detections = read_detections(Path(settings["detections"]), threshold)
    files = sorted(photos.keys() & detections.keys())
    if not files:
        raise UserError(
            f"No image of {settings['detections']} is in {settings['annotations']}: name the files alike in both (MegaDetector "
            "does with --output_relative_filenames)."
        )
    notes = [f"left out {len(photos.keys() ^ detections.keys()):,} images that have no result in one of the two files"]
    crops = [
        (position, box, confidence, species_of(box, photos[file].animals))
        for position, file in enumerate(files)
        for box, confidence in detections[file]
    ]
    unknown = sum(species is None for *_, species in crops)
    notes.append(f"left out {unknown:,} crops of images that show several species and say not where")
    crops = [crop for crop in crops if crop[3] is not None]
    if not crops:
        raise UserError(
            f"{settings['detections']} has no animal above confidence {threshold}: lower dataset.confidence."
        )
    groups = [photos[files[position]].group or f"image {position:09}" for position, *_ in crops]
    without = sum(not group.startswith(LOCATION) for group in groups)
    notes.append(f"{without:,} crops have no location: those of a sequence, or else of an image, are kept together")
    is_test_N = drawn_groups(groups, settings["test_fraction"] or TEST_FRACTION, path)
    crops = [crops[row] for row in np.argsort(is_test_N, kind="stable")]
    label = {name: position for position, name in enumerate(class_names)}
    return Source(
        class_names=class_names,
        labels=np.array([label[species] for *_, species in crops], np.int64),
        n_train=int(np.sum(~is_test_N)),
        images=cropped(path, files, crops, notes),
        about={
            "source": np.array([position for position, *_ in crops], np.int64),
            "box": np.array([box for _, box, *_ in crops], np.float32),
            "confidence": np.array([confidence for _, _, confidence, _ in crops], np.float32),
            "files": np.array([file.encode() for file in files]),
            "detected": np.array([len(detections[file]) for file in files], np.int64),
        },
        sealed={"animals": np.array([number_of_animals(photos[file].counts) for file in files], np.int64)},
    )


def species_of(box: Box, animals: list[tuple[str, Box | None]]) -> str | None:
    """What a person would call a crop: the species of the annotated animal that it shares most area with, `EMPTY` for none.

    A crop and an animal belong together if they share half of the smaller box. Animals annotated without a box can be any
    crop that is left: theirs is the species if they are of one, and None (unknown) if of several.
    """
    overlaps = [
        (intersection(box, other), species) for species, other in animals if other and shared(box, other) >= 0.5
    ]
    if overlaps:
        return max(overlaps, key=lambda overlap: overlap[0])[1]
    unlocated = {species for species, other in animals if other is None}
    if len(unlocated) > 1:
        return None
    return unlocated.pop() if unlocated else EMPTY


def intersection(one: Box, two: Box) -> float:
    """Area that two boxes share."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(width, 0) * max(height, 0)


def shared(one: Box, two: Box) -> float:
    """The same, as a share of the smaller box."""
    return intersection(one, two) / min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))


def number_of_animals(counts: list[tuple[str, int]]) -> int:
    """Animals in an image from its annotations (species, count or `UNKNOWN`): 0 without any, `UNKNOWN` if one species is not counted.

    Annotations may stand for an animal each or for all of a species, so a species counts its largest number, but at least
    the number of its annotations.
    """
    total = 0
    for species in {species for species, _ in counts}:
        found = [count for name, count in counts if name == species]
        if UNKNOWN in found:
            return UNKNOWN
        total += max(max(found), len(found))
    return total


def drawn_groups(groups: list[str], fraction: float, path: Path) -> np.ndarray:
    """Whether each crop is for testing (N,) bool: whole groups in an order drawn once, until they hold ``fraction`` of the crops."""
    names, group_N = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        raise UserError(f"{path} has crops of a single location or image, none to test on: add images of another.")
    order_G = seeding.generator(0, "test locations").permutation(len(names))
    size_G = np.bincount(group_N)[order_G]
    n_test = int(np.searchsorted(np.cumsum(size_G), fraction * len(groups))) + 1
    return np.isin(group_N, order_G[: min(n_test, len(names) - 1)])


def cropped(path: Path, files: list[str], crops: list[tuple], notes: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB crop) of each crop, every image decoded once in turn; prints the notes.

    Raises UserError for an image that is missing or damaged.
    """
    import cv2

    print(*notes, sep="\n")
    shown, image = None, None
    for row, (position, (x1, y1, x2, y2), *_) in enumerate(crops):
        if position != shown:
            shown, file = position, path / files[position]
            try:
                data = np.frombuffer(file.read_bytes(), np.uint8)
            except OSError as error:
                raise UserError(f"{file} has detections but cannot be read ({error.strerror}): put it there.") from None
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            if image is None:
                raise UserError(f"{file} cannot be decoded as an image: replace it, or delete its detections.")
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
        yield row, image[top : max(round(y2 * height), top + 1), left : max(round(x2 * width), left + 1)]


def read_json(file: Path) -> dict:
    """A JSON object. Raises UserError if there is none."""
    try:
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): put it there.") from None
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}): it may be cut off, export it again.") from None
    if not (isinstance(data, dict) and isinstance(data.get("images"), list)):
        raise UserError(f"{file} has no list of images: it must be MegaDetector's output or COCO JSON.")
    return data


def read_detections(file: Path, threshold: float) -> dict[str, list[tuple[Box, float]]]:
    """Image file -> its animals of at least ``threshold``, as (box, confidence); MegaDetector's output or COCO JSON.

    Of COCO categories only "animal" counts if there is one; an annotation without ``score`` has confidence 1. Images that
    the detector failed on are left out.
    """
    data = read_json(file)
    found = {}
    try:
        if "annotations" in data:
            sizes, names, categories = coco_lists(data)
            kept = {category for category, name in categories.items() if name.lower() == ANIMAL} or categories.keys()
            found = {name: [] for name in names.values()}
            for item in data["annotations"]:
                category = categories[item["category_id"]]
                confidence = float(item.get("score", 1))
                if item.get("bbox") is None or item["category_id"] not in kept or category.lower() in EMPTY_NAMES:
                    continue
                if confidence >= threshold:
                    name = names[item["image_id"]]
                    found[name].append((coco_box(item, sizes, name, file), confidence))
            return found
        categories = {str(key): str(name) for key, name in data["detection_categories"].items()}
        if ANIMAL not in map(str.lower, categories.values()):
            raise UserError(f"{file} has no category animal (only {', '.join(categories.values())}): detect animals.")
        for image in data["images"]:
            name = normal(image["file"])
            if image.get("failure") or image.get("detections") is None:
                continue
            if name in found:
                raise UserError(f"{file} lists {name} twice: give each image one entry.")
            found[name] = []
            for item in image["detections"]:
                confidence = float(item["conf"])
                if str(item["category"]) not in categories:
                    raise UserError(
                        f"{file} has category {item['category']!r} in {name}, which detection_categories lacks: add it there."
                    )
                if categories[str(item["category"])].lower() == ANIMAL and confidence >= threshold:
                    x, y, width, height = map(float, item["bbox"])
                    found[name].append((checked_box((x, y, x + width, y + height), name, file), confidence))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is neither MegaDetector's output nor COCO JSON ({error!r}): export it again."
        ) from None
    return found


def read_annotations(file: Path) -> tuple[list[str], dict[str, Photo]]:
    """Classes, and what is annotated in each image file, of COCO Camera Traps or COCO JSON.

    Classes are the categories by their ids, whether or not they occur, then `EMPTY`. An image without annotation, or with
    one of `EMPTY_NAMES`, is empty. ``count`` is a number or "11-50" or "51+"; a box without count is one animal.
    """
    data = read_json(file)
    try:
        sizes, names, categories = coco_lists(data)
        photos = {image["id"]: Photo(group_of(image)) for image in data["images"]}
        for item in data["annotations"]:
            photo, name = photos[item["image_id"]], names[item["image_id"]]
            if item["category_id"] not in categories:
                raise UserError(
                    f"{file} has category {item['category_id']!r} in {name}, which its categories lack: add it there."
                )
            species = categories[item["category_id"]]
            if species.lower() not in EMPTY_NAMES:
                boxed = item.get("bbox") is not None
                photo.animals.append((species, coco_box(item, sizes, name, file) if boxed else None))
                photo.counts.append((species, count_of(item.get("count"), boxed)))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is no COCO (Camera Traps) JSON with species ({error!r}): export it again.") from None
    classes = [name for name in dict.fromkeys(categories.values()) if name.lower() not in EMPTY_NAMES]
    return [*classes, EMPTY], {names[i]: photo for i, photo in photos.items()}


def group_of(image: dict) -> str | None:
    """`Photo.group` of an image of COCO Camera Traps."""
    for kind, key in ((LOCATION, "location"), ("sequence ", "seq_id")):
        if image.get(key) is not None:
            return f"{kind}{image[key]}"
    return None


def coco_lists(data: dict) -> tuple[dict, dict, dict]:
    """Size (width, height) or None and file name of each image id, and category names by ascending id."""
    names = {image["id"]: normal(image["file_name"]) for image in data["images"]}
    if len(set(names.values())) < len(data["images"]):
        raise ValueError("two images have the same id or file_name")
    sizes = {i["id"]: (float(i["width"]), float(i["height"])) if "width" in i else None for i in data["images"]}
    categories = sorted(data["categories"], key=lambda category: category["id"])
    return sizes, names, {category["id"]: str(category["name"]) for category in categories}


def coco_box(item: dict, sizes: dict, name: str, file: Path) -> Box:
    """Box of an annotation, [x, y, width, height] in pixels, in shares of its image."""
    size = sizes[item["image_id"]]
    if size is None:
        raise UserError(f"{file} has a box in {name} but not its width and height: add them to the image.")
    x, y, width, height = map(float, item["bbox"])
    return checked_box((x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1]), name, file)


def checked_box(box: Box, name: str, file: Path) -> Box:
    """The box, cut at the edges of its image. Raises UserError if it is none or lies well outside."""
    inside = tuple(min(max(value, 0.0), 1.0) for value in box)
    far = max(abs(value - kept) for value, kept in zip(box, inside, strict=True))
    if not all(map(math.isfinite, box)) or far > OVERSHOOT or inside[2] <= inside[0] or inside[3] <= inside[1]:
        corners = " ".join(f"{value:.4g}" for value in box)
        raise UserError(
            f"{file} has a box in {name} that is none or lies outside of the image (x1 y1 x2 y2 = {corners} of its width and "
            "height): correct or delete it."
        )
    return inside


def count_of(value, boxed: bool) -> int:
    """Number of animals of one annotation; `UNKNOWN` if it has neither count nor box."""
    if value in COUNT_BINS:
        return COUNT_BINS[value]
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = UNKNOWN
    return count if count > 0 else 1 if boxed else UNKNOWN


def normal(name: str) -> str:
    """File name with forward slashes, without a leading ./"""
    return str(name).replace("\\", "/").removeprefix("./")
