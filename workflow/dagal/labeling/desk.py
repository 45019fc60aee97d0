"""What a study asks of people, and their answers on the way from the page into the file of answers."""

import json
import math
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from dagal import artifacts, files, storage
from dagal.datasets.origins import origins
from dagal.errors import UserError
from dagal.labeling import answers, masks
from dagal.plan import Study

SHARE = 0.5  # least probability of a detection that is suggested
MOST_LETTERS = {"annotator": 100, "comment": 2000, "at": 40}
KEYS = {"id", "state", "annotator", "at", "label", "boxes", "mask", "seconds", "suggestion", "comment"}


@dataclass(frozen=True)
class Work:
    """The images that wait, in the order in which they are asked for, each once."""

    study: str
    task: str
    class_names: list[str]
    images: Path
    n_images: int
    height: int
    width: int
    annotators: int  # who must answer for each image
    suggestions: bool  # whether the page may show what the model takes an image for
    # id, whether its annotators differ (conflict) and, of answered ones too, if it waits (left); and what is known of: file, video, frame,
    # suggestion (a class, or boxes as in an answer), probability
    items: list[dict]
    since: datetime  # when the study began to wait

    @property
    def ids(self) -> list[int]:
        return [item["id"] for item in self.items]


def read_work(results: Path) -> Work:
    """What waits in the study with this folder of results. Raises UserError if nothing does."""
    path = results / answers.WAITING
    if not path.is_file():
        raise UserError(
            f"{path} is missing, so no query of {results} waits for labels: run the study by snakemake first."
        )
    waiting = artifacts.read_json(path)
    root = results.resolve().parents[1]  # where the study runs, from which its paths go out
    # of several queries that ask for an image the first one counts
    asked = {image: query for query in reversed(waiting["queries"]) for image in query["ids"]}
    ids = list(dict.fromkeys(image for query in waiting["queries"] for image in query["ids"]))
    if not ids:
        raise UserError(f"no query of {results} waits for labels: run the study by snakemake to go on.")
    left, conflicts = (
        {image for query in waiting["queries"] for image in query[name]} for name in ("left", "conflicts")
    )
    suggested = suggestions(root, results, waiting) if waiting["suggestions"] else {}
    images = root / waiting["images"]
    known = origins(images, np.array(ids))
    items = [
        {"id": image, "left": image in left, "conflict": image in conflicts}
        | {name: known[name][place] for name in ("file", "video", "frame") if name in known}
        # whoever labels a test set sees no prediction, which would make it agree with the model
        | (suggested.get(image, {}) if asked[image]["purpose"] == "query" else {})
        for place, image in enumerate(ids)
    ]
    with artifacts.opened(images, "images", cached=False) as file:
        shape = file["images"].shape[:3]
    since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    about = (waiting["annotators"], waiting["suggestions"], items, since)
    return Work(results.resolve().name, waiting["task"], waiting["class_names"], images, *shape, *about)


def suggestions(root: Path, results: Path, waiting: dict) -> dict[int, dict]:
    """Image -> what the model that chose it takes it for; of several models the first one of the list of queries."""
    found = {}
    for query in waiting["queries"]:
        if waiting["task"] == "classification" and query["table"]:
            rows = artifacts.read_csv(root / query["table"])
            new = {
                int(row["id"]): {"suggestion": row["predicted_class"], "probability": float(row["probability"])}
                for row in rows
                if row["predicted_class"]
            }
        elif waiting["task"] == "detection" and query["purpose"] == "query":
            study = Study(artifacts.read_json(results / "study.json")["settings"])
            before = study.parent(study.node(query["seed"], query["method"], query["cycle"]))
            new = detected(root / study.path(before, "detections"), query["ids"], waiting["class_names"])
        else:
            new = {}
        found = new | found
    return found


def detected(path: Path, ids: list[int], class_names: list[str]) -> dict[int, dict]:
    """Image -> its surest detections, as boxes of an answer."""
    names = ("ids", "offsets", "boxes", "labels", "probabilities")
    known, offsets, boxes, labels, probs_M_K = artifacts.read(path, "detections", *names)
    found = {}
    for image, row in zip(ids, np.searchsorted(known, ids), strict=True):
        own = np.arange(offsets[row], offsets[row + 1])
        sure = own[probs_M_K[own, 1 + labels[own]] >= SHARE]
        found[image] = {"suggestion": [[*boxes[k].round(1).tolist(), class_names[labels[k]]] for k in sure]}
    return found


def read_image(images: Path, image: int) -> np.ndarray:
    """An image (H,W,C) uint8 of images.h5."""
    with artifacts.opened(images, "images", cached=False) as file:
        return file["images"][image]


