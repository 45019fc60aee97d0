"""images.h5 with noise in the pool of one seed, and in the test set on request; the other images stay as they are."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.datasets.source import IMAGES
from dagal.pool import add_noise, noisy_ids, noisy_type
from dagal.seeding import generator

BLOCK_BYTES = 64 << 20
WIDER = Kind("images", 1, IMAGES.datasets | {"images": "images (N,H,W,C), int16 intensities; with noise beyond 0..255"})

job = start()
settings, seed, changed = job.params.noise, job.origin["seed"], 0
pool, test, std_C = artifacts.read(job.input.split, "split", "pool", "test", "channel_std")
hit, of_type = noisy_ids(settings, pool, test), noisy_type(settings)
with (
    artifacts.opened(job.input.images, "images") as file,
    artifacts.create(job.output.images, IMAGES if of_type == np.uint8 else WIDER, job.origin) as writer,
):
    images, split_N = file["images"], file["split"][()]
    writer.dataset("split", split_N.shape, split_N.dtype)[...] = split_N
    noisy = writer.dataset("images", images.shape, of_type)
    block = max(1, BLOCK_BYTES // int(np.prod(images.shape[1:])))
    for first in range(0, len(images), block):
        clean = images[first : first + block]
        part = clean.astype(of_type)
        for image in hit[(hit >= first) & (hit < first + block)]:
            part[image - first] = add_noise(clean[image - first], settings, std_C, generator(seed, "noise", int(image)))
        changed += int((part != clean).any((1, 2, 3)).sum())
        noisy[first : first + block] = part
print(f"{changed:,} of {len(hit):,} images changed")
