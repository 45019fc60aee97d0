"""Study statistics against numbers computed by hand or by brute force."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from dagal.balance import l1_score
from dagal.report.statistics import (
    accuracy_on_top,
    aubc,
    labels_saved,
    over_common_labels,
    paired_wilcoxon,
    random_method,
)

LABELS = [100, 200, 400]


def test_aubc_is_the_trapezoid_over_the_range():
    # (.5 + .7) / 2 * 100 + (.7 + .8) / 2 * 200 = 60 + 150 = 210, over 300
    assert aubc(LABELS, [0.5, 0.7, 0.8]) == pytest.approx(0.7)
    assert aubc([100, 200], [0.5, 0.7]) == pytest.approx(0.6)


def test_aubc_of_a_constant_and_of_one_point_is_the_accuracy():
    assert aubc(LABELS, [0.3] * 3) == pytest.approx(0.3)
    assert aubc([100], [0.4]) == 0.4


@pytest.mark.parametrize(
    ("labels", "accuracy"),
    [
        ([], []),
        ([1, 2], [0.1]),
        ([2, 1], [0.1, 0.2]),
        ([1, 1], [0.1, 0.2]),
        ([1, 2], [0.1, np.nan]),
        ([[1, 2]], [[0.1, 0.2]]),
    ],
)
def test_bad_curves_are_refused(labels, accuracy):
    with pytest.raises(ValueError):
        aubc(labels, accuracy)
    with pytest.raises(ValueError):
        labels_saved(labels, accuracy, [1, 2], [0.1, 0.2])
    with pytest.raises(ValueError):
        labels_saved([1, 2], [0.1, 0.2], labels, accuracy)


def test_labels_saved_interpolates():
    # the method passes .8 half-way between 200 (.7) and 400 (.9): 300 labels where random needs 400
    assert labels_saved(LABELS, [0.5, 0.7, 0.9], LABELS, [0.5, 0.6, 0.8]) == pytest.approx(100)


def test_labels_saved_is_negative_only_where_more_labels_are_needed():
    # method: .8 at 400 + 200 * (.8 - .7) / (.9 - .7) = 500, random: 400
    assert labels_saved([100, 400, 600], [0.5, 0.7, 0.9], LABELS, [0.5, 0.6, 0.8]) == pytest.approx(-100)


def test_labels_saved_is_nan_where_the_target_is_never_reached():
    assert np.isnan(labels_saved(LABELS, [0.5, 0.6, 0.79], LABELS, [0.5, 0.6, 0.8]))


def test_labels_saved_follows_the_running_maximum():
    # .8 is passed between 100 (.5) and 200 (.9), at 100 + 100 * .3 / .4 = 175; the later dip does not count
    assert labels_saved(LABELS, [0.5, 0.9, 0.6], LABELS, [0.5, 0.6, 0.8]) == pytest.approx(400 - 175)
    # a dip before the target: the running maximum .7, .7, .9 passes .8 at 300
    assert labels_saved([100, 200, 400], [0.7, 0.6, 0.9], LABELS, [0.5, 0.6, 0.8]) == pytest.approx(100)


@pytest.mark.parametrize("accuracy", [[0.5, 0.6, 0.8], [0.5, 0.9, 0.6], [0.9, 0.8, 0.7], [0.5, 0.5, 0.5]])
def test_a_curve_saves_nothing_against_itself(accuracy):
    assert labels_saved(LABELS, accuracy, LABELS, accuracy) == 0


def test_labels_saved_does_not_extrapolate_below_the_first_point():
    assert labels_saved([150, 250], [0.9, 0.95], LABELS, [0.5, 0.6, 0.8]) == 400 - 150


def test_wilcoxon_is_refused_below_six_seeds():
    assert np.isnan(paired_wilcoxon(np.arange(5) + 1.0, np.zeros(5)))
    assert np.isnan(paired_wilcoxon([], []))


def test_wilcoxon_by_hand():
    # all six positive: the two extreme ones of 2^6 sign patterns
    assert paired_wilcoxon(np.arange(6) + 1.0, np.zeros(6)) == pytest.approx(2 / 64)
    # ranks 1..6, the smallest negative: W = 1, and W <= 1 has two patterns on each side
    assert paired_wilcoxon([-1.0, 2, 3, 4, 5, 6], np.zeros(6)) == pytest.approx(4 / 64)


def brute_force_wilcoxon(difference):
    difference = np.array([d for d in difference if d != 0])
    rank = np.array(
        [(np.abs(difference) < a).sum() + ((np.abs(difference) == a).sum() + 1) / 2 for a in np.abs(difference)]
    )
    centre = rank.sum() / 2
    found = abs(rank[difference > 0].sum() - centre)
    patterns = itertools.product((0, 1), repeat=len(difference))
    return np.mean([abs(rank @ np.array(p) - centre) >= found - 1e-9 for p in patterns])


@pytest.mark.parametrize(
    "difference", [[1, 1, 2, 2, 3, 3], [1, 1, 1, -1, 2, 3, 3], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 1]]
)
def test_wilcoxon_is_exact_with_ties_and_zeros(difference):
    p = paired_wilcoxon(difference, np.zeros(len(difference)))
    assert p == pytest.approx(brute_force_wilcoxon(difference))
    assert p >= 2 / 2 ** np.count_nonzero(difference)


def test_wilcoxon_sees_equal_differences_as_tied():
    reference, points = np.array([0.84, 0.65, 0.32, 0.73, 0.64, 0.8, 0.62]), np.array([3, -1, 3, 1, 3, -1, -1])
    method = reference + 0.01 * points
    assert len(np.unique(np.abs(method - reference))) > 2  # by rounding
    assert paired_wilcoxon(method, reference) == pytest.approx(brute_force_wilcoxon(points))


def test_wilcoxon_without_differences_is_one_and_with_nan_is_nan():
    assert paired_wilcoxon(np.ones(6), np.ones(6)) == 1
    assert np.isnan(paired_wilcoxon([np.nan, 1, 2, 3, 4, 5], np.zeros(6)))
    with pytest.raises(ValueError):
        paired_wilcoxon(np.ones(6), np.ones(7))


def test_l1_score_by_hand():
    assert l1_score(np.array([5, 5])) == 0
    assert l1_score(np.array([10, 0, 0])) == pytest.approx(1)
    # n = 4, n/C = 2: (1 + 1) / (2 * 4 * 1/2) = .5
    assert l1_score(np.array([3, 1])) == pytest.approx(0.5)
    # n = 6, n/C = 2: (2 + 1 + 1) / (2 * 6 * 2/3) = .5
    assert l1_score(np.array([4, 1, 1])) == pytest.approx(0.5)
    assert l1_score([7]) == 0


@pytest.mark.parametrize("counts", [[], [0, 0], [0], [3, -1], [1, np.nan], [[1, 2]]])
def test_l1_score_refuses(counts):
    with pytest.raises(ValueError):
        l1_score(counts)


def brute_force_top(score, correct, k):
    """Mean accuracy of the first k over all orders that have the scores descending."""
    orders = [
        order
        for order in itertools.permutations(range(len(score)))
        if all(score[i] >= score[j] for i, j in itertools.pairwise(order))
    ]
    return np.mean([np.mean([correct[i] for i in order[:k]]) for order in orders])


@pytest.mark.parametrize(
    "score",
    [
        [1, 2, 3, 4, 5, 6],
        [0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 2],
        [3, 3, 1, 1, 1, 1],
        [-np.inf, 0, np.inf, np.inf, 0, 1],
    ],
)
def test_accuracy_on_top_is_the_mean_over_all_orders_of_the_ties(score):
    for correct in itertools.product((False, True), repeat=6):
        top = accuracy_on_top(np.array(score), np.array(correct), np.arange(1, 7) / 6)
        assert top == pytest.approx([brute_force_top(score, correct, k) for k in range(1, 7)])


def test_accuracy_on_top_does_not_depend_on_the_order_of_the_pool():
    rng = np.random.default_rng(0)
    score, correct, shares = rng.integers(0, 4, 50), rng.random(50) < 0.6, np.linspace(0, 1, 101)
    order = rng.permutation(50)
    top = accuracy_on_top(score, correct, shares)
    assert top == pytest.approx(accuracy_on_top(score[order], correct[order], shares), abs=1e-15)
    assert top[-1] == pytest.approx(correct.mean())


def test_accuracy_on_top_at_and_between_whole_samples():
    score, correct = np.array([4.0, 3, 2, 1]), np.array([False, True, True, False])
    # 1.5 samples hold .5 hits, 2.5 samples 1.5; share 0 is the best-scored sample
    assert accuracy_on_top(score, correct, [0, 1.5 / 4, 2.5 / 4]) == pytest.approx([0, 1 / 3, 0.6])
    oracle = accuracy_on_top(~correct, correct, [0, 0.25, 0.5, 1])
    assert oracle == pytest.approx([0, 0, 0, 0.5])
    constant = accuracy_on_top(np.zeros(4), correct, [0, 0.1, 0.5, 1])
    assert constant == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(
    ("score", "correct", "shares"),
    [([], [], [0.5]), ([1], [1, 0], [0.5]), ([np.nan], [1], [0.5]), ([1], [1], [1.5]), ([1], [1], [np.nan])],
)
def test_accuracy_on_top_refuses(score, correct, shares):
    with pytest.raises(ValueError):
        accuracy_on_top(score, correct, shares)


def test_no_pandas_and_no_plotting_is_imported():
    code = (
        "import dagal.report.statistics, dagal.balance, sys; "
        "assert not {'pandas', 'seaborn', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_curves_over_the_labels_that_both_have():
    """By hand: the longer curve is cut at 25 labels, halfway between .6 and .8."""
    short, long = ([10, 20, 25], [0.1, 0.5, 0.6]), ([10, 20, 30], [0.2, 0.6, 0.8])
    for first, second in (over_common_labels(short, long), over_common_labels(long, short)[::-1]):
        assert first[0].tolist() == second[0].tolist() == [10, 20, 25]
        assert first[1].tolist() == [0.1, 0.5, 0.6]
        assert second[1] == pytest.approx([0.2, 0.6, 0.7])
    same, other = over_common_labels(long, long)
    assert same[1].tolist() == other[1].tolist() == [0.2, 0.6, 0.8]
    at_once = over_common_labels(([10], [0.3]), long)
    assert [aubc(*curve) for curve in at_once] == [0.3, 0.2]
    with pytest.raises(ValueError, match="in common"):
        over_common_labels(([1, 2], [0, 0]), ([3, 4], [0, 0]))


def test_random_method_of_a_learner():
    learners = {"random_r": "a", "entropy": "a", "random": "a", "random_x": "b", "randomly": "c", "margin": "c"}
    assert [random_method(name, learners) for name in "abc"] == ["random", "random_x", None]
