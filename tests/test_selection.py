"""Selectors against brute force and scikit-activeml."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from dagal.acquisition.selection import kcenter_greedy, top_k


def generators(n):
    return map(np.random.default_rng, range(n))


def brute_force_kcenter(points, centers, budget):
    """Farthest-first from the full distance matrix in float64."""
    everything = np.concatenate([centers, points]).astype(np.float64)
    distance = cdist(everything, everything)
    taken, chosen = list(range(len(centers))), []
    for _ in range(budget):
        left = [i for i in range(len(centers), len(everything)) if i not in taken]
        best = max(left, key=lambda i: min((distance[i, j] for j in taken), default=np.inf))
        taken.append(best)
        chosen.append(best - len(centers))
    return chosen


def assert_greedy(points, centers, chosen):
    """Every choice was, up to rounding, as far from what was taken before as the farthest one left."""
    taken = centers.astype(np.float64)
    left = np.ones(len(points), bool)
    for position in chosen:
        if len(taken):
            gap = cdist(points.astype(np.float64), taken).min(1)
            assert gap[position] >= gap[left].max() - 1e-2
        left[position] = False
        taken = np.concatenate([taken, points[[position]].astype(np.float64)])


@pytest.mark.parametrize("budget", [0, 1, 3, 6])
def test_top_k_takes_the_best_first(budget):
    score = np.array([0.1, 0.9, -5.0, 0.5, 1e9, 0.0])
    for rng in generators(5):
        chosen = top_k(score, budget, rng)
        assert chosen.dtype == np.int64
        assert chosen.tolist() == [4, 1, 3, 0, 5, 2][:budget]


def test_top_k_equals_sorting():
    rng = np.random.default_rng(0)
    score = rng.normal(size=1000)
    np.testing.assert_array_equal(top_k(score, 100, rng), np.argsort(score)[::-1][:100])


@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_top_k_sorts_ties_by_the_numbers_of_its_generator(levels):
    score = np.random.default_rng(levels).integers(0, levels, 50).astype(float)
    for budget in (0, 1, 20, 49, 50):
        expected = np.lexsort((np.random.default_rng(7).random(50), -score))[:budget]
        np.testing.assert_array_equal(top_k(score, budget, np.random.default_rng(7)), expected)


def test_top_k_draws_among_ties_and_only_among_them():
    score = np.array([1, 0, 2, 1, 1, 0, 1], np.float64)
    score[1] = -0.0  # entropy gives both zeros
    times = np.zeros(7, int)
    for rng in generators(400):
        chosen = top_k(score, 3, rng)
        assert chosen[0] == 2
        assert len(np.unique(chosen)) == 3
        times[chosen] += 1
    assert times[[1, 2, 5]].tolist() == [0, 400, 0]
    assert (abs(times[[0, 3, 4, 6]] - 200) < 50).all()  # 2 of 4: standard deviation 10
    lowest = {top_k(score, 7, rng)[-1] for rng in generators(50)}
    assert lowest == {1, 5}


def test_top_k_of_equal_scores_reaches_every_order():
    orders = {tuple(top_k(np.full(3, 0.5), 3, rng)) for rng in generators(200)}
    assert len(orders) == 6


def test_kcenter_by_hand():
    points = np.array([[1, 0], [10, 0], [4, 0], [9, 0], [0, 3]], np.float32)
    origin = np.zeros((1, 2), np.float32)
    # farthest from 0 is 10, then 4 (4 away from 0), then (0, 3), then 1 and 9 tie at 1: lowest position first
    assert kcenter_greedy(points, origin, 5).tolist() == [1, 2, 4, 0, 3]


@pytest.mark.parametrize("seed", range(60))
def test_kcenter_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    n, n_centers, dim = rng.integers(1, 25), rng.integers(0, 6), rng.integers(1, 6)
    budget = int(rng.integers(1, n + 1))
    shift = rng.choice([0, 100])
    points, centers = ((rng.normal(size=(k, dim)) + shift).astype(np.float32) for k in (n, n_centers))
    chosen = kcenter_greedy(points, centers, budget)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == brute_force_kcenter(points, centers, budget)


def test_kcenter_agrees_with_scikit_activeml():
    from skactiveml.pool import CoreSet

    rng = np.random.default_rng(0)
    points, centers = (rng.normal(size=(n, 8)).astype(np.float32) for n in (300, 10))
    theirs = CoreSet(random_state=0).query(X=centers, y=np.zeros(10), candidates=points, batch_size=40)
    assert kcenter_greedy(points, centers, 40).tolist() == theirs.tolist()


def test_kcenter_without_centers_starts_at_the_first():
    points = np.array([[5.0], [0.0], [9.0], [6.0]], np.float32)
    assert kcenter_greedy(points, np.empty((0, 1), np.float32), 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("n_centers", [0, 3])
def test_kcenter_never_picks_twice_even_among_duplicates(n_centers):
    points = np.repeat(np.random.default_rng(0).normal(size=(4, 5)), 6, axis=0).astype(np.float32)
    centers = points[:n_centers]  # a labeled twin
    chosen = kcenter_greedy(points, centers, len(points))
    assert sorted(chosen) == list(range(len(points)))
    distinct = 4 - (n_centers > 0)
    assert len(set(chosen[:distinct] // 6)) == distinct  # one of each new group before any twin
    if n_centers:
        assert 0 not in chosen[:distinct] // 6
    assert_greedy(points, centers, chosen)


@pytest.mark.parametrize("seed", range(10))
def test_kcenter_on_a_grid_full_of_ties_stays_greedy(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, size=(40, 2)).astype(np.float32)
    chosen = kcenter_greedy(points, points[:2], 40)
    assert sorted(chosen) == list(range(40))
    assert_greedy(points, points[:2], chosen)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_kcenter_takes_any_float_and_leaves_its_input_alone(dtype):
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(50, 4)).astype(dtype), rng.normal(size=(5, 4)).astype(dtype)
    before = points.copy()
    assert kcenter_greedy(points, centers, 20).tolist() == brute_force_kcenter(points, centers, 20)
    np.testing.assert_array_equal(points, before)
