"""images.h5 -> the regions of the training images: cells of a grid, or superpixels."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pace import Reporter
from dagal.tasks.segmentation import regions

job = start()
settings = job.params.regions
with (
    artifacts.opened(job.input.images, "images", cached=False) as file,
    artifacts.create(job.output.regions, regions.REGIONS, job.origin) as writer,
):
    images, training = file["images"], np.flatnonzero(file["split"][()] == 0)
    shape, counts = images.shape[1:3], np.zeros(len(images), np.int64)
    if settings["kind"] == "grid":
        cells_H_W = regions.grid(*shape, settings["rows"], settings["columns"])
        writer.dataset("regions", (1, *shape), np.uint16)[0] = cells_H_W
        counts[training] = cells_H_W.max() + 1
    else:
        maps, report = writer.dataset("regions", (len(images), *shape), np.uint16), Reporter(len(training))
        for done, image in enumerate(training.tolist(), 1):
            pieces_H_W = regions.superpixels(images[image], settings["number"], settings["compactness"])
            maps[image], counts[image] = pieces_H_W, pieces_H_W.max() + 1
            report(done)
    writer.dataset("counts", counts.shape, np.int64)[...] = counts
print(f"{counts.sum():,} regions of {len(training):,} images, {counts[training].min()} to {counts.max()} each")
