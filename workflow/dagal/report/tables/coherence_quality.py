"""Errors estimated from temporal coherence at the initial models against the true ones: precision, recall and what guessing gives."""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.temporal_coherence import followed, trackers


def make(job):
    from dagal.tasks.detection import detections
    from dagal.tasks.detection.evaluation import estimate_quality, frame_errors

    counts = ["estimated", "actual", "right", "precision", "recall", "chance"]
    rows = []
    for path, detection_file in zip(map(Path, job.input.coherence), job.input.detections, strict=True):
        ids, found = detections.read(detection_file)
        truth = detections.read_truth(job.input.truth, ids)
        *_, correct_M, missed_G = frame_errors(found, truth)
        names = ("node_frame", "node_box", "node_label", "is_candidate", "real")
        frame_V, box_V_4, label_V, is_candidate_V, real_V = artifacts.read(path, "coherence", *names)
        chosen = np.flatnonzero(is_candidate_V)
        chosen = chosen[np.argsort(frame_V[chosen], kind="stable")]
        offsets = np.searchsorted(frame_V[chosen], np.append(ids, ids[-1] + 1))
        candidates = offsets, box_V_4[chosen], label_V[chosen]
        quality = estimate_quality(~real_V[~is_candidate_V], correct_M, candidates, real_V[chosen], truth, missed_G)
        seed, tracker = path.parts[-4].removeprefix("seed"), path.stem.removeprefix("coherence_")
        for error, about in quality.items():
            rows.append([seed, path.parts[-3], tracker, error, *(about[name] for name in counts)])
            print(*rows[-1])
    artifacts.write_csv(job.output.coherence_quality, ["seed", "branch", "tracker", "error", *counts], rows)


def reads(study, at):
    starts = [study.node(seed, method, 0) for seed in study.seeds for method in followed(study).values()]
    pairs = [(node, tracker) for node in starts for tracker in trackers(study)]
    return {
        "coherence": [study.file(node, f"coherence_{tracker}.h5") for node, tracker in pairs],
        "detections": [study.path(node, "detections") for node, _ in pairs],
        "truth": study.truth,
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"coherence_quality": "{results}/coherence_quality.csv"},
    when=lambda study: bool(trackers(study)),
    caption="""
    Errors of the initial models as estimated from temporal coherence, against the true ones. ``precision``: share of the estimated
    errors that are errors; ``recall``: share of the errors that are found; ``chance``: the precision of guessing among detections
    (false positives), or among all candidates (false negatives).
    """,
    category="Temporal coherence",
    labels={"coherence_quality": "estimated against true errors"},
)
