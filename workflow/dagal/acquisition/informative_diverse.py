"""Informative and diverse: the best-scored candidates of each cluster, as many as its share of the whole pool."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.errors import UserError

ROWS = 4096  # candidates compared with the cluster means at a time


def informative_diverse(
    score_N: np.ndarray,
    embeddings_N_D: np.ndarray,
    budget: int,
    n_classes: int,
    rng: np.random.Generator,
    n_clusters: Annotated[int, Ge(1)] | None = None,
    max_points: Annotated[int, Ge(2)] = 4000,
) -> np.ndarray:
    """The best-scored of each cluster: the query is spread over the clusters as the pool is. Best score first.

    Norouzzadeh et al. 2019 (camera traps; in 002), S2.2, after Dasgupta & Hsu 2008: hierarchical clustering of the unlabeled
    samples, queries that match its distribution. The papers leave the rest open. Here Ward's tree is cut into ``n_clusters``
    (default: the number of classes). Every cluster gets budget x (its share of the candidates), rounded down; what is left
    of the budget goes to the best-scored of the others, one more at most to a cluster whose number was rounded. Of more than
    ``max_points`` candidates a random sample builds the tree, and the others join the cluster with the nearest mean. Ties are
    broken at random.

    O(P^2 D + N K D) time with P = min(N, max_points) and K clusters; memory O(P^2), 64 MB of distances at 4000.
    """
    n_candidates = len(score_N)
    if budget > n_candidates:
        raise UserError(f"informative_diverse cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    n_clusters = n_classes if n_clusters is None else n_clusters
    if n_clusters < 1 or max_points < 2:
        raise UserError("informative_diverse needs n_clusters of at least 1 and max_points of at least 2.")
    if not np.isfinite(embeddings_N_D).all():
        raise UserError("informative_diverse needs finite embeddings; check the model for NaN or infinite outputs.")
    order_N = np.lexsort((rng.random(n_candidates), -score_N))
    if budget == 0:
        return order_N[:0]
    cluster_N = hierarchical_clusters(embeddings_N_D, n_clusters, max_points, rng)[order_N]
    certain_K, rounded_K = np.divmod(budget * np.bincount(cluster_N), n_candidates)
    rank_N = np.empty(n_candidates, np.int64)  # of each candidate, best first, in its own cluster
    for cluster in range(len(certain_K)):
        members = np.flatnonzero(cluster_N == cluster)
        rank_N[members] = np.arange(len(members))
    chosen_N = rank_N < certain_K[cluster_N]
    others = np.flatnonzero((rank_N == certain_K[cluster_N]) & (rounded_K[cluster_N] > 0))
    chosen_N[others[: budget - chosen_N.sum()]] = True
    return order_N[chosen_N]


def hierarchical_clusters(
    points_N_D: np.ndarray, n_clusters: int, max_points: int, rng: np.random.Generator
) -> np.ndarray:
    """Cluster (N,) from 0 of Ward's tree on at most ``max_points`` of the points; the others join the nearest mean."""
    from scipy.cluster.hierarchy import fcluster, linkage

    n = len(points_N_D)
    if n == 1:
        return np.zeros(1, np.int64)
    sample_P = np.arange(n) if n <= max_points else np.sort(rng.choice(n, max_points, replace=False))
    points_P_D = points_N_D[sample_P].astype(np.float64)
    cluster_P = fcluster(linkage(points_P_D, "ward"), n_clusters, "maxclust") - 1
    if n <= max_points:
        return cluster_P
    means_K_D = np.stack([points_P_D[cluster_P == cluster].mean(0) for cluster in range(cluster_P.max() + 1)])
    cluster_N = np.empty(n, np.int64)
    for start in range(0, n, ROWS):
        block_B_D = points_N_D[start : start + ROWS].astype(np.float64)
        cluster_N[start : start + ROWS] = ((means_K_D**2).sum(1) - 2 * block_B_D @ means_K_D.T).argmin(1)
    cluster_N[sample_P] = cluster_P
    return cluster_N
