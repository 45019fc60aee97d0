"""Cluster-Margin: the smallest margins, in turns from their clusters, the small clusters first."""

import math
from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.acquisition.clusters import hierarchical_clusters, rank_in_group
from dagal.errors import UserError


def cluster_margin(
    score_N: np.ndarray,
    embeddings_N_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    prefilter: Annotated[float, Ge(1)] = 10,
    cluster_size: Annotated[float, Ge(1)] = 10,
    max_points: Annotated[int, Ge(2)] = 4000,
) -> np.ndarray:
    """Of the ``prefilter`` x b best-scored candidates, random ones of their clusters in turns, ascending by size (Citovsky et al. 2021).

    With the score `margin` this is the paper's method. In each turn every cluster that has samples left gives one, until the batch is
    full. Clusters come from hierarchical clustering with average linkage of Euclidean distances. Three things differ from the
    paper: it clusters the whole pool once, by the embeddings of the first model, here only those that are kept are clustered,
    by those of the current one; the tree is cut into one cluster per ``cluster_size`` samples instead of at a tuned distance;
    and of more than ``max_points`` a random sample builds the tree, and the others join the cluster with the nearest mean.
    Ties are broken at random.

    O(P^2 D) time and O(P^2) memory with P = min(prefilter b, max_points): 64 MB of distances at 4000.
    """
    n_candidates = len(score_N)
    if budget > n_candidates:
        raise UserError(f"cluster_margin cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if not np.isfinite(embeddings_N_D).all():
        raise UserError("cluster_margin needs finite embeddings; check the model for NaN or infinite outputs.")
    kept_M = np.lexsort((rng.random(n_candidates), -score_N))[: int(prefilter * budget)]
    if budget == 0:
        return kept_M
    kept_M = rng.permutation(kept_M)
    n_clusters = math.ceil(min(len(kept_M), max_points) / cluster_size)
    cluster_M = hierarchical_clusters(embeddings_N_D[kept_M], n_clusters, max_points, rng, "average")
    size_K = np.bincount(cluster_M)
    place_K = np.empty(len(size_K), np.int64)
    place_K[np.lexsort((rng.random(len(size_K)), size_K))] = np.arange(len(size_K))
    return kept_M[np.lexsort((place_K[cluster_M], rank_in_group(cluster_M)))[:budget]]
