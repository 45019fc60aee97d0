"""CLUE: the middles of clusters of the whole pool, in which a candidate counts by its entropy."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from dagal.acquisition.clusters import middles
from dagal.acquisition.scores import entropy
from dagal.errors import UserError


def clue(
    probs_N_C: np.ndarray,
    embeddings_N_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    temperature: Annotated[float, Gt(0)] = 1.0,
    max_iterations: Annotated[int, Ge(1)] = 100,
) -> np.ndarray:
    """k-means with b centers on all candidates, weighted by entropy; of each cluster the one nearest to its center (Prabhu et al. 2021).

    ``temperature`` divides the logits before the softmax: above 1 the weights grow equal, and diversity counts more. It acts on the
    probabilities, as softmax(z / T) is proportional to softmax(z)^(1 / T). The choices come largest entropy first. Should k-means find
    fewer clusters, as among duplicates, the largest entropies fill up; ties are broken at random.

    O(N b D) time per iteration; memory: two float32 copies of the embeddings.
    """
    n_candidates = len(probs_N_C)
    if budget > n_candidates:
        raise UserError(f"clue cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    points_N_D = embeddings_N_D.astype(np.float32)
    if not np.isfinite(points_N_D).all():
        raise UserError("clue needs finite embeddings; check the model for NaN or infinite outputs.")
    weights_N = np.maximum(entropy(softened(probs_N_C, temperature)), 1e-6)  # above 0, should all be certain
    order_N = np.lexsort((rng.random(n_candidates), -weights_N))
    if budget in (0, n_candidates):
        return order_N[:budget]
    is_middle_N = middles(points_N_D[order_N], budget, rng, weights_N[order_N], max_iterations)
    return np.concatenate([order_N[is_middle_N], order_N[~is_middle_N]])[:budget]


def softened(probs_N_C: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (N,C) float64 that logits divided by a temperature give."""
    raised_N_C = (probs_N_C / probs_N_C.max(1, keepdims=True)).astype(np.float64) ** (1 / temperature)
    return raised_N_C / raised_N_C.sum(1, keepdims=True)
