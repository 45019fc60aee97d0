"""Residual networks of torchvision."""

from torch import nn

from dagal.errors import UserError
from dagal.learners.weights import load_backbone


def resnet(shape: tuple[int, int, int], settings: dict) -> tuple[nn.Module, int]:
    """torchvision ResNet; ``resnet18_cifar`` has the CIFAR stem (3 x 3 convolution, stride 1, no pooling).

    ``settings["weights"]``: local torchvision state dict or safetensors (its classifier head is ignored), or None.
    """
    from torchvision import models  # costs seconds; only this family needs it

    name = settings["architecture"]
    network = getattr(models, name.removesuffix("_cifar"))(weights=None)
    if name.endswith("_cifar"):
        network.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    elif shape[0] != 3:
        raise UserError(f"architecture {name} needs images of 3 channels, these have {shape[0]}: use mlp or lenet.")
    size = network.fc.in_features
    network.fc = nn.Identity()
    if settings["weights"]:
        load_backbone(network, settings["weights"])
    return network, size
