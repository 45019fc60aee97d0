"""Scores of images, or of regions of them, from those of their pixels, averaged (segmentation). All return (N,) float64; larger = query first."""

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


def mean_pixel_ratio(pixel_ratio_N: np.ndarray) -> np.ndarray:
    """Best versus second best: mean over the pixels of the second largest probability by the largest (Cai et al. 2021)."""
    return pixel_ratio_N.astype(np.float64)


def class_balanced_ratio(pixel_ratio_N: np.ndarray, dominant_N: np.ndarray, n_classes: int) -> np.ndarray:
    """Best versus second best times exp(-share of the candidates with the same dominant class) (Cai et al. 2021)."""
    share_C = np.bincount(dominant_N, minlength=n_classes) / len(dominant_N)
    return pixel_ratio_N * np.exp(-share_C[dominant_N])


def mean_pixel_impurity(pixel_impurity_N: np.ndarray) -> np.ndarray:
    """RIPU: mean over the pixels of the impurity of the predicted classes around each, times the uncertainty there (Xie et al. 2022)."""
    return pixel_impurity_N.astype(np.float64)
