"""Label Studio: tasks with an id of our own, the interface to be pasted, and its native JSON of what was answered.

Only the native export is read: it tells "nothing is on this image" from "not answered", and who answered.
"""

from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling.formats import reading
from dagal.labeling.formats.reading import Faulty, Format, Found
from dagal.labeling.waiting import Waiting, write_images

# what the interface calls the states, besides skipping, for which Label Studio has a button
STATES = {"unsure": "unsure", "no class fits": "no_class"}
# what holds the classes, in the interface: tag, tag of a class, attributes
TAGS = {
    "label": [("Choices", "Choice", 'name="answer" toName="image" choice="single"')],
    "boxes": [("RectangleLabels", "Label", 'name="answer" toName="image" canRotate="false"')],
    "mask": [
        ("PolygonLabels", "Label", 'name="answer" toName="image"'),
        ("BrushLabels", "Label", 'name="brush" toName="image"'),
    ],
}
# type of a result -> what it holds
OF_TYPE = {"choices": "label", "rectanglelabels": "boxes", "polygonlabels": "mask", "brushlabels": "mask"}
TRACKS = ("videorectangle", "timelinelabels")


def write(waiting: Waiting, ids: list[int], folder: Path, suggestions: dict[int, tuple[str, float]]) -> str:
    """``tasks.json``, ``interface.xml`` and the images, which Label Studio serves from its disk."""
    write_images(waiting, ids, folder / "images")
    tasks = []
    for image in ids:
        data = {"image": f"/data/local-files/?d=images/{waiting.names[image]}", "dagal_id": image}
        tasks.append(
            {"data": data} | ({"predictions": [_prediction(*suggestions[image])]} if image in suggestions else {})
        )
    artifacts.write_text(folder / "tasks.json", reading.as_json(tasks))
    artifacts.write_text(folder / "interface.xml", interface(waiting))
    return (
        f"Start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.absolute()}, "
        "paste interface.xml as the labeling interface of a project, add its folder images as local storage without syncing it, "
        "import tasks.json, and export as JSON."
    )


def _prediction(name: str, probability: float) -> dict:
    result = {"from_name": "answer", "to_name": "image", "type": "choices", "value": {"choices": [name]}}
    return {"model_version": "dagal", "score": probability, "result": [result]}


def interface(waiting: Waiting) -> str:
    """The labeling interface: the classes, the states that are answers too, and a comment."""
    tags = "\n".join(
        "\n".join(
            [
                f"  <{outer} {options}>",
                *(f"    <{inner} value={quoteattr(name)}/>" for name in waiting.class_names),
                f"  </{outer}>",
            ]
        )
        for outer, inner, options in TAGS[waiting.field]
    )
    states = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in STATES)
    return f"""<View>
  <Image name="image" value="$image" zoom="true"/>
{tags}
  <Choices name="state" toName="image" choice="single">
{states}
  </Choices>
  <TextArea name="comment" toName="image" placeholder="comment"/>
</View>
"""


def read(found: Found) -> None:
    """Fill in the answers of a JSON export."""
    tasks = reading.json_of(found.path)
    if not isinstance(tasks, list):
        raise UserError(
            f"{found.path} holds {reading.shown(tasks)} and no list of tasks: export from Label Studio as JSON."
        )
    for task in found.records(tasks, 1):
        with found.record(task.line):
            _read_task(found, task)


def _read_task(found: Found, task: dict) -> None:
    data = reading.value(task, "data", dict)
    image = found.image_numbered(reading.value(data, "dagal_id", int), data.get("image"))
    suggestion = _suggestion(found.waiting, task)
    key = "completions" if "completions" in task else "annotations"  # of versions before 1.0
    for annotation in found.records(reading.value(task, key, list), task.line):
        with found.record(annotation.line):
            answer = _read_annotation(found.waiting, annotation)
            where = f"{found.path}, line {annotation.line}"
            found.answer(where, image, **answer, suggestion=suggestion, **_about(annotation))


def _suggestion(waiting: Waiting, task: dict) -> str | None:
    """The class that was suggested; exports may hold the numbers of predictions only."""
    for prediction in reading.value(task, "predictions", list, []):
        try:
            name = prediction["result"][0]["value"]["choices"][0]
        except (KeyError, IndexError, TypeError):
            continue
        if name in waiting.class_names:
            return name
    return None


def _about(annotation: dict) -> dict:
    """Who answered, when, and how long it took."""
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return {
        "annotator": str(who) if isinstance(who, int | str) else None,
        "at": _time(annotation.get("updated_at") or annotation.get("created_at")),
        "seconds": reading.seconds(annotation.get("lead_time")),
    }


def _time(text: object) -> str | None:
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, TypeError, ValueError):
        return None


