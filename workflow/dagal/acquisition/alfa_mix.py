"""ALFA-Mix: candidates whose predicted class changes when a little of a class's mean embedding is mixed in."""

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from dagal.acquisition.clusters import middles, to_unit_length
from dagal.errors import UserError


def alfa_mix(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    labels_L: np.ndarray,
    weights_C_D: np.ndarray,
    biases_C: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    step: Annotated[float, Gt(0), Le(1)] = 1 / 32,
) -> np.ndarray:
    """Middles of the clusters of those whose prediction changes at the smallest share that changes more than b (Parvaneh et al. 2022).

    The share `mixing_share` of an anchor grows by ``step`` up to 1 until more than b predictions have changed, as in the authors'
    code. k-means with b centers on these, at unit length, gives the batch: of each cluster the one nearest to its center.
    Random others fill up where too few predictions change, or k-means finds fewer clusters. Smallest share first.

    O(N (C D + b D)) time; memory: some (N, C) arrays in float64 and a copy of the embeddings in float32.
    """
    n_candidates = len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"alfa_mix cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if not (np.isfinite(embeddings_N_D).all() and np.isfinite(centers_L_D).all()):
        raise UserError("alfa_mix needs finite embeddings; check the model for NaN or infinite outputs.")
    if len(centers_L_D) == 0:
        raise UserError("alfa_mix mixes labeled samples in, but there are none; start with some.")
    share_N = mixing_share(embeddings_N_D, anchors(centers_L_D, labels_L, len(biases_C)), weights_C_D, biases_C)
    order_N = np.lexsort((rng.random(n_candidates), share_N))
    turns_N = np.ceil(share_N[order_N] / step)  # the round in which each is found, ascending
    last = turns_N[min(budget, n_candidates - 1)]
    found_M = order_N[turns_N <= min(last, np.ceil(1 / step))]
    is_middle_M = np.ones(len(found_M), bool)
    if 0 < budget < len(found_M):
        points_M_D = embeddings_N_D[found_M].astype(np.float32)
        to_unit_length(points_M_D)
        is_middle_M = middles(points_M_D, budget, rng)
    chosen = found_M[is_middle_M]
    others = np.setdiff1d(np.arange(n_candidates), chosen)
    return np.concatenate([chosen, rng.permutation(others)])[:budget]


def anchors(centers_L_D: np.ndarray, labels_L: np.ndarray, n_classes: int) -> np.ndarray:
    """Mean labeled embedding of each class, float64 (C,D); of a class without labels that of all, as in the authors' code."""
    centers_L_D = centers_L_D.astype(np.float64)
    members = [centers_L_D[labels_L == label] for label in range(n_classes)]
    return np.stack([(own if len(own) else centers_L_D).mean(0) for own in members])


def mixing_share(
    embeddings_N_D: np.ndarray, anchors_C_D: np.ndarray, weights_C_D: np.ndarray, biases_C: np.ndarray
) -> np.ndarray:
    """The smallest share of some anchor that changes the class predicted from an embedding, float64 (N,); infinite where none does.

    Their closed form mixes the anchor a into z with a share per coordinate that is to raise the loss l of the predicted class
    most: z moves by e |a - z| g / |g|, g the gradient of l at z, whatever the direction of a. e is the share; as in the
    authors' code a share of 1 moves by |a - z| / sqrt D. Along g the logits of the head are straight lines, so the class changes
    where the first of them overtakes that of the predicted class, and the farthest anchor reaches there with the smallest share.
    """
    points_N_D, weights_C_D = embeddings_N_D.astype(np.float64), weights_C_D.astype(np.float64)
    share_N = np.full(len(points_N_D), np.inf)
    if len(weights_C_D) == 1:
        return share_N
    logits_N_C = points_N_D @ weights_C_D.T + biases_C
    each, predicted_N = np.arange(len(points_N_D)), logits_N_C.argmax(1)
    # softmax less the predicted class, divided by what all others have: g up to its length, without rounding to 0
    residuals_N_C = logits_N_C.copy()
    residuals_N_C[each, predicted_N] = -np.inf
    residuals_N_C = np.exp(residuals_N_C - residuals_N_C.max(1, keepdims=True))
    residuals_N_C /= residuals_N_C.sum(1, keepdims=True)
    residuals_N_C[each, predicted_N] = -1
    slopes_N_C = residuals_N_C @ (weights_C_D @ weights_C_D.T)  # of the logits along g = residuals W
    gain_N_C = slopes_N_C - slopes_N_C[each, predicted_N][:, None]
    behind_N_C = logits_N_C[each, predicted_N][:, None] - logits_N_C
    overtakes_N_C = np.full_like(gain_N_C, np.inf)
    np.divide(behind_N_C, gain_N_C, out=overtakes_N_C, where=gain_N_C > 0)
    overtake_N = overtakes_N_C.min(1)  # in units of the length of g
    gradient_N = np.sqrt(np.maximum(np.einsum("nc,nc->n", residuals_N_C, slopes_N_C), 0))
    squared_N_C = (
        np.einsum("nd,nd->n", points_N_D, points_N_D)[:, None]
        - 2 * points_N_D @ anchors_C_D.T
        + np.einsum("cd,cd->c", anchors_C_D, anchors_C_D)
    )
    reach_N = np.sqrt(np.maximum(squared_N_C.max(1), 0) / points_N_D.shape[1])
    is_moved_N = np.isfinite(overtake_N) & (reach_N > 0)
    share_N[is_moved_N] = overtake_N[is_moved_N] * gradient_N[is_moved_N] / reach_N[is_moved_N]
    return share_N