class Desk:
    """Takes answers for a study, each one once; threads may do so at the same time."""

    def __init__(self, results: Path):
        self.results = results
        self.log = answers.log_of(results)
        self.lock = threading.Lock()
        self.known = {_identity(answer) for answer in answers.read(self.log)}

    def take(self, new: list[dict]) -> int:
        """Put answers that `checked` let through into the file, and return how many were not there; all are on the disk when this returns.

        What the page sends again, as it heard no reply, is known by annotator, image and time. Raises UserError or OSError if the disk
        does not take them.
        """
        with self.lock:
            unknown = {_identity(answer): answer for answer in new if _identity(answer) not in self.known}
            answers.append(self.log, [self._with_mask_in_a_file(answer) for answer in unknown.values()])
            self.known |= unknown.keys()
            return len(unknown)

    def _with_mask_in_a_file(self, answer: dict) -> dict:
        mask = answer.get("mask")
        if mask is None:
            return answer
        folder, number = self.log.parent / "masks", 1
        while (path := folder / f"{answer['id']}-{number}.png").exists():
            number += 1
        storage.write_bytes(path, masks.png(mask))
        return answer | {"mask": f"masks/{path.name}"}

    def items(self, annotator: str, work: Work) -> list[dict]:
        """The items of the work that are this annotator's, each with the ``answer`` given before: what waits, or was answered.

        Not asked for is what enough others have answered meanwhile. What annotators differ in is ``again`` asked of those who had
        answered before the study found that out.
        """
        found = []
        latest = answers.latest(answers.read(self.log))
        for item in work.items:
            others = dict(latest.get(item["id"], {}))
            own = others.pop(annotator, None)
            enough = len(others) >= work.annotators and not item["conflict"]
            if own or (item["left"] and not enough):
                again = item["conflict"] and own is not None and datetime.fromisoformat(own["at"]) < work.since
                found.append(item | {"again": again, "answer": own and self._shown(own)})
        return found

    def _shown(self, answer: dict) -> dict:
        """What the page shows of an earlier answer, its mask as runs."""
        mask = answer["mask"] and cv2.imread(str(self.log.parent / answer["mask"]), cv2.IMREAD_UNCHANGED)
        told = {name: answer[name] for name in ("state", "label", "boxes", "comment")}
        return told | {"mask": None if mask is None else masks.runs(mask)}


def _identity(answer: dict) -> tuple:
    return answer["annotator"], answer["id"], answer["at"]


def checked(given: object, work: Work) -> dict:
    """An answer of the page, its mask as (H,W) uint8. Raises UserError that says what is wrong with it."""
    try:
        return _checked(given, work)
    except (ValueError, OverflowError) as error:  # a number of a thousand digits is no float
        about = f"image {given['id']}" if isinstance(given, dict) and type(given.get("id")) is int else "an image"
        raise UserError(f"the answer about {about} is refused: {error}.") from None


def _checked(given: object, work: Work) -> dict:
    _need(isinstance(given, dict), "it must be an object with id, state, annotator and at")
    _need(set(given) <= KEYS, f"it has the key {min(set(given) - KEYS, default='')!r}, which no answer has")
    image, state, seconds = given.get("id"), given.get("state"), given.get("seconds")
    _need(type(image) is int and 0 <= image < work.n_images, f"id must be a number from 0 to {work.n_images - 1}")
    _need(isinstance(state, str) and state in answers.STATES, f"state must be one of {', '.join(answers.STATES)}")
    texts = {"comment": "", **{name: given.get(name) for name in MOST_LETTERS if name in given}}
    for name, most in MOST_LETTERS.items():
        text = texts.get(name)
        _need(isinstance(text, str) and len(text) <= most, f"{name} must be a text of at most {most} letters")
    _need(texts["annotator"].strip() and texts["annotator"].isprintable(), "annotator must be a name")
    when = datetime.fromisoformat(texts["at"])
    _need(when.tzinfo is not None, "at must name its time zone")
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds)
    _need(seconds is None or (number and seconds >= 0), "seconds must be a number of at least 0, or null")
    answer = {"id": image, "state": state, **texts, "seconds": seconds, "source": "page"}
    needed = answers.ANSWER[work.task] if state == "labeled" else None
    for name in answers.ANSWER.values():
        _need((given.get(name) is not None) == (name == needed), f"{state} needs {needed or 'no label'}, not {name}")
    if needed == "label":
        answer["label"] = _class(given["label"], work)
    elif needed == "boxes":
        answer["boxes"] = _boxes(given["boxes"], work)
    elif needed == "mask":
        mask = masks.from_runs(given["mask"], work.height, work.width)
        other = sorted(set(np.unique(mask).tolist()) - {*range(len(work.class_names)), masks.NONE})
        _need(not other, f"the mask has the number {other[:1]}, and there are {len(work.class_names)} classes")
        answer["mask"] = mask
    suggestion = given.get("suggestion")
    if suggestion is not None:
        answer["suggestion"] = _boxes(suggestion, work) if work.task == "detection" else _class(suggestion, work)
    return answer


def _class(name: object, work: Work) -> str:
    _need(isinstance(name, str) and name in work.class_names, f"{name!r} is no class of the study")
    return name


def _boxes(boxes: object, work: Work) -> list[list]:
    _need(isinstance(boxes, list), "boxes must be a list of [x1, y1, x2, y2, class]")
    for box in boxes:
        _need(isinstance(box, list) and len(box) == 5, "a box must be [x1, y1, x2, y2, class]")
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in box[:4])
        _need(numbers and all(map(math.isfinite, box[:4])), "the corners of a box must be numbers")
        x1, y1, x2, y2, name = box
        inside = 0 <= x1 < x2 <= work.width and 0 <= y1 < y2 <= work.height
        _need(
            inside, f"the box {box[:4]} must lie in the image of {work.width} x {work.height} pixels and have an area"
        )
        _class(name, work)
    return boxes


def _need(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def read_given(path: Path) -> list[tuple[int, object]]:
    """(line, answer) in a file that the page saved, one JSON object a line. Raises UserError with the line of one that is none."""
    found = []
    try:
        text = files.contents(path).decode()
    except OSError as error:
        raise storage.unreadable(path, error) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8: take the file that the page saved.") from None
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.strip():
                found.append((number, json.loads(line)))
        except (ValueError, RecursionError):
            raise UserError(f"{path}, line {number}: this is no answer; take the file that the page saved.") from None
    return found
