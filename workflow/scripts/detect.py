"""One pass of a detector over all training frames, labeled ones too, since detections are followed through them."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import detector, devices, inference
from dagal.tasks.detection import detections

job = start()
source, settings = job.input, job.params.learner
# deterministic RoI pooling on a GPU would be compiled, and slow
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
ids = np.sort(np.concatenate(artifacts.read(source.split, "split", "pool", "initial")))
model = detector.load(source.model, device)
job.ready()
with artifacts.opened(source.images, "images", cached=False) as file:
    batches = inference.stream(file["images"], ids, device, settings["batch_size"])
    found = detections.table(detector.detect_frames(model, batches))
artifacts.write(job.output.detections, detections.DETECTIONS, job.origin, {"ids": ids, **found})
print(f"{len(found['labels']):,} detections in {len(ids):,} frames")
