"""labeled.h5, and pseudo-labels where there are some -> model, its history, and its predictions on the test and validation sets."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.stopping import STOP_PREDICTIONS
from dagal.tasks.classification.signals import PREDICTIONS

job = start()

from dagal.learners import LATER_SETTINGS, architectures, devices, inference, training  # noqa: E402  a chain that stopped needs no torch

settings, source = job.params.learner, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
device = devices.prepare(job.gpu, settings["threads"], (LATER_SETTINGS | settings)["deterministic"])
batch_size, precision = settings["batch_size"] * 4, settings["precision"]

(labeled_ids,) = artifacts.read(source.labeled, "labeled", "ids")
pool, test, validation = artifacts.read(source.split, "split", "pool", "test", "validation")
unlabeled = np.setdiff1d(pool, labeled_ids) if job.params.trajectory else pool[:0]
held_out = np.concatenate([test, validation])
trajectory = []

with inference.inputs_of(source.inputs) as inputs:
    followed = inference.to_tensor(artifacts.rows(inputs, unlabeled), device)

    def follow(model):
        if len(followed):
            trajectory.append(inference.predicted_classes(model, followed, batch_size, precision))

    model, history = training.fit_node(source, settings, seed, (cycle,), device, follow)
    probs_N_C = inference.probabilities(model, inputs, held_out, batch_size, precision)
    if source.get("stop_set"):
        (stop_set,) = artifacts.read(source.stop_set, "stop_set", "ids")
        predicted = inference.probabilities(model, inputs, stop_set, batch_size, precision).argmax(1)
        data = {"ids": stop_set, "predicted": predicted}
        artifacts.write(job.output.stop_predictions, STOP_PREDICTIONS, job.origin, data)

if trajectory:
    history |= {"ids": unlabeled, "trajectory": np.stack([classes.cpu() for classes in trajectory])}
architectures.save(job.output.model, model, settings, tuple(followed.shape[1:]), job.origin)
artifacts.write(job.output.history, training.HISTORY, job.origin, history)
artifacts.write(job.output.predictions, PREDICTIONS, job.origin, {"ids": held_out, "probabilities": probs_N_C})
