"""Pseudo-labels: which unlabeled samples a classifier is trusted on. Positions are int64, ascending."""

import numpy as np

from dagal.acquisition.selection import top_k
from dagal.artifacts import Kind

PSEUDO_LABELS = Kind(
    "pseudo_labels",
    1,
    {
        "ids": "unlabeled ids that got a pseudo-label (n,), ascending",
        "labels": "class that the model gives to each (n,)",
        "uncertainty": "entropy in nats, or label-dispersion, for which each was trusted (n,)",
    },
)


def number(share: float, n_training: int) -> int:
    """Pseudo-labels of the two-model framework: a share of all training images, labeled or not (003 sec. 3.5)."""
    return round(share * n_training)


def most_certain(uncertainty_N: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The ``n`` samples of least uncertainty, ties at random (003 sec. 3.5: entropy or label-dispersion)."""
    return np.sort(top_k(-uncertainty_N, n, rng))


def below_threshold(entropy_N: np.ndarray, threshold: float, decay: float, cycle: int) -> np.ndarray:
    """The samples whose entropy (nats) is below ``threshold`` - ``decay`` x (cycle - 1) (CEAL, Wang et al. 2017, sec. III-B).

    The first pseudo-labels, those of cycle 1, are held against the full threshold.
    """
    return np.flatnonzero(entropy_N < threshold - decay * (cycle - 1))
