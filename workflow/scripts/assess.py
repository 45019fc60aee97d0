"""Predictions against what people told -> metrics.json; what cannot be known without a test set is said there."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.stopping import cohen_kappa
from dagal.tasks.classification.measures import in_common, measured

job = start()
source = job.input
ids, probs_N_C = artifacts.read(source.predictions, "predictions", "ids", "probabilities")
(n_test,) = artifacts.read(source.split, "split", "test")[0].shape
with artifacts.opened(source.labeled, "labeled") as file:
    labels, n_unanswered = file["labels"][()], len(file["unanswered"])
    class_names = artifacts.attribute(file, "class_names").tolist()
truth_N = np.full(len(ids), -1)
if source.truth:
    with artifacts.opened(source.truth, "truth") as file:
        truth_N = artifacts.rows(file["labels"], ids)
        told_names = artifacts.attribute(file, "class_names").tolist()
    class_names = max(class_names, told_names, key=len)
is_test_N, told_N = np.arange(len(ids)) < n_test, truth_N >= 0
metrics = {**job.origin, "cycle": int(job.wildcards.cycle), "labels": len(labels)}
metrics |= measured(probs_N_C.argmax(1)[told_N], truth_N[told_N], is_test_N[told_N], labels, class_names)
metrics |= {
    "unanswered": n_unanswered,
    "cross_validated_accuracy": None,
    "agreement": None,
    "kappa": None,
    "unknown": None,
}
if source.cross_validation:
    (probs_L_C,) = artifacts.read(source.cross_validation, "cross_validation", "probabilities")
    metrics["cross_validated_accuracy"] = float((probs_L_C.argmax(1) == labels).mean())
    metrics["unknown"] = (
        "There is no test set, so nobody knows how good the model is on new images: cross-validation measures it on the labeled images "
        "alone, which a method has chosen, and the agreement of consecutive models says that they change, not that they are right."
    )
if len(source.pool) == 2:
    before, now = in_common(*(artifacts.read(path, "pool_predictions", "ids", "probabilities") for path in source.pool))
    kappa = cohen_kappa(before, now) if len(now) else np.nan
    metrics["agreement"] = float((before == now).mean()) if len(now) else None
    metrics["kappa"] = None if np.isnan(kappa) else float(kappa)
artifacts.write_json(job.output.metrics, metrics)
print(
    f"{len(labels):,} labels: "
    + ", ".join(f"{name} {metrics[name]}" for name in ("accuracy", "cross_validated_accuracy", "agreement"))
)
