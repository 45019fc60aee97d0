"""What the readers of all formats share: records with their lines, and the checks that every answer passes.

Files come from tools and people: nothing in them is trusted. Whatever is wrong with a record raises `Faulty`, which `Found` keeps with
the file and the line, so that one reading tells all that is wrong.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dagal import files
from dagal.errors import UserError
from dagal.labeling.waiting import Waiting

MOST_BYTES = 200 << 20  # of a file of answers
MOST_LETTERS = 10_000  # of a comment
MOST_NUMBER = 1e9  # of pixels or seconds
ROUNDING = 0.5  # pixels by which a box may leave its image, as tools round
NONE = 255  # a pixel of a mask without class
# what tools make of a name: one that was uploaded to Label Studio has eight hexadecimal digits before it, Roboflow adds the ending and a hash
RENAMED = re.compile(r"^(?:[0-9a-f]{8}-)?(.+?)(?:[._]png\.rf\.\w+)?\.\w+$", re.I)


class Faulty(ValueError):
    """What is wrong with a record, and what to do, as the rest of a sentence."""


@dataclass
class Found:
    """What a file holds for the images that wait: answers and problems.

    An answer is as in `dagal.labeling.answers`, but for a mask (H,W) in place of its name, and says ``where`` it stands. With ``empty``
    an image without a box is an answer in formats that cannot tell it from one that nobody looked at.
    """

    path: Path
    waiting: Waiting
    empty: bool = False
    answers: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)  # ids of records, faulty ones too

    @contextmanager
    def record(self, line: int, path: Path | None = None) -> Iterator[None]:
        """The block reads one record; what is wrong with it becomes a problem."""
        try:
            yield
        except Faulty as fault:
            self.problem(f"{path or self.path}, line {line}", str(fault))

    def records(self, items: list, line: int) -> Iterator["Record"]:
        """The objects of a list that begins on a line; whatever else is in it becomes a problem."""
        for item in items:
            if isinstance(item, Record):
                yield item
            else:
                self.problem(f"{self.path}, line {line}", f"here is {shown(item)} and no record: export it again.")

    def problem(self, where: str, what: str) -> None:
        self.problems.append(f"{where}: {what}")

    def image_named(self, name: str) -> int:
        """Id of the image with a file name that was exported. Raises Faulty."""
        found = RENAMED.match(name.replace("\\", "/").rpartition("/")[2])
        image = self.waiting.id_of.get(f"{found[1]}.png".lower()) if found else None
        if image is None:
            raise Faulty(f"{shown(name)} is no image that waits: keep the names of the files that were exported.")
        self.seen.add(image)
        return image

    def image_numbered(self, image: int, name: object = None) -> int:
        """The id, which must be of an image that waits and agree with the name of its file, if that is one of ours. Raises Faulty."""
        if image not in self.waiting.names:
            raise Faulty(f"no image with id {image} waits: export what waits now.")
        try:
            other = self.image_named(name) if isinstance(name, str) else image
        except Faulty:  # tools call files as they like
            other = image
        if other != image:
            raise Faulty(f"id {image} stands beside {shown(name)}, which is of id {other}: take the ids as exported.")
        self.seen.add(image)
        return image

    def answer(self, where: str, image: int, state: str, **more) -> None:
        self.answers.append({"where": where, "id": image, "state": state} | more)


@dataclass(frozen=True)
class Format:
    """What a format can hold (fields of an answer), and its two functions.

    ``write`` takes what waits, the ids, the folder and the suggestions (id -> class, probability), and returns what to do next, in a
    line; ``read`` fills what it is given.
    """

    fields: tuple[str, ...]
    write: Callable[[Waiting, list[int], Path, dict], str]
    read: Callable[[Found], None]


# ------------------------------------------------------------------------------------------------------------- files


def text_of(path: Path) -> str:
    """A text in UTF-8. Raises UserError."""
    try:
        return files.contents(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 (byte {error.start:,}): save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give the file that the tool exported.") from None


class Record(dict):
    """An object of a JSON file and the line on which it begins."""

    line = 0
    twice = None  # a key that it has twice

    def __init__(self, pairs: list[tuple[str, object]]):
        super().__init__(pairs)
        if len(self) < len(pairs):
            names = [name for name, _ in pairs]
            self.twice = next(name for name in names if names.count(name) > 1)


def json_of(path: Path) -> object:
    """What a JSON file holds, its objects as `Record`. Raises UserError with the line of a mistake."""
    text = text_of(path)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def line(position: int) -> int:
        return bisect_right(starts, position)

    def parsed(text_and_end, *arguments):
        record, end = json.decoder.JSONObject(text_and_end, *arguments)
        if record.twice is not None:
            raise json.JSONDecodeError(f"the key {record.twice!r} stands twice in one object", text, text_and_end[1])
        record.line = line(text_and_end[1])
        return record, end

    # the scanner in C tells no positions, the one in Python asks the decoder for its functions
    decoder = json.JSONDecoder(object_pairs_hook=Record)
    decoder.parse_object = parsed
    decoder.scan_once = json.scanner.py_make_scanner(decoder)
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {line(error.pos)}: not JSON ({error.msg}): export it again.") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply to be an export: export it again.") from None
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"{path} is not JSON ({error}): export it again.") from None


def as_json(data: object) -> str:
    """Text of a JSON file for another tool."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def value(record: object, key: str, kind: type | tuple, *default):
    """A value of a record. Raises Faulty if the record is none, or the value is missing or of another type."""
    if not isinstance(record, dict):
        raise Faulty(f"here is {shown(record)} and no record: export it again.")
    if key not in record and default:
        return default[0]
    found = record.get(key)
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        have = f"has {key} {shown(found)}" if key in record else f"has no {key}"
        raise Faulty(f"{have}: export it again in the format that was asked for.")
    return found


