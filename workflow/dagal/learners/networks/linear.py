"""No network at all, for linear classifiers and support vector machines."""

from torch import nn


def linear(shape: tuple[int, int, int], settings: dict) -> tuple[nn.Module, int]:
    """Nothing before the head: the image or the features, flattened."""
    return nn.Flatten(), shape[0] * shape[1] * shape[2]
