"""What selectors that cluster the candidates, or compare them, have in common."""

import numpy as np

ROWS = 4096  # candidates compared with the cluster means at a time


def to_unit_length(points_P_D: np.ndarray) -> None:
    """Scale each point, in place, to length 1; one without length stays at 0."""
    lengths_P_1 = np.linalg.norm(points_P_D, axis=1, keepdims=True)
    points_P_D /= np.where(lengths_P_1 > 0, lengths_P_1, 1)


def rank_in_group(group_N: np.ndarray) -> np.ndarray:
    """How many earlier entries of its own group stand before each entry, int64 (N,); groups are numbered from 0. O(N log N)."""
    order = np.argsort(group_N, kind="stable")
    sizes_K = np.bincount(group_N)
    rank_N = np.empty(len(group_N), np.int64)
    rank_N[order] = np.arange(len(group_N)) - np.repeat(np.cumsum(sizes_K) - sizes_K, sizes_K)
    return rank_N


def middles(
    points_P_D: np.ndarray,
    n_clusters: int,
    rng: np.random.Generator,
    weights_P: np.ndarray | None = None,
    max_iterations: int = 100,
) -> np.ndarray:
    """Whether a point is the nearest to the center of its cluster, bool (P,); the first of equally near ones.

    Clusters by k-means, k-means++ seeding, each point with its weight (1 without weights). There are fewer than ``n_clusters`` where
    points are the same. O(P K D) time per iteration.
    """
    from sklearn.cluster import KMeans  # takes 3 s to load

    kmeans = KMeans(n_clusters, n_init=1, max_iter=max_iterations, random_state=int(rng.integers(2**31)))
    cluster_P = kmeans.fit_predict(points_P_D, sample_weight=weights_P)
    away_P = np.linalg.norm(points_P_D - kmeans.cluster_centers_[cluster_P], axis=1)
    by_cluster = np.lexsort((away_P, cluster_P))  # stable: the first among equals
    _, first = np.unique(cluster_P[by_cluster], return_index=True)
    is_middle_P = np.zeros(len(points_P_D), bool)
    is_middle_P[by_cluster[first]] = True
    return is_middle_P


def hierarchical_clusters(
    points_N_D: np.ndarray, n_clusters: int, max_points: int, rng: np.random.Generator, linkage: str = "ward"
) -> np.ndarray:
    """Cluster (N,) from 0 of the tree on at most ``max_points`` of the points; the others join the nearest mean.

    ``linkage``: how the tree is made, as SciPy names it. O(P^2 D + N K D) time and O(P^2) memory for P points in the tree.
    """
    from scipy.cluster import hierarchy

    n = len(points_N_D)
    if n == 1:
        return np.zeros(1, np.int64)
    sample_P = np.arange(n) if n <= max_points else np.sort(rng.choice(n, max_points, replace=False))
    points_P_D = points_N_D[sample_P].astype(np.float64)
    cluster_P = hierarchy.fcluster(hierarchy.linkage(points_P_D, linkage), n_clusters, "maxclust") - 1
    if n <= max_points:
        return cluster_P
    means_K_D = np.stack([points_P_D[cluster_P == cluster].mean(0) for cluster in range(cluster_P.max() + 1)])
    cluster_N = np.empty(n, np.int64)
    for start in range(0, n, ROWS):
        block_B_D = points_N_D[start : start + ROWS].astype(np.float64)
        cluster_N[start : start + ROWS] = ((means_K_D**2).sum(1) - 2 * block_B_D @ means_K_D.T).argmin(1)
    cluster_N[sample_P] = cluster_P
    return cluster_N
