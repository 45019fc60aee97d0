"""YOLO (Darknet): a text file for each image, a line for each object: number of its class, then shares of the image.

The numbers are positions in the tool's own list of names, ``classes.txt`` (of CVAT: ``obj.names``) in the same folder.
"""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling.formats import reading
from dagal.labeling.formats.reading import Faulty, Format, Found
from dagal.labeling.waiting import Waiting, write_images

LISTS = ("classes.txt", "obj.names")
BESIDES = (*LISTS, "train.txt", "notes.txt", "README.txt", "README.roboflow.txt", "README.dataset.txt")


def write(waiting: Waiting, ids: list[int], folder: Path, suggestions: dict) -> str:
    """The images and ``classes.txt``, where tools look for it."""
    write_images(waiting, ids, folder / "images")
    artifacts.write_text(folder / "classes.txt", "".join(f"{name}\n" for name in waiting.class_names))
    return "Label the folder images with classes.txt; the tool's classes.txt and its .txt files are then imported as a folder."


def read(found: Found) -> None:
    """Fill in the answers of a folder of text files."""
    folder = found.path
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the one with classes.txt and the .txt files of the images.")
    lists = [path for name in LISTS for path in sorted(folder.rglob(name))]
    if not lists:
        raise UserError(f"{folder} holds no classes.txt, by which its numbers are classes: put it there.")
    names = [line.strip() for line in reading.text_of(lists[0]).splitlines() if line.strip()]
    for path in sorted(folder.rglob("*.txt")):
        if path.name in BESIDES:
            continue
        with found.record(1, path):
            image = found.image_named(path.name)
            _read_image(found, path, image, names)


def _read_image(found: Found, path: Path, image: int, names: list[str]) -> None:
    objects, faultless = [], len(found.problems)
    for line, text in enumerate(reading.text_of(path).splitlines(), 1):
        if text.strip():
            with found.record(line, path):
                objects.append(_read_object(found.waiting, text.split(), names))
    if len(found.problems) > faultless:
        return
    if found.waiting.field == "boxes" and (objects or found.empty):
        found.answer(str(path), image, "labeled", boxes=objects)
    elif objects:
        found.answer(str(path), image, "labeled", mask=reading.mask(found.waiting, objects))


def _read_object(waiting: Waiting, words: list[str], names: list[str]) -> list | tuple[str, np.ndarray]:
    if not words[0].isdecimal() or int(words[0]) >= len(names):
        raise Faulty(
            f"class {reading.shown(words[0])} is no position in classes.txt (0 to {len(names) - 1}): correct it."
        )
    name = reading.class_named(waiting, names[int(words[0])])
    try:
        shares = [reading.finite(float(word)) for word in words[1:]]
    except ValueError:
        raise Faulty(f"{reading.shown(' '.join(words))} is not a class and numbers: correct it.") from None
    height, width = waiting.size
    if waiting.field == "mask":
        if len(shares) % 2 or len(shares) < 6:
            raise Faulty(f"{len(shares)} numbers are no polygon (x y of three points or more): correct it.")
        points = [(x * width, y * height) for x, y in zip(shares[::2], shares[1::2], strict=True)]
        return name, reading.polygon(waiting, points)
    if len(shares) == 5:
        raise Faulty("a fifth number is a model's confidence, and this is its prediction: import what people drew.")
    if len(shares) != 4:
        raise Faulty(f"{len(shares)} numbers are no box (centre x y, width, height): correct it.")
    x, y, w, h = shares
    corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
    return reading.box(waiting, corners, name)


FORMAT = Format(("boxes", "mask"), write, read)
