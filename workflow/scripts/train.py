"""labeled.h5, and pseudo-labels where there are some -> model, its history, and its predictions on the test and validation sets."""

import numpy as np
from job import start

from dagal import artifacts

origin = start(snakemake)

from dagal.learners import architectures, devices, inference, training  # noqa: E402  a chain that stopped needs no torch

settings, source = snakemake.params.learner, snakemake.input
seed, cycle = int(snakemake.wildcards.seed), int(snakemake.wildcards.cycle)
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"])
batch_size, precision = settings["batch_size"] * 4, settings["precision"]

(labeled_ids,) = artifacts.read(source.labeled, "labeled", "ids")
pool, test, validation = artifacts.read(source.split, "split", "pool", "test", "validation")
unlabeled = np.setdiff1d(pool, labeled_ids) if snakemake.params.trajectory else pool[:0]
held_out = np.concatenate([test, validation])
trajectory = []

with inference.inputs_of(source.seen) as inputs:
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
        artifacts.write(snakemake.output.stop_predictions, "stop_predictions", origin, data)

if trajectory:
    history |= {"ids": unlabeled, "trajectory": np.stack(trajectory)}
architectures.save(snakemake.output.model, model, settings, tuple(followed.shape[1:]), origin)
artifacts.write(snakemake.output.history, "history", origin, history)
artifacts.write(snakemake.output.predictions, "predictions", origin, {"ids": held_out, "probabilities": probs_N_C})
