"""BADGE: k-means++ on the gradients that the predicted labels would cause."""

import numpy as np

from dagal.errors import UserError


def badge(probs_N_C: np.ndarray, embeddings_N_D: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ seeding on the gradients g = (p - onehot(argmax p)) (x) embedding of the last layer (Ash et al. 2020, alg. 1).

    Starts, as the authors' code does, at the largest gradient; then draws in proportion to the squared distance to the
    nearest choice, and uniformly once nothing differs from the choices. The N x (C D) gradients are never built:
    |a (x) x - b (x) y|^2 = |a|^2 |x|^2 + |b|^2 |y|^2 - 2 (a.b)(x.y). Squared distances within rounding error of 0 are 0,
    so that duplicates stay duplicates. O(b N (C + D)) time, O(N C) memory beside a float32 copy of narrower embeddings.
    """
    n_candidates = len(probs_N_C)
    if budget > n_candidates:
        raise UserError(f"badge cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    dtype = np.result_type(np.float32, probs_N_C, embeddings_N_D)
    embeddings_N_D = embeddings_N_D.astype(dtype, copy=False)
    residuals_N_C = probs_N_C.astype(dtype)
    residuals_N_C[np.arange(n_candidates), probs_N_C.argmax(1)] -= 1
    norms_N = squared_norms(residuals_N_C) * squared_norms(embeddings_N_D)
    if not np.isfinite(norms_N).all():
        raise UserError("badge needs finite probabilities and embeddings; check the model for NaN or infinite outputs.")
    rounding = 16 * np.finfo(dtype).eps

    selected = np.empty(budget, np.int64)
    nearest_N, is_left_N = norms_N, np.ones(n_candidates, bool)
    for step in range(budget):
        total = nearest_N.sum()
        if step == 0:
            chosen = nearest_N.argmax()
        elif total > 0:
            chosen = rng.choice(n_candidates, p=nearest_N / total)
        else:
            chosen = rng.choice(np.flatnonzero(is_left_N))
        selected[step], is_left_N[chosen] = chosen, False
        inner_N = (residuals_N_C @ residuals_N_C[chosen]).astype(np.float64) * (embeddings_N_D @ embeddings_N_D[chosen])
        sums_N = norms_N + norms_N[chosen]
        squared_N = sums_N - 2 * inner_N
        squared_N[squared_N < rounding * sums_N] = 0
        nearest_N = squared_N if step == 0 else np.minimum(nearest_N, squared_N)
        nearest_N[chosen] = 0
    return selected


def squared_norms(rows_N_K: np.ndarray) -> np.ndarray:
    """Squared Euclidean norm of each row, float64 (N,)."""
    return np.einsum("nk,nk->n", rows_N_K, rows_N_K, dtype=np.float64)
