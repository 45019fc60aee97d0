"""The answers of people: a file to which each one is added when it is given, and never changed afterwards.

``results/<study>/answers/answers.jsonl`` has one JSON object a line:

========== ============================================================================================================
id         of the image, its position in images.h5
state      "labeled"; "unsure" and "no_class", which are answers too; "skipped", "withdrawn" (an undone answer): none yet
label      name of the class, of an image
boxes      ``[[x1, y1, x2, y2, name], ...]`` of a frame in pixels of images.h5; an empty list: nothing is on it
mask       name of a PNG beside this file, ``masks/<id>-<number>.png``: a number of a class for each pixel, 255 for none
annotator  who answered; at: when, in UTC (ISO 8601); seconds: how long it took, or null
suggestion what the model's suggestion was, if it was shown, else null
source     "page", "csv", "label_studio", ...; comment: free text
========== ============================================================================================================

The last answer of an annotator about an image counts.
"""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from dagal.errors import UserError

FOLDER = "answers"  # in the folder of a study
WAITING = "waiting.json"  # beside it: what waits for whoever labels
# task of a study -> the field of an answer that holds it
ANSWER = {"classification": "label", "detection": "boxes", "segmentation": "mask"}
STATES = ("labeled", "unsure", "no_class", "skipped", "withdrawn")
ANSWERED = ("labeled", "unsure", "no_class")
FIELDS = {"label": None, "boxes": None, "mask": None, "seconds": None, "suggestion": None, "comment": ""}


def log_of(results: str | Path) -> Path:
    """The file of answers of the study with this folder of results."""
    return Path(results) / FOLDER / "answers.jsonl"


def append(path: Path, answers: Iterable[dict]) -> None:
    """Add answers, all of them or, after a kill, a last one that is cut off; they are on the disk when this returns.

    An answer needs ``id``, ``state``, ``annotator``, ``at`` and ``source``; the rest has `FIELDS` for defaults.
    """
    lines = "".join(json.dumps(FIELDS | answer, ensure_ascii=False) + "\n" for answer in answers).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() and not _ends_a_line(file):
            lines = b"\n" + lines  # a kill cut the last one off
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _ends_a_line(file) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read(path: Path) -> list[dict]:
    """All answers in the order in which they were given. A last line that a kill cut off is left out.

    Raises UserError with the line of one that is none.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if line:
                found.append(json.loads(line))
        except ValueError:
            cut = number == len(lines) or _begins_anew(lines[number])
            if not cut:
                raise UserError(
                    f"{path}, line {number}: this is no answer; restore the file or delete the line."
                ) from None
    return found


def _begins_anew(line: bytes) -> bool:
    """Whether `append` went on behind a line that was cut off: what follows one that is damaged is a whole answer."""
    return line.startswith(b"{")


def latest(answers: Iterable[dict]) -> dict[int, dict[str, dict]]:
    """Id -> annotator -> the answer that counts; images without one are left out."""
    last = {}
    for answer in answers:
        last[answer["id"], answer["annotator"]] = answer
    found = {}
    for (image, annotator), answer in last.items():
        if answer["state"] in ANSWERED:
            found.setdefault(image, {})[annotator] = answer
    return found


def now() -> str:
    """The time of an answer, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
