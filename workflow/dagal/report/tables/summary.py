"""metrics.csv -> one row per method: final accuracy, area under the budget curve, labels saved against random; and labels needed."""

import numpy as np

from dagal.report import significance, tables
from dagal.report.item import Item, interval
from dagal.report.statistics import (
    REFERENCES,
    aubc,
    labels_needed,
    labels_saved,
    over_common_labels,
    paired_wilcoxon,
    random_of,
)

STEP = 0.05  # of accuracy, between the rows of labels_needed.csv


def make(job):
    import pandas as pd

    metrics, measure, units = tables.read(job.input.metrics), job.params.measure, job.params.get("costs", ())
    curves = curves_of(metrics, "labels", measure)
    deployable = metrics.groupby("method")["deployable"].first()
    learners = metrics.groupby("method", sort=False)["learner"].first().to_dict()
    supervised = tables.read(job.input.supervised) if job.input.get("supervised") else None
    with_all = all_data(supervised, measure) if supervised is not None else {}
    reference = next((name for name in REFERENCES if name in curves), None)
    rows = []
    for method, seeds in curves.items():
        final = [performance[-1] for _, performance in seeds]
        ends = {labels[-1] for labels, _ in seeds}  # chains may stop at different numbers
        labels = ends.pop() if len(ends) == 1 else np.mean([labels[-1] for labels, _ in seeds])
        row = {"method": method, "deployable": deployable[method], "seeds": len(seeds), "labels": labels}
        row |= {cost: np.mean(last_of(metrics, method, cost)) for cost in units}
        row[f"{measure}_mean"], row[f"{measure}_std"] = mean_std(final)
        if with_all:
            row["relative_to_all"] = np.mean(final) / with_all[learners[method]]
        row["aubc_mean"], row["aubc_std"] = mean_std([aubc(*curve) for curve in seeds])
        against = random_of(method, learners)
        if against and method != against:
            saved = [labels_saved(*curve, *other) for curve, other in zip(seeds, curves[against], strict=True)]
            row["labels_saved_mean"], row["labels_saved_std"] = mean_std(saved)
            common = [over_common_labels(curve, other) for curve, other in zip(seeds, curves[against], strict=True)]
            areas, reference_areas = np.array([[aubc(*curve) for curve in pair] for pair in common]).T
            row[f"aubc_gain_over_{reference}"] = np.mean(areas - reference_areas)
            row["p_value_aubc"] = paired_wilcoxon(areas, reference_areas)
        rows.append(row)
    table = pd.DataFrame(rows)
    tables.write(job.output.summary, table, "%.4f")
    of_labels = needed(curves, measure, job.params.interval)
    for cost in units:
        of_labels[cost] = needed(curves_of(metrics, cost, measure), measure)["labels"]
    tables.write(job.output.labels_needed, of_labels, "%.6g")
    print(table.to_string(index=False))


def curves_of(metrics, cost: str, measure: str) -> dict[str, list[tuple]]:
    """Method -> (cost, performance) of each seed, by cycle; a cycle that costs nothing is left out."""
    curves = {}
    for method, group in metrics.groupby("method", sort=False):
        of_seeds = (curve for _, curve in group.groupby("seed"))
        paid = (curve[curve[cost].diff().fillna(1) > 0] for curve in of_seeds)
        curves[method] = [(curve[cost].to_numpy(), curve[measure].to_numpy()) for curve in paid]
    return curves


def last_of(metrics, method: str, cost: str):
    """What the last labels of each seed of a method have cost in all."""
    return metrics[metrics["method"] == method].groupby("seed")[cost].last()


def needed(curves: dict[str, list[tuple]], measure: str, kind: str = "t"):
    """Labels that each method needs for every multiple of `STEP` that some curve reaches after its start.

    ``curves``: method -> (labels, performance) of each seed. Mean over the seeds, how many seeds there are and how many get there, and
    the `significance.interval` of ``kind``; mean and interval are empty where a seed never gets there.
    """
    import pandas as pd

    performances = [performance for seeds in curves.values() for _, performance in seeds]
    lowest, highest = (
        int(np.floor(extreme / STEP + 1e-9))
        for extreme in (min(performance[0] for performance in performances), max(map(np.max, performances)))
    )
    rows = []
    for method, seeds in curves.items():
        for k in range(lowest + 1, highest + 1):
            target = round(k * STEP, 9)
            labels_S = np.array([labels_needed(*curve, target) for curve in seeds])
            n, mean, *ends, _, _ = significance.describe(labels_S, kind)
            rows.append([method, target, mean, n, int(np.isfinite(labels_S).sum()), *ends])
    return pd.DataFrame(rows, columns=["method", measure, "labels", "seeds", "reached", "low", "high"])


def all_data(supervised, measure: str) -> dict[str, float]:
    """Learner -> its mean performance over the seeds when it is trained on all labels.

    ``supervised``: learner, size and the measure.
    """
    return supervised[supervised["size"] == "all"].groupby("learner")[measure].mean().to_dict()


def reads(study, at):
    further = {"supervised": study.table("supervised")} if "all" in study.settings["supervised"] else {}
    return {"metrics": study.table("metrics")} | further


def costs(study) -> dict:
    """The setting ``costs`` of a table that tells what labels cost besides their number, of a task that measures it."""
    return {"costs": list(study.task.costs)} if study.task.costs else {}


def mean_std(values):
    """Mean and standard deviation over seeds (n - 1); empty where there is none."""
    return np.mean(values), np.std(values, ddof=1) if len(values) > 1 else np.nan


ITEM = Item(
    make=make,
    reads=reads,
    writes={"summary": "{results}/summary.csv", "labels_needed": "{results}/labels_needed.csv"},
    settings=lambda study, at: {"measure": study.measures[0], "interval": interval(study)} | costs(study),
    caption="""
    Mean and standard deviation over seeds of the final accuracy and of the area under the budget curve (trapezoid over the
    label range, divided by it). *Labels saved*: how many labels fewer than random a method needs for random's final
    accuracy (empty where a seed never gets there). *Relative to all*: the mean final accuracy, divided by that of the same learner
    trained on all labels. *Labels needed*: with how many labels a method reaches each multiple of .05, mean over seeds with its
    95 % interval, straight between the cycles, of boxes and masks also with how many boxes, or labeled pixels and clicks; empty where a seed never
    gets there (*reached*: how many do). *p*: two-sided Wilcoxon signed-rank test of the areas against random, paired by
    seed; empty below 6 seeds, where it cannot fall under .05.
    """,
    category="Tables",
    labels={"summary": "summary per method", "labels_needed": "labels needed for an accuracy"},
    environment="analysis",
)
