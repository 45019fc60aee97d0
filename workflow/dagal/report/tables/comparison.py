"""metrics.csv -> what the seeds can tell of the methods: intervals, pairs, labels saved, power."""

from collections.abc import Sequence

import numpy as np

from dagal.report import significance, tables
from dagal.report.item import Item, interval
from dagal.report.statistics import (
    MIN_SEEDS,
    aubc,
    labels_needed,
    labels_saved,
    over_common_labels,
    paired_wilcoxon,
    random_of,
)
from dagal.report.tables.summary import all_data, costs, reads

ESTIMATE = ["method", "deployable", "quantity", "seeds", "mean", "low", "high", "sd", "se"]
PAIR = [
    "method",
    "other",
    "seeds",
    "cycles",
    "ppm",
    "ppm_holm",
    "difference",
    "low",
    "high",
    "p_wilcoxon",
    "p_wilcoxon_holm",
]
PAIR += ["effect", "effect_low", "effect_high", "better", "equivalent", "worse"]
SAVED = ["method", "deployable", "reference", "seeds", "reached", "saved", "low", "high", "sd", "speed_up"]
NEEDED = ["method", "reference", "quantity", "seeds", "difference", "sd", "detectable", "seeds_needed"]


def make(job):
    import pandas as pd

    metrics, measure, kind = tables.read(job.input.metrics), job.params.measure, job.params.interval
    supervised = tables.read(job.input.supervised) if job.input.get("supervised") else None
    full = all_data(supervised, measure) if supervised is not None else {}
    found = {
        "estimates": pd.DataFrame(estimates(metrics, measure, kind, full), columns=ESTIMATE),
        "pairwise": pd.DataFrame(pairwise(metrics, measure, kind), columns=PAIR),
        "labels_saved": saved_in(metrics, measure, kind, job.params.get("costs", ())),
        "power": pd.DataFrame(power(metrics, measure), columns=NEEDED),
    }
    for name, table in found.items():
        tables.write(job.output[name], table, "%.6g")


def curves_of(metrics, measure: str, cost: str = "labels") -> dict[str, dict[int, tuple]]:
    """Method -> seed -> (labels, or what else they ``cost``, performance) by cycle; a cycle that costs nothing is left out."""
    paid = metrics[metrics.groupby(["method", "seed"])[cost].diff().fillna(1) > 0]
    return {
        method: {seed: (one[cost].to_numpy(), one[measure].to_numpy()) for seed, one in group.groupby("seed")}
        for method, group in paid.groupby("method", sort=False)
    }


def of_methods(metrics, column: str) -> dict:
    """Method -> the value of a column that is the same in all of its rows."""
    return metrics.groupby("method", sort=False)[column].first().to_dict()


def estimates(metrics, measure: str, kind: str, full: dict[str, float]) -> list[list]:
    """Rows of `ESTIMATE`: last value of the measure, area under the budget curve, and percent of the same learner with all labels.

    ``full``: learner -> its mean performance with all labels, which counts as known.
    """
    deployable, learners = of_methods(metrics, "deployable"), of_methods(metrics, "learner")
    rows = []
    for method, seeds in curves_of(metrics, measure).items():
        final_S = np.array([performance_K[-1] for _, performance_K in seeds.values()])
        values = {measure: final_S, "aubc": np.array([aubc(*curve) for curve in seeds.values()])}
        if learners[method] in full:
            values["percent_of_full"] = 100 * final_S / full[learners[method]]
        for quantity, values_S in values.items():
            rows.append([method, deployable[method], quantity, *significance.describe(values_S, kind)])
    return rows


