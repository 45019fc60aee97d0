"""Training images, without labels -> a backbone by SimSiam, and how its pre-training went. A killed run goes on where it was."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import checkpoints, devices, inference, simsiam, weights
from dagal.pool import channel_statistics

job = start()
source, output, settings = job.input, job.output, job.params.backbone
device = devices.prepare(job.gpu, settings["threads"])
checkpoint = checkpoints.of(job, output.backbone, device)
with artifacts.opened(source.images, "images", cached=False) as file:
    ids = np.flatnonzero(file["split"][()] == 0)
    mean_C, std_C = channel_statistics(file["images"], ids)
    print(f"pre-training on {len(ids):,} images without labels", flush=True)
    images = inference.images_of(file["images"], ids, device)
    backbone, history = simsiam.train(images, settings, mean_C, std_C, checkpoint)
history["queries"], history["neighbours"] = ids[history["queries"]], ids[history["neighbours"]]
shape = tuple(images.shape[1:])
weights.write(output.backbone, backbone, {"backbone": settings, "shape": shape, **job.origin})
artifacts.write(output.pretraining, simsiam.PRETRAINING, job.origin, history, outputs=settings["projection"][-1])
checkpoint.remove()
