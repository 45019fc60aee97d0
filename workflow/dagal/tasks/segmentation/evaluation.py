"""Intersection over union by a confusion matrix."""

import numpy as np

BINS = 256


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Pixels (C,C) int64 of each true class (rows) that were given each class (columns), of arrays of one shape, uint8.

    Pixels without true class do not count.
    """
    known = truth < n_classes
    pairs = truth[known].astype(np.int64) * n_classes + predicted[known]
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def intersection_over_union(confusion_C_C: np.ndarray) -> np.ndarray:
    """IoU (C,) of each class; NaN of one that is neither there nor predicted."""
    right_C = np.diag(confusion_C_C)
    union_C = confusion_C_C.sum(0) + confusion_C_C.sum(1) - right_C
    return np.divide(right_C, union_C, out=np.full(len(right_C), np.nan), where=union_C > 0)
