"""Training images, without labels -> a backbone by SimSiam, and how its pre-training went. A killed run goes on where it was."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import devices, inference, simsiam, weights
from dagal.pool import channel_statistics

BLOCK = 512  # images read at a time

job = start()
source, output, settings = job.input, job.output, job.params.backbone
device = devices.prepare(job.gpu, settings["threads"])
with artifacts.opened(source.images, "images", cached=False) as file:
    ids = np.flatnonzero(file["split"][()] == 0)
    mean_C, std_C = channel_statistics(file["images"], ids)
    print(f"pre-training on {len(ids):,} images without labels", flush=True)

    # what a checkpoint must have been made of: settings, images, code and versions
    shape = (len(ids), *file["images"].shape[1:])
    key = hashlib.sha256(json.dumps([settings, shape, job.code(), torch.__version__], sort_keys=True).encode())
    for first in range(0, len(ids), BLOCK):
        key.update(artifacts.rows(file["images"], ids[first : first + BLOCK]).data)
    folder = Path(output.backbone).parent
    checkpoint = folder / "checkpoint.safetensors"
    images = inference.images_of(file["images"], ids, device)
    backbone, history = simsiam.train(images, settings, mean_C, std_C, checkpoint, key.hexdigest())
history["queries"], history["neighbours"] = ids[history["queries"]], ids[history["neighbours"]]
shape = tuple(images.shape[1:])
weights.write(output.backbone, backbone, {"backbone": settings, "shape": shape, **job.origin})
artifacts.write(output.pretraining, simsiam.PRETRAINING, job.origin, history, outputs=settings["projection"][-1])
for leftover in (checkpoint, *folder.glob(f".{checkpoint.name}.*.tmp")):
    leftover.unlink(missing_ok=True)