def _read_annotation(waiting: Waiting, annotation: dict) -> dict:
    """State, answer and comment of an annotation. Raises Faulty."""
    if annotation.get("was_cancelled") or annotation.get("skipped"):
        return {"state": "skipped"}
    answers, states, comments = [], [], []
    for item in reading.value(annotation, "result", list):
        kind, inside = reading.value(item, "type", str), reading.value(item, "value", dict)
        if kind == "textarea":
            comments += map(reading.comment, _list(inside, "text"))
        elif kind == "choices" and item.get("from_name") == "state":
            states += _list(inside, "choices")
        elif kind in TRACKS or "sequence" in inside:
            raise Faulty(
                "a track through a video says where its key frames are and not what is on the others: label frames."
            )
        elif OF_TYPE.get(kind) != waiting.field:
            raise Faulty(f"here is an answer of type {reading.shown(kind)}: use the interface that was exported.")
        else:
            (name,) = _one(_list(inside, kind), "class")
            answers.append((reading.class_named(waiting, name), item, inside))
    said = {"comment": reading.comment("\n".join(comments))} if comments else {}
    if states:
        (state,) = _one(states, "state")
        if not isinstance(state, str) or state not in STATES:
            raise Faulty(
                f"{reading.shown(state)} is no state ({', '.join(STATES)}): use the interface that was exported."
            )
        if answers:
            raise Faulty(f"here are both {state!r} and a class: take one of them away.")
        return {"state": STATES[state]} | said
    return {"state": "labeled"} | OF_FIELD[waiting.field](waiting, answers) | said


def _list(inside: dict, key: str) -> list:
    found = reading.value(inside, key, (list, str))
    return [found] if isinstance(found, str) else found


def _one(found: list, what: str) -> list:
    if len(found) != 1:
        raise Faulty(f"here are {len(found)} names of a {what} where one is needed: choose one.")
    return found


def _label(waiting: Waiting, answers: list) -> dict:
    _one(answers, "class")
    return {"label": answers[0][0]}


def _boxes(waiting: Waiting, answers: list) -> dict:
    """Shares in percent of the image -> boxes in pixels. None of them: nothing is on the image."""
    found = []
    for name, item, inside in answers:
        _check_view(waiting, item)
        if reading.number(inside, "rotation", 0) % 360:
            raise Faulty(f"box of {name!r} is rotated by {inside['rotation']:g} degrees: draw it upright.")
        x, y, width, height = (reading.number(inside, key) / 100 for key in ("x", "y", "width", "height"))
        rows, columns = waiting.size
        corners = x * columns, y * rows, (x + width) * columns, (y + height) * rows
        found.append(reading.box(waiting, corners, name))
    return {"boxes": found}


def _mask(waiting: Waiting, answers: list) -> dict:
    if not answers:
        raise Faulty("here is neither polygon nor brush: draw, or skip the image.")
    regions = []
    for name, item, inside in answers:
        _check_view(waiting, item)
        region = _polygon if item["type"] == "polygonlabels" else _painted
        regions.append((name, region(waiting, inside)))
    return {"mask": reading.mask(waiting, regions)}


def _polygon(waiting: Waiting, inside: dict) -> np.ndarray:
    """Pixels of points in percent of the image."""
    points = reading.value(inside, "points", list)
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise Faulty("a polygon is no list of points x, y: export it again.")
    rows, columns = waiting.size
    return reading.polygon(
        waiting, [(reading.finite(x) / 100 * columns, reading.finite(y) / 100 * rows) for x, y in points]
    )


def _painted(waiting: Waiting, inside: dict) -> np.ndarray:
    """Pixels (H,W) bool that a brush left, from bytes as `label-studio-sdk` packs them: RGBA values of all pixels in runs.

    32 bits say how many values there are, 5 how wide one is, 4 x 4 how wide the four lengths of runs are (each less one). A run has a bit
    that says whether one value is repeated, 2 bits for the width of its length, the length less one, and its value or values.
    """
    packed, (rows, columns) = reading.value(inside, "rle", list), waiting.size
    if not all(type(byte) is int and 0 <= byte < 256 for byte in packed):
        raise Faulty("what a brush painted is not in bytes: export it again.")
    bits, place = "".join(f"{byte:08b}" for byte in packed), 0

    def take(n: int) -> int:
        nonlocal place
        place += n
        if place > len(bits):
            raise Faulty("what a brush painted is cut off: export it again.")
        return int(bits[place - n : place], 2)

    total, width, widths = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    if total != rows * columns * 4:
        raise Faulty(
            f"what a brush painted has {total / 4:,g} pixels and the image {rows * columns:,}: export it again."
        )
    values, done = np.zeros(total, np.int64), 0
    while done < total:
        is_repeated, length = take(1), take(widths[take(2)]) + 1
        values[done : done + length] = (
            take(width) if is_repeated else [take(width) for _ in values[done : done + length]]
        )
        done += length
    region = values.reshape(rows, columns, 4)[..., 3] > 0
    if not region.any():
        raise Faulty("a brush painted no pixel: paint, or take the region away.")
    return region


def _check_view(waiting: Waiting, item: dict) -> None:
    """Raise Faulty if the image was seen in another size, or turned."""
    reading.check_size(waiting, item.get("original_width"), item.get("original_height"))
    if reading.number(item, "image_rotation", 0) % 360:
        raise Faulty(f"the image was turned by {item['image_rotation']:g} degrees: turn it back and draw again.")


OF_FIELD = {"label": _label, "boxes": _boxes, "mask": _mask}
FORMAT = Format(("label", "boxes", "mask"), write, read)
