"""labeled.h5 -> model trained from scratch, its history, and its predictions on the test and validation sets."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import architectures, devices, inference, training
from dagal.seeding import seed_for

origin = start(snakemake)
settings, source = snakemake.params.learner, snakemake.input
seed, cycle = int(snakemake.wildcards.seed), int(snakemake.wildcards.cycle)
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"])

labeled_ids, labels = artifacts.read(source.labeled, "labeled", "ids", "labels")
n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
pool, test, validation, mean_C, std_C = artifacts.read(
    source.split, "split", "pool", "test", "validation", "channel_mean", "channel_std"
)
unlabeled = np.setdiff1d(pool, labeled_ids) if snakemake.params.trajectory else pool[:0]
with artifacts.opened(source.images, "images") as file:
    images = inference.to_tensor(artifacts.rows(file["images"], labeled_ids), device)
    followed = inference.to_tensor(artifacts.rows(file["images"], unlabeled), device)

# the same initialisation for every method of a seed and cycle: differences between methods come from their labels alone
torch.manual_seed(seed_for(seed, "initialise", cycle))
shape = tuple(images.shape[1:])
model = architectures.build(settings, shape, n_classes, mean_C, std_C).to(device)
print(
    f"training on {len(labels):,} labels, {n_classes} classes, {sum(p.numel() for p in model.parameters()):,} parameters"
)

trajectory = []


def follow(model):
    trajectory.append(inference.predicted_classes(model, followed, settings["batch_size"] * 4, settings["precision"]))


history = training.fit(
    model,
    images,
    torch.from_numpy(labels).to(device),
    settings,
    seed_for(seed, "train", cycle),
    follow if len(unlabeled) else lambda model: None,
)
architectures.save(snakemake.output.model, model, settings, shape, n_classes, origin)
if trajectory:
    history |= {"ids": unlabeled, "trajectory": np.stack(trajectory)}
artifacts.write(snakemake.output.history, "history", origin, history)

held_out = np.concatenate([test, validation])
with artifacts.opened(source.images, "images") as file:
    batches = inference.stream(file["images"], held_out, device, settings["batch_size"] * 4)
    probs_N_C = np.concatenate([probs for probs, _ in inference.predict(model, batches, settings["precision"])])
artifacts.write(snakemake.output.predictions, "predictions", origin, {"ids": held_out, "probabilities": probs_N_C})
