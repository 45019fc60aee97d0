"""The pixels of the unlabeled pool and of the labeled images, as embeddings."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.pool import unlabeled

SIGNALS = Kind(
    "signals",
    1,
    {
        "ids": "unlabeled ids (n,)",
        "embeddings": "pixels (n,D)",
        "labeled_embeddings": "pixels of the labeled ids (L,D)",
    },
)

job = start()
labeled = np.sort(artifacts.read(job.input.labeled, "labeled", "ids")[0])
pool = unlabeled(job.input.split, job.input.labeled)
with artifacts.opened(job.input.images, "images") as file:
    pixels_N_D = file["images"][()].reshape(len(file["images"]), -1).astype(np.float32) / 255
data = {"ids": pool, "embeddings": pixels_N_D[pool], "labeled_embeddings": pixels_N_D[labeled]}
artifacts.write(job.output.signals, SIGNALS, job.origin, data)
