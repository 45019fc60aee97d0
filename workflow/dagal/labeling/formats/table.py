"""CSV, for spreadsheets and scripts: a row for each image, or for each box, with its id, class, state and comment."""

import csv
import io
from pathlib import Path

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import answers
from dagal.labeling.formats import reading
from dagal.labeling.formats.reading import Faulty, Format, Found
from dagal.labeling.waiting import Waiting, write_images

CORNERS = ("x1", "y1", "x2", "y2")
EMPTY = "empty"  # state of a frame on which nothing is
STATES = tuple(state for state in answers.STATES if state != "withdrawn")


def write(waiting: Waiting, ids: list[int], folder: Path, suggestions: dict) -> str:
    """``answers.csv`` with a row for each image, to be filled in, and the images."""
    write_images(waiting, ids, folder / "images")
    corners = list(CORNERS) if waiting.field == "boxes" else []
    text = io.StringIO()
    rows = [[image, waiting.names[image], *[""] * (3 + len(corners))] for image in ids]
    csv.writer(text, lineterminator="\n").writerows([["id", "file", "label", *corners, "state", "comment"], *rows])
    artifacts.write_text(folder / "answers.csv", text.getvalue())
    states = [*STATES[1:], *([EMPTY] if corners else [])]
    boxes = ", a row for each box in pixels" if corners else ""
    return f"Fill in the column label of answers.csv{boxes}; or else the column state: {', '.join(states)}."


def read(found: Found) -> None:
    """Fill in the answers of a table."""
    text = reading.text_of(found.path)
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    rows = _rows(found, reader)
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    needed = ["id", "label", *(CORNERS if found.waiting.field == "boxes" else ())]
    for name in needed:
        if name not in header:
            raise UserError(f"{found.path} has no column {name} (only {', '.join(header)}): add it.")
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise UserError(f"{found.path} has column {twice} twice: leave one out.")
    given: dict[tuple, list] = {}  # (id, annotator) -> its rows
    for line, cells in rows:
        if not any(cells):
            continue
        with found.record(line):
            if len(cells) != len(header):
                raise Faulty(f"{len(cells)} cells stand below {len(header)} names of columns: correct it.")
            row = dict(zip(header, map(str.strip, cells), strict=True))
            image, answer = _read_row(found, row)
            if answer:
                given.setdefault((image, row.get("annotator") or None), []).append((line, answer))
    for (image, annotator), own in given.items():
        with found.record(own[0][0]):
            if found.waiting.field == "boxes":
                own = _together(own)
            for line, answer in own:
                found.answer(f"{found.path}, line {line}", image, **answer, annotator=annotator)


def _rows(found: Found, reader):
    """(line on which it ends, cells) of each row."""
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{found.path}, line {reader.line_num}: not CSV ({error}): correct it.") from None


def _read_row(found: Found, row: dict[str, str]) -> tuple[int, dict | None]:
    """Id and answer of a row; no answer where it was left empty. Raises Faulty."""
    waiting = found.waiting
    if not row["id"].isdecimal() or len(row["id"]) > 18:
        raise Faulty(f"{reading.shown(row['id'])} is no id: it is the whole number that was exported with the image.")
    image = found.image_numbered(int(row["id"]), row.get("file"))
    label, state = row["label"], row.get("state", "")
    answer = {"comment": reading.comment(row["comment"])} if row.get("comment") else {}
    corners = [row[name] for name in CORNERS if waiting.field == "boxes" and row[name]]
    if state == EMPTY and waiting.field == "boxes" and not label and not corners:
        return image, {"state": "labeled", "boxes": []} | answer
    if state not in ("", *STATES):
        raise Faulty(f"{reading.shown(state)} is no state ({', '.join(STATES)}): correct it, or leave it empty.")
    if state in STATES[1:]:
        if label or corners:
            raise Faulty(f"here are both the state {state} and an answer: leave one of them out.")
        return image, {"state": state} | answer
    if not label:
        if state or corners:
            raise Faulty("here is no label: fill it in, or leave state and box empty, too.")
        return image, None
    name = reading.class_named(waiting, label)
    if waiting.field == "label":
        return image, {"state": "labeled", "label": name} | answer
    try:
        x1, y1, x2, y2 = (reading.finite(float(corner)) for corner in corners)
    except ValueError:
        raise Faulty(f"{reading.shown(corners)} are not the four numbers x1 y1 x2 y2 of a box: correct them.") from None
    return image, {"state": "labeled", "boxes": [reading.box(waiting, (x1, y1, x2, y2), name)]} | answer


def _together(own: list[tuple[int, dict]]) -> list[tuple[int, dict]]:
    """One answer of the rows about an image. Raises Faulty if they cannot all be true."""
    states = {answer["state"] for _, answer in own}
    boxes = [box for _, answer in own for box in answer.get("boxes", [])]
    if len(states) > 1 or (len(own) > 1 and len(boxes) < len(own)):
        lines = ", ".join(str(line) for line, _ in own)
        raise Faulty(
            f"lines {lines} say of one image that it has boxes, and that it has none or no answer: correct them."
        )
    comments = "\n".join(answer["comment"] for _, answer in own if "comment" in answer)
    together = {"boxes": boxes} if states == {"labeled"} else {}
    return [(own[0][0], own[0][1] | together | ({"comment": comments} if comments else {}))]


FORMAT = Format(("label", "boxes"), write, read)
