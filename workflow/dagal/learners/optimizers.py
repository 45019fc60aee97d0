"""SGD and Adam steps by torch's own fused kernels, and the learning rate as a function of the epoch.

`torch.optim` gives the same numbers up to rounding (tests compare them) but imports the compiler at its first use: 3 s in
every training job, more than a small network needs to train. The kernels are private: a torch without them gets `torch.optim`.
"""

import math
from collections.abc import Callable, Iterable

import torch

from dagal.errors import UserError

FUSED = {"sgd": "_fused_sgd_", "adam": "_fused_adam_"}  # kernel of torch behind each optimizer
ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}
Step = Callable[[float], None]  # moves parameters by their gradients, at a learning rate


def learning_rate(optimizer: dict, schedule: dict, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch counted from 0: constant, times gamma after each milestone, or down to 0 as a cosine or a power."""
    if schedule["name"] == "poly":
        return optimizer["lr"] * (1 - epoch / epochs) ** 0.9
    if schedule["name"] == "cosine":
        return optimizer["lr"] * (1 + math.cos(math.pi * epoch / epochs)) / 2
    passed = sum(epoch >= milestone for milestone in schedule["milestones"]) if schedule["name"] == "multi_step" else 0
    return optimizer["lr"] * schedule["gamma"] ** passed


def check_finite(values: Iterable[float], when: str, key: str, parameters: Iterable[torch.Tensor] = ()) -> None:
    """Raise UserError where a training has diverged: ``values`` (its losses) or ``parameters`` are no finite numbers.

    ``when``: the epoch or step; ``key``: the setting to lower, and what it is now.
    """
    values, finite = list(values), [torch.isfinite(p).all() for p in parameters]
    if not all(map(math.isfinite, values)) or (finite and not all(torch.stack(finite).tolist())):
        losses = " ".join(f"{value:g}" for value in values)
        raise UserError(f"training diverged in {when} (loss {losses}): lower {key}, or scale the data.")


def stepper(parameters: list[torch.Tensor], settings: dict, state: list[torch.Tensor] | None = None) -> Step:
    """``step(lr)``: update the parameters in place from their gradients, then drop the gradients.

    ``state``: a list to which the tensors are added that change with the steps, for whoever has to store them.
    """
    names = {"sgd": ("momentum_buffer",) if settings.get("momentum") else (), "adam": ("exp_avg", "exp_avg_sq")}
    buffers = {name: [torch.zeros_like(p) for p in parameters] for name in names[settings["name"]]}
    # the kernels read a count for every parameter, on its device; torch.optim has it on the CPU
    is_fused = hasattr(torch, FUSED[settings["name"]])
    count = torch.zeros(len(parameters), device=parameters[0].device if is_fused else "cpu")
    update = (fused if is_fused else unfused)(parameters, settings, buffers, count)
    if state is not None:
        state += [count, *(tensor for tensors in buffers.values() for tensor in tensors)]

    @torch.no_grad()
    def step(lr: float) -> None:
        update(lr)
        for parameter in parameters:
            parameter.grad = None

    return step


def fused(parameters: list[torch.Tensor], settings: dict, buffers: dict, count: torch.Tensor) -> Step:
    """Steps by the fused kernels; ``buffers``: tensors of each parameter by torch's names, ``count`` (P,): steps so far."""
    decay = settings["weight_decay"]
    if settings["name"] == "sgd":
        momenta = buffers.get("momentum_buffer", [])

        def update(lr):
            torch._fused_sgd_(
                parameters, [p.grad for p in parameters], momenta, weight_decay=decay, momentum=settings["momentum"], lr=lr,
                dampening=0.0, nesterov=settings["nesterov"], maximize=False, is_first_step=False,
            )  # fmt: skip

        return update

    means, squares = buffers["exp_avg"], buffers["exp_avg_sq"]
    steps, (beta1, beta2) = list(count.unbind()), ADAM["betas"]

    def update(lr):
        count.add_(1)
        torch._fused_adam_(
            parameters, [p.grad for p in parameters], means, squares, [], steps, lr=lr, beta1=beta1, beta2=beta2,
            weight_decay=decay, eps=ADAM["eps"], amsgrad=False, maximize=False,
        )  # fmt: skip

    return update


def unfused(parameters: list[torch.Tensor], settings: dict, buffers: dict, count: torch.Tensor) -> Step:
    """Steps by `torch.optim`, with the buffers and counts of `fused`."""
    decay = settings["weight_decay"]
    if settings["name"] == "adam":
        optimizer = torch.optim.Adam(parameters, weight_decay=decay, **ADAM)
    else:
        nesterov = settings["nesterov"] and settings["momentum"] > 0  # torch.optim refuses the one without the other
        optimizer = torch.optim.SGD(
            parameters, lr=0.0, momentum=settings["momentum"], weight_decay=decay, nesterov=nesterov
        )
    for place, parameter in enumerate(parameters):
        optimizer.state[parameter] = {name: tensors[place] for name, tensors in buffers.items()} | {
            "step": count[place]
        }

    def update(lr):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()

    return update
