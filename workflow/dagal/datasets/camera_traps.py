"""Camera traps: what a detector found in a survey's images becomes crops to classify, and counts to be checked.

Norouzzadeh et al. 2019 (in 002), sec. 3.1: detections of an animal above a confidence are cropped and resized; their number is
the number of animals. The detector runs elsewhere (MegaDetector, say); here its boxes are read.
"""

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from dagal import files, seeding
from dagal.datasets import coco, frames
from dagal.datasets.decoding import AN_IMAGE, opencv
from dagal.datasets.records import MOST_NUMBER, Records
from dagal.datasets.source import Source
from dagal.errors import UserError

TEST_FRACTION = 0.2
CONFIDENCE = 0.9  # of paper 002, for detections that bring no threshold of their own
EMPTY = "empty"  # class of a crop without an animal
EMPTY_NAMES = ("empty", "blank")
LOCATION, SEQUENCE = "location ", "sequence "  # begin the names of groups
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

    group: str | None  # what must not be torn apart: its location, or else its sequence, if any, as `group_by` says
    size: tuple[float, float] | None = None  # width and height in the annotations
    animals: list[tuple[str, Box | None]] = field(default_factory=list)
    counts: list[tuple[str, int]] = field(default_factory=list)  # (species, count of an annotation or `UNKNOWN`)


def camera_trap(settings: dict) -> Source:
    """Crops of the animals that ``detections`` finds in the images at ``path``, with the species that ``annotations`` tells.

    Images without result in either file are left out, and those whose annotation cannot be used. Test crops are those of some
    groups of images, drawn once. ``about``: which image and box each crop is; all images and the number of animals detected in
    each. ``sealed``: their true numbers. Raises UserError for JSON that is damaged or of another format, where too many records
    are bad, and where nothing is left.
    """
    path, records = Path(settings["path"]), Records(settings)
    class_names, photos, notes = read_annotations(Path(settings["annotations"]), settings, records)
    detections, threshold, line = read_detections(Path(settings["detections"]), settings["confidence"], records)
    notes += [*line, turn_annotations(path, photos, detections, records), *records.notes()]
    names = sorted(photos.keys() & detections.keys())
    if not names:
        raise UserError(
            f"No image of {settings['detections']} is in {settings['annotations']}: name the files alike in both (MegaDetector "
            "does with --output_relative_filenames)."
        )
    notes.append(one_sided(photos, detections))
    crops = [
        (position, box, confidence, species_of(box, photos[file].animals))
        for position, file in enumerate(names)
        for box, confidence in detections[file]
    ]
    if settings.get("content") == "images":
        crops = whole_images(crops)
    unknown = sum(species is None for *_, species in crops)
    what = (
        "images that show several species"
        if settings.get("content")
        else "crops of images that show several species and say not where"
    )
    notes.append(f"left out {unknown:,} {what}" if unknown else "")
    crops = [crop for crop in crops if crop[3] is not None]
    if not crops:
        raise UserError(
            f"{settings['detections']} has no animal above confidence {threshold:g}: lower dataset.confidence."
        )
    missed = sum(species == EMPTY and bool(photos[names[position]].animals) for position, *_, species in crops)
    notes.append(f"{missed:,} crops of images with animals meet no box: they are {EMPTY}" if missed else "")
    groups = [photos[names[position]].group or f"image {position:09}" for position, *_ in crops]
    without = sum(not group.startswith(LOCATION) for group in groups) if settings["group_by"] == "location" else 0
    if without:
        notes.append(f"{without:,} crops have no location: those of a sequence, or else of an image, are kept together")
    is_test_N = drawn_groups(groups, settings["test_fraction"] or TEST_FRACTION, path)
    crops = [crops[row] for row in np.argsort(is_test_N, kind="stable")]
    label = {name: position for position, name in enumerate(class_names)}
    return Source(
        class_names=class_names,
        labels=np.array([label[species] for *_, species in crops], np.int64),
        n_train=int(np.sum(~is_test_N)),
        images=cropped(path, names, crops),
        about={
            "source": np.array([position for position, *_ in crops], np.int64),
            "box": np.array([box for _, box, *_ in crops], np.float32),
            "confidence": np.array([confidence for _, _, confidence, _ in crops], np.float32),
            "files": np.array([os.fsencode(file) for file in names]),
            "detected": np.array([len(detections[file]) for file in names], np.int64),
        },
        files=[names[position] for position, *_ in crops],
        sealed={"animals": np.array([number_of_animals(photos[file].counts) for file in names], np.int64)},
        notes=list(filter(None, notes)),
    )


