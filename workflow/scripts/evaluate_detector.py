"""Detections on the test set against the truth -> metrics.json."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.detection import detections
from dagal.tasks.detection.evaluation import average_precision, frame_errors

job = start()
labels, labeled_ids = artifacts.read(job.input.labeled, "labeled", "box_labels", "ids")
class_names = artifacts.attributes(job.input.labeled, "labeled")["class_names"].tolist()
ids, found = detections.read(job.input.predictions, "predictions")
truth = detections.read_truth(job.input.truth, ids)
precision = average_precision(found, truth, len(class_names))
wrong_N, missed_N, *_ = frame_errors(found, truth)
metrics = {
    **job.origin,
    "cycle": int(job.wildcards.cycle),
    "labels": len(labeled_ids),
    "boxes": len(labels),
    "mean_ap": precision["mean"],
    "false_positives_per_frame": float(wrong_N.mean()),
    "false_negatives_per_frame": float(missed_N.mean()),
    "class_names": class_names,
    "ap_per_class": precision["per_class"],
    "labels_per_class": np.bincount(labels, minlength=len(class_names)).tolist(),
}
artifacts.write_json(job.output.metrics, metrics)
print(
    f"{len(labeled_ids):,} frames with {len(labels):,} boxes: AP at IoU .5 {metrics['mean_ap']:.4f}, {len(ids):,} test frames"
)
