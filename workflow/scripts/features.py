"""Images -> their features by a backbone, all ids once."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import backbones, devices
from dagal.pool import channel_statistics

origin = start(snakemake)
source, settings = snakemake.input, snakemake.params.backbone
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"])
with artifacts.opened(source.images, "images") as file:
    images = file["images"]
    height, width, channels = images.shape[1:]
    if settings["kind"] == "file":
        statistics = (None, None)
        if settings["statistics"] == "dataset":
            statistics = channel_statistics(images, np.flatnonzero(file["split"][()] == 0))
        backbone = backbones.from_file(settings, source.backbone, (channels, height, width), *statistics)
    else:
        backbone = backbones.load(source.backbone, (channels, height, width))
    backbones.write_features(snakemake.output[0], origin, backbone.to(device), file, device, settings["precision"])
