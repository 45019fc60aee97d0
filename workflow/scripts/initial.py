"""The labeled set of cycle 0: the annotation of the initial ids."""

import numpy as np
from job import start

from dagal import annotation, artifacts

origin = start(snakemake)
(ids,) = artifacts.read(snakemake.input.split, "split", "initial")
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    answers = annotation.ask(truth, ids)
    if snakemake.params.oracle["noise"] != "none":
        about = len(truth["labels"]), len(truth.attrs["class_names"]), snakemake.params.oracle, origin["seed"]
        answers["labels"] = annotation.mistaken(answers["labels"], ids, *about)
    data = {"ids": ids, "cycle": np.zeros(len(ids), np.int64), **answers}
    artifacts.write(snakemake.output[0], "labeled", origin, data, class_names=truth.attrs["class_names"])
