"""T passes with dropout over the unlabeled pool -> class probabilities of each (T,n,C)."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.seeding import seed_for
from dagal.tasks.classification.signals import DRAWS

job = start()

from dagal.learners import architectures, devices, inference  # noqa: E402  a chain that stopped needs no torch

source, n_draws, settings = job.input, job.params.draws, job.params.learner
device = devices.prepare(job.gpu, settings["threads"])
seed = seed_for(int(job.wildcards.seed), "draws", job.wildcards.cycle)
ids = unlabeled(source.split, source.labeled)
model = architectures.load(source.model, device)
job.ready()
with (
    inference.inputs_of(source.inputs) as inputs,
    artifacts.create(job.output.draws, DRAWS, job.origin) as writer,
):
    writer.dataset("ids", ids.shape, ids.dtype)[...] = ids
    draws = writer.dataset("draws", (n_draws, len(ids), model.head.out_features), np.float32)
    batches = inference.stream(inputs, ids, device, job.params.batch_size)
    first = 0
    for probs_T_B_C in inference.draws(model, batches, n_draws, seed, settings["precision"]):
        last = first + probs_T_B_C.shape[1]
        draws[:, first:last] = probs_T_B_C
        first = last
print(f"draws: {n_draws} passes over {len(ids):,} images")
