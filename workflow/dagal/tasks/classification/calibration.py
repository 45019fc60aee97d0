"""What probabilities are worth: temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"), and folds."""

import numpy as np

FOLDS = 5
RANGE = (0.05, 20.0)  # of temperatures
TINY = 1e-12


def folds(labels_L: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fold (L,) of each label, 0 .. `FOLDS` - 1 or fewer; the sizes of the folds, and those of each class in them, differ by 1 at most."""
    n_folds = min(FOLDS, len(labels_L))
    shuffled = rng.permutation(len(labels_L))
    by_class = shuffled[np.argsort(labels_L[shuffled], kind="stable")]
    fold_L = np.empty(len(labels_L), np.int64)
    fold_L[by_class] = np.arange(len(labels_L)) % n_folds
    return fold_L


def temperature(probs_N_C: np.ndarray, labels_N: np.ndarray) -> float:
    """The temperature within `RANGE` at which the labels are most probable; 1 without labels."""
    from scipy.optimize import minimize_scalar

    if not len(labels_N):
        return 1.0

    def loss(log_temperature: float) -> float:
        found_N_C = tempered(probs_N_C, np.exp(log_temperature))
        return -np.log(np.maximum(found_N_C[np.arange(len(labels_N)), labels_N], TINY)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(RANGE), method="bounded").x))


def tempered(probs_N_C: np.ndarray, degree: float) -> np.ndarray:
    """Probabilities (N,C) of the logits divided by a temperature; the most probable class stays."""
    logits_N_C = np.log(np.maximum(probs_N_C.astype(np.float64), TINY)) / degree
    scaled_N_C = np.exp(logits_N_C - logits_N_C.max(1, keepdims=True))
    return scaled_N_C / scaled_N_C.sum(1, keepdims=True)
