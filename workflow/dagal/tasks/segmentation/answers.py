"""What annotators give for images: a class for every pixel."""

import h5py
import numpy as np

from dagal import artifacts

BINS = 256  # values of a pixel: classes, and 255 for none


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int) -> dict[str, np.ndarray]:
    """``masks`` (n,H,W) uint8 of the images with the given ids, in their order, and ``pixels`` (n,C) of each class in them.

    Only the rows asked for leave the sealed truth; the simulated annotators of masks do not err.
    """
    masks = artifacts.rows(truth["masks"], ids)
    n_classes = len(artifacts.attribute(truth, "class_names"))
    pixels = [np.bincount(mask.ravel(), minlength=BINS)[:n_classes] for mask in masks]
    return {"masks": masks, "pixels": np.array(pixels, np.int64).reshape(len(masks), n_classes)}


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    return {name: np.concatenate([earlier[name], values]) for name, values in later.items()}
