"""Images -> their features by a backbone, all ids once."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import backbones, devices, inference
from dagal.pool import channel_statistics

BATCH_SIZE = 128

origin = start(snakemake)
source, settings = snakemake.input, snakemake.params.backbone
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"])
with (
    artifacts.opened(source.images, "images") as file,
    artifacts.create(snakemake.output[0], "features", origin) as writer,
):
    images, split_N = file["images"], file["split"][()]
    height, width, channels = images.shape[1:]
    if settings["kind"] == "file":
        statistics = (None, None)
        if settings["statistics"] == "dataset":
            statistics = channel_statistics(images, np.flatnonzero(split_N == 0))
        backbone = backbones.from_file(settings, source.backbone, (channels, height, width), *statistics)
    else:
        backbone = backbones.load(source.backbone)
    backbone.to(device)
    first = 0
    batches = inference.stream(images, np.arange(len(images)), device, BATCH_SIZE)
    for features_B_D in backbones.features(backbone, batches, settings["precision"]):
        if not first:
            features_N_D = writer.dataset("features", (len(images), features_B_D.shape[1]), np.float32)
        features_N_D[first : first + len(features_B_D)] = features_B_D
        first += len(features_B_D)
    writer.dataset("split", split_N.shape, split_N.dtype)[...] = split_N
    print(f"{features_N_D.shape[1]:,} features of {len(images):,} images")
