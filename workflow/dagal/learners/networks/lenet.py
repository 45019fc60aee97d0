"""LeNet-5."""

import torch
from torch import nn


def lenet(shape: tuple[int, int, int], settings: dict) -> tuple[nn.Module, int]:
    """LeNet-5 with ReLU and max pooling (001); pads images under 32 pixels to 32 as LeCun et al. 1998 do."""
    channels, height, width = shape
    pad_h, pad_w = max(0, 32 - height), max(0, 32 - width)
    convolutions = nn.Sequential(
        nn.ZeroPad2d((pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2)),
        nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        flat = convolutions(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(convolutions, nn.Linear(flat, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()), 84
