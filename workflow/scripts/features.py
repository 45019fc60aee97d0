"""Images -> their features by a backbone, all ids once."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import backbones, devices
from dagal.pool import channel_statistics

job = start()
source, settings = job.input, job.params.backbone
device = devices.prepare(job.gpu, settings["threads"])
with artifacts.opened(source.images, "images", cached=False) as file:
    images = file["images"]
    height, width, channels = images.shape[1:]
    if settings["kind"] == "file":
        statistics = (None, None)
        if settings["statistics"] == "dataset":
            statistics = channel_statistics(images, np.flatnonzero(file["split"][()] == 0))
        backbone = backbones.from_file(settings, source.backbone, (channels, height, width), *statistics)
    else:
        backbone = backbones.load(source.backbone, (channels, height, width))
    backbone = devices.place(backbone, device)
    backbones.write_features(job.output.features, job.origin, backbone, file, device, settings["precision"])
