"""State indicators of SRAAL: how unlabeled a sample counts for the discriminator, from the learner's class probabilities.

Each takes ``probs_N_C`` and returns (N,) float64 in [0, 1]: 0 = as good as labeled, 1 = fully unlabeled. O(N C).
"""

import numpy as np

from dagal.acquisition.scores import entropy, least_confidence


def uncertainty_indicator(probs_N_C: np.ndarray) -> np.ndarray:
    """1 - MINVar / Var * max p (Zhang et al., CVPR 2020, SRAAL, eq. 3), shape (N,).

    MINVar is the variance of the vector with the same maximum m and (1 - m) / (C - 1) everywhere else (eq. 4, whose last
    denominator is misprinted), the least of all vectors with that maximum: (m - 1/C)^2 / (C - 1). What Var has beyond it is
    the spread of the others about their mean, summed here as such, so nothing cancels and a one-hot vector gives exactly 0. A vector
    uniform up to float32 rounding is 0/0 and takes the limit along the vectors of equal others, 1 - 1/C. Probabilities are
    rescaled to sum to 1.
    """
    probs_N_C = probs_N_C.astype(np.float64)
    probs_N_C = probs_N_C / probs_N_C.sum(1, keepdims=True)
    each, n_classes = np.arange(len(probs_N_C)), probs_N_C.shape[1]
    n_others = max(n_classes - 1, 1)
    max_N = probs_N_C.max(1)
    spread_N_C = (probs_N_C - ((1 - max_N) / n_others)[:, None]) ** 2
    spread_N_C[each, probs_N_C.argmax(1)] = 0
    excess_N = max_N - 1 / n_classes
    least_N = excess_N**2 * n_classes / n_others  # C * MINVar
    is_uniform_N = excess_N * n_classes <= 1e-6
    ratio_N = np.divide(least_N, least_N + spread_N_C.sum(1), out=np.ones_like(max_N), where=~is_uniform_N)
    return 1 - ratio_N * max_N


def normalised_entropy(probs_N_C: np.ndarray) -> np.ndarray:
    """Entropy of the probabilities over its largest value log C, shape (N,)."""
    return np.clip(entropy(probs_N_C) / np.log(max(probs_N_C.shape[1], 2)), 0, 1)


def standard_deviation(probs_N_C: np.ndarray) -> np.ndarray:
    """1 - standard deviation over the classes / that of a one-hot vector, shape (N,)."""
    n_classes = probs_N_C.shape[1]
    if n_classes == 1:
        return np.zeros(len(probs_N_C))
    return np.clip(1 - probs_N_C.astype(np.float64).std(1) * n_classes / np.sqrt(n_classes - 1), 0, 1)


def binary(probs_N_C: np.ndarray) -> np.ndarray:
    """1 for every sample, shape (N,): the plain unlabeled state of VAAL, SRAAL's ablation without the indicator."""
    return np.ones(len(probs_N_C))


INDICATORS = {
    "sraal": uncertainty_indicator,
    "entropy": normalised_entropy,
    "standard_deviation": standard_deviation,
    "least_confidence": least_confidence,
    "binary": binary,
}
