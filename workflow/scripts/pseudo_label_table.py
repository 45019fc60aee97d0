"""metrics.json of the models trained on pseudo-labels -> pseudo_labels.csv: what those were worth, after the fact."""

import json
from pathlib import Path

from job import start

from dagal import artifacts
from dagal.stopping import last_cycles, passed_through

start(snakemake)
stops = last_cycles(snakemake.input.stops)
measured = ["labels", "accuracy", "labeled_only_accuracy", "pseudo_labels", "pseudo_label_error"]
rows = []
for (method, seed, cycle), path in zip(snakemake.params.nodes, snakemake.input.nodes, strict=True):
    if passed_through(stops, seed, method, cycle):
        continue
    found, about = json.loads(Path(path).read_text()), snakemake.params.methods[method]
    rows.append([method, about["learner"], about["deployable"], seed, cycle, *(found.get(name) for name in measured)])
header = ["method", "learner", "deployable", "seed", "cycle", *measured]
artifacts.write_csv(snakemake.output[0], header, rows)
