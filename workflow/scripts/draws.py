"""T passes with dropout over the unlabeled pool, of a model or of each member of an ensemble -> class probabilities of each pass."""

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
ids = unlabeled(source.split, source.labeled)
models = source.get("models") or [source.model]
job.ready()
with (
    inference.inputs_of(source.inputs) as inputs,
    artifacts.create(job.output.draws, DRAWS, job.origin) as writer,
):
    writer.dataset("ids", ids.shape, ids.dtype)[...] = ids
    for member, path in enumerate(models):
        model = architectures.load(path, device)
        if not member:
            shape = (len(models) * n_draws, len(ids), model.head.out_features)
            draws = writer.dataset("draws", shape, np.float32)
        # the first member is the node's own model, and its passes are those that the node would have without the others
        seed = seed_for(int(job.wildcards.seed), "draws", job.wildcards.cycle, *(["member", member] if member else []))
        batches = inference.stream(inputs, ids, device, job.params.batch_size)
        passes, first = slice(member * n_draws, (member + 1) * n_draws), 0
        for probs_T_B_C in inference.draws(model, batches, n_draws, seed, settings["precision"]):
            last = first + probs_T_B_C.shape[1]
            draws[passes, first:last] = probs_T_B_C
            first = last
print(f"draws: {len(models) * n_draws} passes over {len(ids):,} images")
