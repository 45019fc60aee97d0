"""Masks that were drawn as polygons: LabelMe (a file for each image) and COCO (a file for many, run lengths too) -> class of each pixel.

What comes later in a file is painted over what comes earlier. Polygons cannot hold holes; run lengths can.
"""

import math
from collections.abc import Callable

import numpy as np

from dagal import files
from dagal.errors import UserError

LABELME_SHAPES = {"polygon": 3, "rectangle": 2}  # the least number of their points


def parse(data: bytes, name: str) -> dict:
    """The object of a file of JSON. Raises UserError that names the file."""
    found = files.parsed(data, name)
    if not isinstance(found, dict) or not (is_coco(found) or isinstance(found.get("shapes"), list)):
        raise UserError(
            f"{name} is neither of LabelMe (shapes) nor of COCO (images and annotations): correct or delete it."
        )
    return found


def is_coco(found: dict) -> bool:
    return all(isinstance(found.get(key), list) for key in ("images", "annotations"))


def labelme(
    found: dict, name: str, size: tuple[int, int], number: Callable[[object, str], int], empty: int
) -> np.ndarray:
    """The mask (H,W) uint8 of a file of LabelMe: the class ``number`` of each shape, painted as LabelMe does, on ``empty``.

    ``number(label, where)`` raises UserError for a class that there is not; so does a shape without area, with file and place.
    """
    from PIL import Image, ImageDraw

    height, width = size
    told = found.get("imageHeight", height), found.get("imageWidth", width)
    if told != size:
        raise UserError(
            f"{name} is for an image of {told[0]} x {told[1]} pixels and its image has {height} x {width}: correct it."
        )
    image = Image.new("L", (width, height), empty)
    for place, shape in enumerate(found["shapes"], 1):
        where = f"{name}, shape {place},"
        if not isinstance(shape, dict):
            raise UserError(f"{where} is no shape: correct or delete it.")
        kind = shape.get("shape_type") or "polygon"
        if kind not in LABELME_SHAPES:
            raise UserError(f"{where} is of type {kind!r}, which is no area to paint: draw a polygon or a rectangle.")
        points = corners(shape.get("points"), where, size, LABELME_SHAPES[kind])
        if kind == "rectangle":
            (x, y), (right, below) = points[0], points[1]
            points = [(x, y), (right, y), (right, below), (x, below)]
        label = number(shape.get("label"), where)
        ImageDraw.Draw(image).polygon(points, fill=label, outline=label)
    return np.asarray(image)


def corners(points: object, where: str, size: tuple[int, int], least: int) -> list[tuple[float, float]]:
    """The corners (x, y) of a shape, moved into its image. Raises UserError for what are none, or too few."""
    height, width = size
    try:
        found = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        found = []
    if len(found) < least or not all(math.isfinite(value) for point in found for value in point):
        raise UserError(f"{where} has no {least} points of two numbers: correct or delete it.")
    return [(min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))) for x, y in found]


def coco_images(found: dict, name: str) -> dict[int, dict]:
    """Id -> record of the images that a file of COCO has. Raises UserError for one without id and file name, and for an id given twice."""
    records = {}
    for place, record in enumerate(found["images"], 1):
        about = record if isinstance(record, dict) else {}
        if not isinstance(about.get("file_name"), str) or not isinstance(about.get("id"), int):
            raise UserError(f"{name}, image {place}, needs an id and a file_name: correct it.")
        if about["id"] in records:
            raise UserError(f"{name}, image {place}, has the id {about['id']} of another image: correct it.")
        records[about["id"]] = about
    return records


def coco_annotations(found: dict, name: str, images: dict[int, dict]) -> dict[int, list[tuple[str, str, object]]]:
    """Id of an image -> (where, name of the class, segmentation) of its annotations, in the order of the file."""
    classes = {}
    for category in found.get("categories") or []:
        if isinstance(category, dict) and isinstance(category.get("name"), str):
            classes[repr(category.get("id"))] = category["name"]
    of_image = {image: [] for image in images}
    for place, annotation in enumerate(found["annotations"], 1):
        where, about = f"{name}, annotation {place},", annotation if isinstance(annotation, dict) else {}
        if not isinstance(about.get("image_id"), int) or about["image_id"] not in of_image:
            raise UserError(f"{where} is of an image that the file does not have: correct or delete it.")
        if repr(about.get("category_id")) not in classes:
            raise UserError(f"{where} is of a category that the file does not have: correct or delete it.")
        of_image[about["image_id"]].append((where, classes[repr(about["category_id"])], about.get("segmentation")))
    return of_image


def coco(
    record: dict, annotations: list, name: str, size: tuple[int, int], number: Callable[[object, str], int], empty: int
) -> np.ndarray:
    """The mask (H,W) uint8 of an image of a file of COCO, painted as pycocotools does, on ``empty``; `labelme` for the rest."""
    told = record.get("height", size[0]), record.get("width", size[1])
    if told != size:
        raise UserError(
            f"{name} has {record['file_name']} with {told[0]} x {told[1]} pixels, and it has {size[0]} x {size[1]}: correct it."
        )
    mask = np.full(size, empty, np.uint8)
    for where, label, segmentation in annotations:
        mask[area(segmentation, where, size)] = number(label, where)
    return mask


def area(segmentation: object, where: str, size: tuple[int, int]) -> np.ndarray:
    """Pixels (H,W) bool of a segmentation of COCO: polygons, or run lengths, compressed or not. Raises UserError."""
    from pycocotools import mask as of_coco

    if isinstance(segmentation, dict):
        return run_lengths(segmentation, where, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise UserError(f"{where} has neither polygons nor run lengths as its segmentation: correct or delete it.")
    polygons = []
    for polygon in segmentation:
        flat = polygon if isinstance(polygon, list) and len(polygon) % 2 == 0 else []
        points = corners(list(zip(flat[::2], flat[1::2], strict=True)), where, size, 3)
        polygons.append([value for point in points for value in point])
    return of_coco.decode(of_coco.merge(of_coco.frPyObjects(polygons, *size))).astype(bool)


def run_lengths(rle: dict, where: str, size: tuple[int, int]) -> np.ndarray:
    """Pixels (H,W) bool of run lengths, which go down the columns and begin with those that are out.

    Not by pycocotools, which writes beyond the mask where they add up to more than it has.
    """
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = uncompressed(counts)
    whole = isinstance(counts, list) and all(isinstance(n, int) and n >= 0 for n in counts)
    if rle.get("size") != list(size) or not whole or sum(counts) != size[0] * size[1]:
        raise UserError(
            f"{where} has run lengths that do not fit an image of {size[0]} x {size[1]} pixels: correct or delete it."
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(size[::-1]).T


def uncompressed(text: str) -> list[int]:
    """The run lengths behind the letters of COCO: 5 bits and one that says that more follow in each; from the fourth on, differences to
    the one before the last. Empty for what is none.
    """
    counts, value, shift = [], 0, 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if shift > 60:
            return []
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return counts
