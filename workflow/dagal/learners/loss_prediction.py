"""Loss prediction: a small head on a learner's intermediate features that predicts, or ranks, the learner's own loss."""

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from dagal.errors import UserError


class LossPrediction(nn.Module):
    """Predicted loss (B,) from features (B,c,h,w) or (B,c), one per tap (Yoo & Kweon, CVPR 2019, sec. 3.2, LL4AL).

    Every feature: global average pooling, linear layer of ``width`` units, ReLU; concatenated; linear layer to one number.
    """

    def __init__(self, sizes: list[int], width: int = 128):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(size, width), nn.ReLU()) for size in sizes)
        self.head = nn.Linear(width * len(sizes), 1)

    def forward(self, features: list[torch.Tensor], detach: bool = False) -> torch.Tensor:
        """``detach`` keeps the head's gradient out of the network that made the features."""
        if detach:
            features = [feature.detach() for feature in features]
        pooled = [feature.flatten(2).mean(2) if feature.ndim > 2 else feature for feature in features]
        parts = [branch(feature.float()) for branch, feature in zip(self.branches, pooled, strict=True)]
        return self.head(torch.cat(parts, 1))[:, 0]


def taps(model: nn.Module) -> list[nn.Module]:
    """The modules of a classifier or segmenter whose outputs the head reads.

    A segmenter names them. ResNet: its four stages; otherwise every ReLU, or the max pooling right after it. Raises UserError if
    there is none.
    """
    if hasattr(model, "tapped"):
        return [model.trunk.get_submodule(name) for name in model.tapped]
    if hasattr(model.backbone, "layer4"):
        return [getattr(model.backbone, f"layer{stage}") for stage in (1, 2, 3, 4)]
    leaves = [module for module in model.backbone.modules() if not any(module.children())]
    following = [*leaves[1:], None]
    found = [
        after if isinstance(after, nn.MaxPool2d) else leaf
        for leaf, after in zip(leaves, following, strict=True)
        if isinstance(leaf, nn.ReLU)
    ]
    if not found:
        raise UserError("loss prediction reads hidden layers and this learner has none: give hidden_units.")
    return found


def with_features(
    model: Callable, modules: list[nn.Module], images: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits (B,C,...) of uint8 images and the outputs of ``modules`` in the same pass, in the order of ``modules``."""
    outputs = {}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, at=at: outputs.__setitem__(at, output))
        for at, module in enumerate(modules)
    ]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, [outputs[at] for at in range(len(modules))]


def attach(model: nn.Module, shape: tuple[int, int, int], width: int = 128) -> tuple[LossPrediction, list[nn.Module]]:
    """A fresh head for a classifier or segmenter of images of ``shape`` (C,H,W), on its device, and the modules it reads.

    Draws from torch's current random state; the model is left as it was (batch-norm statistics too).
    """
    modules, training = taps(model), model.training
    with torch.no_grad():
        image = torch.zeros(1, *shape, dtype=torch.uint8, device=model.channel_mean.device)
        _, features = with_features(model.eval(), modules, image)
    model.train(training)
    return LossPrediction([feature.shape[1] for feature in features], width).to(image.device), modules


def stopped(settings: dict, epoch: int, epochs: int) -> str | None:
    """What has stopped by an epoch, counted from 0 (see `dagal.learners.training.fit`): "backbone", "head", "both", or nothing yet."""
    if epoch < settings["share"] * epochs:
        return None
    return settings.get("stops") or {"margin": "backbone", "ranking": "both"}[settings["loss"]]


def pair_differences(values_B: torch.Tensor) -> torch.Tensor:
    """v_i - v_(i + B//2) for i < B//2, shape (B//2,): one partner for each, the odd one out is left alone."""
    half = len(values_B) // 2
    return values_B[:half] - values_B[half : 2 * half]


def margin_loss(predicted_B: torch.Tensor, actual_B: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """Mean over the pairs of max(0, -sign(l_i - l_j) (lhat_i - lhat_j) + margin) (LL4AL, eq. 2); 0 without a pair.

    The actual losses carry no gradient. A pair of equal losses costs ``margin`` and teaches nothing.
    """
    sign = torch.sign(pair_differences(actual_B.detach()))
    costs = torch.relu(margin - sign * pair_differences(predicted_B))
    return costs.sum() / max(len(costs), 1)


def ranking_loss(predicted_B: torch.Tensor, actual_B: torch.Tensor) -> torch.Tensor:
    """Mean over the pairs of -[I log s(d) + (1 - I) log(1 - s(d))], d = lhat_i - lhat_j, I = [l_i > l_j]; 0 without a pair.

    Kim et al., CVPR 2021, TA-VAAL, eq. 1, with s the sigmoid: a ranking without a margin. The actual losses carry no
    gradient.
    """
    larger = (pair_differences(actual_B.detach()) > 0).float()
    costs = binary_cross_entropy_with_logits(pair_differences(predicted_B), larger, reduction="none")
    return costs.sum() / max(len(costs), 1)


# name in the settings -> (those settings) -> the loss of predicted and actual losses (B,)
PAIR_LOSSES = {
    "margin": lambda settings: functools.partial(margin_loss, margin=settings["margin"]),
    "ranking": lambda settings: ranking_loss,
}
