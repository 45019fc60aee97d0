"""Class-balanced selection: the batch of high score whose expected class counts fill the gaps of the labeled set.

Minimises eq. 4.8 of thesis 003 over all batches of ``budget`` samples, for any score (entropy, BALD, ...):

    objective = weight * || required - sum of probs_j ||_1 - sum of score_j        (sums over the selected samples j)

with the open solver HiGHS and NumPy, in three steps:

1. **Relax.** The norm is the maximum of prices . (required - sum of probs_j) over prices in [-weight, weight]^C, so any
   such prices give the lower bound ``prices . required - (sum of the budget largest worths)``,
   worth = score + probs @ prices. The best bound is the value of the LP relaxation (samples may be selected in part).
   A smoothed dual finds which samples have a worth near the threshold; the LP over those alone, with all others fixed,
   then is exact.
2. **Search.** Round the LP's selection in several ways, then swap samples of a worth near the threshold (tabu search:
   a quadratic model of the norm ranks the swaps, the objective decides between the best).
3. **Finish.** A sample whose worth is farther from the threshold than the gap still open is on the same side in every
   optimum. Where few samples are left undecided, try all their combinations; where there are more but not many, a mixed
   integer program over them, limited by nodes (never by time, so that the batch is the same on every machine).
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb, isclose
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from scipy.optimize import Bounds, LinearConstraint, linprog, milp, minimize
from scipy.special import expit

from dagal.errors import UserError

LP_SAMPLES = 1000  # in the first LP; each further LP adds up to half as many
LP_ROUNDS = 8
LP_TOLERANCE = 1e-6
SEARCH_STARTS = 12, 24  # at least and at most; between them one per 8 classes
SEARCH_WIDTHS = (60, 100, 200, 300)  # samples on either side of the threshold that may be swapped, narrow first
SEARCH_STEPS = 600  # per start and width
SEARCH_CANDIDATES = 20  # swaps of which the exact change is computed, per step
TABU_STEPS = 5  # how long a swapped sample stays where it is, at most
COMBINATIONS = 300_000  # combinations x undecided samples to try at most; 16 samples never exceed it
MILP_SIZE = 900  # undecided samples x classes at most: beyond it even the root takes longer than the search
MILP_NODES = 500
MILP_TOLERANCE = 1e-5  # standard deviations of the score: HiGHS takes 1e-6 for 0, in shares as in gaps


@dataclass(frozen=True)
class Selection:
    """A batch and the certificate of its quality: no batch has an objective below ``lower_bound``."""

    positions: np.ndarray  # (b,) int64: descending score, then ascending position
    objective: float  # eq. 4.8
    lower_bound: float  # the value of the LP relaxation or, where few samples are undecided, a higher one
    relative_gap: float  # (objective - lower_bound) / |objective|


def class_balanced(
    score_N: np.ndarray,
    probs_N_C: np.ndarray,
    required_C: np.ndarray,
    budget: int,
    weight: Annotated[float, Ge(0)] | Literal["auto"] = 0.6,
) -> Selection:
    """Samples of high score whose expected class counts come near the required ones (CBAL, thesis 003, eq. 4.8).

    ``score_N`` (N,): larger = query first. ``probs_N_C`` (N, C): softmax rows. ``required_C`` (C,): labels that each class
    lacks, see `dagal.balance.required_per_class`. ``weight``: the lambda of the thesis; 0 gives the top ``budget`` by score;
    its authors used 0.6 for 10 and 2 for 100 classes.

    An optimum for N <= 16 and wherever few samples stay undecided, with a gap of 0 (up to 1e-5 standard deviations of the
    score where the mixed integer program proves it); elsewhere ``relative_gap`` tells how good it is. With 100 classes and
    more of which each can be filled, gaps of 7e-4 are the accepted limit: next to the relaxation there is hardly any batch
    to be found (benchmarks/class_balanced.py).
    Deterministic, and the same batch for any order of samples of distinct scores. Of equal samples any may be taken; where
    few are undecided, or without weight, those of the lowest positions.
    Time: about 120 passes over the probabilities, a few LPs of 1000 samples, 12 to 24 starts (one per 8 classes) of 2400
    search steps of about 50 us, and at most 500 nodes of a mixed integer program of up to 900 probabilities: no longer than
    the search.
    Memory: three copies of the probabilities.

    Raises UserError for a wrong shape, a score that is not finite, a row that is no probabilities (NaN, negative, or off 1
    by more than 1e-3), a requirement that is negative or not finite, a ``budget`` outside 1..N, a ``weight`` < 0 or not finite.
    """
    return solve(score_N, probs_N_C, required_C, budget, weight)[0]


def solve(
    score_N, probs_N_C, required_C, budget, weight, place_N=slice(None), n_total=None
) -> tuple[Selection, np.ndarray]:
    """`class_balanced` with the prices (C,) of its lower bound.

    Of samples that are only a part of the ``n_total`` of a pool, ``place_N`` (ascending) are the places among these in the order of
    score: the search then draws the numbers that it would draw for them in the whole pool.
    """
    score_N, probs_N_C, required_C = (np.asarray(a, np.float64) for a in (score_N, probs_N_C, required_C))
    check_inputs(score_N, probs_N_C, required_C, budget)
    if not (np.isfinite(weight) and weight >= 0):
        raise UserError(f"the weight of the class balance must be >= 0 and finite, found {weight}.")
    by_score_N = np.argsort(-score_N, kind="stable")  # everything below sees the samples in this order
    problem = score_N[by_score_N], probs_N_C[by_score_N], required_C, int(budget), float(weight)

    prices_C, share_N = relax(*problem)
    lower_bound = _lower_bound(prices_C, *problem)
    worth_N = problem[0] + problem[1] @ prices_C
    is_in_N = np.zeros(len(worth_N), bool)
    is_in_N[np.lexsort((-worth_N, -share_N))[:budget]] = True
    is_in_N, is_optimal = _finish(is_in_N, worth_N, lower_bound, *problem)
    if not is_optimal:
        is_in_N = _search(place_N, n_total or len(worth_N), share_N, prices_C, worth_N, *problem)
        is_in_N, is_optimal = _finish(is_in_N, worth_N, lower_bound, *problem)
    if not is_optimal:
        is_in_N, lower_bound = _branch_and_bound(is_in_N, worth_N, lower_bound, *problem)

    objective = _objective(is_in_N, *problem)
    lower_bound = objective if is_optimal else min(lower_bound, objective)
    gap = (objective - lower_bound) / max(abs(objective), np.finfo(float).tiny)
    return Selection(by_score_N[is_in_N], objective, lower_bound, gap), prices_C


def check_inputs(score_N: np.ndarray, probs_N_C: np.ndarray, required_C: np.ndarray, budget: int):
    """Raises UserError unless all fit together and mean what their names say, see `class_balanced`."""
    if score_N.ndim != 1 or required_C.ndim != 1 or probs_N_C.shape != (len(score_N), len(required_C)):
        raise UserError(
            "class-balanced selection needs scores (N,), probabilities (N, C) and required labels (C,), "
            f"found the shapes {score_N.shape}, {probs_N_C.shape} and {required_C.shape}."
        )
    if not 1 <= budget <= len(score_N) or budget != int(budget):
        raise UserError(
            f"the budget must be a whole number from 1 to {len(score_N)}, the number of samples, found {budget}."
        )
    if not (np.isfinite(required_C) & (required_C >= 0)).all():
        raise UserError(f"the required labels per class must be >= 0 and finite, found {required_C.tolist()}.")
    if not np.isfinite(score_N).all():
        raise UserError(f"the score of sample {np.isfinite(score_N).argmin()} is not finite.")
    wrong_N = ~((probs_N_C >= 0).all(1) & (np.abs(probs_N_C.sum(1) - 1) <= 1e-3))
    if wrong_N.any():
        raise UserError(f"the probabilities of sample {wrong_N.argmax()} must be >= 0 and sum to 1.")


def _objective(is_in_N, score_N, probs_N_C, required_C, budget, weight) -> float:
    """Eq. 4.8."""
    return float(weight * np.abs(required_C - probs_N_C[is_in_N].sum(0)).sum() - score_N[is_in_N].sum())


def _lower_bound(prices_C, score_N, probs_N_C, required_C, budget, weight) -> float:
    """The bound that these prices give. O(N C)."""
    worth_N = score_N + probs_N_C @ prices_C
    return float(prices_C @ required_C - np.partition(worth_N, -budget)[-budget:].sum())


def relax(score_N, probs_N_C, required_C, budget, weight) -> tuple[np.ndarray, np.ndarray]:
    """Best prices (C,) and selected share (N,) of every sample in the LP relaxation: a series of growing LPs.

    Samples outside the LP are fixed; those that its prices put on the wrong side of the threshold join the next one.
    """
    scale = max(score_N.std(), 1e-5 * weight) or 1.0
    score_N, weight = (score_N - score_N.mean()) / scale, weight / scale  # the solvers like numbers around 1
    problem = score_N, probs_N_C, required_C, budget, weight
    best_C = _smooth_prices(*problem) if weight > 0 and len(score_N) > LP_SAMPLES else np.zeros(len(required_C))
    best = _lower_bound(best_C, *problem)
    by_worth_N = np.argsort(-(score_N + probs_N_C @ best_C), kind="stable")
    share_N = np.zeros(len(score_N))
    share_N[by_worth_N[:budget]] = 1
    fixed_N = np.ones(len(score_N), bool)
    fixed_N[by_worth_N[max(0, budget - LP_SAMPLES // 2) : budget + LP_SAMPLES // 2]] = False
    for _ in range(LP_ROUNDS if weight > 0 else 0):
        fixed_in_N, free_N = fixed_N & (share_N == 1), ~fixed_N
        left_C = required_C - probs_N_C[fixed_in_N].sum(0)
        solution = _solve_lp(score_N[free_N], probs_N_C[free_N], left_C, budget - fixed_in_N.sum(), weight)
        if solution.status != 0:
            break  # the bound is valid all the same
        share_N[free_N] = solution.x[: free_N.sum()]
        prices_C = np.clip(solution.eqlin.marginals[:-1], -weight, weight)
        bound = _lower_bound(prices_C, *problem)
        if bound > best:
            best, best_C = bound, prices_C
        above_N = score_N + probs_N_C @ prices_C + solution.eqlin.marginals[-1]  # the threshold
        wrong_N = np.where(fixed_in_N, -above_N, above_N) * fixed_N
        worst = np.argsort(-wrong_N, kind="stable")[: LP_SAMPLES // 2]
        worst = worst[wrong_N[worst] > 0]
        value = solution.fun - score_N[fixed_in_N].sum()
        if not len(worst) or value - best <= LP_TOLERANCE * max(budget, abs(best)):
            break
        fixed_N[worst] = False
    return best_C * scale, share_N


def _smooth_prices(score_N, probs_N_C, required_C, budget, weight) -> np.ndarray:
    """Prices (C,) near the best ones: the largest lower bound with a soft threshold t, then with a sharper one.

    The sum of the budget largest worths is the minimum over t of budget t + sum of max(worth - t, 0); here the maximum is
    softness * log(1 + exp((worth - t) / softness)). Float32 products: the LPs afterwards are exact.
    """
    n_classes = len(required_C)
    probs_N_C = probs_N_C.astype(np.float32)

    def negative_bound(x, softness):
        prices_C, threshold = x[:-1], x[-1]
        above_N = (score_N + probs_N_C @ prices_C.astype(np.float32) - threshold) / softness
        bound = prices_C @ required_C - budget * threshold - softness * np.logaddexp(0, above_N).sum()
        share_N = expit(above_N)
        gradient = np.append(required_C - share_N.astype(np.float32) @ probs_N_C, share_N.sum() - budget)
        return -bound, -gradient

    x = np.append(np.zeros(n_classes), score_N[budget - 1])
    bounds = [(-weight, weight)] * n_classes + [(None, None)]
    for softness in (0.1, 0.01):
        options = {"maxcor": 30, "maxiter": 300, "ftol": 1e-7}
        x = minimize(negative_bound, x, softness, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return np.clip(x[:-1], -weight, weight)


def _solve_lp(score_M, probs_M_C, required_C, budget, weight):
    """SciPy's solution of the LP relaxation; variables: the M shares, then lack and excess of each class."""
    n_samples, n_classes = probs_M_C.shape
    rows, values = _balance_rows(probs_M_C, required_C, budget)
    return linprog(
        np.append(-score_M, np.full(2 * n_classes, weight)),
        A_eq=rows,
        b_eq=values,
        bounds=[(0, 1)] * n_samples + [(0, None)] * (2 * n_classes),
        method="highs-ds",
    )


