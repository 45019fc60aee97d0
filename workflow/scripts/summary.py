"""metrics.csv -> one row per method: final accuracy, area under the budget curve, labels saved against random."""

import numpy as np
import pandas as pd
from job import start

from dagal.statistics import PERFORMANCE, REFERENCES, aubc, labels_saved, paired_wilcoxon

start(snakemake)
metrics = pd.read_csv(snakemake.input.metrics)
measure = next(name for name in PERFORMANCE if name in metrics)
curves = {
    method: [(curve["labels"].to_numpy(), curve[measure].to_numpy()) for _, curve in group.groupby("seed")]
    for method, group in metrics.groupby("method", sort=False)
}
deployable = metrics.groupby("method")["deployable"].first()
reference = next((name for name in REFERENCES if name in curves), None)
areas = {method: np.array([aubc(*curve) for curve in seeds]) for method, seeds in curves.items()}


def mean_std(values):
    """Mean and standard deviation over seeds (n - 1); empty where there is none."""
    return np.mean(values), np.std(values, ddof=1) if len(values) > 1 else np.nan


rows = []
for method, seeds in curves.items():
    final = [performance[-1] for _, performance in seeds]
    row = {"method": method, "deployable": deployable[method], "seeds": len(seeds), "labels": seeds[0][0][-1]}
    row[f"{measure}_mean"], row[f"{measure}_std"] = mean_std(final)
    row["aubc_mean"], row["aubc_std"] = mean_std(areas[method])
    if reference and method != reference:
        saved = [labels_saved(*curve, *other) for curve, other in zip(seeds, curves[reference], strict=True)]
        row["labels_saved_mean"], row["labels_saved_std"] = mean_std(saved)
        row[f"aubc_gain_over_{reference}"] = np.mean(areas[method] - areas[reference])
        row["p_value_aubc"] = paired_wilcoxon(areas[method], areas[reference])
    rows.append(row)
table = pd.DataFrame(rows)
table.to_csv(snakemake.output[0], index=False, float_format="%.4f", lineterminator="\n")
print(table.to_string(index=False))
