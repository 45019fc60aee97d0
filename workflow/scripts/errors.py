"""Detections against the sealed truth -> true errors of each frame, for the methods of the oracle type."""

from job import start

from dagal import artifacts
from dagal.tasks.detection import detections
from dagal.tasks.detection.evaluation import ERRORS, frame_errors

job = start()
job.ready()
ids, found = detections.read(job.input.detections)
wrong_N, missed_N, *_ = frame_errors(found, detections.read_truth(job.input.truth, ids))
artifacts.write(
    job.output.errors, ERRORS, job.origin, {"ids": ids, "false_positives": wrong_N, "false_negatives": missed_N}
)
print(f"{wrong_N.sum():,} false positives and {missed_N.sum():,} false negatives in {len(ids):,} frames")
