"""truth.h5 -> the true pixels of each class in every unlabeled image or region, for baselines that know the hidden masks."""

from contextlib import nullcontext

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.tasks.segmentation.regions import REGIONS, Partition
from dagal.tasks.segmentation.signals import TRUE_PIXELS, by_image, class_pixels

job = start()
source = job.input
ids = unlabeled(source.split, source.labeled)
divided = artifacts.opened(source.regions, REGIONS) if source.regions else nullcontext()
with artifacts.opened(source.truth, "truth") as truth, divided as regions:
    n_classes = len(artifacts.attribute(truth, "class_names"))
    if regions:
        partition = Partition(regions)
        found = [
            class_pixels(truth["masks"][image], partition.map(image), n_classes)[numbers]
            for image, numbers in by_image(partition, ids)
        ]
    else:
        whole = np.zeros(truth["masks"].shape[1:], np.int64)
        found = [class_pixels(truth["masks"][image], whole, n_classes) for image in ids.tolist()]
artifacts.write(job.output.true_pixels, TRUE_PIXELS, job.origin, {"ids": ids, "pixels": np.concatenate(found)})
