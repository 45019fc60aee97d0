"""Random augmentation of whole batches on the device: no per-image Python."""

import torch
from torch.nn.functional import pad as zero_pad

from dagal.learners.devices import send
from dagal.learners.views import crop_boxes, resized_crop


def random_crop_flip(images: torch.Tensor, settings: dict, generator: torch.Generator) -> torch.Tensor:
    """Zero-pad by ``pad``, crop at a random place to ``crop`` (default: the original size), flip with probability 1/2.

    With ``resized_crop`` instead a crop of a share of the image between its two numbers, and of a ratio of the sides of 3/4 to 4/3, is
    stretched to the whole size (torchvision's RandomResizedCrop). Images (B,C,H,W) uint8. Random numbers come from a CPU generator, so they do not depend on the device.
    """
    batch, channels, height, width = images.shape
    if settings.get("resized_crop"):
        boxes_B_4 = crop_boxes(batch, height, width, settings["resized_crop"], generator)
        flipped_B = (torch.rand(batch, generator=generator) < 0.5) & settings["flip"]
        stretched = resized_crop(images.float(), send(boxes_B_4, images.device), send(flipped_B, images.device))
        return stretched.round().to(images.dtype)
    pad, crop_height, crop_width = settings["pad"], (settings["crop"] or height), (settings["crop"] or width)
    top_B = torch.randint(height + 2 * pad - crop_height + 1, (batch,), generator=generator)
    left_B = torch.randint(width + 2 * pad - crop_width + 1, (batch,), generator=generator)
    if not (settings["flip"] or pad or settings["crop"]):
        return images
    flipped_B = torch.rand(batch, generator=generator) < 0.5 if settings["flip"] else torch.zeros(batch)
    top_B, left_B, flipped_B = send(torch.stack([top_B, left_B, flipped_B.long()]), images.device)
    row, column, channel = (torch.arange(n, device=images.device) for n in (crop_height, crop_width, channels))
    rows_B_H = top_B[:, None] + row
    columns_B_W = left_B[:, None] + torch.where(flipped_B[:, None] > 0, crop_width - 1 - column, column)
    image_B = torch.arange(batch, device=images.device)
    # whole rows first: they are copied as blocks
    rows = zero_pad(images, [pad] * 4)[image_B[:, None, None], channel[:, None], rows_B_H[:, None]]
    return rows.gather(3, columns_B_W[:, None, None].expand(-1, channels, crop_height, -1))
