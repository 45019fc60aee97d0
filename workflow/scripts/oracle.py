"""The simulated annotator: only the annotation of the queried ids leaves the sealed truth."""

import numpy as np
from job import start

from dagal import annotation, artifacts

origin = start(snakemake)
(query,) = artifacts.read(snakemake.input.query, "query", "ids")
with artifacts.opened(snakemake.input.labeled, "labeled") as file:
    labeled = {name: file[name][()] for name in file}
ids = labeled.pop("ids")
if len(np.intersect1d(ids, query)):
    raise ValueError("the query holds ids that are labeled already")
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    answers = annotation.answers(truth, query, snakemake.params.oracle, origin["seed"])
    class_names = truth.attrs["class_names"]
data = {
    "ids": np.concatenate([ids, query]),
    "cycle": np.concatenate([labeled["cycle"], np.full(len(query), int(snakemake.wildcards.cycle))]),
    **annotation.append(labeled, answers),
}
artifacts.write(snakemake.output[0], "labeled", origin, data, class_names=class_names)
print(f"{len(query):,} annotated, {len(ids) + len(query):,} in all")
