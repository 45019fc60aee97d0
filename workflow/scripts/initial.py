"""The labeled set of cycle 0: the annotation of the initial ids."""

import numpy as np
from job import start

from dagal import annotation, artifacts

origin = start(snakemake)
(ids,) = artifacts.read(snakemake.input.split, "split", "initial")
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    answers = annotation.answers(truth, ids, snakemake.params.oracle, origin["seed"])
    data = {"ids": ids, "cycle": np.zeros(len(ids), np.int64), **answers}
    artifacts.write(snakemake.output[0], "labeled", origin, data, class_names=truth.attrs["class_names"])