def number(record: object, key: str, *default) -> float:
    """A finite number of a record. Raises Faulty."""
    found = value(record, key, (int, float), *default)
    return found if default and found is default[0] else finite(found)


def finite(found: object) -> float:
    """A number. Raises Faulty for anything else, NaN and infinity among it."""
    if not isinstance(found, int | float) or isinstance(found, bool) or not -MOST_NUMBER < found < MOST_NUMBER:
        raise Faulty(f"{shown(found)} is no number of pixels: correct it.")
    return float(found)


def shown(found: object) -> str:
    """A value of a file, short enough for a sentence."""
    text = repr(dict(found) if isinstance(found, Record) else found)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ------------------------------------------------------------------------------------------------------------ checks


def class_named(waiting: Waiting, name: object) -> str:
    """A name of a class. Raises Faulty for others: classes are told by name, never by number."""
    if name not in waiting.class_names:
        names = ", ".join(map(str, waiting.class_names[:20])) + (", ..." if len(waiting.class_names) > 20 else "")
        raise Faulty(f"{shown(name)} is no class of the study ({names}): correct it.")
    return name


def check_size(waiting: Waiting, width: object, height: object) -> None:
    """Raise Faulty if a tool saw the image in another size."""
    if (width, height) != waiting.size[::-1]:
        of_study = f"{waiting.size[1]} x {waiting.size[0]}"
        raise Faulty(
            f"the tool saw {shown(width)} x {shown(height)} pixels and not {of_study}: label the files as exported."
        )


def box(waiting: Waiting, corners: tuple[float, float, float, float], name: str) -> list:
    """A box of an answer, from its corners x1 y1 x2 y2 in pixels. Raises Faulty if it is empty or leaves the image."""
    height, width = waiting.size
    x1, y1, x2, y2 = corners
    if x2 <= x1 or y2 <= y1:
        raise Faulty(f"box {said(corners)} has no area: draw it again.")
    if min(x1, y1) < -ROUNDING or x2 > width + ROUNDING or y2 > height + ROUNDING:
        raise Faulty(f"box {said(corners)} leaves the image of {width} x {height} pixels: draw it again.")
    inside = np.clip(corners, 0, [width, height, width, height])
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise Faulty(f"box {said(corners)} lies outside of its image: draw it again.")
    return [*(round(float(corner), 3) for corner in inside), name]


def said(corners) -> str:
    return " ".join(f"{corner:g}" for corner in corners)


def mask(waiting: Waiting, regions: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """The mask (H,W) uint8 of an answer: each region (H,W) bool gets the number of its class, later ones over earlier ones."""
    found = np.full(waiting.size, NONE, np.uint8)
    for name, region_H_W in regions:
        found[region_H_W] = waiting.class_names.index(name)
    return found


def polygon(waiting: Waiting, points: list[tuple[float, float]]) -> np.ndarray:
    """Pixels (H,W) bool within a polygon of points x, y, as COCO's own tool rasters it. Raises Faulty."""
    from pycocotools import mask as coco_mask

    height, width = waiting.size
    if len(points) < 3:
        raise Faulty(f"a polygon of {len(points)} points has no area: draw it again.")
    for x, y in points:
        if not (-ROUNDING <= x <= width + ROUNDING and -ROUNDING <= y <= height + ROUNDING):
            raise Faulty(f"point {x:g} {y:g} leaves the image of {width} x {height} pixels: draw the polygon again.")
    flat = [float(coordinate) for point in points for coordinate in point]
    (runs,) = coco_mask.frPyObjects([flat], height, width)
    return pixels(waiting, uncompressed(runs["counts"].decode()))


def pixels(waiting: Waiting, lengths: list[float]) -> np.ndarray:
    """Pixels (H,W) bool of a region, from the lengths of runs, column by column, of which the first is outside. Raises Faulty."""
    height, width = waiting.size
    if any(length < 0 or length % 1 for length in lengths) or sum(lengths) != height * width:
        raise Faulty(f"the mask has not {height * width:,} pixels in its runs: export it again.")
    inside = np.arange(len(lengths)) % 2 == 1
    region = np.repeat(inside, np.array(lengths, np.int64)).reshape(width, height).T
    if not region.any():
        raise Faulty("a region holds no pixel: draw it again.")
    return region


def uncompressed(text: str) -> list[int]:
    """Run lengths of COCO's compressed text: groups of 5 bits, low ones first, each from the fourth as the difference to the one two before.

    Raises Faulty.
    """
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 40:
            raise Faulty("the compressed mask is damaged: export it again.")
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    if shift:
        raise Faulty("the compressed mask is cut off: export it again.")
    return counts


def comment(found: object) -> str:
    """A comment, as text. Raises Faulty if it is none or far too long."""
    if not isinstance(found, str):
        raise Faulty(f"{shown(found)} is no comment: it must be text.")
    if len(found) > MOST_LETTERS:
        raise Faulty(f"a comment has {len(found):,} letters, and at most {MOST_LETTERS:,} are taken: shorten it.")
    return found


def seconds(found: object) -> float | None:
    """How long an answer took, where a tool tells it."""
    known = isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < math.inf
    return round(float(found), 3) if known else None
