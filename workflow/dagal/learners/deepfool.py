"""DeepFool: how far an image is from being classified otherwise."""

from collections.abc import Callable

import torch

from dagal.artifacts import Kind

BOUNDARY = Kind(
    "boundary",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "distance": "L2 norm of the smallest change of intensities that changes the predicted class (n,), in 0..255",
    },
)


def deepfool_distance(
    logits_fn: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    n_classes: int,
    max_iterations: int = 50,
    overshoot: float = 0.02,
) -> torch.Tensor:
    """L2 norm (B,) of the smallest perturbation found that changes the predicted class, in units of the network's input.

    DFAL queries the smallest (Ducoffe & Precioso 2018), so its score is minus this. Exact for affine classifiers: the
    overshoot is left out. Where nothing moves an image it is the largest finite number, so that scores stay finite and
    the image comes last. See `deepfool_perturbation`.
    """
    perturbations = deepfool_perturbation(logits_fn, images, n_classes, max_iterations, overshoot)
    return perturbations.flatten(1).norm(dim=1).clamp(max=torch.finfo(images.dtype).max)


def deepfool_perturbation(
    logits_fn: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    n_classes: int,
    max_iterations: int = 50,
    overshoot: float = 0.02,
) -> torch.Tensor:
    """r (B, ...), such that images + (1 + overshoot) r is classified otherwise (Moosavi-Dezfooli et al. 2016, alg. 2).

    ``logits_fn`` maps images (B, ...) to logits (B, C), each by itself: a network in eval mode. An iteration steps to the
    nearest boundary between the first class and another, all linearised where the image has got to; an image is done
    when its class changes. It keeps its last r when the iterations are used up or the gradients vanish on the way; r is
    infinite where they vanish from the start, for nothing then moves the image. ``n_classes`` classes are looked at, the
    most probable ones of each image: all, or fewer to save time (10 in the authors' code).

    An iteration takes two forward and ``n_classes`` backward passes of the images not done yet, in the memory of one
    backward pass and some six batches of images.
    """
    total = torch.zeros_like(images)
    if len(images) == 0:
        return total
    with torch.no_grad():
        classes = logits_fn(images).topk(n_classes, dim=1).indices
    active = torch.arange(len(images), device=images.device)
    for iteration in range(max_iterations):
        step, length = step_to_boundary(logits_fn, images[active] + (1 + overshoot) * total[active], classes[active])
        total[active] += step
        if iteration == 0:
            total[length.isinf()] = torch.inf
        active = active[length.isfinite() & (length > 0)]
        with torch.no_grad():
            logits = logits_fn(images[active] + (1 + overshoot) * total[active])
        is_changed = logits.amax(1) > logits.gather(1, classes[active, :1])[:, 0]
        active = active[~is_changed]
        if len(active) == 0:
            break
    return total


@torch.enable_grad()
def step_to_boundary(
    logits_fn: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The shortest step to a linearised boundary of the first of ``classes`` (B, K) with another, and its length (B,).

    The step is 0 and the length infinite where no gradient leads to a boundary.
    """
    images = images.detach().requires_grad_()
    logits = logits_fn(images).gather(1, classes)

    def gradient(rank: int) -> torch.Tensor:
        return torch.autograd.grad(logits[:, rank].sum(), images, retain_graph=True)[0]

    first, gaps = gradient(0), (logits[:, :1] - logits).detach().abs()
    step, length = torch.zeros_like(first), torch.full_like(gaps[:, 0], torch.inf)
    for rank in range(1, classes.shape[1]):
        normal = gradient(rank) - first
        norm = normal.flatten(1).norm(dim=1)
        distance = torch.where(norm > 0, gaps[:, rank] / norm, torch.inf)
        is_nearer = distance < length
        length = torch.where(is_nearer, distance, length)
        shape = (-1, *[1] * (images.dim() - 1))
        step = torch.where(is_nearer.view(shape), normal * (distance / norm).view(shape), step)
    return step, length
