"""FixMatch (Sohn et al., NeurIPS 2020): what a learner is sure of on a weakly augmented image, it learns on a strong one."""

import torch
from torch.nn.functional import cross_entropy

from dagal.learners.augmentation import random_crop_flip
from dagal.learners.views import uniform


def consistency_loss(weak_B_C: torch.Tensor, strong_B_C: torch.Tensor, threshold: float):
    """Mean over the batch of [max p >= threshold] H(argmax p, strong), p = softmax(weak) (eq. 4), and the share that counts.

    Logits (B,C) of the weakly and the strongly augmented images. No gradient passes through the pseudo-labels.
    """
    confidence_B, label_B = torch.softmax(weak_B_C.detach().float(), 1).max(1)
    sure_B = (confidence_B >= threshold).float()
    return (cross_entropy(strong_B_C.float(), label_B, reduction="none") * sure_B).mean(), sure_B.mean()


def strong_augmentation(images: torch.Tensor, settings: dict, generator: torch.Generator) -> torch.Tensor:
    """Shift, brightness, contrast and cutout of uint8 images (B,C,H,W), random per image; the CPU generator makes them.

    As `random_crop_flip` with a padding of at least 1/8 of the side; contrast times 0.5 to 1.5 about the image's mean;
    brightness up to 1/4 of the range lighter or darker; a square of up to half the side, anywhere, set to the mean.
    """
    pad = max(settings["pad"], images.shape[2] // 8)
    images = random_crop_flip(images, settings | {"pad": pad}, generator)
    batch, _, height, width = images.shape

    def drawn(low, high):
        return uniform(low, high, (batch,), generator).to(images.device)[:, None, None, None]

    contrast, shift, side = drawn(0.5, 1.5), drawn(-64, 64), drawn(0, max(height, width) / 2)
    middle_row, middle_column = drawn(0, height), drawn(0, width)
    rows = torch.arange(height, device=images.device)[None, None, :, None] + 0.5
    columns = torch.arange(width, device=images.device)[None, None, None, :] + 0.5
    cut = ((rows - middle_row).abs() < side / 2) & ((columns - middle_column).abs() < side / 2)
    mean = images.float().mean((1, 2, 3), keepdim=True)
    changed = torch.where(cut, mean, (images - mean) * contrast + mean + shift)
    return changed.round().clamp(0, 255).to(torch.uint8)
