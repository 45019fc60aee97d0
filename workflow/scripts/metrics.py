"""metrics.json of all nodes -> metrics.csv (one row per method, seed and cycle) and classes.csv (per class besides)."""

import json
from pathlib import Path

from job import start

from dagal import artifacts
from dagal.stopping import last_cycles, passed_through

start(snakemake)
study, methods = snakemake.params.study, snakemake.params.methods
by_node = {}
for path in snakemake.input.nodes:
    by_node[artifacts.node(path)] = json.loads(Path(path).read_text())

measured = ["labels", *snakemake.params.measured]
# accuracy and its like, overall (first) and per class
performance = {"accuracy": "accuracy_per_class", "mean_ap": "ap_per_class"}[measured[1]]
of_class = ["class_names", "labels_per_class", performance]
seeds, cycles = sorted({key[0] for key in by_node}), sorted({key[2] for key in by_node})
stops = last_cycles(snakemake.input.stops)
metrics, classes = [], []
for method, about in methods.items():
    for seed in seeds:
        for cycle in cycles:
            if passed_through(stops, seed, method, cycle):
                continue
            found = by_node[seed, method if cycle else f"start-{about['learner']}", cycle]
            key = [study, method, about["learner"], about["deployable"], seed, cycle]
            metrics.append(key + [found[name] for name in measured])
            rows = zip(*(found[name] for name in of_class), strict=True)
            classes += [[study, method, about["deployable"], seed, cycle, *row] for row in rows]
artifacts.write_csv(
    snakemake.output.metrics, ["study", "method", "learner", "deployable", "seed", "cycle", *measured], metrics
)
artifacts.write_csv(
    snakemake.output.classes,
    ["study", "method", "deployable", "seed", "cycle", "class_name", "count", performance.removesuffix("_per_class")],
    classes,
)
