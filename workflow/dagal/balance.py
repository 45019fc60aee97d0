"""Balance of the classes in a labeled set."""

import numpy as np


def l1_score(counts_C: np.ndarray) -> float:
    """Imbalance of a labeled set: ||counts - n/C||_1 / (2 n (C-1)/C), 0 = balanced .. 1 = one class only.

    ``counts_C`` holds the labels of each of the C classes (C,), classes without a label included as 0, n is
    their sum. C = 1 gives 0. Raises ValueError for counts that are negative, not finite, not 1-D or all zero.
    Source: class-balanced active learning, thesis 003, chapter 4.
    """
    counts_C = np.asarray(counts_C, dtype=np.float64)
    if counts_C.ndim != 1 or not np.isfinite(counts_C).all() or (counts_C < 0).any() or not counts_C.sum() > 0:
        raise ValueError(f"class counts must be 1-D, >= 0 and not all zero, found {counts_C.tolist()}")
    n, n_classes = counts_C.sum(), len(counts_C)
    if n_classes == 1:
        return 0.0
    return float(np.abs(counts_C - n / n_classes).sum() / (2 * n * (n_classes - 1) / n_classes))


def required_per_class(counts_C: np.ndarray, budget: int, initial: int, cycle: int) -> np.ndarray:
    """Labels that each class lacks for balance after a query: max((c b + b0) / C - n_i, 0), shape (C,) (003, eq. 4.4).

    ``counts_C``: labels of each class before the query; ``budget``: b; ``initial``: size b0 of the initial set; ``cycle``: c,
    1 for the first query (from a uniform initial set all classes then lack b / C). Raises ValueError for negative
    numbers and for a cycle below 1.
    """
    counts_C = np.asarray(counts_C, dtype=np.float64)
    if counts_C.ndim != 1 or not (counts_C >= 0).all() or min(budget, initial) < 0 or cycle < 1:
        raise ValueError(
            f"counts {counts_C.tolist()}, budget {budget} and initial {initial} must be >= 0 and cycle {cycle} >= 1"
        )
    return np.maximum((cycle * budget + initial) / len(counts_C) - counts_C, 0.0)
