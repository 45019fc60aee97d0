"""Informative and diverse: the best-scored candidates of each cluster, as many as its share of the whole pool."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.acquisition.clusters import hierarchical_clusters, rank_in_group
from dagal.errors import UserError


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
    rank_N = rank_in_group(cluster_N)
    chosen_N = rank_N < certain_K[cluster_N]
    others = np.flatnonzero((rank_N == certain_K[cluster_N]) & (rounded_K[cluster_N] > 0))
    chosen_N[others[: budget - chosen_N.sum()]] = True
    return order_N[chosen_N]
