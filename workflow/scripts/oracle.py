"""The simulated annotator: only the labels of the queried ids leave the sealed truth."""

import numpy as np
from job import start

from dagal import artifacts

origin = start(snakemake)
(query,) = artifacts.read(snakemake.input.query, "query", "ids")
ids, labels, cycle = artifacts.read(snakemake.input.labeled, "labeled", "ids", "labels", "cycle")
if len(np.intersect1d(ids, query)):
    raise ValueError("the query holds ids that are labeled already")
with artifacts.opened(snakemake.input.truth, "truth") as truth:
    answers = artifacts.rows(truth["labels"], query)
    class_names = truth.attrs["class_names"]
artifacts.write(
    snakemake.output[0],
    "labeled",
    origin,
    {
        "ids": np.concatenate([ids, query]),
        "labels": np.concatenate([labels, answers]),
        "cycle": np.concatenate([cycle, np.full(len(query), int(snakemake.wildcards.cycle))]),
    },
    class_names=class_names,
)
print(f"{len(query):,} labels given, {len(ids) + len(query):,} in all")
