"""The labeled set of cycle 0: the labels of the initial ids."""

import numpy as np
from job import start

from dagal import artifacts

origin = start(snakemake)
(ids,) = artifacts.read(snakemake.input.split, "split", "initial")
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    artifacts.write(
        snakemake.output[0],
        "labeled",
        origin,
        {"ids": ids, "labels": artifacts.rows(truth["labels"], ids), "cycle": np.zeros(len(ids), np.int64)},
        class_names=truth.attrs["class_names"],
    )
