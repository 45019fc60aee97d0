"""Predictions against the truth -> metrics.json."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.classification.measures import measured

job = start()
ids, probs_N_C = artifacts.read(job.input.predictions, "predictions", "ids", "probabilities")
(n_test,) = artifacts.read(job.input.split, "split", "test")[0].shape
labeled_ids, labels = artifacts.read(job.input.labeled, "labeled", "ids", "labels")
pseudo_ids, pseudo_labels = ids[:0], labels[:0]
if job.input.pseudo:
    pseudo_ids, pseudo_labels = artifacts.read(job.input.pseudo, "pseudo_labels", "ids", "labels")
with artifacts.opened(job.input.truth, "truth") as file:
    truth_N, pseudo_truth = (artifacts.rows(file["labels"], rows) for rows in (ids, pseudo_ids))
    class_names = artifacts.attribute(file, "class_names").tolist()

metrics = {**job.origin, "cycle": int(job.wildcards.cycle), "labels": len(labels)}
metrics |= measured(probs_N_C.argmax(1), truth_N, np.arange(len(ids)) < n_test, labels, class_names)
if job.input.pseudo:
    wrong = pseudo_truth != pseudo_labels
    metrics |= {"pseudo_labels": len(wrong), "pseudo_label_error": float(wrong.mean()) if len(wrong) else None}
if job.input.labeled_only:
    (probs_N_C,) = artifacts.read(job.input.labeled_only, "predictions", "probabilities")
    metrics["labeled_only_accuracy"] = float((probs_N_C.argmax(1) == truth_N)[:n_test].mean())
artifacts.write_json(job.output.metrics, metrics)
print(f"{len(labels):,} labels: test accuracy {metrics['accuracy']:.4f} over {n_test:,} images")
