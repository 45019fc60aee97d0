"""Class-balanced selection: the batch of high score whose expected class counts fill the gaps of the labeled set.

Minimises eq. 4.8 of thesis 003 over all batches of ``budget`` samples, for any score (entropy, BALD, ...):

    objective = weight * || required - sum of probs_j ||_1 - sum of score_j        (sums over the selected samples j)

with an LP solver and NumPy only, in three steps:

1. **Relax.** The norm is the maximum of prices . (required - sum of probs_j) over prices in [-weight, weight]^C, so any
   such prices give the lower bound ``prices . required - (sum of the budget largest worths)``,
   worth = score + probs @ prices. The best bound is the value of the LP relaxation (samples may be selected in part).
   A smoothed dual finds which samples have a worth near the threshold; the LP over those alone, with all others fixed,
   then is exact.
2. **Search.** Round the LP's selection, then swap samples of a worth near the threshold (tabu search).
3. **Finish.** A sample whose worth is farther from the threshold than the gap still open is on the same side in every
   optimum. Where few samples are left undecided, try all their combinations.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb, isclose

import numpy as np
from scipy.optimize import linprog, minimize
from scipy.spatial.distance import cdist
from scipy.special import expit

from dagal.errors import UserError

LP_SAMPLES = 1000  # in the first LP; each further LP adds up to half as many
LP_ROUNDS = 8
LP_TOLERANCE = 1e-6
SEARCH_WIDTHS = (30, 100, 300)  # samples on either side of the threshold that may be swapped, narrow first
SEARCH_STEPS = 1000  # per width, at most
SEARCH_WORK = 1_000_000_000  # additions per width, at most
TABU_STEPS = 5  # how long a swapped sample stays where it is
COMBINATIONS = 300_000  # combinations x undecided samples to try at most; 16 samples never exceed it


@dataclass(frozen=True)
class Selection:
    """A batch and the certificate of its quality: no batch has an objective below ``lower_bound``."""

    positions: np.ndarray  # (b,) int64: descending score, then ascending position
    objective: float  # eq. 4.8
    lower_bound: float  # at most the value of the LP relaxation
    relative_gap: float  # (objective - lower_bound) / |objective|


def class_balanced(
    score_N: np.ndarray, probs_N_C: np.ndarray, required_C: np.ndarray, budget: int, weight: float = 0.6
) -> Selection:
    """Samples of high score whose expected class counts come near the required ones (CBAL, thesis 003, eq. 4.8).

    ``score_N`` (N,): larger = query first. ``probs_N_C`` (N, C): softmax rows. ``required_C`` (C,): labels that each class
    lacks, see `dagal.balance.required_per_class`. ``weight``: the lambda of the thesis; 0 gives the top ``budget`` by score;
    its authors used 0.6 for 10 and 2 for 100 classes.

    An optimum for N <= 16 and wherever few samples stay undecided; elsewhere ``relative_gap`` tells how good it is.
    Deterministic, and the same batch for any order of samples of distinct scores. Of equal samples any may be taken; where
    few are undecided, or without weight, those of the lowest positions.
    Time: about 120 passes over the probabilities, a few LPs of 1000 samples, a search of bounded work.
    Memory: three copies of the probabilities.

    Raises UserError for a wrong shape, a score that is not finite, a row that is no probabilities (NaN, negative, or off 1
    by more than 1e-3), a requirement that is negative or not finite, a ``budget`` outside 1..N, a ``weight`` < 0 or not finite.
    """
    score_N, probs_N_C, required_C = (np.asarray(a, np.float64) for a in (score_N, probs_N_C, required_C))
    check_inputs(score_N, probs_N_C, required_C, budget)
    if not (np.isfinite(weight) and weight >= 0):
        raise UserError(f"the weight of the class balance must be >= 0 and finite, found {weight}.")
    by_score_N = np.argsort(-score_N, kind="stable")  # everything below sees the samples in this order
    problem = score_N[by_score_N], probs_N_C[by_score_N], required_C, int(budget), float(weight)

    prices_C, share_N = _relax(*problem)
    lower_bound = _lower_bound(prices_C, *problem)
    worth_N = problem[0] + problem[1] @ prices_C
    is_in_N = np.zeros(len(worth_N), bool)
    is_in_N[np.lexsort((-worth_N, -share_N))[:budget]] = True
    if not isclose(_objective(is_in_N, *problem), lower_bound, rel_tol=1e-12):
        for width in SEARCH_WIDTHS:
            is_in_N = _search(is_in_N, worth_N, width, *problem)
    is_in_N = _finish(is_in_N, worth_N, lower_bound, *problem)

    objective = _objective(is_in_N, *problem)
    lower_bound = min(lower_bound, objective)  # they differ by rounding where the relaxation is an optimum
    gap = (objective - lower_bound) / max(abs(objective), np.finfo(float).tiny)
    return Selection(by_score_N[is_in_N], objective, lower_bound, gap)


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


def _relax(score_N, probs_N_C, required_C, budget, weight) -> tuple[np.ndarray, np.ndarray]:
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
    identity_C_C = np.eye(n_classes)
    rows = np.block([[probs_M_C.T, identity_C_C, -identity_C_C], [np.ones(n_samples), np.zeros(2 * n_classes)]])
    return linprog(
        np.append(-score_M, np.full(2 * n_classes, weight)),
        A_eq=rows,
        b_eq=np.append(required_C, budget),
        bounds=[(0, 1)] * n_samples + [(0, None)] * (2 * n_classes),
        method="highs-ds",
    )


def _search(is_in_N, worth_N, width, score_N, probs_N_C, required_C, budget, weight) -> np.ndarray:
    """Tabu search: always the best swap, even for the worse, of samples not swapped lately; the best batch met.

    Swaps the ``width`` selected samples of lowest worth with the ``width`` others of highest worth. A step costs
    width^2 L1 distances.
    """
    by_worth_N = np.argsort(-worth_N, kind="stable")
    is_in_by_worth_N = is_in_N[by_worth_N]
    ins, outs = by_worth_N[is_in_by_worth_N][-width:], by_worth_N[~is_in_by_worth_N][:width]
    n_steps = min(SEARCH_STEPS, SEARCH_WORK // max(1, len(ins) * len(outs) * len(required_C)))
    lack_C = required_C - probs_N_C[is_in_N].sum(0)
    change = best_change = 0.0  # of the objective
    is_in_N, best_N = is_in_N.copy(), is_in_N
    tabu_until_N = np.zeros(len(worth_N), np.int64)
    for step in range(n_steps):
        leave, enter = (np.flatnonzero(tabu_until_N[side] <= step) for side in (ins, outs))
        if not len(leave) or not len(enter):
            break
        change_L_E = weight * cdist(lack_C + probs_N_C[ins[leave]], probs_N_C[outs[enter]], "cityblock")
        change_L_E += score_N[ins[leave], None] - score_N[outs[enter]]
        row, column = np.unravel_index(change_L_E.argmin(), change_L_E.shape)
        i, o = leave[row], enter[column]
        change += change_L_E[row, column] - weight * np.abs(lack_C).sum()
        lack_C = lack_C + probs_N_C[ins[i]] - probs_N_C[outs[o]]
        is_in_N[[ins[i], outs[o]]] = False, True
        tabu_until_N[[ins[i], outs[o]]] = step + 1 + TABU_STEPS
        ins[i], outs[o] = outs[o], ins[i]
        if change < best_change:
            best_change, best_N = change, is_in_N.copy()
    return best_N


def _finish(is_in_N, worth_N, lower_bound, score_N, probs_N_C, required_C, budget, weight) -> np.ndarray:
    """An optimum if few samples are undecided, else the batch unchanged. Of equal batches, the first in order of score."""
    by_worth_N = np.argsort(-worth_N, kind="stable")
    if budget == len(worth_N):
        return is_in_N
    objective = _objective(is_in_N, score_N, probs_N_C, required_C, budget, weight)
    last_in, first_out = worth_N[by_worth_N[budget - 1 : budget + 1]]
    is_top_N = np.zeros(len(worth_N), bool)
    is_top_N[by_worth_N[:budget]] = True
    # by how much the lower bound rises when the sample is forced to the other side
    rise_N = np.where(is_top_N, worth_N - first_out, last_in - worth_N)
    undecided_N = rise_N <= objective - lower_bound + 1e-9 * (1 + abs(objective))
    decided_in_N, undecided = is_top_N & ~undecided_N, np.flatnonzero(undecided_N)
    n_open = budget - decided_in_N.sum()
    if comb(len(undecided), n_open) * len(undecided) > COMBINATIONS:
        return is_in_N
    combinations_K_B = np.array(list(combinations(range(len(undecided)), n_open)), np.int64)
    is_in_K_U = np.zeros((len(combinations_K_B), len(undecided)))
    np.put_along_axis(is_in_K_U, combinations_K_B, 1, axis=1)
    lack_K_C = required_C - probs_N_C[decided_in_N].sum(0) - is_in_K_U @ probs_N_C[undecided]
    change_K = weight * np.abs(lack_K_C).sum(1) - is_in_K_U @ score_N[undecided]
    best = (change_K <= change_K.min() + 1e-13 * (1 + abs(objective))).argmax()
    optimum_N = decided_in_N.copy()
    optimum_N[undecided[combinations_K_B[best]]] = True
    return optimum_N
