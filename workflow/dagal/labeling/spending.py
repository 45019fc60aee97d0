"""What labels cost and bring: pace of those who answer, share of accepted suggestions, and what the next batch may be worth."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

import numpy as np

PAUSE = 300.0  # seconds between two answers of an annotator from which on nobody was at work
LAST = 3  # points of a curve from which it is prolonged


def seconds_per_answer(answers: Iterable[dict]) -> float | None:
    """Median of the seconds that people took for an answer; where a tool did not tell, of those between two answers of one annotator.

    None if there are none: labels that the data set brought took no time here.
    """
    told, times = [], {}
    for answer in answers:
        if answer["source"] == "given":
            continue
        if answer["seconds"] is not None:
            told.append(answer["seconds"])
        else:
            times.setdefault(answer["annotator"], []).append(datetime.fromisoformat(answer["at"]).timestamp())
    gaps = [after - before for every in times.values() for before, after in pairwise(sorted(every))]
    found = told or [gap for gap in gaps if 0 < gap <= PAUSE]
    return float(np.median(found)) if found else None


def accepted(answers: Iterable[dict]) -> tuple[int, int]:
    """(suggestions that were shown and given as the label, all that were shown)."""
    shown = [answer for answer in answers if answer["suggestion"] is not None and answer["state"] == "labeled"]
    return sum(answer["suggestion"] == answer["label"] for answer in shown), len(shown)


def expected_gain(labels_K: list[int], performance_K: list[float], batch: int) -> float | None:
    """By how much performance may rise with ``batch`` labels more; None from fewer than two points.

    The curve is prolonged by the straight line, by least squares, through its last `LAST` points over the logarithm of the labels: an
    estimate, and a poor one while the curve is rough.
    """
    known = [(labels, value) for labels, value in zip(labels_K, performance_K, strict=True) if value is not None][
        -LAST:
    ]
    if len({labels for labels, _ in known}) < 2:
        return None
    labels_k, performance_k = np.array(known, float).T
    slope = np.polyfit(np.log(labels_k), performance_k, 1)[0]
    return float(slope * np.log((labels_k[-1] + batch) / labels_k[-1]))
