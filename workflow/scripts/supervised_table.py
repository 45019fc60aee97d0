"""metrics.json of the supervised baselines -> supervised.csv, a row per learner, size and seed."""

import json
from pathlib import Path

from job import start

from dagal import artifacts

start(snakemake)
params = snakemake.params
rows = []
for (learner, size, seed), path in zip(params.baselines, snakemake.input.nodes, strict=True):
    found = json.loads(Path(path).read_text())
    rows.append([params.study, learner, size, seed, found["labels"], *(found[name] for name in params.measured)])
artifacts.write_csv(snakemake.output[0], ["study", "learner", "size", "seed", "labels", *params.measured], rows)
