"""The class that a segmenter predicts for each pixel of its pool after each epoch, reduced to one number per image.

A file of masks per epoch lies beside the result until the training has ended: a byte per pixel before compression. Then blocks of
images are read from all of them, so that memory holds the trajectories of some images and of no pool.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from dagal import artifacts
from dagal.acquisition.scores import label_dispersion
from dagal.artifacts import Kind

EPOCH = Kind("epoch", 1, {"masks": "predicted class of each pixel of the unlabeled images (n,H,W)"})
BLOCK_BYTES = 128 << 20  # of trajectories that are in memory
BLOCK_PIXELS = 1 << 16  # whose epochs are counted at a time


def path_of(result: str | Path, epoch: int | str) -> Path:
    """The file of an epoch of the training whose result is a file."""
    return Path(result).with_suffix(f".epoch{epoch}.h5")


def remove(result: str | Path) -> None:
    """Remove the files of all epochs."""
    for path in Path(result).parent.glob(path_of(result, "*").name):
        path.unlink()


def store(path: Path, shape: tuple[int, int, int], classes: Iterable[torch.Tensor], origin: dict) -> None:
    """Write the classes (B,H,W) of each batch, of images (n,H,W) in all."""
    with artifacts.create(path, EPOCH, origin) as writer:
        masks, first = writer.dataset("masks", shape, np.uint8), 0
        for batch in classes:
            masks[first : first + len(batch)] = batch.cpu().numpy()
            first += len(batch)


def mean_dispersion(paths: list[Path], n_classes: int) -> np.ndarray:
    """Mean over the pixels of each image of their `label_dispersion` over these epochs, (n,) float64."""
    with artifacts.opened(paths[0], EPOCH) as file:
        n, *shape = file["masks"].shape
    n_pixels = int(np.prod(shape))
    block, found = max(1, BLOCK_BYTES // (len(paths) * n_pixels)), np.zeros(n)
    for first in range(0, n, block):
        trajectories_E_B_P = np.empty((len(paths), min(block, n - first), n_pixels), np.uint8)
        for epoch, path in enumerate(paths):
            with artifacts.opened(path, EPOCH) as file:
                trajectories_E_B_P[epoch] = file["masks"][first : first + block].reshape(-1, n_pixels)
        for image in range(trajectories_E_B_P.shape[1]):
            for start in range(0, n_pixels, BLOCK_PIXELS):
                trajectory_E_P = trajectories_E_B_P[:, image, start : start + BLOCK_PIXELS]
                found[first + image] += label_dispersion(trajectory_E_P, n_classes).sum() / n_pixels
    return found
