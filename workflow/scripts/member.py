"""One further member of a deep ensemble: the learner trained again from another initialisation and order."""

from job import start

job = start()

from dagal.learners import architectures, checkpoints, devices, inference, training  # noqa: E402  a chain that stopped needs no torch

settings, source, wildcards = job.params.learner, job.input, job.wildcards
device = devices.for_training(job.gpu, settings)
job.ready()
purpose = (int(wildcards.cycle), "member", int(wildcards.member))
checkpoint = checkpoints.of(job, job.output.model, device)
model, _ = training.fit_node(source, settings, int(wildcards.seed), purpose, device, checkpoint=checkpoint)
with inference.inputs_of(source.inputs) as inputs:
    shape = inference.shape_of(inputs)
architectures.save(job.output.model, model, settings, shape, job.origin)
checkpoint.remove()
