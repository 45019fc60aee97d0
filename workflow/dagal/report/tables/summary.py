"""metrics.csv -> one row per method: final accuracy, area under the budget curve, labels saved against random."""

import numpy as np

from dagal.report import tables
from dagal.report.item import Item
from dagal.report.statistics import REFERENCES, aubc, labels_saved, over_common_labels, paired_wilcoxon, random_method


def make(job):
    import pandas as pd

    metrics, measure = tables.read(job.input.metrics), job.params.measure
    curves = {
        method: [(curve["labels"].to_numpy(), curve[measure].to_numpy()) for _, curve in group.groupby("seed")]
        for method, group in metrics.groupby("method", sort=False)
    }
    deployable = metrics.groupby("method")["deployable"].first()
    learners = metrics.groupby("method", sort=False)["learner"].first().to_dict()
    reference = next((name for name in REFERENCES if name in curves), None)
    rows = []
    for method, seeds in curves.items():
        final = [performance[-1] for _, performance in seeds]
        ends = {labels[-1] for labels, _ in seeds}  # chains may stop at different numbers
        labels = ends.pop() if len(ends) == 1 else np.mean([labels[-1] for labels, _ in seeds])
        row = {"method": method, "deployable": deployable[method], "seeds": len(seeds), "labels": labels}
        row[f"{measure}_mean"], row[f"{measure}_std"] = mean_std(final)
        row["aubc_mean"], row["aubc_std"] = mean_std([aubc(*curve) for curve in seeds])
        against = random_method(learners[method], learners) or reference
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
    print(table.to_string(index=False))


def mean_std(values):
    """Mean and standard deviation over seeds (n - 1); empty where there is none."""
    return np.mean(values), np.std(values, ddof=1) if len(values) > 1 else np.nan


ITEM = Item(
    make=make,
    reads=lambda study, at: {"metrics": study.table("metrics")},
    writes={"summary": "{results}/summary.csv"},
    settings=lambda study, at: {"measure": study.task.measures[0]},
    caption="""
    Mean and standard deviation over seeds of the final accuracy and of the area under the budget curve (trapezoid over the
    label range, divided by it). *Labels saved*: how many labels fewer than random a method needs for random's final
    accuracy (empty where a seed never gets there). *p*: two-sided Wilcoxon signed-rank test of the areas against random, paired by
    seed; empty below 6 seeds, where it cannot fall under .05.
    """,
    category="Tables",
    labels={"summary": "summary per method"},
    environment="analysis",
)
