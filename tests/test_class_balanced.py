"""Class-balanced selection (003, eq. 4.8) against brute force and the LP relaxation."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from dagal.acquisition import class_balanced as solver
from dagal.acquisition.class_balanced import class_balanced
from dagal.acquisition.scores import entropy
from dagal.errors import UserError


def long_tailed(n, n_classes, budget, seed=0, factor=0.3):
    """Entropy, softmax-like probabilities and requirement of a pool whose first half of the classes is rare."""
    rng = np.random.default_rng(seed)
    frequency_C = np.where(np.arange(n_classes) < n_classes // 2, factor, 1.0)
    frequency_C /= frequency_C.sum()
    probs_N_C = rng.gamma(0.1, size=(n, n_classes)) + 1e-12
    probs_N_C[np.arange(n), rng.choice(n_classes, n, p=frequency_C)] += rng.exponential(1, n)
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    # after one query that followed the pool
    required_C = np.maximum(2 * budget / n_classes - rng.multinomial(budget, frequency_C), 0.0)
    return entropy(probs_N_C), probs_N_C, required_C, budget


def fillable(n, n_classes, budget, seed=0):
    """The same of a pool with a geometric tail, in which every class can be given its equal share of the batch."""
    rng = np.random.default_rng(seed)
    share_C = 0.1 ** (np.arange(n_classes) / (n_classes - 1))
    probs_N_C = rng.gamma(0.1 + 2 * np.eye(n_classes)[rng.choice(n_classes, n, p=share_C / share_C.sum())])
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    return entropy(probs_N_C), probs_N_C, np.full(n_classes, budget / n_classes), budget


def random_problem(seed):
    """A small problem of any kind: peaked, flat, one-hot or equal rows, tied or zero scores, any weight."""
    rng = np.random.default_rng(seed)
    n, n_classes = rng.integers(1, 15), rng.integers(1, 8)
    budget = int(rng.integers(1, n + 1))
    probs_N_C = rng.dirichlet(np.full(n_classes, rng.choice([0.05, 0.3, 1, 10])), n)
    kind = rng.integers(8)
    if kind == 0:
        probs_N_C = np.eye(n_classes)[probs_N_C.argmax(1)]
    if kind == 1:
        probs_N_C[:] = probs_N_C[0]
    score_N = rng.normal(size=n) * rng.choice([0, 0.1, 1, 10])
    if kind in (0, 2):
        score_N = np.round(score_N)
    required_C = rng.random(n_classes) * rng.choice([0, 1, budget, 5 * budget]) / n_classes
    return score_N, probs_N_C, required_C, budget, float(rng.choice([0, 1e-6, 0.1, 0.6, 2, 50, 1e6]))


def objective_of(positions_K_B, score_N, probs_N_C, required_C, weight):
    lack_K_C = required_C - probs_N_C[positions_K_B].sum(-2)
    return weight * np.abs(lack_K_C).sum(-1) - score_N[positions_K_B].sum(-1)


def lp_optimum(score_N, probs_N_C, required_C, budget, weight):
    """The LP relaxation over shares and distances: distance >= +-(required - expected count)."""
    n, n_classes = probs_N_C.shape
    identity = np.eye(n_classes)
    solution = linprog(
        np.append(-score_N, np.full(n_classes, weight)),
        A_ub=np.block([[-probs_N_C.T, -identity], [probs_N_C.T, -identity]]),
        b_ub=np.append(-required_C, required_C),
        A_eq=np.append(np.ones(n), np.zeros(n_classes))[None],
        b_eq=[budget],
        bounds=[(0, 1)] * n + [(0, None)] * n_classes,
    )
    return solution.fun


def assert_certified(selection, score_N, probs_N_C, required_C, budget, weight):
    positions = selection.positions
    assert positions.dtype == np.int64 and len(positions) == len(set(positions)) == budget
    assert (np.diff(score_N[positions]) <= 0).all()
    objective = objective_of(positions, score_N, probs_N_C, required_C, weight)
    assert selection.objective == pytest.approx(objective, rel=1e-12, abs=1e-12)
    assert selection.lower_bound <= selection.objective
    gap = (selection.objective - selection.lower_bound) / max(abs(selection.objective), np.finfo(float).tiny)
    assert selection.relative_gap == pytest.approx(gap)


@pytest.mark.parametrize("block", range(10))
def test_small_problems_equal_brute_force(block):
    for seed in range(40 * block, 40 * block + 40):
        score_N, probs_N_C, required_C, budget, weight = problem = random_problem(seed)
        every_K_B = np.array(list(combinations(range(len(score_N)), budget)))
        optimum = objective_of(every_K_B, score_N, probs_N_C, required_C, weight).min()
        selection = class_balanced(*problem)
        assert_certified(selection, *problem)
        tolerance = 1e-12 * max(1, abs(optimum))
        assert abs(selection.objective - optimum) <= tolerance, seed
        assert selection.lower_bound <= optimum + tolerance, seed


def test_by_hand():
    score_N = np.array([3.0, 2.0, 1.0, 0.0])
    probs_N_C = np.array([[1, 0], [1, 0], [0.5, 0.5], [0, 1.0]])
    for weight, expected, objective in [
        (0, [0, 1], -5),  # the top two
        (0.5, [0, 1], 0.5 * 2 - 5),  # one too many of class 0, one too few of class 1; [0, 2] has .5 * 1 - 4
        (1.5, [0, 3], -3),  # [0, 1] has 3 - 5, [0, 2] has 1.5 - 4
    ]:
        selection = class_balanced(score_N, probs_N_C, np.ones(2), 2, weight)
        assert (selection.positions.tolist(), selection.objective) == (expected, pytest.approx(objective))


@pytest.mark.parametrize("n_classes", [1, 4, 20])
@pytest.mark.parametrize("weight", [0.05, 0.6, 20])
def test_bound_is_the_lp_relaxation_or_the_optimum(n_classes, weight, monkeypatch):
    monkeypatch.setattr(solver, "MILP_SIZE", 0)
    problem = *long_tailed(300, n_classes, 40), weight
    selection = class_balanced(*problem)
    assert_certified(selection, *problem)
    optimum = lp_optimum(*problem)
    error = 1e-8 * weight  # SciPy's LP may miss a constraint by 1e-7
    assert optimum - 1e-6 <= selection.lower_bound
    assert selection.lower_bound <= optimum + 1e-9 + error or selection.relative_gap == 0


@pytest.mark.parametrize("weight", [0.6, 50])
def test_bound_of_a_pool_larger_than_the_lp(weight, monkeypatch):
    monkeypatch.setattr(solver, "MILP_SIZE", 0)
    problem = *long_tailed(4000, 8, 300), weight
    selection = class_balanced(*problem)
    assert_certified(selection, *problem)
    optimum = lp_optimum(*problem)
    assert optimum - 1e-4 <= selection.lower_bound <= optimum + 1e-7
    assert selection.relative_gap < 1e-2


def integer_optimum(score_N, probs_N_C, required_C, budget, weight):
    """The whole problem as a mixed integer program: shares and distances, distance >= +-(required - expected count)."""
    n, n_classes = probs_N_C.shape
    identity = np.eye(n_classes)
    result = milp(
        np.append(-score_N, np.full(n_classes, weight)),
        integrality=np.append(np.ones(n), np.zeros(n_classes)),
        bounds=Bounds(0, np.append(np.ones(n), np.full(n_classes, np.inf))),
        constraints=[
            LinearConstraint(np.hstack([probs_N_C.T, identity]), required_C, np.inf),
            LinearConstraint(np.hstack([-probs_N_C.T, identity]), -required_C, np.inf),
            LinearConstraint(np.append(np.ones(n), np.zeros(n_classes))[None], budget, budget),
        ],
        options={"mip_rel_gap": 0},
    )
    assert result.status == 0
    return objective_of(np.flatnonzero(result.x[:n] > 0.5), score_N, probs_N_C, required_C, weight)


def test_small_pools_equal_a_mixed_integer_program(monkeypatch):
    """One short search, so that it misses optima and the last program has to find them and to prove them."""
    monkeypatch.setattr(solver, "SEARCH_STARTS", (1, 1))
    monkeypatch.setattr(solver, "SEARCH_STEPS", 1)
    n_unproven = n_worse = 0
    for seed in range(18):
        n, n_classes, weight = [30, 45, 60][seed % 3], [3, 5][seed % 2], [0.6, 2.0][seed // 9]
        problem = *(long_tailed, fillable)[seed % 2](n, n_classes, n // 5, seed), weight
        optimum = integer_optimum(*problem)
        selection = class_balanced(*problem)
        assert_certified(selection, *problem)
        assert selection.objective == pytest.approx(optimum, abs=1e-6), seed
        assert selection.relative_gap == 0, seed
        with monkeypatch.context() as patch:
            patch.setattr(solver, "MILP_SIZE", 0)
            alone = class_balanced(*problem)
        assert alone.objective >= optimum - 1e-6 and alone.lower_bound <= optimum + 1e-6, seed
        n_unproven += alone.relative_gap > 0
        n_worse += alone.objective > optimum + 1e-6
    assert n_unproven > 5
    assert n_worse > 2


def test_nodes_limit_the_last_program(monkeypatch):
    problem = *fillable(60, 5, 12), 2.0
    monkeypatch.setattr(solver, "SEARCH_STARTS", (1, 1))
    monkeypatch.setattr(solver, "MILP_NODES", 1)
    first, second = class_balanced(*problem), class_balanced(*problem)
    assert_certified(first, *problem)
    assert first.relative_gap > 0 and first.positions.tolist() == second.positions.tolist()
    assert lp_optimum(*problem) - 1e-6 <= first.lower_bound == second.lower_bound


@pytest.mark.parametrize(
    ("pool", "n", "n_classes", "weight", "gap"),
    [
        (long_tailed, 45_000, 100, 2.0, 1e-4),
        (fillable, 45_000, 100, 2.0, 7.8e-4),
    ],
)
def test_large_pool_is_nearly_optimal(pool, n, n_classes, weight, gap):
    """`fillable` leaves every class at the kink of the norm; benchmarks/class_balanced.py has what any batch can reach."""
    problem = *pool(n, n_classes, 2500), weight
    selection = class_balanced(*problem)
    assert_certified(selection, *problem)
    assert selection.relative_gap <= gap
    plain = objective_of(np.argsort(-problem[0])[:2500], *problem[:3], weight)
    assert selection.objective < plain - 10


@pytest.mark.parametrize("n", [12, 200, 600])
def test_order_of_the_samples_does_not_matter(n):
    score_N, probs_N_C, required_C, budget = long_tailed(n, 5, n // 6, seed=1)
    selection = class_balanced(score_N, probs_N_C, required_C, budget, 2.0)
    order = np.random.default_rng(0).permutation(n)
    again = class_balanced(score_N[order], probs_N_C[order], required_C, budget, 2.0)
    np.testing.assert_array_equal(order[again.positions], selection.positions)
    assert again.objective == selection.objective


@pytest.mark.parametrize("n", [10, 3000])
def test_without_weight_the_top_scores_lowest_position_first(n):
    score_N, probs_N_C, required_C, budget = long_tailed(n, 5, n // 3)
    score_N = np.round(score_N, 1)
    selection = class_balanced(score_N, probs_N_C, required_C, budget, 0)
    np.testing.assert_array_equal(selection.positions, np.argsort(-score_N, kind="stable")[:budget])
    assert selection.relative_gap == pytest.approx(0, abs=1e-12)


def test_ties_go_to_the_lowest_position():
    probs_N_C = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    assert class_balanced(np.zeros(6), probs_N_C, np.array([1, 2]), 3, 1).positions.tolist() == [0, 3, 4]


def test_equal_scores_leave_the_balance():
    _, probs_N_C, required_C, budget = long_tailed(3000, 5, 300)
    selection = class_balanced(np.zeros(3000), probs_N_C, required_C, budget, 1.0)
    floor = required_C.sum() - budget  # what no selection can fill
    assert floor - 1e-9 <= selection.lower_bound <= selection.objective <= floor + 1


def test_a_class_that_no_sample_has():
    score_N, probs_N_C, required_C, budget = long_tailed(500, 5, 50)
    probs_N_C = np.insert(probs_N_C, 2, 0, axis=1)
    required_C = np.insert(required_C, 2, 7)
    with_empty = class_balanced(score_N, probs_N_C, required_C, budget)
    assert_certified(with_empty, score_N, probs_N_C, required_C, budget, 0.6)
    without = class_balanced(score_N, np.delete(probs_N_C, 2, 1), np.delete(required_C, 2), budget)
    assert with_empty.lower_bound == pytest.approx(without.lower_bound + 0.6 * 7)


def test_everything_can_be_taken_and_inputs_stay():
    score_N, probs_N_C, required_C, _ = arguments = long_tailed(40, 3, 10)
    before = [np.copy(a) for a in arguments]
    selection = class_balanced(score_N, probs_N_C.astype(np.float32), required_C, 40)
    np.testing.assert_array_equal(selection.positions, np.argsort(-score_N, kind="stable"))
    for now, then in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(now, then)


def replaced(array, index, value):
    array = array.copy()
    array[index] = value
    return array


SCORE, PROBS, REQUIRED = np.arange(4.0), np.full((4, 2), 0.5), np.ones(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probs_N_C": replaced(PROBS, (2, 1), np.nan)}, "probabilities of sample 2"),
        ({"probs_N_C": replaced(PROBS, (1, 1), 0.502)}, "probabilities of sample 1"),
        ({"probs_N_C": replaced(PROBS, 3, [-0.1, 1.1])}, "probabilities of sample 3"),
        ({"score_N": replaced(SCORE, 1, np.inf)}, "score of sample 1"),
        ({"score_N": replaced(SCORE, 0, np.nan)}, "score of sample 0"),
        ({"budget": 5}, "from 1 to 4"),
        ({"budget": 0}, "from 1 to 4"),
        ({"budget": 1.5}, "from 1 to 4"),
        ({"weight": -0.1}, "weight"),
        ({"weight": np.nan}, "weight"),
        ({"required_C": np.array([1, -1])}, "required labels"),
        ({"required_C": np.array([1, np.nan])}, "required labels"),
        ({"required_C": np.ones(3)}, "shapes"),
        ({"score_N": np.ones(3)}, "shapes"),
        ({"score_N": np.ones((4, 1))}, "shapes"),
        ({"probs_N_C": np.ones(4)}, "shapes"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"score_N": SCORE, "probs_N_C": PROBS, "required_C": REQUIRED, "budget": 2} | changes
    with pytest.raises(UserError, match=message):
        class_balanced(**arguments)
