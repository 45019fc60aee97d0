"""Benchmark files of the jobs -> costs.csv: wall time, processor time and peak memory of each."""

import csv
from pathlib import Path

from job import start

from dagal import artifacts

start(snakemake)
rows = []
for path in map(Path, snakemake.input.benchmarks):
    seed, branch, cycle = path.parts[-4:-1]
    (measured,) = csv.DictReader(path.read_text().splitlines(), delimiter="\t")
    numbers = [None if measured[name] == "NA" else measured[name] for name in ("s", "cpu_time", "max_rss")]
    place = [int(seed.removeprefix("seed")), branch, int(cycle.removeprefix("cycle"))]
    rows.append([snakemake.params.study, *place, path.name.split(".")[0], *numbers])
header = ["study", "seed", "branch", "cycle", "rule", "seconds", "cpu_seconds", "peak_memory_mb"]
artifacts.write_csv(snakemake.output[0], header, rows)
