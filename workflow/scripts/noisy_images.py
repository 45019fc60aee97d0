"""images.h5 with noise in the pool of one seed; the other images stay as they are."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.datasets.source import IMAGES
from dagal.pool import add_noise
from dagal.seeding import generator

BLOCK_BYTES = 64 << 20

job = start()
settings, seed, changed = job.params.noise, job.origin["seed"], 0
pool, std_C = artifacts.read(job.input.split, "split", "pool", "channel_std")
with (
    artifacts.opened(job.input.images, "images") as file,
    artifacts.create(job.output.images, IMAGES, job.origin) as writer,
):
    images, split_N = file["images"], file["split"][()]
    writer.dataset("split", split_N.shape, split_N.dtype)[...] = split_N
    noisy = writer.dataset("images", images.shape, images.dtype)
    block = max(1, BLOCK_BYTES // int(np.prod(images.shape[1:])))
    for first in range(0, len(images), block):
        part = images[first : first + block]
        for image in pool[(pool >= first) & (pool < first + block)]:
            clean = part[image - first]
            part[image - first] = add_noise(clean, settings, std_C, generator(seed, "noise", int(image)))
        changed += int((part != images[first : first + block]).any((1, 2, 3)).sum())
        noisy[first : first + block] = part
print(f"{changed:,} of {len(pool):,} images of the pool changed")
