"""Numbers that sum up a study: area under the budget curve, labels saved, significance, informativeness."""

import warnings

import numpy as np

# With n pairs a two-sided signed-rank test cannot give less than 2 / 2^n, which is above .05 for n < 6.
MIN_SEEDS = 6

# methods that others are compared with, the first that a study has
REFERENCES = ("random", "random_r")


def is_random(name: str) -> bool:
    """Whether a method is called ``random`` or ``random_...``, as those are that others are compared with."""
    return (name + "_").startswith("random_")


def random_method(learner: str, learners: dict[str, str]) -> str | None:
    """The random method of a learner: ``random``, or the first other that `is_random`; None if it has none.

    ``learners``: method -> its learner.
    """
    own = [name for name, other in learners.items() if other == learner and is_random(name)]
    return "random" if "random" in own else next(iter(own), None)


def random_of(method: str, learners: dict[str, str]) -> str | None:
    """The random method that a method is compared with: that of its learner, else the first of `REFERENCES` that there is."""
    return random_method(learners[method], learners) or next((name for name in REFERENCES if name in learners), None)


def _curve(labels_K, accuracy_K) -> tuple[np.ndarray, np.ndarray]:
    labels_K, accuracy_K = np.asarray(labels_K, np.float64), np.asarray(accuracy_K, np.float64)
    if labels_K.ndim != 1 or labels_K.shape != accuracy_K.shape or len(labels_K) == 0:
        raise ValueError(
            f"a curve needs as many labels as accuracies, found shapes {labels_K.shape}, {accuracy_K.shape}"
        )
    if not (np.isfinite(labels_K).all() and np.isfinite(accuracy_K).all() and (np.diff(labels_K) > 0).all()):
        raise ValueError("a curve needs finite values and strictly increasing numbers of labels")
    return labels_K, accuracy_K


def aubc(labels_K: np.ndarray, accuracy_K: np.ndarray) -> float:
    """Area under the budget curve: trapezoid over the label range divided by it, so an average accuracy.

    ``labels_K`` number of labels after each cycle (K,), strictly increasing; ``accuracy_K`` the accuracy
    there (K,). A single point has no range: its accuracy is returned (the limit). Comparable only between
    curves over the same labels. Raises ValueError for empty, unequal, not finite or not increasing input: the
    cycles that a stopped chain only passes through repeat a number of labels and are to be dropped before.
    """
    labels_K, accuracy_K = _curve(labels_K, accuracy_K)
    if len(labels_K) == 1:
        return float(accuracy_K[0])
    return float(np.trapezoid(accuracy_K, labels_K) / (labels_K[-1] - labels_K[0]))


def over_common_labels(curve: tuple, other: tuple) -> tuple[tuple, tuple]:
    """Two curves (labels, accuracy) cut to the range of labels that both have, linear between cycles.

    For curves of chains that stopped at different cycles. Raises ValueError as `aubc`, and if the ranges do not meet.
    """
    curves = _curve(*curve), _curve(*other)
    low, high = max(labels_K[0] for labels_K, _ in curves), min(labels_K[-1] for labels_K, _ in curves)
    if low > high:
        raise ValueError(
            f"the curves have no number of labels in common: one ends at {high}, the other starts at {low}"
        )
    ranges = [np.unique([low, high, *labels_K[(labels_K > low) & (labels_K < high)]]) for labels_K, _ in curves]
    return tuple((cut_K, np.interp(cut_K, *curve)) for cut_K, curve in zip(ranges, curves, strict=True))


def labels_needed(labels_K: np.ndarray, accuracy_K: np.ndarray, target: float) -> float:
    """Labels at which the running maximum of the accuracy, linear between cycles, reaches ``target``; nan if it never does.

    ``labels_K`` (K,) strictly increasing, ``accuracy_K`` (K,). A curve that is there at its first point needs that many labels.
    Raises ValueError as `aubc`.
    """
    labels_K, accuracy_K = _curve(labels_K, accuracy_K)
    best_K = np.maximum.accumulate(accuracy_K)
    if best_K[-1] < target:
        return np.nan
    k = int(np.argmax(best_K >= target))
    if k == 0:
        return float(labels_K[0])
    share = (target - best_K[k - 1]) / (best_K[k] - best_K[k - 1])
    return float(labels_K[k - 1] + share * (labels_K[k] - labels_K[k - 1]))


