"""Detections against the truth: average precision, errors of each frame, and how good estimates of these errors are.

Detections and truth are tuples of arrays by frame: offsets (n+1,), boxes (M,4), labels (M,) and, for detections, scores (M,). Rows
``offsets[i]`` to ``offsets[i+1]`` belong to frame i. Everywhere a box is found where IoU > .5, as in 003, never at .5 itself.
"""

import contextlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.geometry import overlap, pairs

ERRORS = Kind(
    "errors",
    1,
    {
        "ids": "ids of the frames (n,), ascending",
        "false_positives": "wrong or repeated detections in each frame (n,)",
        "false_negatives": "missed objects in each frame (n,)",
    },
)

PAIRS_AT_ONCE = 1 << 19  # about 100 MB


def average_precision(detections: tuple, truth: tuple, n_classes: int, iou: float = 0.5) -> dict:
    """``{"mean": AP, "per_class": [AP, ...]}`` by COCOeval: precision at 101 recalls, all sizes, all detections counted.

    A class without truth has None and is left out of the mean, a class without detections has 0. Of equal scores the earlier
    detection counts first. Raises UserError if there is no true box at all, ValueError if detections and truth differ in their
    number of frames. About 10 s and 0.2 GB for 40,000 frames with 5 boxes each.
    """
    _check_frames(detections, truth)
    (_, boxes_M_4, labels_M, scores_M), (_, boxes_G_4, labels_G) = (
        map(np.asarray, side) for side in (detections, truth)
    )
    frame_M, frame_G = _frame_of_rows(detections[0]), _frame_of_rows(truth[0])
    per_class = []
    for label in range(n_classes):
        in_M, in_G = labels_M == label, labels_G == label
        found = _coco_boxes(frame_M[in_M], boxes_M_4[in_M], scores_M[in_M])
        true = _coco_boxes(frame_G[in_G], boxes_G_4[in_G], np.ones(np.count_nonzero(in_G)))
        per_class.append(_class_precision(found, true, iou) if true else None)
    present = [precision for precision in per_class if precision is not None]
    if not present:
        raise UserError(
            "There is no true box to compare detections with: give the test set boxes of the classes asked for."
        )
    return {"mean": float(np.mean(present)), "per_class": per_class}


def _coco_boxes(frame_M: np.ndarray, boxes_M_4: np.ndarray, scores_M: np.ndarray) -> list[dict]:
    # COCOeval takes a match with id 0 for no match, so ids start at 1
    boxes = np.asarray(boxes_M_4).astype(np.float64)
    rows = zip(
        frame_M.tolist(),
        np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist(),
        scores_M.tolist(),
        strict=True,
    )
    constant = {"category_id": 1, "area": 1.0, "iscrowd": 0}
    return [
        {"id": i, "image_id": frame, "bbox": box, "score": score, **constant}
        for i, (frame, box, score) in enumerate(rows, 1)
    ]


def _class_precision(found: list[dict], true: list[dict], iou: float) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    frames = sorted({box["image_id"] for box in found + true})
    most = max(Counter(box["image_id"] for box in found).values(), default=1)
    with contextlib.redirect_stdout(io.StringIO()):
        sides = COCO(), COCO()
        for side, boxes in zip(sides, (true, found), strict=True):
            images = [{"id": frame} for frame in frames]
            side.dataset = {"images": images, "categories": [{"id": 1}], "annotations": boxes}
            side.createIndex()
        run = COCOeval(*sides, "bbox")
        # COCOeval accepts an overlap equal to the threshold
        run.params.iouThrs = np.array([np.nextafter(iou, 1)])
        run.params.maxDets = [most]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    return float(run.eval["precision"].mean())


