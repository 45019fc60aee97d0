"""DeepFool distance of every unlabeled image to the decision boundary of the model."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import architectures, devices, inference
from dagal.learners.deepfool import deepfool_distance
from dagal.pool import unlabeled

origin = start(snakemake)
source = snakemake.input
device = devices.prepare(snakemake.resources.get("gpu", 0), snakemake.params.learner["threads"])
ids = unlabeled(source.split, source.labeled)
model = architectures.load(source.model, device)
with artifacts.opened(source.images, "images") as file:
    distance_N = [
        deepfool_distance(model, batch.float(), min(10, model.head.out_features)).cpu().numpy()
        for batch in inference.stream(file["images"], ids, device, snakemake.params.batch_size)
    ]
artifacts.write(snakemake.output[0], "boundary", origin, {"ids": ids, "distance": np.concatenate(distance_N)})
print(f"distance of {len(ids):,} images")
