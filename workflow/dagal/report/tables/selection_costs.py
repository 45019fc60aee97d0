"""costs.csv -> time and memory of a query of each method, by stage: of the start of its jobs, and per 1,000 samples of the pool.

Means over seeds and cycles. The start, which no pool makes longer, is measured by the jobs (`ready` of workflow/scripts/job.py).
"""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.report.tables.costs import query_jobs

COLUMNS = (
    "startup_seconds", "seconds_per_1000", "startup_memory_mb", "peak_memory_mb_per_1000", "peak_memory_mb",
)  # fmt: skip


def make(job):
    params = job.params
    pools = {}
    for path in map(Path, job.input.splits):
        pools[int(path.parts[-2].removeprefix("seed"))] = len(artifacts.read(path, "split", "pool")[0])
    measured = {}
    for row in artifacts.read_csv(job.input.costs):
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
                    stages.setdefault(stage, []).append(cost(found, n_left))
        rows += [[method, stage, *means(values)] for stage, values in stages.items()]
    artifacts.write_csv(job.output.selection_costs, ["method", "stage", *COLUMNS], rows)


def cost(jobs: list[dict], n_left: int) -> list[float]:
    """`COLUMNS` of one query by the jobs of a stage; what is not known is NaN."""
    seconds, start, peak, before = (
        np.array([float(row[name] or "nan") for row in jobs])
        for name in ("seconds", "startup_seconds", "peak_memory_mb", "startup_memory_mb")
    )
    peak[peak == 0] = np.nan  # too short to be sampled, in files of older versions
    per_1000 = 1000 / n_left
    return [start.sum(), per_1000 * (seconds - start).sum(), before.max(), per_1000 * (peak - before).max(), peak.max()]


def means(values: list[list[float]]) -> list[float | None]:
    """Mean of each column over the queries of which it is known."""
    columns = [column[np.isfinite(column)] for column in np.transpose(values)]
    return [float(column.mean()) if len(column) else None for column in columns]


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
    What a query costs beyond the training of the learner: mean wall time of all jobs behind it (signals, draws, members of an
    ensemble, adversary, score, select), and the largest of the mean peak memories of these jobs; means over seeds and cycles. The
    start of the jobs (libraries, device, model), which does not depend on the pool, stands apart from what each further 1,000 samples
    of the pool cost. A signals job serves all methods that share its model.
    """,
    category="Tables",
    labels={"selection_costs": "time and memory of a query"},
)
