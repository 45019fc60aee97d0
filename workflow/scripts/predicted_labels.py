"""The whole pool with the labels that people gave and the model's for all others, least certain first."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.datasets.origins import origins
from dagal.tasks.classification.calibration import temperature, tempered

job = start()
source = job.input
with artifacts.opened(source.labeled, "labeled") as file:
    labeled, labels, unanswered = (file[name][()] for name in ("ids", "labels", "unanswered"))
    class_names = artifacts.attribute(file, "class_names")
if source.predictions:
    validation = artifacts.read(source.split, "split", "validation")[0]
    ids, probs_N_C = artifacts.read(source.predictions, "predictions", "ids", "probabilities")
    with artifacts.opened(source.truth, "truth") as file:
        truth_N = artifacts.rows(file["labels"], ids)
    used_N = np.isin(ids, validation) & (truth_N >= 0) & (truth_N < probs_N_C.shape[1])
    known = probs_N_C[used_N], truth_N[used_N]
else:
    known = artifacts.read(source.cross_validation, "cross_validation", "probabilities")[0], labels
degree = temperature(*known)
ids, probs_N_C = artifacts.read(source.pool, "pool_predictions", "ids", "probabilities")
probs_N_C = tempered(probs_N_C, degree)
order = np.argsort(probs_N_C.max(1), kind="stable")
probs_N_C, every = probs_N_C[order], np.concatenate([ids[order], labeled])
classes = [class_names[label] for label in (*probs_N_C.argmax(1), *labels)]
probability = [f"{value:.6g}" for value in probs_N_C.max(1)] + [None] * len(labeled)
by = ["model"] * len(ids) + ["person"] * len(labeled)
asked = np.isin(every, unanswered).astype(int).tolist()
columns = {"id": every.tolist()} | {"file": [None] * len(every)} | origins(source.images, every)
columns |= {"class": classes, "probability": probability, "by": by, "asked_in_vain": asked}
artifacts.write_csv(job.output.table, list(columns), zip(*columns.values(), strict=True))
print(
    f"{len(ids):,} images as predicted, at temperature {degree:.4g} by {len(known[1]):,} labels; {len(labeled):,} as labeled"
)
