"""DeepFool distance of every unlabeled image to the decision boundary of the model."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import architectures, devices, inference
from dagal.learners.deepfool import deepfool_distance

origin = start(snakemake)
source = snakemake.input
device = devices.prepare(snakemake.resources.get("gpu", 0), snakemake.params.learner["threads"])
(labeled_ids,) = artifacts.read(source.labeled, "labeled", "ids")
unlabeled = np.setdiff1d(artifacts.read(source.split, "split", "pool")[0], labeled_ids)
model = architectures.load(source.model, device)
with artifacts.opened(source.images, "images") as file:
    distance_N = [
        deepfool_distance(model, batch.float(), min(10, model.head.out_features)).cpu().numpy()
        for batch in inference.stream(file["images"], unlabeled, device, snakemake.params.batch_size)
    ]
artifacts.write(snakemake.output[0], "boundary", origin, {"ids": unlabeled, "distance": np.concatenate(distance_N)})
print(f"distance of {len(unlabeled):,} images")
