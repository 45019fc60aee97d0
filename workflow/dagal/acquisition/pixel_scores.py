"""Scores of images from those of their pixels, averaged (segmentation). All return (N,) float64; larger = query first."""

import numpy as np


def mean_pixel_least_confidence(pixel_least_confidence_N: np.ndarray) -> np.ndarray:
    """Mean over the pixels of 1 - max p."""
    return pixel_least_confidence_N.astype(np.float64)


def mean_pixel_margin(pixel_margin_N: np.ndarray) -> np.ndarray:
    """Mean over the pixels of the second largest probability minus the largest."""
    return pixel_margin_N.astype(np.float64)


def mean_pixel_entropy(pixel_entropy_N: np.ndarray) -> np.ndarray:
    """Mean over the pixels of the entropy (004, sec. 4.4), in nats."""
    return pixel_entropy_N.astype(np.float64)


def mean_pixel_dispersion(pixel_dispersion_N: np.ndarray) -> np.ndarray:
    """Mean over the pixels of their label-dispersion over the epochs of the training (000, eq. 2)."""
    return pixel_dispersion_N.astype(np.float64)


def mean_pixel_bald(pixel_bald_N: np.ndarray) -> np.ndarray:
    """Mean over the pixels of the mutual information over dropout draws, in nats."""
    return pixel_bald_N.astype(np.float64)
