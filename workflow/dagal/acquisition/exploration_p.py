"""Exploration-P: unsure candidates that resemble each other little, and random ones while the cycles are young."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from dagal.acquisition.clusters import to_unit_length
from dagal.errors import UserError


def exploration_p(
    score_N: np.ndarray,
    embeddings_N_D: np.ndarray,
    budget: int,
    cycle: int,
    rng: np.random.Generator,
    alpha: Annotated[float, Ge(0)] = 1.0,
    exploration: Annotated[float, Ge(0), Le(1)] = 0.5,
    decay: Annotated[float, Ge(0), Le(1)] = 0.5,
    normalize: bool = True,
) -> np.ndarray:
    """Greedily the batch S of largest I(S) = sum of its scores - alpha / |S| sum_ij f_i . f_j (Yin et al. 2017, in 002, eq. 6, 7).

    f are the embeddings, M of eq. 6 the identity, and both sums run over all pairs of S, a sample with itself included. With the
    score `entropy` this is the survey's method. Each choice is a random candidate instead with probability
    ``exploration`` x ``decay`` ^ (cycle - 1): the survey says that exploring at random belongs to the early cycles and gives
    no numbers, so these are ours. So is ``normalize``, which scales the embeddings to unit length, so that ``alpha`` weighs a
    cosine and means the same for any network; without it, eq. 6 as printed. Ties are broken at random.

    O(b N D) time; memory: a copy of the embeddings, in float32 at least.
    """
    n_candidates = len(score_N)
    if budget > n_candidates:
        raise UserError(f"exploration_p cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    points_N_D = embeddings_N_D.astype(np.result_type(np.float32, embeddings_N_D))
    if not np.isfinite(points_N_D).all():
        raise UserError("exploration_p needs finite embeddings; check the model for NaN or infinite outputs.")
    if normalize:
        to_unit_length(points_N_D)
    squared_N = np.einsum("nd,nd->n", points_N_D, points_N_D, dtype=np.float64)
    inner_N, is_left_N = np.zeros(n_candidates), np.ones(n_candidates, bool)  # inner product with the sum of S
    chance, selected = exploration * decay ** (cycle - 1), np.empty(budget, np.int64)
    for step in range(budget):
        left = np.flatnonzero(is_left_N)
        if rng.random() >= chance:
            # what I grows by, less what is the same for all candidates
            gain = score_N[left] - alpha / (step + 1) * (2 * inner_N[left] + squared_N[left])
            left = left[gain == gain.max()]
        chosen = selected[step] = rng.choice(left)
        is_left_N[chosen] = False
        inner_N += points_N_D @ points_N_D[chosen]
    return selected
