"""The last layer of a node's model -> its weights and biases: what the model would say of any embedding."""

from job import start

from dagal import artifacts
from dagal.tasks.classification.signals import HEAD

job = start()

from dagal.learners import weights  # noqa: E402  a chain that stopped needs no torch

_, tensors = weights.read(job.input.model)
head = {"weights": tensors["head.weight"].numpy(), "biases": tensors["head.bias"].numpy()}
job.ready()
artifacts.write(job.output.head, HEAD, job.origin, head)
print("head: weights {}, biases {}".format(*(values.shape for values in head.values())))
