"""What people answered about the test and the validation set of a seed -> the truth about them, and about no other image."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.datasets.source import TRUTH
from dagal.labeling.answers import log_of

job = start()
closed = artifacts.read_json(job.input.answers)
with artifacts.opened(job.input.images, "images", cached=False) as file:
    n_images = len(file["split"])
asked, given = np.array(closed["ids"], np.int64), closed["answers"]
is_labeled = np.array([answer["state"] == "labeled" for answer in given])
labeled = [answer for answer in given if answer["state"] == "labeled"]
answers = job.task.told(labeled, closed["class_names"], log_of(job.study.results).parent)
truth = job.task.known(answers, asked[is_labeled], asked, n_images)
artifacts.write(job.output.truth, TRUTH, job.origin, truth, class_names=closed["class_names"])
print(f"{len(labeled):,} of {len(given):,} images have a label")
