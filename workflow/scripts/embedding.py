"""Labeled training images of a source data set -> a backbone that embeds images of its kind."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import backbones, checkpoints, devices, embedding, inference, weights
from dagal.pool import channel_statistics
from dagal.seeding import seed_for

job = start()
source, settings = job.input, job.params.backbone
device = devices.prepare(job.gpu, settings["threads"])
checkpoint = checkpoints.of(job, job.output.backbone, device)
(labels_N,) = artifacts.read(source.truth, "truth", "labels")
with artifacts.opened(source.images, "images", cached=False) as file:
    images, ids = file["images"], np.flatnonzero(file["split"][()] == 0)
    height, width, channels = images.shape[1:]
    torch.manual_seed(seed_for(settings["seed"], "embedding", "initialise"))
    statistics = channel_statistics(images, ids)
    backbone = backbones.fresh(settings, (channels, height, width), *statistics, settings["weights"])
    backbone = devices.place(backbone, device)
    print(f"learning an embedding on {len(ids):,} labeled images of {settings['source']['name']}", flush=True)
    held = inference.images_of(images, ids, device)
    embedding.train(
        backbone,
        held,
        labels_N[ids],
        settings,
        settings["epochs"],
        settings["lr"],
        settings["seed"],
        device,
        checkpoint,
    )
weights.write(job.output.backbone, backbone, {"backbone": settings, "shape": (channels, height, width), **job.origin})
checkpoint.remove()
