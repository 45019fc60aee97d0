"""Margin cluster mean: the middles of the clusters of what lies inside the margin of a support vector machine."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from dagal.acquisition.clusters import middles
from dagal.errors import UserError


def margin_cluster_mean(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    labels_L: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    regularization: Annotated[float, Gt(0)] = 1.0,
    max_iterations: Annotated[int, Ge(1)] = 100,
) -> np.ndarray:
    """Of each of ``budget`` clusters (k-means) of the candidates inside the SVM's margin, the one nearest to the mean.

    Xu et al. 2003, as in Norouzzadeh et al. 2019 (camera traps; in 002), S2.2. The linear SVM (``regularization`` C) is trained
    on the labeled embeddings, scaled to standard deviation 1 like the candidates; inside its margin is
    `margin_gap` < 2, which for two classes is |f| < 1. The choices come smallest gap first. Where fewer candidates than
    ``budget`` are inside, or k-means finds fewer clusters (duplicates), the next smallest gaps fill up; with a single labeled
    class every candidate is inside. Ties of gaps are broken at random.

    O(M b D) time per iteration for M candidates inside; memory: three float32 copies of the embeddings.
    """
    n_candidates = len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"margin_cluster_mean cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if not (np.isfinite(embeddings_N_D).all() and np.isfinite(centers_L_D).all()):
        raise UserError("margin_cluster_mean needs finite embeddings; check the model for NaN or infinite outputs.")
    if len(centers_L_D) == 0:
        raise UserError("margin_cluster_mean trains on labeled samples, but there are none; start with some.")
    mean_D, std_D = (f(centers_L_D, axis=0, dtype=np.float64).astype(np.float32) for f in (np.mean, np.std))
    std_D[std_D == 0] = 1
    points_N_D, labeled_L_D = ((x.astype(np.float32) - mean_D) / std_D for x in (embeddings_N_D, centers_L_D))
    gap_N = margin_gap(points_N_D, labeled_L_D, labels_L, regularization, int(rng.integers(2**31)))
    order_N = np.lexsort((rng.random(n_candidates), gap_N))
    inside_M = order_N[: np.searchsorted(gap_N[order_N], 2)]
    if budget == 0 or budget >= len(inside_M):
        return order_N[:budget]
    # the smallest gap first among equals, for they stand in that order
    is_chosen_M = middles(points_N_D[inside_M], budget, rng, max_iterations=max_iterations)
    return np.concatenate([inside_M[is_chosen_M], inside_M[~is_chosen_M]])[:budget]


def margin_gap(
    points_N_D: np.ndarray, labeled_L_D: np.ndarray, labels_L: np.ndarray, regularization: float, seed: int
) -> np.ndarray:
    """Largest less second largest decision value (N,) of one linear SVM per labeled class against the rest.

    For two classes, whose values are f and -f, this is 2 |f|; 0 for a single one.
    """
    from sklearn.svm import LinearSVC

    if len(np.unique(labels_L)) < 2:
        return np.zeros(len(points_N_D))
    svm = LinearSVC(C=regularization, dual="auto", max_iter=10_000, random_state=seed)
    values_N = svm.fit(labeled_L_D, labels_L).decision_function(points_N_D)
    if values_N.ndim == 1:
        return 2 * np.abs(values_N)
    top_N_2 = np.partition(values_N, -2, axis=1)[:, -2:]
    return top_N_2[:, 1] - top_N_2[:, 0]
