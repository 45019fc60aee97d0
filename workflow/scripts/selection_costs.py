"""costs.csv -> time and memory of a query of each method per 1,000 samples of the pool, by stage: means over seeds and cycles."""

import csv
from pathlib import Path

import numpy as np
from job import start

from dagal import artifacts

start(snakemake)
params = snakemake.params
pools = {}
for path in map(Path, snakemake.input.splits):
    pools[int(path.parts[-2].removeprefix("seed"))] = len(artifacts.read(path, "split", "pool")[0])
measured = {}
with Path(snakemake.input.costs).open() as file:
    for row in csv.DictReader(file):
        if row["cycle"]:  # else it serves all methods and cycles
            measured[int(row["seed"]), row["branch"], int(row["cycle"]), row["rule"]] = row

rows = []
for method, jobs in params.jobs.items():
    stages = {}
    for seed, n_pool in pools.items():
        for cycle in range(1, params.cycles + 1):
            n_left = n_pool - params.budget * (cycle - 1)
            before = (seed, f"start-{params.learners[method]}" if cycle == 1 else method, cycle - 1)
            places = [(*before, job) for job in jobs] + [(seed, method, cycle, job) for job in ("score", "select")]
            if places[-1] not in measured:  # the chain had stopped
                continue
            per_query = {}
            for place in places:
                stage = "ensemble" if place[-1].startswith("member") else place[-1].split("_")[0]
                per_query.setdefault(stage, []).append(measured[place])
            for stage, found in per_query.items():
                seconds = sum(float(row["seconds"]) for row in found)
                memory = max(float(row["peak_memory_mb"] or 0) for row in found)
                stages.setdefault(stage, []).append((1000 * seconds / n_left, 1000 * memory / n_left, memory))
    for stage, values in stages.items():
        seconds, *memory = np.transpose(values)
        known = [sampled[sampled > 0] for sampled in memory]  # a job that was too short to be sampled has 0 or nothing
        means = [float(sampled.mean()) if len(sampled) else None for sampled in known]
        rows.append([method, stage, float(seconds.mean()), *means])
header = ["method", "stage", "seconds_per_1000", "peak_memory_mb_per_1000", "peak_memory_mb"]
artifacts.write_csv(snakemake.output[0], header, rows)
