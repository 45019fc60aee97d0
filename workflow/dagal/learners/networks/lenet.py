"""LeNet-5."""

import torch
from torch import nn


def lenet(shape: tuple[int, int, int], settings: dict) -> tuple[nn.Module, int]:
    """LeNet-5 with ReLU and max pooling (001); pads images under 32 pixels to 32 as LeCun et al. 1998 do.

    The maximum of a window passes through ReLU, which is the maximum of its ReLUs, with channels last in memory: 1.5 times as
    fast on a CPU as the other way round with channels first (benchmarks/trainer.py).
    """
    channels, height, width = shape
    pad_h, pad_w = max(0, 32 - height), max(0, 32 - width)
    convolutions = nn.Sequential(
        nn.ZeroPad2d((pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2)),
        nn.Conv2d(channels, 6, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    with torch.no_grad():
        flat = convolutions(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(convolutions, nn.Linear(flat, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()), 84