def _balance_rows(probs_M_C, required_C, budget) -> tuple[np.ndarray, np.ndarray]:
    """Left and right side of: shares give each class what is required, less its lack, plus its excess; shares sum to the budget."""
    n_samples, n_classes = probs_M_C.shape
    identity_C_C = np.eye(n_classes)
    rows = np.block([[probs_M_C.T, identity_C_C, -identity_C_C], [np.ones(n_samples), np.zeros(2 * n_classes)]])
    return rows, np.append(required_C, budget)


def _search(place_N, n_total, share_N, prices_C, worth_N, score_N, probs_N_C, required_C, budget, weight) -> np.ndarray:
    """The best batch that tabu searches from several roundings of the LP's shares meet."""
    by_share_N = np.lexsort((-worth_N, -share_N))
    is_fraction_N = (share_N > 0) & (share_N < 1)
    lack_C = required_C - share_N @ probs_N_C
    problem = score_N, probs_N_C, required_C, budget, weight
    best, best_N = np.inf, None
    for start in range(int(np.clip(len(required_C) // 8, *SEARCH_STARTS))):
        rng = np.random.default_rng(start)  # a part of the algorithm: no seed of the user reaches it
        if start:
            noise_N = rng.uniform(-0.5, 0.5, n_total)[place_N]
            by_share_N = np.lexsort((-worth_N, -(share_N + is_fraction_N * noise_N)))
        is_in_N = np.zeros(len(worth_N), bool)
        is_in_N[by_share_N[:budget]] = True
        for width in SEARCH_WIDTHS:
            is_in_N = _tabu_search(is_in_N, worth_N, prices_C, lack_C, width, rng, *problem)
        objective = _objective(is_in_N, *problem)
        if objective < best:
            best, best_N = objective, is_in_N
    return best_N


def _tabu_search(
    is_in_N, worth_N, prices_C, relaxed_C, width, rng, score_N, probs_N_C, required_C, budget, weight
) -> np.ndarray:
    """Always a good swap, even for the worse, of samples not swapped lately; the best batch met.

    Swaps the ``width`` selected samples of lowest worth with the ``width`` others of highest worth. At the LP's prices a
    class that lacks x beside the relaxation costs weight |x| - price x, if the relaxation leaves it no lack (``relaxed_C``),
    else about 0. The parabola that touches weight sqrt(x^2 + spread^2) - price x at its minimum ranks all width^2 swaps in
    one addition each; of the best ones, the objective decides.
    """
    by_worth_N = np.argsort(-worth_N, kind="stable")
    is_in_by_worth_N = is_in_N[by_worth_N]
    near = np.concatenate([by_worth_N[is_in_by_worth_N][-width:], by_worth_N[~is_in_by_worth_N][:width]])
    n_in = min(width, budget)
    ins, outs = np.arange(n_in), np.arange(n_in, len(near))  # positions in near
    if not len(outs):
        return is_in_N
    score_M, probs_M_C = score_N[near], probs_N_C[near]
    lack_C = required_C - probs_N_C[is_in_N].sum(0)
    level = weight * np.abs(lack_C).sum()

    is_met_C = np.abs(relaxed_C) < 1e-6
    spread = max(np.abs(lack_C[is_met_C]).mean(), 1e-9) if is_met_C.any() else 1.0
    if is_met_C.all():  # the sum of the lacks is fixed, so that equal shifts of all prices mean the same
        prices_C = prices_C - (prices_C.min() + prices_C.max()) / 2
    slope_C = np.clip(prices_C / max(weight, np.finfo(float).tiny), -0.95, 0.95)
    curvature_C = is_met_C * weight / (2 * spread) * (1 - slope_C**2) ** 1.5
    minimum_C = spread * slope_C / np.sqrt(1 - slope_C**2)
    scaled_M_C = probs_M_C * np.sqrt(curvature_C)
    product_M_M = (2 * scaled_M_C @ scaled_M_C.T).astype(np.float32)  # single precision: it only ranks
    half_M = product_M_M.diagonal() / 2
    distance_M_M = half_M[:, None] + half_M - product_M_M
    worth_M = worth_N[near] - worth_N[near].mean()
    # of leaving, first order
    loss_M = (worth_M + 2 * probs_M_C @ (curvature_C * (lack_C - minimum_C))).astype(np.float32)
    distance_I_O = distance_M_M[np.ix_(ins, outs)]
    change_I_O = np.empty_like(distance_I_O)

    change = best_change = 0.0  # of the objective
    best_ins = ins.copy()
    tabu_until_M = np.zeros(len(near), np.int64)
    tenures = rng.integers(1, TABU_STEPS + 1, SEARCH_STEPS)  # random ones: a fixed one runs in circles
    n_kept = min(SEARCH_CANDIDATES, n_in) - 1
    for step in range(SEARCH_STEPS):
        loss_I = np.where(tabu_until_M[ins] <= step, loss_M[ins], np.inf)
        gain_O = np.where(tabu_until_M[outs] <= step, loss_M[outs], -np.inf)
        np.subtract(distance_I_O, gain_O, out=change_I_O)
        change_I_O += loss_I[:, None]
        columns = change_I_O.argmin(1)
        rows = np.argpartition(change_I_O[np.arange(n_in), columns], n_kept)[: n_kept + 1]
        columns = columns[rows]
        leave, enter = ins[rows], outs[columns]
        exact = weight * np.abs(lack_C + probs_M_C[leave] - probs_M_C[enter]).sum(1) + score_M[leave] - score_M[enter]
        exact[np.isinf(change_I_O[rows, columns])] = np.inf
        best = exact.argmin()
        if np.isinf(exact[best]):
            break
        row, column, i, o = rows[best], columns[best], leave[best], enter[best]
        change += exact[best] - level
        lack_C = lack_C + probs_M_C[i] - probs_M_C[o]
        level = weight * np.abs(lack_C).sum()
        loss_M += product_M_M[i] - product_M_M[o]
        ins[row], outs[column] = o, i
        distance_I_O[row], distance_I_O[:, column] = distance_M_M[o, outs], distance_M_M[ins, i]
        tabu_until_M[[i, o]] = step + 1 + tenures[step]
        if change < best_change:
            best_change, best_ins = change, ins.copy()
    is_in_N = is_in_N.copy()
    is_in_N[near] = False
    is_in_N[near[best_ins]] = True
    return is_in_N


def _finish(is_in_N, worth_N, lower_bound, score_N, probs_N_C, required_C, budget, weight) -> tuple[np.ndarray, bool]:
    """An optimum and True if few samples are undecided, else the batch unchanged and whether its gap is 0.

    Of equal batches, the first in order of score.
    """
    if budget == len(worth_N):
        return is_in_N, True
    objective = _objective(is_in_N, score_N, probs_N_C, required_C, budget, weight)
    decided_in_N, undecided = _undecided(objective, worth_N, lower_bound, budget)
    n_open = budget - decided_in_N.sum()
    if comb(len(undecided), n_open) * len(undecided) > COMBINATIONS:
        return is_in_N, isclose(objective, lower_bound, rel_tol=1e-12)
    combinations_K_B = np.array(list(combinations(range(len(undecided)), n_open)), np.int64)
    is_in_K_U = np.zeros((len(combinations_K_B), len(undecided)))
    np.put_along_axis(is_in_K_U, combinations_K_B, 1, axis=1)
    lack_K_C = required_C - probs_N_C[decided_in_N].sum(0) - is_in_K_U @ probs_N_C[undecided]
    change_K = weight * np.abs(lack_K_C).sum(1) - is_in_K_U @ score_N[undecided]
    best = (change_K <= change_K.min() + 1e-13 * (1 + abs(objective))).argmax()
    optimum_N = decided_in_N.copy()
    optimum_N[undecided[combinations_K_B[best]]] = True
    return optimum_N, True


def _undecided(objective, worth_N, lower_bound, budget) -> tuple[np.ndarray, np.ndarray]:
    """Which samples are in every optimum (N,), and the positions of those that may be in or out, given the objective of a batch."""
    by_worth_N = np.argsort(-worth_N, kind="stable")
    last_in, first_out = worth_N[by_worth_N[budget - 1 : budget + 1]]
    is_top_N = np.zeros(len(worth_N), bool)
    is_top_N[by_worth_N[:budget]] = True
    # by how much the lower bound rises when the sample is forced to the other side
    rise_N = np.where(is_top_N, worth_N - first_out, last_in - worth_N)
    undecided_N = rise_N <= objective - lower_bound + 1e-9 * (1 + abs(objective))
    return is_top_N & ~undecided_N, np.flatnonzero(undecided_N)


def _branch_and_bound(
    is_in_N, worth_N, lower_bound, score_N, probs_N_C, required_C, budget, weight
) -> tuple[np.ndarray, float]:
    """The better one of the batch and what HiGHS finds among the undecided samples, and the better lower bound; limited by nodes."""
    problem = score_N, probs_N_C, required_C, budget, weight
    objective = _objective(is_in_N, *problem)
    decided_in_N, undecided = _undecided(objective, worth_N, lower_bound, budget)
    if len(undecided) * len(required_C) > MILP_SIZE:
        return is_in_N, lower_bound
    scale = max(score_N[undecided].std(), 1e-5 * weight) or 1.0
    left_C = required_C - probs_N_C[decided_in_N].sum(0)
    rows, values = _balance_rows(probs_N_C[undecided], left_C, budget - decided_in_N.sum())
    n_slack = 2 * len(required_C)
    result = milp(
        np.append(-score_N[undecided], np.full(n_slack, weight)) / scale,
        integrality=np.append(np.ones(len(undecided)), np.zeros(n_slack)),
        bounds=Bounds(0, np.append(np.ones(len(undecided)), np.full(n_slack, np.inf))),
        constraints=LinearConstraint(rows, values, values),
        options={"node_limit": MILP_NODES, "mip_rel_gap": 0},
    )
    if result.x is None:
        return is_in_N, lower_bound
    found_N = decided_in_N.copy()
    found_N[undecided] = result.x[: len(undecided)] > 0.5
    if found_N.sum() == budget and _objective(found_N, *problem) < objective:
        is_in_N, objective = found_N, _objective(found_N, *problem)
    bound = float(result.mip_dual_bound * scale - score_N[decided_in_N].sum())
    return is_in_N, objective if bound >= objective - MILP_TOLERANCE * scale else max(lower_bound, bound)
