"""SGD and Adam steps by torch's own fused kernels, and the learning rate as a function of the epoch.

`torch.optim` gives the same numbers (tests compare them) but imports the compiler at its first use: 3 s in every
training job, more than a small network needs to train.
"""

import math
from collections.abc import Callable

import torch


def learning_rate(optimizer: dict, schedule: dict, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch counted from 0: constant, times gamma after each milestone, or cosine down to 0."""
    if schedule["name"] == "cosine":
        return optimizer["lr"] * (1 + math.cos(math.pi * epoch / epochs)) / 2
    passed = sum(epoch >= milestone for milestone in schedule["milestones"]) if schedule["name"] == "multi_step" else 0
    return optimizer["lr"] * schedule["gamma"] ** passed


def stepper(
    parameters: list[torch.Tensor], settings: dict, momenta: list[torch.Tensor] | None = None
) -> Callable[[float], None]:
    """``step(lr)``: update the parameters in place from their gradients, then drop the gradients.

    ``momenta``: buffers of the momentum of sgd, zeros at the start, for whoever has to store them.
    """
    decay = settings["weight_decay"]
    if settings["name"] == "sgd":
        if momenta is None:
            momenta = [torch.zeros_like(p) for p in parameters]
        if not settings["momentum"]:
            momenta = []

        def update(gradients, lr):
            torch._fused_sgd_(
                parameters, gradients, momenta, weight_decay=decay, momentum=settings["momentum"], lr=lr,
                dampening=0.0, nesterov=settings["nesterov"], maximize=False, is_first_step=False,
            )  # fmt: skip

    else:
        means, squares = [torch.zeros_like(p) for p in parameters], [torch.zeros_like(p) for p in parameters]
        steps = [torch.zeros((), device=p.device) for p in parameters]

        def update(gradients, lr):
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                parameters, gradients, means, squares, [], steps, lr=lr, beta1=0.9, beta2=0.999, weight_decay=decay,
                eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip

    @torch.no_grad()
    def step(lr: float) -> None:
        update([p.grad for p in parameters], lr)
        for parameter in parameters:
            parameter.grad = None

    return step
