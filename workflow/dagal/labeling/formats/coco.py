"""COCO JSON of boxes and masks, as most tools write it, CVAT among them.

Images are told by the names of their files, classes by their names: numbers are the tool's own. COCO cannot tell an image on which
nothing is from one that nobody looked at, so that the user has to say it (``empty``).
"""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling.formats import reading
from dagal.labeling.formats.reading import Faulty, Format, Found
from dagal.labeling.waiting import Waiting, write_images


def _dataset(waiting: Waiting, ids: list[int]) -> str:
    height, width = waiting.size
    names = enumerate(waiting.class_names, 1)
    return reading.as_json(
        {
            "images": [
                {"id": image, "file_name": waiting.names[image], "width": width, "height": height} for image in ids
            ],
            "categories": [{"id": number, "name": name, "supercategory": ""} for number, name in names],
            "annotations": [],
        }
    )


def write(waiting: Waiting, ids: list[int], folder: Path, suggestions: dict) -> str:
    """``annotations.json`` and the images."""
    write_images(waiting, ids, folder / "images")
    artifacts.write_text(folder / "annotations.json", _dataset(waiting, ids))
    return "Open annotations.json and the folder images in a tool that reads COCO, and export as COCO again."


def write_cvat(waiting: Waiting, ids: list[int], folder: Path, suggestions: dict) -> str:
    """The images, the labels to be pasted, and COCO with the same classes."""
    write_images(waiting, ids, folder / "images")
    labels = [{"name": name, "attributes": []} for name in waiting.class_names]
    artifacts.write_text(folder / "labels.json", reading.as_json(labels))
    artifacts.write_text(folder / "annotations" / "instances_default.json", _dataset(waiting, ids))
    return (
        "Make a task of CVAT from the folder images, paste labels.json as its raw labels, label shapes (no tracks), "
        "and export as COCO 1.0 without images."
    )


def read(found: Found) -> None:
    """Fill in the answers of a COCO file."""
    data = reading.json_of(found.path)
    try:
        categories, images, annotations = (
            reading.value(data, key, list) for key in ("categories", "images", "annotations")
        )
    except Faulty as fault:
        raise UserError(f"{found.path} is no COCO JSON: {fault}") from None
    names = _numbered(found, categories, data.line, lambda item: reading.value(item, "name", str))
    ids = _numbered(found, images, data.line, lambda item: _image(found, item))
    lines = {
        entry["id"]: entry.line for entry in images if isinstance(entry, dict) and isinstance(entry.get("id"), int)
    }
    objects: dict[int, list] = {}
    read_object = {"boxes": _box, "mask": _region}[found.waiting.field]
    for item in found.records(annotations, data.line):
        with found.record(item.line):
            number = reading.value(item, "image_id", int)
            if number not in lines:
                raise Faulty(f"image_id {number} is in no image of the file: export it again.")
            if number not in ids:  # of that image all is told
                continue
            category = reading.value(item, "category_id", int)
            if category not in names:
                raise Faulty(f"category_id {category} is in no category of the file: export it again.")
            name = reading.class_named(found.waiting, names[category])
            objects.setdefault(number, []).append(read_object(found.waiting, item, name))
    for number, image in ids.items():
        own, where = objects.get(number, []), f"{found.path}, line {lines[number]}"
        if found.waiting.field == "boxes" and (own or found.empty):
            found.answer(where, image, "labeled", boxes=own)
        elif own:
            found.answer(where, image, "labeled", mask=reading.mask(found.waiting, own))


def _numbered(found: Found, records: list, line: int, what) -> dict:
    """The tool's number of each record -> what a function finds in it."""
    numbered = {}
    for record in found.records(records, line):
        with found.record(record.line):
            number = reading.value(record, "id", int)
            if number in numbered:
                raise Faulty(f"another record has the same id {number}: export it again.")
            numbered[number] = what(record)
    return numbered


def _image(found: Found, entry: dict) -> int:
    image = found.image_named(reading.value(entry, "file_name", str))
    reading.check_size(found.waiting, entry.get("width"), entry.get("height"))
    return image


def _check_shape(item: dict, name: str) -> None:
    """Raise Faulty for a part of a track: CVAT exports it on frames between key frames, too, and where it is out of view."""
    attributes = item.get("attributes")
    if isinstance(attributes, dict) and "track_id" in attributes:
        raise Faulty(f"{name!r} is of a track, interpolated between key frames: label shapes, frame by frame.")


def _box(waiting: Waiting, item: dict, name: str) -> list:
    _check_shape(item, name)
    attributes = item.get("attributes")
    angle = reading.number(attributes, "rotation", 0) if isinstance(attributes, dict) else 0
    if angle % 360 or reading.number(item, "rotation", 0) % 360:
        raise Faulty(f"box of {name!r} is rotated: draw it upright.")
    if item.get("iscrowd"):
        raise Faulty(f"box of {name!r} stands for a crowd (iscrowd): draw a box around each object.")
    numbers = reading.value(item, "bbox", list)
    if len(numbers) != 4:
        raise Faulty(f"bbox {reading.shown(numbers)} is not x, y, width, height: export it again.")
    x, y, width, height = map(reading.finite, numbers)
    return reading.box(waiting, (x, y, x + width, y + height), name)


def _region(waiting: Waiting, item: dict, name: str) -> tuple[str, np.ndarray]:
    """Pixels of polygons, or of runs of pixels, as COCO has them."""
    _check_shape(item, name)
    segmentation = reading.value(item, "segmentation", (list, dict))
    if isinstance(segmentation, dict):
        return name, _runs(waiting, segmentation)
    region = np.zeros(waiting.size, bool)
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) % 2:
            raise Faulty(f"polygon of {name!r} is no list of x, y, x, y, ...: export it again.")
        numbers = [reading.finite(coordinate) for coordinate in flat]
        region |= reading.polygon(waiting, list(zip(numbers[::2], numbers[1::2], strict=True)))
    if not region.any():
        raise Faulty(f"{name!r} has neither polygon nor mask: draw one.")
    return name, region


def _runs(waiting: Waiting, found: dict) -> np.ndarray:
    """Pixels (H,W) bool of run lengths, column by column, that begin with those outside; compressed or not."""
    size, counts = reading.value(found, "size", list), reading.value(found, "counts", (list, str))
    reading.check_size(waiting, *(size[::-1] if len(size) == 2 else (None, None)))
    lengths = reading.uncompressed(counts) if isinstance(counts, str) else [reading.finite(length) for length in counts]
    return reading.pixels(waiting, lengths)


COCO = Format(("boxes", "mask"), write, read)
CVAT = Format(("boxes", "mask"), write_cvat, read)
