"""stopping.json of the last node of every chain -> where and why each stopped, and what was known in each of its cycles."""

import json
from pathlib import Path

from job import start

from dagal import artifacts

start(snakemake)
params = snakemake.params
chains, cycles = [], []
for (method, seed), path in zip(params.chains, map(Path, snakemake.input.stops), strict=True):
    record = json.loads(path.read_text())
    last, stopped = record["cycle"], int(record["stopped"])
    accuracies, kappas = record["validation_accuracy"], [None, *record["kappa"]]
    kappas += [None] * (len(accuracies) - len(kappas))
    reason = record["reason"] or f"all of its {last} cycles were run"
    chains.append([params.study, method, seed, stopped, last, record["labels"], accuracies[-1], kappas[-1], reason])
    for cycle, known in enumerate(zip(accuracies, kappas, strict=True)):
        cycles.append(
            [method, seed, cycle, *known, params.target_accuracy, params.threshold, int(stopped and cycle == last)]
        )
known = ["validation_accuracy", "kappa"]
artifacts.write_csv(
    snakemake.output.chains,
    ["study", "method", "seed", "stopped", "cycle", "labels", *known, "reason"],
    chains,
)
header = ["method", "seed", "cycle", *known, "target_accuracy", "threshold", "stopped"]
artifacts.write_csv(snakemake.output.cycles, header, cycles)
