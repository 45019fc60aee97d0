"""COCO JSON of frames with boxes: plain, COCO-VID, as CVAT and Roboflow export it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dagal import files
from dagal.datasets.records import MOST_NUMBER, Records
from dagal.errors import UserError

RELATIVE = (1.0, 1.0)  # size of a frame whose boxes are in shares of it
BOX_KEYS = ("bbox", "bbox_relative")


@dataclass
class Image:
    """An image of a COCO file, and its objects as (class name, track or -1, x1, y1, x2, y2) in pixels of ``size``."""

    video: str | None  # its entry in `videos`, or else its folder, if any
    name: str
    number: int | None  # `frame_id`
    size: tuple[float, float] | None  # width and height that the file declares; `RELATIVE` where boxes are in shares
    objects: list[tuple] = field(default_factory=list)


def read(file: Path, records: Records) -> tuple[list[str], list[Image]]:
    """Class names by ascending id, and the images of a COCO file; what cannot be used is skipped.

    An unused category that is the supercategory of all others, as Roboflow writes one, is no class. Raises UserError if
    the file is no COCO JSON at all.
    """
    try:
        data = files.read_json(file)
        categories = sorted(data["categories"], key=lambda item: item["id"])
        heads = [item for item in categories if item.get("supercategory") in (None, "", "none")]
        others = [item for item in categories if item not in heads[:1]]
        head = (
            heads[0]
            if heads and others and {item.get("supercategory") for item in others} == {heads[0]["name"]}
            else {}
        )
        classes = {item["id"]: str(item["name"]) for item in categories}
        videos = {item["id"]: str(item["name"]) for item in data.get("videos", [])}
        entries, annotations = list(data["images"]), list(data["annotations"])
        ids = Counter(entry.get("id") for entry in entries if isinstance(entry, dict))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is not COCO JSON with boxes ({error!r}): export it as COCO 1.0, from CVAT say."
        ) from None
    records.total += len(entries) + len(annotations)
    images, used, skipped = {}, set(), set()  # a skipped image takes its annotations with it
    for position, entry in enumerate(entries, 1):
        try:
            if ids[entry["id"]] > 1:
                raise ValueError(f"another image has its id {entry['id']}")
            images[entry["id"]] = image_of(entry, videos)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            skipped.add(entry.get("id") if isinstance(entry, dict) else None)
            records.skip(f"image {position} in {file} is not COCO ({why(error)})")
    for item in annotations:
        try:
            if item["image_id"] in skipped:
                continue
            if "category_id" in item:
                used.add(item["category_id"])
            if item["image_id"] not in images:
                raise ValueError(f"there is no image {item['image_id']!r}")
            add(images[item["image_id"]], item, classes, records)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            number = item.get("id") if isinstance(item, dict) else item
            records.skip(f"annotation {number} in {file} is not COCO ({why(error)})")
    names = [name for number, name in classes.items() if number in used or number != head.get("id")]
    return names, list(images.values())


def image_of(entry: dict, videos: dict) -> Image:
    """An entry of `images`. Raises as what is missing or of another type does."""
    name, number = files.possible(entry["file_name"].replace("\\", "/")), entry.get("frame_id")
    video = videos.get(entry.get("video_id"), str(PurePosixPath(name).parent))
    number = None if number is None else int(number)
    if number is not None and not 0 <= number <= MOST_NUMBER:
        raise ValueError(f"frame_id {number}")
    return Image(None if video == "." else video, name, number, declared_size(entry))


def declared_size(entry: dict) -> tuple[float, float] | None:
    """Width and height of an entry of `images`; None where one is missing or no length."""
    try:
        size = float(entry["width"]), float(entry["height"])
    except (KeyError, TypeError, ValueError):
        return None
    return size if all(0 < length < math.inf for length in size) else None


def add(image: Image, item: dict, classes: dict, records: Records) -> None:
    """Add an annotation to the objects of its image, unless it is marked and such boxes are left out.

    Raises as what is missing or of another type does, ValueError for a box that is none.
    """
    attributes = item.get("attributes") or {}
    name = category(item["category_id"], classes)
    key = next((key for key in BOX_KEYS if item.get(key)), None)
    if key is None:
        raise ValueError("no bbox")
    x, y, width, height = four_numbers(item[key])
    box = [x, y, x + width, y + height]
    if not all(map(math.isfinite, box)) or width < 0 or height < 0:
        raise ValueError(f"no box: {' '.join(f'{value:g}' for value in box)}")
    track = [attributes.get("track_id"), item.get("track_id"), item.get("instance_id")]
    track = int(next((value for value in track if value is not None), -1))
    if abs(track) > MOST_NUMBER:
        raise ValueError(f"track {track}")
    visibility = item.get("visibility", attributes.get("visibility"))
    angle = float(item.get("rotation") or attributes.get("rotation") or 0)
    marks = {
        "crowd": bool(item.get("iscrowd")),
        "ignored": any(bool(of.get(word)) for of in (item, attributes) for word in ("ignore", "ignored")),
        "invisible": visibility is not None and float(visibility) == 0,
        "rotated": angle % 360 != 0,
    }
    if not all([records.keeps(mark) for mark, is_so in marks.items() if is_so]):
        return
    if key == "bbox_relative" and image.size is None and not image.objects:
        image.size = RELATIVE
    if (image.size == RELATIVE) != (key == "bbox_relative"):
        if image.size in (None, RELATIVE):
            raise ValueError("boxes in pixels and in shares, but no width and height of the image")
        box = [value * length for value, length in zip(box, image.size * 2, strict=True)]
    if marks["rotated"]:
        if image.size == RELATIVE:
            raise ValueError("a rotated box in shares of its image")
        box = around(box, angle)
    image.objects.append((name, track, *box))


def category(number, names: dict) -> str:
    """Name of a category. Raises ValueError for one that the file does not have."""
    if number not in names:
        raise ValueError(f"category {number!r} is not in its categories")
    return names[number]


def four_numbers(values) -> list[float]:
    """The numbers of a box. Raises ValueError."""
    try:
        x, y, width, height = map(float, values)
    except (TypeError, ValueError):
        raise ValueError(f"box {values!r} is not four numbers") from None
    return [x, y, width, height]


def why(error: Exception) -> str:
    """What is wrong with a record, in words."""
    return f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def around(box: list[float], degrees: float) -> list[float]:
    """The upright box around one that is turned about its middle."""
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    x1, y1, x2, y2 = box
    width, height = (x2 - x1) * cos + (y2 - y1) * sin, (x2 - x1) * sin + (y2 - y1) * cos
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    return [middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2]


def contents(file: Path) -> bytes:
    """Bytes of a file. Raises UserError."""
    try:
        return files.contents(file)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): put it there.") from None