def labels_saved(
    labels_K: np.ndarray,
    accuracy_K: np.ndarray,
    reference_labels_K: np.ndarray,
    reference_accuracy_K: np.ndarray,
) -> float:
    """How many labels fewer than the reference (random) a method needs for the reference's final accuracy.

    labels the reference needs - labels the method needs, where a curve needs the smallest number of labels at
    which its running maximum, linear between cycles, reaches the last value of ``reference_accuracy_K``. Both
    curves are read in the same way, so a curve saves nothing against itself, even where it peaks before its
    end. Positive: labels saved; negative: the method needs more; nan: the method never gets there. Nothing is
    extrapolated: a method that is there at its first point needs that many labels, and the true saving may be
    larger.

    ``labels_K``, ``accuracy_K``: the method's curve (K,), labels strictly increasing; ``reference_*``: the
    reference's, which may have another K. Raises ValueError as `aubc`. Source: paper 000, section 4.2
    ("equivalent to annotating 4000 samples less").
    """
    labels_K, accuracy_K = _curve(labels_K, accuracy_K)
    reference_labels_K, reference_accuracy_K = _curve(reference_labels_K, reference_accuracy_K)
    target = reference_accuracy_K[-1]
    reference_need = labels_needed(reference_labels_K, reference_accuracy_K, target)
    return float(reference_need - labels_needed(labels_K, accuracy_K, target))


def paired_wilcoxon(method_S: np.ndarray, reference_S: np.ndarray) -> float:
    """p-value of the two-sided Wilcoxon signed-rank test of a method against a reference, paired by seed.

    ``method_S``, ``reference_S``: one number per seed (S,), same seeds in the same order. Seeds without a
    difference are left out (Wilcoxon's own rule); all equal gives 1. Below `MIN_SEEDS` = 6 seeds p < .05 is
    impossible whatever the data, so the test is refused: nan. Also nan if any value is. Raises ValueError for
    unequal or not 1-D input. The p-values of many methods are not corrected for multiple comparisons.
    """
    method_S, reference_S = np.asarray(method_S, np.float64), np.asarray(reference_S, np.float64)
    if method_S.ndim != 1 or method_S.shape != reference_S.shape:
        raise ValueError(f"one value per seed is needed from both, found {method_S.shape}, {reference_S.shape}")
    if len(method_S) < MIN_SEEDS or not np.isfinite(method_S - reference_S).all():
        return np.nan
    # .71 - .70 and .61 - .60 differ by rounding in the 17th digit; the ranks must see them as tied
    difference_S = np.round(method_S - reference_S, 12)
    difference_S = difference_S[difference_S != 0]
    if len(difference_S) == 0:
        return 1.0
    from scipy import stats  # costs as much as the rest of a light job

    # exact: SciPy counts all sign patterns up to 13 seeds with ties, 50 without
    return float(stats.wilcoxon(difference_S).pvalue)


def knn_accuracy(
    neighbour_labels_Q_k: np.ndarray, similarities_Q_k: np.ndarray, labels_Q: np.ndarray, temperature: float = 0.1
) -> float:
    """Share of the queries whose class gets the most votes of their neighbours, each weighing exp(similarity / temperature).

    Ties go to the smaller class. Source: Wu et al. 2018 (sec. 3.4), the monitor of SimSiam (fig. 2).
    """
    n_classes = int(max(neighbour_labels_Q_k.max(), labels_Q.max())) + 1
    weights_Q_k = np.exp((similarities_Q_k - 1) / temperature)
    votes_Q_C = np.stack([(weights_Q_k * (neighbour_labels_Q_k == c)).sum(1) for c in range(n_classes)], 1)
    return float(np.mean(votes_Q_C.argmax(1) == labels_Q))


