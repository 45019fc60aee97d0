"""The table of detections of many frames, and the frames of each video."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.tasks.detection.answers import ask
from dagal.tasks.detection.tracks import REACH

DETECTIONS = Kind(
    "detections",
    1,
    {
        "ids": "ids of the frames (n,), ascending",
        "offsets": "frame i has the detections offsets[i] to offsets[i+1] (n+1,), best first",
        "boxes": "detected boxes (M,4), x1 y1 x2 y2 in pixels",
        "probabilities": "class probabilities (M,1+C), column 0 is the background",
        "labels": "detected class (M,)",
    },
)
PREDICTIONS = Kind("predictions", 1, DETECTIONS.datasets)


def read(path: str, kind: str = "detections") -> tuple[np.ndarray, tuple]:
    """Ids of the frames of a detections.h5 (or of the ``predictions`` on the test set), and its table as `dagal.tasks.detection.evaluation` takes it: offsets, boxes, labels, scores."""
    names = ("ids", "offsets", "boxes", "labels", "probabilities")
    ids, offsets, boxes, labels, probs_M_K = artifacts.read(path, kind, *names)
    return ids, (offsets, boxes, labels, probs_M_K[np.arange(len(labels)), 1 + labels])


def read_truth(path: str, ids: np.ndarray) -> tuple:
    """Offsets, boxes and labels of the true objects in the frames with the given ids."""
    with artifacts.opened(path, "truth") as file:
        answers = ask(file, ids)
    return answers["offsets"], answers["boxes"], answers["box_labels"]


def table(per_frame: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Boxes (m,4) and probabilities (m,1+C) of each of n frames -> ``offsets`` (n+1,), ``boxes``, ``probabilities``, ``labels``."""
    boxes, probs = (list(column) for column in zip(*per_frame, strict=True))
    probs_M_K = np.concatenate(probs)
    return {
        "offsets": np.concatenate([[0], np.cumsum([len(frame) for frame in boxes])]).astype(np.int64),
        "boxes": np.concatenate(boxes),
        "probabilities": probs_M_K,
        "labels": probs_M_K[:, 1:].argmax(1).astype(np.int64),
    }


def by_video(video_N: np.ndarray, frame_N: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and one past the last position of each stretch of consecutive frames of a video.

    Frames of a video may have been left out: a step of more than `REACH` usual (median) steps starts a new stretch, through which
    nothing is tracked.
    """
    edges = [0, *(np.flatnonzero(np.diff(video_N)) + 1).tolist(), len(video_N)]
    for first, last in itertools.pairwise(edges):
        step = np.diff(frame_N[first:last])
        gaps = np.flatnonzero(step > REACH * np.median(step)) + first + 1 if len(step) else []
        starts = [first, *map(int, gaps), last]
        yield from (run for run in itertools.pairwise(starts) if run[0] < run[1])
