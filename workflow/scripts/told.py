"""What people answered about the test and the validation set of a seed -> the truth about them, and about no other image."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.datasets.source import TRUTH

job = start()
closed = artifacts.read_json(job.input.answers)
with artifacts.opened(job.input.images, "images", cached=False) as file:
    n_images = len(file["split"])
labeled = [
    (image, answer)
    for image, answer in zip(closed["ids"], closed["answers"], strict=True)
    if answer["state"] == "labeled"
]
labels_N = np.full(n_images, -1, np.int64)
labels_N[[image for image, _ in labeled]] = job.task.told([answer for _, answer in labeled], closed["class_names"])[
    "labels"
]
artifacts.write(job.output.truth, TRUTH, job.origin, {"labels": labels_N}, class_names=closed["class_names"])
print(f"{len(labeled):,} of {len(closed['ids']):,} images have a label")
