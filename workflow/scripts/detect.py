"""One pass of a detector over all training frames, labeled ones too, since detections are followed through them."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import detector, devices, inference
from dagal.tasks.detection import detections

origin = start(snakemake)
source, settings = snakemake.input, snakemake.params.learner
# deterministic RoI pooling on a GPU would be compiled, and slow
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"], deterministic=False)
ids = np.sort(np.concatenate(artifacts.read(source.split, "split", "pool", "initial")))
model = detector.load(source.model, device)
with artifacts.opened(source.images, "images") as file:
    batches = inference.stream(file["images"], ids, device, settings["batch_size"])
    found = detections.table(detector.detect_frames(model, batches))
artifacts.write(snakemake.output[0], "detections", origin, {"ids": ids, **found})
print(f"{len(found['labels']):,} detections in {len(ids):,} frames")
