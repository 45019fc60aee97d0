"""First queries of all methods -> a sheet of the images that each asked for first, with their true classes after the fact."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.report import pictures
from dagal.stopping import last_cycles, passed_through

MOST, SIDE, GAP = 10, 64, 4

start(snakemake)
source = snakemake.input
(labels_N,) = artifacts.read(source.truth, "truth", "labels")
class_names = artifacts.attributes(source.truth, "truth")["class_names"]
stops = last_cycles(source.stops)
strips, captions = [], []
with artifacts.opened(source.images, "images") as file:
    for path in source.queries:
        seed, method, cycle = artifacts.node(path)
        if passed_through(stops, seed, method, cycle):
            continue
        ids = artifacts.read(path, "query", "ids")[0][:MOST]
        images = artifacts.rows(file["images"], ids)
        images = images if images.shape[3] == 3 else np.repeat(images[..., :1], 3, axis=3)
        factor = max(1, -(-SIDE // min(images.shape[1:3])))
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
        spaced = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
        strips.append(np.concatenate(list(spaced), axis=1))
        captions.append(f"{method}: {', '.join(map(str, class_names[labels_N[ids]]))}")
if not strips:
    strips, captions = [np.full((SIDE, MOST * SIDE, 3), 255, np.uint8)], ["no images: all chains stopped at cycle 0"]
pictures.write_png(snakemake.output[0], pictures.contact_sheet(strips, captions, 1))