def frame_errors(
    detections: tuple, truth: tuple, iou: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Errors of a detector in each of n frames (003 sec. 2.3.1).

    Returns false positives (n,) int64, false negatives (n,) int64, correct_M (bool per detection), missed_G (bool per true box).
    By falling score, a detection takes the free true box of its class that it overlaps most, if by more than ``iou``; so a second
    detection of one object is a false positive. Of equal scores the earlier detection goes first, of equal overlaps the later
    true box (as in COCOeval). Raises ValueError if detections and truth differ in their number of frames. About 1 s for 100,000
    frames with 5 boxes each; memory beyond the results is bounded.
    """
    _check_frames(detections, truth)
    scores_M = np.asarray(detections[3])
    correct_M, missed_G = np.zeros(len(scores_M), bool), np.ones(len(truth[2]), bool)
    for one_P, other_P, iou_P in _overlapping(detections, truth, iou):
        order = np.lexsort((-other_P, -iou_P, one_P, -scores_M[one_P]))
        for detection, box in zip(one_P[order].tolist(), other_P[order].tolist(), strict=True):
            if missed_G[box] and not correct_M[detection]:
                correct_M[detection], missed_G[box] = True, False
    n_frames = len(truth[0]) - 1
    wrong_n = np.bincount(_frame_of_rows(detections[0])[~correct_M], minlength=n_frames)
    missed_n = np.bincount(_frame_of_rows(truth[0])[missed_G], minlength=n_frames)
    return wrong_n, missed_n, correct_M, missed_G


def estimate_quality(
    false_positive_M: np.ndarray,
    correct_M: np.ndarray,
    candidates: tuple,
    false_negative_K: np.ndarray,
    truth: tuple,
    missed_G: np.ndarray,
    iou: float = 0.5,
) -> dict:
    """How right the estimated errors of a detector are: ``{"false_positives": {...}, "false_negatives": {...}}``.

    ``false_positive_M``: detections taken for wrong, against ``correct_M``. ``candidates``: (offsets, boxes, labels) of all the
    places where an object may have been missed; ``false_negative_K``: those where one is said to be; ``missed_G``: the true
    boxes that were. An estimated false negative is right if it overlaps a missed box of its class by more than ``iou``, and
    each missed box counts once (pairs by falling overlap). Each part holds the counts ``estimated``, ``actual`` and ``right``,
    ``precision`` = right / estimated, ``recall`` = right / actual, and ``chance``, the precision of guessing: the share of wrong
    detections among all, and of candidates that overlap a missed box (all that do, so it is never too low). 0 / 0 is None.
    """
    _check_frames(candidates, truth)
    false_positive_M, correct_M = np.asarray(false_positive_M, bool), np.asarray(correct_M, bool)
    false_negative_K = np.asarray(false_negative_K, bool)
    near_K, right_K, taken_G = np.zeros(len(false_negative_K), bool), np.zeros(len(false_negative_K), bool), ~missed_G
    for one_P, other_P, iou_P in _overlapping(candidates, truth, iou):
        hit_P = missed_G[other_P]
        near_K[one_P[hit_P]] = True
        chosen = np.flatnonzero(hit_P & false_negative_K[one_P])
        for pair in chosen[np.argsort(-iou_P[chosen], kind="stable")]:
            candidate, box = one_P[pair], other_P[pair]
            if not (right_K[candidate] or taken_G[box]):
                right_K[candidate] = taken_G[box] = True
    return {
        "false_positives": _quality(false_positive_M, ~correct_M, false_positive_M & ~correct_M, ~correct_M),
        "false_negatives": _quality(false_negative_K, missed_G, right_K, near_K),
    }


def _quality(estimated: np.ndarray, actual: np.ndarray, right: np.ndarray, by_chance: np.ndarray) -> dict:
    counts = {"estimated": int(estimated.sum()), "actual": int(actual.sum()), "right": int(right.sum())}
    return {
        **counts,
        "precision": counts["right"] / counts["estimated"] if counts["estimated"] else None,
        "recall": counts["right"] / counts["actual"] if counts["actual"] else None,
        "chance": float(by_chance.mean()) if len(by_chance) else None,
    }


def _overlapping(first: tuple, second: tuple, iou: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of rows of one frame and class that overlap by more than ``iou``, in blocks of whole frames: rows of the first, of
    the second, IoU."""
    (offsets, boxes, labels), (to_offsets, to_boxes, to_labels) = (
        map(np.asarray, side[:3]) for side in (first, second)
    )
    total_n = np.cumsum(np.diff(offsets) * np.diff(to_offsets))
    cuts = np.searchsorted(total_n, np.arange(PAIRS_AT_ONCE, total_n[-1] if len(total_n) else 0, PAIRS_AT_ONCE))
    for start, stop in itertools.pairwise(np.unique([0, *cuts, len(total_n)]).tolist()):
        rows = np.arange(offsets[start], offsets[stop])
        frame = np.repeat(np.arange(start, stop), np.diff(offsets[start : stop + 1]))
        one, other = pairs(to_offsets[frame], to_offsets[frame + 1])
        one = rows[one]
        same = labels[one] == to_labels[other]
        one, other = one[same], other[same]
        shared = overlap(boxes[one].astype(np.float64), to_boxes[other].astype(np.float64))
        near = shared > iou
        yield one[near], other[near], shared[near]


def _frame_of_rows(offsets: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _check_frames(detections: tuple, truth: tuple) -> None:
    if len(detections[0]) != len(truth[0]):
        raise ValueError(f"{len(detections[0]) - 1} frames of detections, {len(truth[0]) - 1} frames of truth")
    for name, (offsets, boxes_M_4, *columns) in (("detections", detections), ("truth", truth)):
        lengths = {len(column) for column in (boxes_M_4, *columns)}
        if offsets[0] != 0 or lengths != {int(offsets[-1])}:
            raise ValueError(
                f"offsets of {name} from {offsets[0]} to {offsets[-1]}, but arrays of {sorted(lengths)} rows"
            )