def one_sided(photos: dict, detections: dict) -> str:
    """A line on the images that only one of the two files has."""
    found = photos.keys() ^ detections.keys()
    return f"left out {len(found):,} images that have no result in one of the two files" if found else ""


def turn_annotations(path: Path, photos: dict[str, Photo], detections: dict, records: Records) -> str:
    """Turn annotated boxes with the pixels of images that are stored turned (EXIF), as detections are; a line on these.

    Takes away the photos whose annotated boxes are for an image of another shape: bad records.
    """
    n = 0
    for file in sorted(photos.keys() & detections.keys()):
        photo = photos[file]
        if not detections[file] or not any(box for _, box in photo.animals) or not (path / file).is_file():
            continue
        exif, stored = frames.header(path / file)
        shown = stored[::-1] if exif >= 5 else stored
        found = frames.basis(photo.size or (math.nan, math.nan), shown, exif)
        if found is None and all(stored):
            records.skip(
                f"the annotations of {file} are for {photo.size[0]:g} x {photo.size[1]:g} pixels, which is of another shape than its "
                f"{shown[0]} x {shown[1]}, so the image is left out"
            )
            del photos[file]
        elif found and found[1]:
            n += 1
            for i, (species, box) in enumerate(photo.animals):
                if box:
                    (box,) = frames.turned(np.array([box]), np.array([exif])).tolist()
                    photo.animals[i] = species, tuple(box)
    return f"turned the annotated boxes of {n:,} images by the EXIF orientation, as their pixels" if n else ""


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


def whole_images(crops: list[tuple]) -> list[tuple]:
    """The crops (position, box, confidence, species) of each image as one, which is the whole image, of its surest detection.

    Its species is that of its crops, `EMPTY` where all are, and None (unknown) where one is or there are several (002, camera traps,
    sec. 4.3.3: full images are classified by one species).
    """
    found = []
    for position, own in groupby(crops, key=lambda crop: crop[0]):
        own = list(own)
        species = {crop[3] for crop in own}
        species = species - {EMPTY} or {EMPTY}
        confidence = max(confidence for _, _, confidence, _ in own)
        found.append((position, (0.0, 0.0, 1.0, 1.0), confidence, species.pop() if len(species) == 1 else None))
    return found


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
        raise UserError(
            f"{path} has crops of a single location or image, none to test on: add images of another, or set dataset.group_by to sequence or image."
        )
    order_G = seeding.generator(0, "test locations").permutation(len(names))
    size_G = np.bincount(group_N)[order_G]
    n_test = int(np.searchsorted(np.cumsum(size_G), fraction * len(groups))) + 1
    return np.isin(group_N, order_G[: min(n_test, len(names) - 1)])


