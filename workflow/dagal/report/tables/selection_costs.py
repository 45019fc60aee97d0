"""costs.csv -> time and memory of a query of each method per 1,000 samples of the pool, by stage: means over seeds and cycles."""

import csv
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.report.tables.costs import query_jobs


def make(job):
    params = job.params
    pools = {}
    for path in map(Path, job.input.splits):
        pools[int(path.parts[-2].removeprefix("seed"))] = len(artifacts.read(path, "split", "pool")[0])
    measured = {}
    with Path(job.input.costs).open() as file:
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
                places = [(*before, name) for name in jobs] + [
                    (seed, method, cycle, name) for name in ("score", "select")
                ]
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
            known = [
                sampled[sampled > 0] for sampled in memory
            ]  # a job that was too short to be sampled has 0 or nothing
            means = [float(sampled.mean()) if len(sampled) else None for sampled in known]
            rows.append([method, stage, float(seconds.mean()), *means])
    header = ["method", "stage", "seconds_per_1000", "peak_memory_mb_per_1000", "peak_memory_mb"]
    artifacts.write_csv(job.output.selection_costs, header, rows)


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "costs": study.table("costs"),
        "splits": [study.split(seed) for seed in study.seeds],
    },
    writes={"selection_costs": "{results}/selection_costs.csv"},
    settings=lambda study, at: {
        "jobs": {method: query_jobs(study, method) for method in study.methods},
        "learners": {method: about["learner"] for method, about in study.methods.items()},
        "budget": study.settings["budget"],
        "cycles": study.settings["cycles"],
    },
    when=classifies,
    caption="""
    What a query costs beyond the training of the learner, per 1,000 samples of the pool: mean wall time of all jobs behind it
    (signals, draws, members of an ensemble, adversary, score, select), and the largest of the mean peak memories of these jobs; means
    over seeds and cycles. A signals job serves all methods that share its model. Every job starts a process of its own, so in a
    small pool most of both is the start of Python and PyTorch.
    """,
    category="Tables",
    labels={"selection_costs": "time and memory per 1,000 pool samples"},
)
