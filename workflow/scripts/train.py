"""labeled.h5, and pseudo-labels where there are some -> model, its history, and its predictions on the test and validation sets."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.stopping import STOP_PREDICTIONS
from dagal.tasks.classification.signals import FOLLOWED, PREDICTIONS

job = start()

from dagal.learners import architectures, checkpoints, devices, inference, training  # noqa: E402  a chain that stopped needs no torch

settings, source = job.params.learner, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
device = devices.for_training(job.gpu, settings)
batch_size, precision = settings["batch_size"] * 4, settings["precision"]

held_out = np.concatenate(artifacts.read(source.split, "split", "test", "validation"))

checkpoint = checkpoints.of(job, job.output.model, device)
# what is recorded besides changes no model: a method that is added later makes no model train again (see trajectory.py)
asked_by = job.study.asked_by(job.study.at(vars(job.wildcards)).node)
read = {kind for method in asked_by for kind, _ in job.study.signals(method)}
if job.params.get("trajectory") is not None:  # a model that only gives pseudo-labels
    read = {"trajectory"} if job.params.trajectory else set()
follows = [kind for kind in FOLLOWED if kind in read]
if follows:
    ids = unlabeled(source.split, source.labeled)
    model, history = training.fit_following(source, settings, seed, cycle, device, ids, follows, checkpoint)
else:
    model, history = training.fit_node(source, settings, seed, (cycle,), device, checkpoint=checkpoint)
with inference.inputs_of(source.inputs) as inputs:
    shape = inference.shape_of(inputs)
    probs_N_C = inference.probabilities(model, inputs, held_out, batch_size, precision)
    if source.get("stop_set"):
        (stop_set,) = artifacts.read(source.stop_set, "stop_set", "ids")
        predicted = inference.probabilities(model, inputs, stop_set, batch_size, precision).argmax(1)
        data = {"ids": stop_set, "predicted": predicted}
        artifacts.write(job.output.stop_predictions, STOP_PREDICTIONS, job.origin, data)

architectures.save(job.output.model, model, settings, shape, job.origin)
artifacts.write(job.output.history, training.HISTORY, job.origin, history)
artifacts.write(job.output.predictions, PREDICTIONS, job.origin, {"ids": held_out, "probabilities": probs_N_C})
checkpoint.remove()
