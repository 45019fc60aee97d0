"""Benchmark files of the jobs -> costs.csv: wall time, processor time and peak memory of each."""

import csv
from pathlib import Path

from job import start

from dagal import artifacts
from dagal.stopping import last_cycles, passed_through

OF_THE_CYCLE = (
    "score",
    "select",
    "finetune",
    "train",
    "train_labeled_only",
    "pseudo_labels",
)  # the others belong to the query after it

start(snakemake)
stops = last_cycles(snakemake.input.stops)
rows = []
for path in map(Path, snakemake.input.benchmarks):
    rule, (owner, folder, backbone) = path.name.split(".")[0], path.parts[-4:-1]
    if folder == "backbones":  # of no cycle; of no seed either where the studies share it
        seed, branch, cycle = owner.removeprefix("seed") if owner.startswith("seed") else None, backbone, None
    else:
        seed, branch, cycle = artifacts.node(path)
        if passed_through(stops, seed, branch, cycle if rule in OF_THE_CYCLE else cycle + 1):
            continue
    (measured,) = csv.DictReader(path.read_text().splitlines(), delimiter="\t")
    numbers = [None if measured[name] == "NA" else measured[name] for name in ("s", "cpu_time", "max_rss")]
    rows.append([snakemake.params.study, seed, branch, cycle, rule, *numbers])
header = ["study", "seed", "branch", "cycle", "rule", "seconds", "cpu_seconds", "peak_memory_mb"]
artifacts.write_csv(snakemake.output[0], header, rows)
