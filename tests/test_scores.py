"""Scores against numbers computed by hand, brute-force loops, and scikit-activeml."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chi2

from dagal.acquisition import distances, frame_scores, scores
from dagal.acquisition.indicators import INDICATORS
from dagal.acquisition.selection import top_k

LOG2 = math.log(2)
FLOATS = [np.float16, np.float32, np.float64]


def some_probs(*shape, n_classes=10, seed=0):
    """Peaked distributions, some of them with exact zeros."""
    probs = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.3), shape)
    probs[probs < 1e-3] = 0
    return probs / probs.sum(-1, keepdims=True)


def naive_entropy(p):
    return -sum(float(x) * math.log(x) for x in p if x > 0)


def naive_bald(draws_T_C):
    return naive_entropy(np.mean(draws_T_C, 0)) - np.mean([naive_entropy(p) for p in draws_T_C])


def naive_margin(p):
    second, first = sorted(map(float, p))[-2:]
    return second - first


def naive_dispersion(predicted_E):
    return 1 - max(list(predicted_E).count(c) for c in predicted_E) / len(predicted_E)


# probabilities that float16 holds exactly
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("probs", "least_confidence", "margin", "entropy"),
    [
        ([1, 0, 0, 0], 0, -1, 0),
        ([0, 0, 1, 0], 0, -1, 0),
        ([0.5, 0, 0.5, 0], 0.5, 0, LOG2),
        ([0.25, 0.25, 0.25, 0.25], 0.75, 0, 2 * LOG2),
        ([0.5, 0.125, 0.25, 0.125], 0.5, -0.25, 1.75 * LOG2),
        ([0.125, 0.75, 0.125, 0], 0.25, -0.625, 0.75 * LOG2 + 0.75 * math.log(4 / 3)),
    ],
)
def test_uncertainty_by_hand(probs, least_confidence, margin, entropy, dtype):
    probs = np.array([probs], dtype)
    assert scores.least_confidence(probs).tolist() == [least_confidence]
    assert scores.margin(probs).tolist() == [margin]
    np.testing.assert_allclose(scores.entropy(probs), [entropy], rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("score", "naive"),
    [
        (scores.least_confidence, lambda p: 1 - float(max(p))),
        (scores.margin, naive_margin),
        (scores.entropy, naive_entropy),
    ],
)
def test_uncertainty_by_brute_force(score, naive, dtype):
    probs = some_probs(300).astype(dtype)
    assert (probs == 0).any()
    before = probs.copy()
    found = score(probs)
    np.testing.assert_allclose(found, [naive(p) for p in probs], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(probs, before)


@pytest.mark.parametrize(
    ("score", "method", "offset"),
    [
        ("least_confidence", "least_confident", 0),
        ("margin", "margin_sampling", -1),
        ("entropy", "entropy", 0),
    ],
)
def test_uncertainty_agrees_with_scikit_activeml(score, method, offset):
    from skactiveml.pool import uncertainty_scores

    probs = some_probs(500)
    theirs = uncertainty_scores(probs, method=method) + offset
    np.testing.assert_allclose(getattr(scores, score)(probs), theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_single_class_scores_as_with_another_that_nobody_expects(dtype):
    alone, beside_another = np.ones((4, 1), dtype), np.tile(np.array([1, 0], dtype), (4, 1))
    assert scores.margin(alone).tolist() == [-1] * 4
    for score in (
        scores.least_confidence, scores.margin, scores.entropy, lambda p: scores.bald(np.stack([p, p])),
        lambda p: scores.variation_ratio(np.stack([p, p])), lambda p: scores.mean_std(np.stack([p, p])),
        lambda p: scores.gradient_norm(p, np.ones((4, 2))), lambda p: scores.misclassified(p, np.zeros(4)),
        *INDICATORS.values(), lambda p: frame_scores.summed_margin(p, np.array([0, 0, 1, 1]), 2),
        lambda p: frame_scores.mean_least_confidence(p, np.array([0, 0, 1, 1]), 2),
        lambda p: frame_scores.mean_entropy(p, np.array([0, 0, 1, 1]), 2),
    ):  # fmt: skip
        found = score(alone)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, score(beside_another))


def test_bald_by_hand():
    draws = np.array(
        [  # (T=2, N=5, C=2)
            [[1, 0], [1, 0], [0.5, 0.5], [0.75, 0.25], [0.5, 0.5]],
            [[1, 0], [0, 1], [0.5, 0.5], [0.25, 0.75], [1.0, 0.0]],
        ]
    )
    quarter = naive_entropy([0.25, 0.75])
    expected = [0, LOG2, 0, LOG2 - quarter, quarter - LOG2 / 2]
    np.testing.assert_allclose(scores.bald(draws), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_bald_of_draws_that_are_certain_of_different_classes_is_the_log_of_their_number(n_classes):
    draws = np.eye(n_classes, dtype=np.float32)[:, None, :]  # draw t says class t
    np.testing.assert_allclose(scores.bald(draws), [math.log(n_classes)], rtol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_draws", [1, 3, 7, 50])
def test_bald_of_identical_draws_is_0_and_never_below(n_draws, dtype):
    found = scores.bald(np.stack([some_probs(500).astype(dtype)] * n_draws))
    assert (found >= 0).all()
    np.testing.assert_allclose(found, 0, atol=1e-14)  # float16 sums would be off by 1e-4


@pytest.mark.parametrize("dtype", FLOATS)
def test_bald_by_brute_force(dtype):
    draws = some_probs(20, 100).astype(dtype)
    wide = draws.astype(np.float64)
    expected = [naive_bald(wide[:, i]) for i in range(100)]
    np.testing.assert_allclose(scores.bald(draws), expected, rtol=1e-10, atol=1e-14)


def test_bald_agrees_with_scikit_activeml():
    from skactiveml.pool import batch_bald

    draws = some_probs(20, 200)
    theirs = batch_bald(draws.copy(), batch_size=1)[0]  # its first step is BALD; clips at 1e-7
    np.testing.assert_allclose(scores.bald(draws), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("trajectory", "expected"),
    [
        ([2], 0),  # one epoch
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 1], 0.25),
        ([1, 0, 0, 1], 0.5),  # a tie for the modal class
        ([3, 2, 1, 0], 0.75),
        ([3, 3, 2, 3, 0], 0.4),
    ],
)
@pytest.mark.parametrize("n_classes", [4, 100])  # most of 100 are never predicted
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_label_dispersion_by_hand(trajectory, expected, n_classes, dtype):
    found = scores.label_dispersion(np.array(trajectory, dtype)[:, None], n_classes)
    np.testing.assert_allclose(found, [expected], rtol=1e-15)


def test_label_dispersion_by_brute_force_and_scikit_activeml():
    from skactiveml.pool import variation_ratios

    rng = np.random.default_rng(0)
    trajectory = np.minimum(rng.geometric(0.4, size=(30, 200)) - 1, 7)
    found = scores.label_dispersion(trajectory, 10)
    np.testing.assert_allclose(found, [naive_dispersion(column) for column in trajectory.T], rtol=1e-12)
    np.testing.assert_allclose(found, variation_ratios(trajectory.T), rtol=1e-12)


def test_misclassified_by_hand():
    probs = np.array([[0.6, 0.4, 0], [0.1, 0.2, 0.7], [0.1, 0.2, 0.7], [0, 1, 0]])
    assert scores.misclassified(probs, np.array([0, 2, 1, 0])).tolist() == [0, 0, 1, 1]


def chi_square(score, n=20, size=5, repeats=2000):
    """Statistic (n - 1 degrees of freedom) of how often top-k of a score takes each of n candidates."""
    times = np.zeros(n)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        chosen = top_k(score(n, rng), size, rng)
        assert len(np.unique(chosen)) == size  # without replacement
        times[chosen] += 1
    expected = repeats * size / n
    return ((times - expected) ** 2 / expected).sum() * (n - 1) / (n - size)


def test_random_is_a_uniform_draw_without_replacement():
    bound = chi2.isf(1e-3, 19)
    assert chi_square(scores.random) < bound
    # the bound is sharp enough to see a score that favours some candidates slightly
    assert chi_square(lambda n, rng: scores.random(n, rng) + np.linspace(0, 0.1, n)) > bound


def test_random_scores_have_no_ties_and_depend_on_the_generator_only():
    first, again, other = (scores.random(10_000, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert len(np.unique(first)) == 10_000
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_distance_to_labeled_by_hand():
    points = np.array([[0, 0], [3, 4], [6, 8], [0, 1]], np.float32)
    np.testing.assert_allclose(scores.distance_to_labeled(points, points[:1]), [0, 5, 10, 1], rtol=1e-6)
    np.testing.assert_allclose(scores.distance_to_labeled(points, points[[0, 2]]), [0, 5, 0, 1], atol=1e-5)
    assert scores.distance_to_labeled(points, points[:0]).tolist() == [np.inf] * 4


@pytest.mark.parametrize("few", [0, 1 << 30], ids=["pruned", "plain"])
@pytest.mark.parametrize(
    ("dtype", "offset"),
    [
        (np.float16, 0),
        (np.float16, 50),
        (np.float32, 0),
        (np.float32, 100),
        (np.float32, 1e4),  # |x|^2 = 2e9: without a shift, rounding alone is 100 times a squared distance
        (np.float64, 0),
        (np.float64, 1e4),
        (np.float64, 1e8),  # more than float32 resolves: to be shifted before it is narrowed
    ],
)
def test_distance_to_labeled_equals_the_full_matrix(dtype, offset, few, monkeypatch):
    monkeypatch.setattr(distances, "FEW", few)
    rng = np.random.default_rng(0)
    points, centers = ((rng.normal(size=(n, 20)) + offset).astype(dtype) for n in (101, 40))
    centers[:5] = points[[0, 7, 7, 50, 100]]
    before = points.copy(), centers.copy()
    found = scores.distance_to_labeled(points, centers)
    expected = cdist(points.astype(np.float64), centers.astype(np.float64)).min(1)
    duplicates = [0, 7, 50, 100]
    np.testing.assert_array_equal(found[duplicates], 0)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_array_equal(points, before[0])
    np.testing.assert_array_equal(centers, before[1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 9])
def test_every_score_is_float64_and_one_number_per_candidate(n, dtype):
    probs, draws = some_probs(n).astype(dtype), some_probs(4, n).astype(dtype)
    embeddings, centers = np.ones((n, 3), dtype), np.zeros((2, 3), dtype)
    every = {
        "random": scores.random(n, np.random.default_rng(0)),
        "least_confidence": scores.least_confidence(probs),
        "margin": scores.margin(probs),
        "entropy": scores.entropy(probs),
        "bald": scores.bald(draws),
        "label_dispersion": scores.label_dispersion(draws.argmax(2), 10),
        "distance_to_labeled": scores.distance_to_labeled(embeddings, centers),
        "misclassified": scores.misclassified(probs, np.zeros(n, np.int64)),
    }
    for name, score in every.items():
        assert (score.dtype, score.shape) == (np.float64, (n,)), name
        assert np.isfinite(score).all(), name


def repeated(classes_T, n_classes=4):
    """Draws (T, 1, C) that are certain of these classes."""
    return np.eye(n_classes)[list(classes_T)][:, None]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [([2], 0), ([1, 1, 1, 1], 0), ([0, 0, 0, 1], 0.25), ([1, 0, 0, 1], 0.5), ([3, 2, 1, 0], 0.75), ([3, 3, 2, 3, 0], 0.4)],
)  # fmt: skip
def test_variation_ratio_by_hand(classes, expected):
    np.testing.assert_allclose(scores.variation_ratio(repeated(classes)), [expected], rtol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_variation_ratio_by_brute_force_and_scikit_activeml(dtype):
    from skactiveml.pool import variation_ratios

    draws = some_probs(20, 200).astype(dtype)
    found = scores.variation_ratio(draws)
    votes_N_T = draws.argmax(2).T
    np.testing.assert_allclose(found, [naive_dispersion(votes) for votes in votes_N_T], rtol=1e-12)
    np.testing.assert_allclose(found, variation_ratios(votes_N_T), rtol=1e-12)


def test_mean_std_by_hand():
    draws = np.array([[[1, 0], [0.75, 0.25], [0.5, 0.5]], [[0, 1], [0.25, 0.75], [0.5, 0.5]]])  # (T=2, N=3, C=2)
    np.testing.assert_allclose(scores.mean_std(draws), [0.5, 0.25, 0], rtol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_mean_std_by_brute_force(dtype):
    draws = some_probs(20, 100).astype(dtype)
    found = scores.mean_std(draws)
    np.testing.assert_allclose(found, draws.astype(np.float64).std(0).mean(1), rtol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("score", [scores.variation_ratio, scores.mean_std])
@pytest.mark.parametrize("n", [0, 1, 9])
def test_scores_of_draws_are_float64_and_0_where_the_draws_agree(n, score, dtype):
    draws = np.stack([some_probs(n).astype(dtype)] * 7)
    found = score(draws)
    assert (found.dtype, found.shape) == (np.float64, (n,))
    np.testing.assert_allclose(found, 0, atol=1e-15)
    assert (found >= 0).all()