def areas(curves: dict[int, tuple], others: dict[int, tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the curves of the seeds that two methods have in common, each over the labels that both curves have."""
    pairs = [over_common_labels(curves[seed], others[seed]) for seed in curves if seed in others]
    return tuple(np.array([aubc(*pair[side]) for pair in pairs]) for side in (0, 1))


def pairwise(metrics, measure: str, kind: str) -> list[list]:
    """Rows of `PAIR`: each method against each other one, the first as the row of the matrix, the second as its column.

    The cycles are those with a query: in cycle 0 the methods of a learner share their model.
    """
    curves = curves_of(metrics, measure)
    methods = list(curves)
    asked = metrics[metrics["cycle"] > 0]
    cycles = sorted(asked["cycle"].unique())
    values_M_S_K = [
        asked[asked["method"] == method]
        .pivot(index="seed", columns="cycle", values=measure)
        .reindex(index=sorted(metrics["seed"].unique()), columns=cycles)
        for method in methods
    ]
    wins_M_M, wins_holm_M_M = significance.penalty_matrix(np.stack(values_M_S_K)) if cycles else [None, None]
    pairs = [(i, j) for i in range(len(methods)) for j in range(len(methods)) if i != j]
    found = {(i, j): areas(curves[methods[i]], curves[methods[j]]) for i, j in pairs}
    p_values = {pair: paired_wilcoxon(*found[pair]) for pair in pairs if pair[0] > pair[1]}
    corrected = dict(zip(p_values, significance.holm(list(p_values.values())), strict=True))
    rows = []
    for i, j in pairs:
        difference_S = np.subtract(*found[i, j])
        seeds, mean, low, high, *_ = significance.describe(difference_S, kind)
        once = max(i, j), min(i, j)
        shares = [wins_M_M[i, j], wins_holm_M_M[i, j]] if cycles else [np.nan, np.nan]
        rows.append(
            [methods[i], methods[j], seeds, len(cycles), *shares, mean, low, high, p_values[once], corrected[once]]
            + [*significance.effect_size(difference_S), *significance.posterior(difference_S)]
        )
    return rows


def against_random(metrics, measure: str, cost: str = "labels"):
    """(method, its random method, curves of both by seed: those of the seeds that both have) of every method that has one."""
    curves, learners = curves_of(metrics, measure, cost), of_methods(metrics, "learner")
    for method in curves:
        reference = random_of(method, learners)
        if reference not in (None, method):
            seeds = [seed for seed in curves[method] if seed in curves[reference]]
            yield method, reference, *({seed: curves[name][seed] for seed in seeds} for name in (method, reference))


def saved_in(metrics, measure: str, kind: str, costs: Sequence[str] = ()):
    """`saved`, with a column ``..._saved`` for each of the ``costs`` that the task measures: boxes, pixels or clicks fewer than random."""
    import pandas as pd

    table, mean = pd.DataFrame(saved(metrics, measure, kind), columns=SAVED), SAVED.index("saved")
    return table.assign(
        **{f"{cost}_saved": [row[mean] for row in saved(metrics, measure, kind, cost)] for cost in costs}
    )


def saved(metrics, measure: str, kind: str, cost: str = "labels") -> list[list]:
    """Rows of `SAVED`: labels (or ``cost``) fewer than random needs for its own final performance; and the ratio of those of both.

    Means only where every seed gets there: of the others it is not known how many labels they need.
    """
    deployable, rows = of_methods(metrics, "deployable"), []
    for method, reference, own, random in against_random(metrics, measure, cost):
        saved_S = np.array([labels_saved(*own[seed], *random[seed]) for seed in own])
        needed_S = np.array([labels_needed(*curve, curve[1][-1]) for curve in random.values()])
        seeds, mean, low, high, sd, _ = significance.describe(saved_S, kind)
        ratio = np.mean(needed_S / (needed_S - saved_S))
        reached = int(np.isfinite(saved_S).sum())
        rows.append([method, deployable[method], reference, seeds, reached, mean, low, high, sd, ratio])
    return rows


def power(metrics, measure: str) -> list[list]:
    """Rows of `NEEDED`: what difference to random the seeds can show at all, and how many would show the one that was found."""
    rows = []
    for method, reference, own, random in against_random(metrics, measure):
        last = [over_common_labels(own[seed], random[seed]) for seed in own]
        differences = {
            measure: np.array([ours[1][-1] - theirs[1][-1] for ours, theirs in last]),
            "aubc": np.subtract(*areas(own, random)),
        }
        for quantity, difference_S in differences.items():
            seeds, mean, _, _, sd, _ = significance.describe(np.round(difference_S, 12))
            known = significance.detectable(sd, seeds), significance.seeds_needed(mean, sd)
            rows.append([method, reference, quantity, seeds, mean, sd, *known])
    return rows


ITEM = Item(
    make=make,
    reads=reads,
    writes={name: f"{{results}}/{name}.csv" for name in ("estimates", "pairwise", "labels_saved", "power")},
    settings=lambda study, at: {"measure": study.measures[0], "interval": interval(study)} | costs(study),
    caption=f"""
    What the seeds can tell. *Estimates*: mean over seeds with its 95 % interval, standard deviation and error. *Pairs*: the row's
    method against the other, paired by seed: difference in area under the budget curve; the share of cycles with a query in which the
    row is significantly better (paired t-test at .05; *holm*: corrected for all pairs and cycles), and Wilcoxon's p, all empty below
    {MIN_SEEDS} seeds; Hedges' g; and the probabilities that the true difference is more than a point of accuracy in favour of the row,
    within a point, or against it, which also mean something at 3 seeds. *Labels saved* against random with interval, where every
    seed gets there, of boxes and masks also boxes, pixels and clicks saved. *Power*: the smallest true difference to random that so many seeds find in 4 of 5 studies, and how many seeds the
    observed difference asks for.
    """,
    category="Tables",
    labels={
        "estimates": "means with intervals",
        "pairwise": "methods in pairs",
        "labels_saved": "labels saved against random",
        "power": "what so many seeds can show",
    },
    environment="analysis",
)
