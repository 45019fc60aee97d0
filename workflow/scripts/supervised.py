"""Labels of a supervised baseline: those of a random draw from what the methods may have labeled, pool and initial set."""

import numpy as np
from job import start

from dagal import annotation, artifacts
from dagal.errors import UserError
from dagal.seeding import generator

origin = start(snakemake)
available = np.sort(np.concatenate(artifacts.read(snakemake.input.split, "split", "pool", "initial")))
size = len(available) if snakemake.wildcards.size == "all" else int(snakemake.wildcards.size)
if size > len(available):
    raise UserError(
        f"config key 'supervised' asks for {size} labels, but there are {len(available)} images; make it smaller."
    )
# the first of one order, so that a larger baseline holds the smaller ones
ids = np.sort(generator(origin["seed"], "supervised").permutation(available)[:size])
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    answers = annotation.answers(truth, ids, snakemake.params.oracle, origin["seed"])
    data = {"ids": ids, "cycle": np.zeros(len(ids), np.int64), **answers}
    artifacts.write(snakemake.output[0], "labeled", origin, data, class_names=truth.attrs["class_names"])
print(f"{size:,} of {len(available):,} images")
