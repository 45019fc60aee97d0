"""The labeled set in folds: models that are trained as the node's is, each without a fold, say what they take its images for."""

import tempfile
from pathlib import Path

import numpy as np
from job import Named, start

from dagal import artifacts
from dagal.learners import devices, inference, training
from dagal.seeding import generator
from dagal.tasks.classification.calibration import folds
from dagal.tasks.classification.signals import CROSS_VALIDATION

job = start()
settings, source = job.params.learner, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
device = devices.for_training(job.gpu, settings)
ids, labels = artifacts.read(source.labeled, "labeled", "ids", "labels")
class_names = artifacts.attributes(source.labeled, "labeled")["class_names"]
fold_L = folds(labels, generator(seed, "cross-validation", cycle))
probs_L_C = np.empty((len(ids), len(class_names)), np.float32)
with tempfile.TemporaryDirectory() as folder, inference.inputs_of(source.inputs) as inputs:
    for fold in range(fold_L.max() + 1):
        inside, part = fold_L != fold, Path(folder) / f"labeled{fold}.h5"
        data = {"ids": ids[inside], "labels": labels[inside]}
        artifacts.write(part, job.task.labeled, job.origin, data, class_names=class_names)
        without = Named(**vars(source) | {"labeled": part})
        model, _ = training.fit_on(
            inputs, without, settings, seed, (cycle, "fold", fold), device, lambda model: None, None
        )
        found = inference.probabilities(model, inputs, ids[~inside], settings["batch_size"] * 4, settings["precision"])
        probs_L_C[~inside] = found
artifacts.write(job.output.cross_validation, CROSS_VALIDATION, job.origin, {"ids": ids, "probabilities": probs_L_C})
print(f"{len(ids):,} labels in {fold_L.max() + 1} folds: accuracy {(probs_L_C.argmax(1) == labels).mean():.4f}")
