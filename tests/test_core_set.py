"""Core-set selection against every possible selection of small problems."""

from itertools import combinations

import numpy as np
import pytest

from dagal.acquisition import core_set as module
from dagal.acquisition.core_set import Cover, core_set
from dagal.acquisition.kcenter import kcenter_greedy, radius
from dagal.errors import UserError


def best_radius(points, centers, budget, n_outliers):
    points, centers = points.astype(np.float64), centers.astype(np.float64)
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    labeled = ((points[:, None] - centers[None]) ** 2).sum(-1).min(1, initial=np.inf)
    best = np.inf
    for chosen in combinations(range(len(points)), budget):
        reached = np.sort(np.minimum(labeled, squared[:, list(chosen)].min(1, initial=np.inf)))[::-1]
        best = min(best, reached[n_outliers] if n_outliers < len(points) else 0)
    return np.sqrt(best)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, n_centers, dim = rng.integers(1, 13), rng.integers(0, 4), rng.integers(1, 4)
    everything = [
        lambda: rng.normal(size=(n + n_centers, dim)),
        lambda: rng.integers(0, 4, (n + n_centers, dim)),
        lambda: rng.normal(size=(5, dim))[rng.integers(0, 5, n + n_centers)],
    ][seed % 3]().astype(np.float32)
    budget, fraction = int(rng.integers(0, min(n, 4) + 1)), rng.choice([0, 0.1, 0.3])
    return everything[n_centers:], everything[:n_centers], budget, fraction


def check(selection, points, centers, budget, fraction):
    n_outliers = int(fraction * len(points))
    assert selection.positions.dtype == np.int64
    assert len(set(selection.positions.tolist())) == len(selection.positions) == budget
    assert selection.radius == radius(points, centers, selection.positions, n_outliers)
    greedy = kcenter_greedy(points, centers, budget)
    assert selection.greedy_radius == radius(points, centers, greedy, n_outliers)
    assert selection.lower_bound <= selection.radius <= selection.greedy_radius


@pytest.mark.parametrize("seed", range(120))
def test_small_problems_reach_the_optimum(seed):
    points, centers, budget, fraction = problem(seed)
    selection = core_set(points, centers, budget, outlier_fraction=fraction)
    check(selection, points, centers, budget, fraction)
    assert selection.radius == best_radius(points, centers, budget, int(fraction * len(points)))
    assert selection.lower_bound == selection.radius
    assert not selection.timed_out


@pytest.mark.parametrize("seed", range(140))
@pytest.mark.parametrize("max_rows", [2, 100])
def test_under_limits_the_bounds_hold(seed, max_rows, monkeypatch):
    monkeypatch.setattr(module, "ROW_BLOCK", 1)
    monkeypatch.setattr(module, "COLUMN_BLOCK", 3)
    monkeypatch.setattr(module, "MAX_ROWS", max_rows)
    points, centers, budget, fraction = problem(seed)
    optimum = best_radius(points, centers, budget, int(fraction * len(points)))
    for max_pairs in 1, 4, 9, 16, 30:
        selection = core_set(points, centers, budget, outlier_fraction=fraction, max_pairs=max_pairs)
        check(selection, points, centers, budget, fraction)
        assert selection.lower_bound <= optimum <= selection.radius


def test_improves_on_greedy_and_comes_farthest_first():
    # greedy takes both ends of the line
    points = np.arange(10, dtype=np.float32)[:, None]
    selection = core_set(points, points[:0], 2, outlier_fraction=0)
    assert selection.radius == 2
    assert selection.greedy_radius == 4
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(400, 2)).astype(np.float32), rng.normal(size=(10, 2)).astype(np.float32)
    selection = core_set(points, centers, 15, outlier_fraction=0)
    check(selection, points, centers, 15, 0)
    assert selection.radius < 0.95 * selection.greedy_radius
    assert selection.lower_bound == selection.radius
    order = kcenter_greedy(points[np.sort(selection.positions)], centers, 15)
    assert np.sort(selection.positions)[order].tolist() == selection.positions.tolist()


def test_outliers_are_ignored():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)).astype(np.float32)
    points[:4] += 1000 * np.eye(4, 3, dtype=np.float32) + 500
    with_outliers = core_set(points, points[10:20], 6, outlier_fraction=0)
    without = core_set(points, points[10:20], 6, outlier_fraction=0.02)
    assert without.radius < with_outliers.radius
    assert not set(without.positions) & set(range(4))
    check(without, points, points[10:20], 6, 0.02)


def test_the_same_every_time():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 8)).astype(np.float32)
    first, second = (core_set(points, points[:10], 20, outlier_fraction=0.01) for _ in range(2))
    assert first.positions.tolist() == second.positions.tolist()
    assert (first.radius, first.lower_bound) == (second.radius, second.lower_bound)


def test_a_net_of_a_crowded_pool_still_improves():
    rng = np.random.default_rng(0)
    points = rng.random((3000, 2)).astype(np.float32)
    selection = core_set(points, points[:3], 12, outlier_fraction=0, max_pairs=40_000)
    check(selection, points, points[:3], 12, 0)
    assert selection.radius < selection.greedy_radius


def test_limits_fall_back_to_greedy(monkeypatch):
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(200, 4)), rng.normal(size=(5, 4))
    late = core_set(points, centers, 10, time_limit=1e-9)
    assert late.timed_out
    assert late.radius == late.greedy_radius
    assert late.positions.tolist() == kcenter_greedy(points, centers, 10).tolist()
    monkeypatch.setattr(Cover, "solve", lambda *_: (None, "nodes"))
    given_up = core_set(points, centers, 10)
    assert (given_up.timed_out, given_up.radius) == (False, given_up.greedy_radius)
    assert 0 < given_up.lower_bound < given_up.radius


@pytest.mark.parametrize("budget", [0, 5])
def test_a_pool_of_one_point(budget):
    points = np.ones((5, 2), np.float32)
    selection = core_set(points, points[:1], budget)
    assert selection.positions.tolist() == list(range(budget))
    assert (selection.radius, selection.lower_bound) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 7}, "the budget is 7, outside 0 to 6"),
        ({"outlier_fraction": 1}, "at least 0 and below 1, found 1"),
        ({"outlier_fraction": np.nan}, "found nan"),
        ({"time_limit": 0}, "limits of core_set"),
        ({"node_limit": -1}, "limits of core_set"),
        ({"max_pairs": 0}, "limits of core_set"),
        ({"embeddings_N_D": np.full((6, 3), np.nan)}, "finite"),
    ],
)
def test_refuses(changes, message):
    arguments = {"embeddings_N_D": np.zeros((6, 3)), "centers_L_D": np.zeros((2, 3)), "budget": 2}
    with pytest.raises(UserError, match=message):
        core_set(**arguments | changes)