def cropped(path: Path, names: list[str], crops: list[tuple]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB crop) of each crop, every image decoded once in turn.

    Raises UserError for an image that is missing or damaged.
    """
    shown, image = None, None
    for row, (position, (x1, y1, x2, y2), *_) in enumerate(crops):
        if position != shown:
            shown, file = position, path / names[position]
            try:
                data = files.contents(file)
            except OSError as error:
                raise UserError(f"{file} has detections but cannot be read ({error.strerror}): put it there.") from None
            image = opencv(data)
            if image is None:
                raise UserError(f"{file} cannot be decoded as {AN_IMAGE}: replace it, or delete its detections.")
        height, width = image.shape[:2]
        left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
        yield row, image[top : max(round(y2 * height), top + 1), left : max(round(x2 * width), left + 1)]


def read_json(file: Path) -> dict:
    """A JSON object. Raises UserError if there is none."""
    data = files.read_json(file)
    if not (isinstance(data, dict) and isinstance(data.get("images"), list)):
        raise UserError(f"{file} has no list of images: it must be MegaDetector's output or COCO JSON.")
    return data


def read_detections(
    file: Path, confidence: float | None, records: Records
) -> tuple[dict[str, list[tuple[Box, float]]], float, list[str]]:
    """Image file -> its animals as (box, confidence), of MegaDetector's output or COCO JSON; the least confidence; lines.

    The least confidence is ``confidence``, or else the file's own ``typical_detection_threshold``, or else `CONFIDENCE`. Of COCO
    categories only "animal" counts if there is one; an annotation without ``score`` has confidence 1. Images that the detector
    failed on are left out.
    """
    data = read_json(file)
    try:
        typical = (data.get("info") or {}).get("detector_metadata", {}).get("typical_detection_threshold")
        typical = None if typical is None else checked_confidence(typical)
        threshold = confidence if confidence is not None else CONFIDENCE if typical is None else typical
        if "annotations" in data:
            return coco_detections(data, file, threshold, records), threshold, []
        categories = {str(key): str(name).lower() for key, name in data["detection_categories"].items()}
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is neither MegaDetector's output nor COCO JSON ({error!r}): export it again."
        ) from None
    lines = []
    if typical is not None and confidence is None:
        lines.append(f"detections of at least {typical:g} are animals, the typical_detection_threshold of {file}")
    elif typical is not None and confidence != typical:
        lines.append(
            f"detections of at least {confidence:g} are animals (dataset.confidence), but the typical_detection_threshold of {file} is "
            f"{typical:g}"
        )
    if ANIMAL not in categories.values():
        raise UserError(f"{file} has no category animal (only {', '.join(categories.values())}): detect animals.")
    found, twice = {}, set()
    for position, image in enumerate(data["images"]):
        records.total += 1
        try:
            name = normal(image["file"])
            detections = None if image.get("failure") else image.get("detections")
            detections = None if detections is None else list(detections)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            records.skip(f"image {position + 1} in {file} is not MegaDetector's ({coco.why(error)})")
            continue
        if name in found:
            records.skip(f"{file} lists {name} twice")
            twice.add(name)
        if detections is None:
            continue
        found[name] = []
        for item in detections:
            records.total += 1
            try:
                category = coco.category(str(item["category"]), categories)
                x, y, width, height = coco.four_numbers(item["bbox"])
                box, score = checked_box((x, y, x + width, y + height)), checked_confidence(item["conf"])
                if category == ANIMAL and score >= threshold:
                    found[name].append((box, score))
            except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
                records.skip(f"a detection in {name} of {file} cannot be used ({coco.why(error)})")
    return {name: detections for name, detections in found.items() if name not in twice}, threshold, lines


def coco_detections(data: dict, file: Path, threshold: float, records: Records) -> dict[str, list[tuple[Box, float]]]:
    """`read_detections` of COCO JSON."""
    names, sizes, categories = coco_lists(data, file, records)
    kept = {category for category, name in categories.items() if name.lower() == ANIMAL} or categories.keys()
    found = {name: [] for name in names.values()}
    for item in data["annotations"]:
        records.total += 1
        try:
            category, name = coco.category(item["category_id"], categories), name_of(item["image_id"], names)
            score, box = checked_confidence(item.get("score", 1)), coco_box(item, sizes)
            if box and item["category_id"] in kept and category.lower() not in EMPTY_NAMES and score >= threshold:
                found[name].append((box, score))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            records.skip(f"{annotation(item)} in {file} cannot be used ({coco.why(error)})")
    return found


def read_annotations(file: Path, settings: dict, records: Records) -> tuple[list[str], dict[str, Photo], list[str]]:
    """Classes, what is annotated in each image file, of COCO Camera Traps or COCO JSON, and lines for the user.

    Classes are the categories by their ids, whether or not they occur, then `EMPTY`. An image without annotation, or with
    one of `EMPTY_NAMES`, is empty. ``count`` is a number or "11-50" or "51+"; a box without count is one animal. An image with
    an annotation that cannot be used is left out: what it shows is not known.
    """
    data, unclear, of_sequences = read_json(file), set(), 0
    try:
        names, sizes, categories = coco_lists(data, file, records)
        annotations = list(data["annotations"])
        photos = {
            image["id"]: Photo(group_of(image, settings["group_by"]), sizes[image["id"]])
            for image in data["images"]
            if image["id"] in names
        }
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is no COCO (Camera Traps) JSON with species ({error!r}): export it again.") from None
    for item in annotations:
        records.total += 1
        image = None
        try:
            image = item["image_id"]
            name_of(image, names)
            photo, species = photos[image], coco.category(item["category_id"], categories)
            if item.get("sequence_level_annotation"):
                of_sequences += 1
                if settings["sequence_annotations"] == "leave_out":
                    unclear.add(image)
            if species.lower() not in EMPTY_NAMES:
                box = coco_box(item, sizes)
                photo.animals.append((species, box))
                photo.counts.append((species, count_of(item.get("count"), box is not None)))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            image = image if isinstance(image, int | str) else None  # a list is in no dictionary
            unclear |= {image} & photos.keys()
            where = f" of {names[image]}" if image in names else ""
            records.skip(
                f"{annotation(item)}{where} in {file} cannot be used ({coco.why(error)}), so its image is left out"
            )
    lines = []
    if of_sequences:
        done = {"keep": "kept", "leave_out": "their images are left out"}[settings["sequence_annotations"]]
        lines.append(f"{of_sequences:,} annotations are of a whole sequence: {done} (dataset.sequence_annotations)")
    classes = [name for name in dict.fromkeys(categories.values()) if name.lower() not in EMPTY_NAMES]
    return [*classes, EMPTY], {names[i]: photo for i, photo in photos.items() if i not in unclear}, lines


def name_of(image, names: dict) -> str:
    """File name of an image id. Raises ValueError."""
    if image not in names:
        raise ValueError(f"there is no image {image!r}")
    return names[image]


def annotation(item) -> str:
    """How an annotation is called in a sentence."""
    return f"annotation {item.get('id')}" if isinstance(item, dict) else f"annotation {item!r}"


def group_of(image: dict, group_by: str) -> str | None:
    """`Photo.group` of an image of COCO Camera Traps; an empty text is no location. None if the image is alone."""
    keys = {
        "location": ((LOCATION, "location"), (SEQUENCE, "seq_id")),
        "sequence": ((SEQUENCE, "seq_id"),),
        "image": (),
    }
    for kind, key in keys[group_by]:
        if image.get(key) is not None and str(image[key]).strip():
            return f"{kind}{image[key]}"
    return None


def coco_lists(data: dict, file: Path, records: Records) -> tuple[dict, dict, dict]:
    """File name and size (width, height) or None of each image id, and category names by ascending id.

    Images that are listed twice, by id or by name, are bad records.
    """
    records.total += len(data["images"])
    ids = Counter(image["id"] for image in data["images"])
    names = Counter(normal(image["file_name"]) for image in data["images"])
    found = {}
    for image in data["images"]:
        if ids[image["id"]] > 1 or names[normal(image["file_name"])] > 1:
            records.skip(f"{file} lists {image['file_name']} (image {image['id']}) twice")
        else:
            found[image["id"]] = image
    categories = sorted(data["categories"], key=lambda category: category["id"])
    categories = {category["id"]: str(category["name"]) for category in categories}
    return (
        {i: normal(image["file_name"]) for i, image in found.items()},
        {i: coco.declared_size(image) for i, image in found.items()},
        categories,
    )


def coco_box(item: dict, sizes: dict) -> Box | None:
    """Box of an annotation in shares of its image; None without `bbox` and `bbox_relative`. Raises ValueError."""
    if item.get("bbox_relative"):
        size, (x, y, width, height) = (1, 1), coco.four_numbers(item["bbox_relative"])
    elif item.get("bbox"):
        size, (x, y, width, height) = sizes[item["image_id"]], coco.four_numbers(item["bbox"])
        if size is None:
            raise ValueError("a box in pixels, but no width and height of the image")
    else:
        return None
    return checked_box((x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1]))


def checked_box(box: Box) -> Box:
    """The box, cut at the edges of its image. Raises ValueError if it is none or lies well outside."""
    inside = tuple(min(max(value, 0.0), 1.0) for value in box)
    far = max(abs(value - kept) for value, kept in zip(box, inside, strict=True))
    if not all(map(math.isfinite, box)) or far > OVERSHOOT or inside[2] <= inside[0] or inside[3] <= inside[1]:
        corners = " ".join(f"{value:.4g}" for value in box)
        raise ValueError(f"a box that is none or outside: x1 y1 x2 y2 = {corners} of width and height")
    return inside


def checked_confidence(value) -> float:
    """A confidence. Raises ValueError for what is no number in 0..1, TypeError for what is none at all."""
    found = float(value)
    if not 0 <= found <= 1:
        raise ValueError(f"a confidence of {found:g}, which is not from 0 to 1")
    return found


def count_of(value, boxed: bool) -> int:
    """Number of animals of one annotation; `UNKNOWN` if it has neither count nor box."""
    if value in COUNT_BINS:
        return COUNT_BINS[value]
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = UNKNOWN
    if count > MOST_NUMBER:
        raise ValueError(f"a count of {count:.3g} animals")
    return count if count > 0 else 1 if boxed else UNKNOWN


def normal(name: str) -> str:
    """File name with forward slashes, without a leading ./ Raises ValueError for one that no file has."""
    return files.possible(str(name).replace("\\", "/").removeprefix("./"))
