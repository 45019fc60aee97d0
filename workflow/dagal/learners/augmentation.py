"""Random augmentation of whole batches on the device: no per-image Python."""

import torch
from torch.nn.functional import pad as zero_pad


def random_crop_flip(images: torch.Tensor, settings: dict, generator: torch.Generator) -> torch.Tensor:
    """Zero-pad by ``pad``, crop at a random place to ``crop`` (default: the original size), flip with probability 1/2.

    Images (B,C,H,W). Random numbers come from a CPU generator, so they do not depend on the device.
    """
    batch, channels, height, width = images.shape
    crop_height, crop_width = (settings["crop"] or height), (settings["crop"] or width)
    padded = zero_pad(images, [settings["pad"]] * 4)
    top = torch.randint(padded.shape[2] - crop_height + 1, (batch,), generator=generator)
    left = torch.randint(padded.shape[3] - crop_width + 1, (batch,), generator=generator)
    rows_B_H = top[:, None] + torch.arange(crop_height)
    columns_B_W = left[:, None] + torch.arange(crop_width)
    if settings["flip"]:
        flipped = torch.rand(batch, generator=generator) < 0.5
        columns_B_W[flipped] = columns_B_W[flipped].flip(1)
    device = images.device
    return padded[
        torch.arange(batch, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[None, :, None, None],
        rows_B_H.to(device)[:, None, :, None],
        columns_B_W.to(device)[:, None, None, :],
    ]
