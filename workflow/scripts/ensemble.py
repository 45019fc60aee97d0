"""The members of a deep ensemble -> class probabilities of each over the unlabeled pool (K,n,C)."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.tasks.classification.signals import DRAWS

job = start()

from dagal.learners import architectures, devices, inference  # noqa: E402  a chain that stopped needs no torch

source, settings = job.input, job.params.learner
device = devices.prepare(job.gpu, settings["threads"])
job.ready()
ids = unlabeled(source.split, source.labeled)
with (
    inference.inputs_of(source.inputs) as inputs,
    artifacts.create(job.output.ensemble, DRAWS, job.origin) as writer,
):
    writer.dataset("ids", ids.shape, ids.dtype)[...] = ids
    for member, path in enumerate(source.models):
        model = architectures.load(path, device)
        if not member:
            shape = (len(source.models), len(ids), model.head.out_features)
            draws_K_N_C = writer.dataset("draws", shape, np.float32)
        batches = inference.stream(inputs, ids, device, job.params.batch_size)
        first = 0
        for probs_B_C, *_ in inference.predict(model, batches, settings["precision"]):
            draws_K_N_C[member, first : first + len(probs_B_C)] = probs_B_C
            first += len(probs_B_C)
print(f"{len(source.models)} members over {len(ids):,} images")
