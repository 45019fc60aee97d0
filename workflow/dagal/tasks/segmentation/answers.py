"""What annotators give for images: a class for every pixel."""

import h5py
import numpy as np

from dagal import artifacts

BINS = 256  # values of a pixel: classes, and 255 for none


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int) -> dict:
    """``masks`` (n,H,W) uint8 of the images with the given ids, in their order, and ``pixels`` (n,C) of each class in them.

    The masks are `artifacts.Rows`, never all in memory. Only the rows asked for leave the sealed truth; the simulated annotators of masks do not err.
    """
    masks = artifacts.Rows((truth["masks"], ids))
    n_classes = len(artifacts.attribute(truth, "class_names"))
    pixels = [np.bincount(mask.ravel(), minlength=BINS)[:n_classes] for block in masks.blocks() for mask in block]
    return {"masks": masks, "pixels": np.array(pixels, np.int64).reshape(len(ids), n_classes)}


def append(earlier: dict, later: dict) -> dict:
    """Earlier answers followed by later ones."""
    pixels = np.concatenate([earlier["pixels"], later["pixels"]])
    return {"masks": artifacts.joined(earlier["masks"], later["masks"]), "pixels": pixels}
