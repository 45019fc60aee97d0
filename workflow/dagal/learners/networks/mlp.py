"""Multi-layer perceptron."""

from torch import nn


def mlp(shape: tuple[int, int, int], settings: dict) -> tuple[nn.Module, int]:
    """Fully connected ReLU layers of ``hidden_units`` on the flattened image."""
    layers, size = [nn.Flatten()], shape[0] * shape[1] * shape[2]
    for units in settings["hidden_units"]:
        layers += [nn.Linear(size, units), nn.ReLU()]
        size = units
    return nn.Sequential(*layers), size
