"""TypiClust: one typical sample of each region that has no label yet."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.acquisition import distances
from dagal.acquisition.clusters import to_unit_length
from dagal.errors import UserError

BLOCK_ENTRIES = 1 << 20  # 8 MB of float64


def typiclust(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    neighbors: Annotated[int, Ge(1)] = 20,
    max_clusters: Annotated[int, Ge(1)] = 500,
    min_cluster: Annotated[int, Ge(1)] = 6,
    normalize: bool = True,
) -> np.ndarray:
    """The most typical candidate of the largest cluster without a label, again and again (Hacohen et al. 2022, alg. 1).

    Clusters labeled and unlabeled embeddings into L + b clusters by k-means, at most ``max_clusters`` as theirs. A cluster
    counts its labels and choices: the next choice falls in one with the fewest, the largest of these. Clusters below
    ``min_cluster`` samples (theirs: more than 5) come last. Typicality is the inverse of the mean Euclidean distance to
    the ``neighbors`` nearest candidates left in the cluster, or to all if they are fewer. As in the authors' code, the
    embeddings are scaled to unit length (``normalize``), and mini-batch k-means takes over above 50 clusters.
    Where the cap binds, their code visits the clusters in a fixed rotation instead of by their counts.

    O((L + N) K D) time per pass of k-means with K clusters, and O(b n^2 D) for typicality in clusters of n candidates.
    Memory: about four float32 copies of the embeddings, k-means' own included, and float64 ones of the largest cluster.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans  # takes 3 s to load

    n_labeled, n_candidates = len(centers_L_D), len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"typiclust cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if min(neighbors, max_clusters) < 1:
        raise UserError("typiclust needs neighbors and max_clusters of at least 1.")
    if budget == 0:
        return np.empty(0, np.int64)
    points_M_D = np.concatenate([centers_L_D, embeddings_N_D], dtype=np.float32)  # labeled first
    if not np.isfinite(points_M_D).all():
        raise UserError("typiclust needs finite embeddings; check the model for NaN or infinite outputs.")
    if normalize:
        to_unit_length(points_M_D)
    points_M_D -= distances.middle(
        points_M_D
    )  # mini-batch k-means expands |x - y|^2 in float32: small norms keep it accurate

    n_clusters = min(n_labeled + budget, max_clusters)
    options = {
        "n_clusters": n_clusters,
        "init": kmeans_plus_plus,
        "n_init": 1,
        "random_state": int(rng.integers(2**31)),
    }
    kmeans = KMeans(**options) if n_clusters <= 50 else MiniBatchKMeans(**options, batch_size=5000)
    cluster_M = kmeans.fit_predict(points_M_D)
    sizes_K = np.bincount(cluster_M, minlength=n_clusters)
    labels_K = np.bincount(cluster_M[:n_labeled], minlength=n_clusters)
    left_K = [np.flatnonzero(cluster_M[n_labeled:] == cluster) for cluster in range(n_clusters)]

    selected = np.empty(budget, np.int64)
    for step in range(budget):
        open_K = np.array([cluster for cluster in range(n_clusters) if len(left_K[cluster])])
        order = np.lexsort((-sizes_K[open_K], labels_K[open_K], sizes_K[open_K] < min_cluster))
        cluster = open_K[order[0]]
        members = left_K[cluster]
        best = mean_distances(points_M_D[n_labeled + members], neighbors).argmin()
        selected[step] = members[best]
        left_K[cluster] = np.delete(members, best)
        labels_K[cluster] += 1
    return selected


def kmeans_plus_plus(points_M_D: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
    """The centers (K, D) that scikit-learn's k-means would start from: k-means++, the best of 2 + log K draws for each center.

    The same draws from the same float32 distances; only fewer are computed, those that a bound cannot rule out to be the
    smallest of a point. O(M K log K D) time in float32 products; memory: a copy of the points and 2 + log K numbers for each.
    """
    one_M, n_draws = np.ones(len(points_M_D), np.float32), 2 + int(np.log(n_clusters))
    _, _, dtype = distances.checked(points_M_D, points_M_D[:0])
    block = distances.Block(points_M_D, distances.middle(points_M_D), dtype)

    def nearest_with(drawn_T):
        nearest_T_M = np.tile(nearest_M, (len(drawn_T), 1))
        point_P, which_P, squared_P = block.within(nearest_M, points_M_D[drawn_T])
        nearest_T_M[which_P, point_P] = squared_P
        return nearest_T_M

    nearest_M = np.full(len(points_M_D), np.inf, np.float32)
    chosen = [random_state.choice(len(one_M), p=one_M / one_M.sum())]
    nearest_M = nearest_with(chosen)[0]
    total = nearest_M @ one_M
    while len(chosen) < n_clusters:
        levels_T = random_state.uniform(size=n_draws) * total
        drawn_T = np.minimum(np.searchsorted(np.cumsum(nearest_M), levels_T), len(one_M) - 1)
        nearest_T_M = nearest_with(drawn_T)
        totals_T = (nearest_T_M @ one_M[:, None])[:, 0]
        best = totals_T.argmin()
        nearest_M, total = nearest_T_M[best], totals_T[best]
        chosen.append(drawn_T[best])
    return points_M_D[chosen]


def mean_distances(points_N_D: np.ndarray, neighbors: int) -> np.ndarray:
    """Mean Euclidean distance of each point to its nearest neighbors, itself left out, float64 (N,)."""
    neighbors = min(neighbors, len(points_N_D) - 1)
    if neighbors == 0:
        return np.zeros(1)
    points_N_D = points_N_D.astype(np.float64)
    norms_N, mean_N = np.einsum("nd,nd->n", points_N_D, points_N_D), np.empty(len(points_N_D))
    step = max(1, BLOCK_ENTRIES // len(points_N_D))
    for start in range(0, len(points_N_D), step):
        squared_B_N = -2 * points_N_D[start : start + step] @ points_N_D.T
        squared_B_N += norms_N[start : start + step, None]
        squared_B_N += norms_N
        each_B = np.arange(len(squared_B_N))
        squared_B_N[each_B, start + each_B] = np.inf
        nearest_B = np.partition(squared_B_N, neighbors - 1, axis=1)[:, :neighbors]
        mean_N[start : start + step] = np.sqrt(np.maximum(nearest_B, 0)).mean(1)
    return mean_N
