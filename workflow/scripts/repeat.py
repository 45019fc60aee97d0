"""The model of a node trained once more, on the same labels from another initialisation and order -> its predictions on the test set."""

from job import start

from dagal import artifacts
from dagal.tasks.classification.signals import PREDICTIONS

job = start()

from dagal.learners import checkpoints, devices, inference, training  # noqa: E402  a chain that stopped needs no torch

settings, source, wildcards = job.params.learner, job.input, job.wildcards
device = devices.for_training(job.gpu, settings)
(test,) = artifacts.read(source.split, "split", "test")
purpose = (int(wildcards.cycle), "repeat", int(wildcards.repeat))
checkpoint = checkpoints.of(job, job.output.predictions, device)
model, _ = training.fit_node(source, settings, int(wildcards.seed), purpose, device, checkpoint=checkpoint)
with inference.inputs_of(source.inputs) as inputs:
    probs_N_C = inference.probabilities(model, inputs, test, settings["batch_size"] * 4, settings["precision"])
artifacts.write(job.output.predictions, PREDICTIONS, job.origin, {"ids": test, "probabilities": probs_N_C})
checkpoint.remove()
