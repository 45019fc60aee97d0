"""The images of the pool on which the predictions of consecutive models are compared: drawn once per seed, never changed."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.errors import UserError
from dagal.seeding import generator
from dagal.stopping import STOP_SET

job = start()
size = job.params.size
(pool,) = artifacts.read(job.input.split, "split", "pool")
if size > len(pool):
    raise UserError(
        f"config key 'stopping.kappa.size' is {size}, but the pool holds {len(pool)} images; make it smaller."
    )
ids = np.sort(generator(job.origin["seed"], "stop set").choice(pool, size, replace=False))
artifacts.write(job.output.stop_set, STOP_SET, job.origin, {"ids": ids})
print(f"{size:,} of {len(pool):,} images of the pool")
