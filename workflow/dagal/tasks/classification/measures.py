"""How good predicted classes are."""

import numpy as np

from dagal.balance import l1_score


def measured(
    predicted_N: np.ndarray, truth_N: np.ndarray, is_test_N: np.ndarray, labels_L: np.ndarray, class_names: list[str]
) -> dict:
    """Measures of predicted classes (N,) of test images and of validation images, and of the labeled set; None where there is nothing."""
    n_classes, correct_N = len(class_names), predicted_N == truth_N
    in_class_C = np.bincount(truth_N[is_test_N], minlength=n_classes)
    right_C = np.bincount(truth_N[is_test_N], correct_N[is_test_N], minlength=n_classes)
    accuracy_C = [float(right / n) if n else None for right, n in zip(right_C, in_class_C, strict=True)]
    known = [accuracy for accuracy in accuracy_C if accuracy is not None]
    labels_C = np.bincount(labels_L, minlength=n_classes)
    return {
        "accuracy": float(correct_N[is_test_N].mean()) if is_test_N.any() else None,
        "balanced_accuracy": float(np.mean(known)) if known else None,
        "validation_accuracy": float(correct_N[~is_test_N].mean()) if not is_test_N.all() else None,
        "l1_score": float(l1_score(labels_C)),
        "class_names": class_names,
        "accuracy_per_class": accuracy_C,
        "labels_per_class": labels_C.tolist(),
    }


def in_common(before: list[np.ndarray], now: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Classes (n,) that two models predict for the images that both saw; each is ids (N,), ascending, and probabilities (N,C)."""
    _, first, second = np.intersect1d(before[0], now[0], return_indices=True)
    return before[1].argmax(1)[first], now[1].argmax(1)[second]
