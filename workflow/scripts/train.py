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

with inference.seen(source.seen) as inputs:
    followed = inference.to_tensor(artifacts.rows(inputs, unlabeled), device)

    def follow(model):
        if len(followed):
            trajectory.append(inference.predicted_classes(model, followed, batch_size, precision))

    model, history = training.fit_node(source, settings, seed, (cycle,), device, follow)
    batches = inference.stream(inputs, held_out, device, batch_size)
    probs_N_C = np.concatenate([probs for probs, *_ in inference.predict(model, batches, precision)])
    if source.get("stop_set"):
        (stop_set,) = artifacts.read(source.stop_set, "stop_set", "ids")
        batches = inference.stream(inputs, stop_set, device, batch_size)
        predicted = np.concatenate([probs.argmax(1) for probs, *_ in inference.predict(model, batches, precision)])
        data = {"ids": stop_set, "predicted": predicted}
        artifacts.write(snakemake.output.stop_predictions, "stop_predictions", origin, data)

if trajectory:
    history |= {"ids": unlabeled, "trajectory": np.stack(trajectory)}
architectures.save(snakemake.output.model, model, settings, tuple(followed.shape[1:]), origin)
artifacts.write(snakemake.output.history, "history", origin, history)
artifacts.write(snakemake.output.predictions, "predictions", origin, {"ids": held_out, "probabilities": probs_N_C})
