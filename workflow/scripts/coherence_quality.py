"""Errors estimated from temporal coherence at the initial models against the true ones: precision, recall and what guessing gives."""

from pathlib import Path

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.detection import detections
from dagal.tasks.detection.evaluation import estimate_quality, frame_errors

start(snakemake)
counts = ["estimated", "actual", "right", "precision", "recall", "chance"]
rows = []
for path, detection_file in zip(map(Path, snakemake.input.coherence), snakemake.input.detections, strict=True):
    ids, found = detections.read(detection_file)
    truth = detections.read_truth(snakemake.input.truth, ids)
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
artifacts.write_csv(snakemake.output[0], ["seed", "branch", "tracker", "error", *counts], rows)
