"""BADGE: k-means++ on the gradients that the predicted labels would cause."""

import numpy as np

from dagal.errors import UserError

ROWS = 1024  # candidates evaluated in float64 at a time


def badge(probs_N_C: np.ndarray, embeddings_N_D: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ seeding on the gradients g = (p - onehot(argmax p)) (x) embedding of the last layer (Ash et al. 2020, alg. 1).

    Starts, as the authors' code does, at the largest gradient; then draws in proportion to the squared distance to the
    nearest choice, and uniformly once nothing differs from the choices. The N x (C D) gradients are never built:
    |a (x) x - b (x) y|^2 = |a|^2 |x|^2 + |b|^2 |y|^2 - 2 (a.b)(x.y). Where embeddings lie far from 0, nearly all of that
    cancels. So products in the precision of the input only rule out, by a proven bound of their error, candidates that
    the last choice is not the nearest to, and all others are evaluated in float64. What then is within rounding error of
    0 is 0, so that duplicates stay duplicates. O(b N (C + D)) time, O(N C) memory beside a float32 copy of narrower embeddings.
    """
    n_candidates = len(probs_N_C)
    if budget > n_candidates:
        raise UserError(f"badge cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    dtype = np.result_type(np.float32, probs_N_C, embeddings_N_D)
    embeddings_N_D = embeddings_N_D.astype(dtype, copy=False)
    residuals_N_C, norms_N = np.empty(probs_N_C.shape, dtype), np.empty(n_candidates)
    for start in range(0, n_candidates, ROWS):
        part = slice(start, start + ROWS)
        residuals_B_C = residuals(probs_N_C[part])
        residuals_N_C[part] = residuals_B_C
        norms_N[part] = squared_norms(residuals_B_C) * squared_norms(embeddings_N_D[part])
    if not np.isfinite(norms_N).all():
        raise UserError("badge needs finite probabilities and embeddings; check the model for NaN or infinite outputs.")
    # of the inner product, relative to |a|^2 |x|^2 + |b|^2 |y|^2 (Higham 2002, eq. 3.5), with all else twice over
    n_terms = residuals_N_C.shape[1] + embeddings_N_D.shape[1] + 16
    rough, exact = n_terms * np.finfo(dtype).eps, n_terms * np.finfo(np.float64).eps

    selected = np.empty(budget, np.int64)
    nearest_N, is_left_N = np.full(n_candidates, np.inf), np.ones(n_candidates, bool)
    for step in range(budget):
        total = nearest_N.sum()
        if step == 0:
            chosen = norms_N.argmax()
        elif total > 0:
            chosen = rng.choice(n_candidates, p=nearest_N / total)
        else:
            chosen = rng.choice(np.flatnonzero(is_left_N))
        selected[step], is_left_N[chosen] = chosen, False
        inner_N = (residuals_N_C @ residuals_N_C[chosen]).astype(np.float64) * (embeddings_N_D @ embeddings_N_D[chosen])
        sums_N = norms_N + norms_N[chosen]
        may_fall = np.flatnonzero((sums_N * (1 - rough) - 2 * inner_N < nearest_N) & (nearest_N > 0))
        for start in range(0, len(may_fall), ROWS):
            rows = may_fall[start : start + ROWS]
            inner_B = residuals(probs_N_C[rows]) @ residuals(probs_N_C[[chosen]])[0]
            inner_B *= embeddings_N_D[rows].astype(np.float64) @ embeddings_N_D[chosen].astype(np.float64)
            squared_B = sums_N[rows] - 2 * inner_B
            squared_B[squared_B < exact * sums_N[rows]] = 0
            nearest_N[rows] = np.minimum(nearest_N[rows], squared_B)
        nearest_N[chosen] = 0
    return selected


def residuals(probs_N_C: np.ndarray) -> np.ndarray:
    """p - onehot(argmax p), float64 (N, C): the loss's gradient with regard to the logits at the predicted label."""
    residuals_N_C = probs_N_C.astype(np.float64)
    residuals_N_C[np.arange(len(probs_N_C)), probs_N_C.argmax(1)] -= 1
    return residuals_N_C


def squared_norms(rows_N_K: np.ndarray) -> np.ndarray:
    """Squared Euclidean norm of each row, float64 (N,)."""
    return np.einsum("nk,nk->n", rows_N_K, rows_N_K, dtype=np.float64)
