"""Diverse mini-batch active learning: one sample from each cluster of the best-scored candidates."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.acquisition.clusters import middles
from dagal.acquisition.scores import margin
from dagal.errors import UserError


def diverse_mini_batch(
    score_N: np.ndarray,
    probs_N_C: np.ndarray,
    embeddings_N_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    prefilter: Annotated[float, Ge(1)] = 10,
    max_iterations: Annotated[int, Ge(1)] = 100,
) -> np.ndarray:
    """k-means with b centers on the ``prefilter`` x b best candidates, weighted by 1 - margin; of each cluster the one nearest to its center.

    Zhdanov 2019, sec. 3 (weighted K-means, beta = ``prefilter``), where 1 - (p(1) - p(2)), the gap between the two largest
    probabilities, is both score and weight: with the score `margin` this is the paper's method, and another score only
    decides who is kept. The choices come best score first. Should k-means find fewer clusters, as among duplicates, the
    best of the rest fill up. Ties of scores are broken at random.

    O(prefilter b^2 D) time per iteration; memory: the prefiltered embeddings in float32.
    """
    n_candidates = len(score_N)
    if budget > n_candidates:
        raise UserError(f"diverse_mini_batch cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if prefilter < 1:
        raise UserError("diverse_mini_batch needs a prefilter of at least 1.")
    kept_P = np.lexsort((rng.random(n_candidates), -score_N))[: int(prefilter * budget)]
    if budget == len(kept_P):
        return kept_P
    points_P_D = embeddings_N_D[kept_P].astype(np.float32)
    if not np.isfinite(points_P_D).all():
        raise UserError("diverse_mini_batch needs finite embeddings; check the model for NaN or infinite outputs.")
    weights_P = np.maximum(1 + margin(probs_N_C[kept_P]), 1e-6)  # above 0, should all be certain
    # the best score first among equals, for they stand in that order
    is_chosen_P = middles(points_P_D, budget, rng, weights_P, max_iterations)
    order_P = np.concatenate([np.flatnonzero(is_chosen_P), np.flatnonzero(~is_chosen_P)])
    return kept_P[order_P[:budget]]
