"""Class balance by hard predicted labels: the simple rival of class-balanced selection."""

import numpy as np

from dagal.acquisition.class_balanced import check_inputs


def pseudo_label(score_N: np.ndarray, probs_N_C: np.ndarray, required_C: np.ndarray, budget: int) -> np.ndarray:
    """The samples of highest score of every predicted class, as many as the class requires (thesis 003, sec. 4.5.2).

    ``score_N`` (N,): larger = query first. ``probs_N_C`` (N, C): softmax rows; the largest is the predicted class.
    ``required_C`` (C,): labels that each class lacks, see `dagal.balance.required_per_class`; scaled to sum to ``budget``
    and rounded by largest remainder. Where a class has too few predicted samples, or no class requires any, the highest
    scores of all that is left fill the budget. Returns positions (b,) int64 by descending score. Ties go to the lowest
    class and position. O(N (C + log N)).

    Raises UserError for the same inputs as `dagal.acquisition.class_balanced.class_balanced`.
    """
    score_N, probs_N_C, required_C = (np.asarray(a, np.float64) for a in (score_N, probs_N_C, required_C))
    check_inputs(score_N, probs_N_C, required_C, budget)
    quota_C = _largest_remainder(required_C, budget)
    by_score_N = np.argsort(-score_N, kind="stable")
    predicted_N = probs_N_C[by_score_N].argmax(1)
    is_in_N = np.zeros(len(score_N), bool)
    for c, quota in enumerate(quota_C):
        is_in_N[np.flatnonzero(predicted_N == c)[:quota]] = True
    is_in_N[np.flatnonzero(~is_in_N)[: budget - is_in_N.sum()]] = True
    return by_score_N[is_in_N]


def _largest_remainder(required_C: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers (C,) in proportion to the required ones that sum to ``total``; all 0 if nothing is required."""
    if not required_C.any():
        return np.zeros(len(required_C), np.int64)
    exact_C = required_C * (total / required_C.sum())
    whole_C = np.floor(exact_C).astype(np.int64)
    missing = total - whole_C.sum()
    whole_C[np.argsort(whole_C - exact_C, kind="stable")[:missing]] += 1
    return whole_C
