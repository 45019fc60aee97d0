"""ACS-FW: the batch whose expected log-likelihoods, weighted, add up to those of the whole pool."""

import numpy as np

from dagal.acquisition.scores import entropy
from dagal.errors import UserError

ROUNDS = 10  # steps of Frank-Wolfe per label at most
SMALLEST = np.finfo(
    np.float32
).tiny  # below it a probability counts as this: the logarithm of 0 would outweigh all others


def acs_fw(draws_T_N_C: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """The candidates that Frank-Wolfe visits while it approximates the log-posterior of the whole pool (Pinsler et al. 2019).

    The vector of candidate n is `log_likelihoods`, that of the pool L is their sum, and s_n are their lengths, s the sum of
    these. From w = 0, each step goes from L(w) = sum w_n L_n toward the vertex (s / s_n) L_n whose direction L_n / s_n has
    the largest inner product with L - L(w), as far as the square of L - L(w) falls, at most all the way. As theirs, the
    norm is the Euclidean one of projections on draws of the weights, here on all that there are.

    A step may return to an earlier choice, so b steps choose b candidates at most. Here it goes on until there are b, or for
    10 b steps; then those follow whose directions have the largest inner product with what is left of L. Ties are broken at random.

    O(T N (C + b)) time, at most 10 times the latter part; memory: T float64 numbers per candidate.
    """
    n_draws, n_candidates, _ = draws_T_N_C.shape
    if budget > n_candidates:
        raise UserError(f"acs_fw cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    vectors_N_T = log_likelihoods(draws_T_N_C)
    if not np.isfinite(vectors_N_T).all():
        raise UserError("acs_fw needs finite probabilities; check the model for NaN or infinite outputs.")
    return frank_wolfe(vectors_N_T, budget, rng)


def frank_wolfe(vectors_N_T: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """The vectors that Frank-Wolfe visits on its way to their sum, as `acs_fw` says: positions (b,) in order of the first visit."""
    length_N = np.linalg.norm(vectors_N_T, axis=1)
    directions_N_T = vectors_N_T / np.where(length_N > 0, length_N, 1)[:, None]
    target_T, total = vectors_N_T.sum(0), length_N.sum()
    reached_T, tie_N, chosen = np.zeros_like(target_T), rng.permutation(len(length_N)), {}
    for _ in range(ROUNDS * budget):
        if len(chosen) == budget:
            break
        inner_N = directions_N_T @ (target_T - reached_T)
        largest = np.flatnonzero(inner_N == inner_N.max())
        best = largest[tie_N[largest].argmin()]
        chosen[best] = True
        step_T = total * directions_N_T[best] - reached_T
        squared = step_T @ step_T
        share = np.clip(step_T @ (target_T - reached_T) / squared, 0, 1) if squared > 0 else 0
        reached_T = reached_T + share * step_T
    order_N = np.lexsort((tie_N, -(directions_N_T @ (target_T - reached_T))))
    return np.array([*chosen, *order_N[~np.isin(order_N, [*chosen])]], np.int64)[:budget]


def log_likelihoods(draws_T_N_C: np.ndarray) -> np.ndarray:
    """(sum_c p_nc log p_tnc + H[p_n]) / sqrt T, p_n the mean of the draws, float64 (N,T) (Pinsler et al. 2019, eq. 4).

    What a label of n would add to the log-posterior at the weights of draw t, in the expectation over the label, and the entropy of
    the label. For each n it is minus the divergence of p_tn from p_n.
    """
    n_draws = len(draws_T_N_C)
    mean_N_C = sum(probs_N_C.astype(np.float64) / n_draws for probs_N_C in draws_T_N_C)
    cross_N_T = np.stack(
        [
            np.einsum("nc,nc->n", mean_N_C, np.log(np.maximum(probs_N_C.astype(np.float64), SMALLEST)))
            for probs_N_C in draws_T_N_C
        ],
        axis=1,
    )
    return (cross_N_T + entropy(mean_N_C)[:, None]) / np.sqrt(n_draws)
