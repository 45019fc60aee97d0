"""TypiClust: one typical sample of each region that has no label yet."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.errors import UserError


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
    Memory: about three float32 copies of the embeddings, k-means' own included.
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
        lengths_M_1 = np.linalg.norm(points_M_D, axis=1, keepdims=True)
        points_M_D /= np.where(lengths_M_1 > 0, lengths_M_1, 1)

    n_clusters = min(n_labeled + budget, max_clusters)
    options = {"n_clusters": n_clusters, "n_init": 1, "random_state": int(rng.integers(2**31))}
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


def mean_distances(points_N_D: np.ndarray, neighbors: int) -> np.ndarray:
    """Mean Euclidean distance of each point to its nearest neighbors, itself left out, (N,)."""
    from sklearn.neighbors import NearestNeighbors

    neighbors = min(neighbors, len(points_N_D) - 1)
    if neighbors == 0:
        return np.zeros(1)
    search = NearestNeighbors(n_neighbors=neighbors, algorithm="brute").fit(points_N_D)
    return search.kneighbors()[0].mean(1)  # without an argument, a point is no neighbor of its own
