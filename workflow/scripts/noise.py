"""Noises in the weights of a model -> how each changes the class probabilities of the unlabeled pool (K,n,C)."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.seeding import seed_for
from dagal.tasks.classification.signals import NOISE

job = start()

import torch  # noqa: E402  a chain that stopped needs no torch

from dagal.learners import architectures, devices, inference  # noqa: E402

source, params, settings = job.input, job.params, job.params.learner
device = devices.prepare(job.gpu, settings["threads"])
generator = torch.Generator().manual_seed(seed_for(int(job.wildcards.seed), "noise", job.wildcards.cycle))
ids = unlabeled(source.split, source.labeled)
job.ready()
with (
    inference.inputs_of(source.inputs) as inputs,
    artifacts.create(job.output.noise, NOISE, job.origin) as writer,
):
    writer.dataset("ids", ids.shape, ids.dtype)[...] = ids
    model = architectures.load(source.model, device)
    known_N_C = inference.probabilities(model, inputs, ids, params.batch_size, settings["precision"])
    norms_N_1 = np.linalg.norm(known_N_C, axis=1, keepdims=True)
    changes_K_N_C = writer.dataset("changes", (params.noises, *known_N_C.shape), np.float32)
    for noise in range(params.noises):
        model = architectures.load(source.model, device)
        inference.add_noise(model, params.noise_scale, generator)
        noisy_N_C = inference.probabilities(model, inputs, ids, params.batch_size, settings["precision"])
        changes_K_N_C[noise] = (noisy_N_C - known_N_C) / norms_N_1
print(f"noise: {params.noises} noises, {len(ids):,} images")
