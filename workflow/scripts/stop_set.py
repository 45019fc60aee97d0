"""The images of the pool on which the predictions of consecutive models are compared: drawn once per seed, never changed."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.errors import UserError
from dagal.seeding import generator

origin = start(snakemake)
size = snakemake.params.size
(pool,) = artifacts.read(snakemake.input.split, "split", "pool")
if size > len(pool):
    raise UserError(
        f"config key 'stopping.kappa.size' is {size}, but the pool holds {len(pool)} images; make it smaller."
    )
ids = np.sort(generator(origin["seed"], "stop set").choice(pool, size, replace=False))
artifacts.write(snakemake.output[0], "stop_set", origin, {"ids": ids})
print(f"{size:,} of {len(pool):,} images of the pool")