def accuracy_on_top(score_N: np.ndarray, correct_N: np.ndarray, shares_K: np.ndarray) -> np.ndarray:
    """Accuracy of a model on the highest-scored shares of a pool (K,): its informativeness, lower is better.

    ``score_N``: acquisition score (N,), larger = query first, -inf and inf allowed; ``correct_N``: whether
    the model is right (N,), bool; ``shares_K``: shares of the pool in 0..1 (K,), any order.

    Samples of equal score count as drawn at random: the value is the expectation over all orders that agree
    with the scores. With m samples taken from a group of equal scores, its expected number of hits is m times
    the group's accuracy, so the expected hits are linear in the number taken within a group, and the curve
    does not depend on the order of the input. A share that is not a whole number of samples is interpolated
    along the same line (hits, not accuracy); share 0 is the limit, the accuracy of the highest group.

    Raises ValueError for an empty pool, unequal lengths, nan scores or shares outside 0..1.
    Source: paper 000, sec. 3.2 and Fig. 3.
    """
    score_N, shares_K = np.asarray(score_N, np.float64), np.asarray(shares_K, np.float64)
    correct_N = np.asarray(correct_N, np.float64)
    if score_N.ndim != 1 or score_N.shape != correct_N.shape or len(score_N) == 0:
        raise ValueError(f"one score and one hit per sample are needed, found {score_N.shape}, {correct_N.shape}")
    if np.isnan(score_N).any() or not ((shares_K >= 0) & (shares_K <= 1)).all():
        raise ValueError("scores must not be nan and shares must be within 0..1")
    _, group_N, size_G = np.unique(-score_N, return_inverse=True, return_counts=True)
    hits_G = np.bincount(group_N, weights=correct_N)
    taken_K = shares_K * len(score_N)
    hits_K = np.interp(taken_K, np.r_[0, np.cumsum(size_G)], np.r_[0, np.cumsum(hits_G)])
    return np.where(taken_K > 0, hits_K / np.where(taken_K > 0, taken_K, 1), hits_G[0] / size_G[0])


def break_even(labels_K: np.ndarray, accuracy_K: np.ndarray, reference_K: np.ndarray, shared: int = 0) -> float:
    """Number of labels at which a method's curve overtakes the reference (random) for good; nan if it never does.

    From there to the end of the study the method is strictly better at every measured number of labels; between two of them
    both curves are straight. Ahead from the start on, it is the first number of labels at which the two can differ: the first
    ``shared`` points are of models that both have in common, so there is nothing to compare.

    ``labels_K``: strictly increasing; ``accuracy_K``, ``reference_K``: accuracy of both there (K,), means over the seeds. Raises
    ValueError as `aubc`. Source: thesis 003, sec. 5.6.
    """
    labels_K, accuracy_K = _curve(labels_K, accuracy_K)
    _, reference_K = _curve(labels_K, reference_K)
    labels_K = labels_K[shared:]
    gain_K = np.round(accuracy_K - reference_K, 12)[shared:]  # equal means of seeds may differ by rounding
    if not len(gain_K) or gain_K[-1] <= 0:
        return np.nan
    behind = np.flatnonzero(gain_K <= 0)
    if len(behind) == 0:
        return float(labels_K[0])
    k = behind[-1]
    share = -gain_K[k] / (gain_K[k + 1] - gain_K[k])
    return float(labels_K[k] + share * (labels_K[k + 1] - labels_K[k]))


def speed(labels_N: np.ndarray, accuracy_N: np.ndarray, ceiling: float) -> tuple[float, float, float]:
    """a, beta and the standard error of beta of the least-squares fit y = ceiling - a exp(-beta (x - x0)): how fast a method learns.

    ``labels_N``, ``accuracy_N``: the points of all seeds (N,), any order; x0 the smallest number of labels; ``ceiling`` the accuracy
    with all labels. Beta is per label; its standard error is the root of its entry in the covariance of the fit. Nan where nothing can
    be fitted. Raises ValueError for fewer than 3 points.
    """
    from scipy import optimize

    labels_N, accuracy_N = np.asarray(labels_N, np.float64), np.asarray(accuracy_N, np.float64)
    if len(labels_N) < 3:
        raise ValueError(f"3 points are needed to fit two numbers and their error, found {len(labels_N)}")
    first, extent = labels_N.min(), np.ptp(labels_N)
    if extent == 0:
        return np.nan, np.nan, np.nan
    start = ceiling - accuracy_N[labels_N == first].mean(), 1.0

    def curve(x, a, beta):
        return ceiling - a * np.exp(-beta * x)

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", optimize.OptimizeWarning)  # no covariance: the error is infinite
            (a, beta), covariance = optimize.curve_fit(curve, (labels_N - first) / extent, accuracy_N, start)
    except RuntimeError:  # no minimum was found
        return np.nan, np.nan, np.nan
    return float(a), float(beta / extent), float(np.sqrt(covariance[1, 1]) / extent)
