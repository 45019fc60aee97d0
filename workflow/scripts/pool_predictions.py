"""A pass of a model over all images of the pool that have no label, those that nobody could name included -> their probabilities."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import architectures, devices, inference
from dagal.tasks.classification.signals import POOL_PREDICTIONS

job = start()
source, settings = job.input, job.params.learner
every = np.concatenate(artifacts.read(source.split, "split", "pool", "initial"))
ids = np.setdiff1d(every, artifacts.read(source.labeled, "labeled", "ids")[0])
device = devices.prepare(job.gpu, settings["threads"])
model = architectures.load(source.model, device)
with inference.inputs_of(source.inputs) as inputs:
    job.ready()
    probs_N_C = inference.probabilities(model, inputs, ids, job.params.batch_size, settings["precision"])
data = {"ids": ids, "probabilities": probs_N_C}
artifacts.write(job.output.pool_predictions, POOL_PREDICTIONS, job.origin, data)
print(f"{len(ids):,} images without a label")
