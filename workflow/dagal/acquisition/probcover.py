"""ProbCover: balls of one radius around the choices are to hold as much of the pool as possible."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from dagal.acquisition.clusters import to_unit_length
from dagal.acquisition.distances import nearest_squared_distance
from dagal.errors import UserError

BLOCK_ENTRIES = 1 << 24  # 64 MB of float32


def probcover(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    n_classes: int,
    rng: np.random.Generator,
    radius: Annotated[float, Gt(0)] | None = None,
    purity: Annotated[float, Gt(0), Le(1)] = 0.95,
    purity_sample: Annotated[int, Ge(1)] = 5_000,
    normalize: bool = True,
) -> np.ndarray:
    """Greedily the candidate whose ball of ``radius`` holds most samples that no earlier ball holds (Yehuda et al. 2022, alg. 1).

    The balls of the labeled samples come first. Ties are broken at random; once all is covered, the rest of the budget is
    a random draw. Without a ``radius``, it is the largest at which a share ``purity`` of the balls holds a single class
    (their sec. 3.3, alpha = 0.95), with the clusters of a k-means with C centers for classes, found on ``purity_sample``
    samples: no ball that reaches the nearest sample of another cluster is pure, so it is a quantile of those distances.
    As in the authors' code, a ball is open and the embeddings are scaled to unit length (``normalize``).

    The graph of who covers whom is counted, never stored: blocks of 64 MB beside two float32 copies of the embeddings,
    at any radius. O(N (L + N) D) time: each sample is compared with all others once to count, and again when it is covered.
    """
    n_candidates = len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"probcover cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if (radius is not None and radius <= 0) or not 0 < purity <= 1 or purity_sample < 1:
        raise UserError("probcover needs a radius and a purity_sample above 0, and a purity in (0, 1].")
    if budget == 0:
        return np.empty(0, np.int64)
    points_M_D = np.concatenate([embeddings_N_D, centers_L_D], dtype=np.float32)
    if not np.isfinite(points_M_D).all():
        raise UserError("probcover needs finite embeddings; check the model for NaN or infinite outputs.")
    if normalize:
        to_unit_length(points_M_D)
    points_M_D -= points_M_D.mean(0)  # small norms keep distances accurate
    if radius is None:
        radius = pure_radius(points_M_D, n_classes, rng, purity, purity_sample)

    squared = float(radius) ** 2
    points_N_D = points_M_D[:n_candidates]
    norms_N = squared_norms(points_N_D)
    is_uncovered_N = nearest_squared_distance(points_N_D, points_M_D[n_candidates:]) >= squared
    degree_N = count_neighbors(points_N_D, norms_N, np.flatnonzero(is_uncovered_N), squared)
    is_left_N = np.ones(n_candidates, bool)
    selected = np.empty(budget, np.int64)
    for step in range(budget):
        if not is_uncovered_N.any():
            selected[step:] = rng.permutation(np.flatnonzero(is_left_N))[: budget - step]
            break
        most = degree_N[is_left_N].max()
        selected[step] = chosen = rng.choice(np.flatnonzero(is_left_N & (degree_N == most)))
        is_left_N[chosen] = False
        is_new_N = is_uncovered_N & (squared_distances(points_N_D, norms_N, [chosen])[0] < squared)
        is_new_N[chosen] = is_uncovered_N[chosen]
        degree_N -= count_neighbors(points_N_D, norms_N, np.flatnonzero(is_new_N), squared)
        is_uncovered_N &= ~is_new_N
    return selected


def pure_radius(
    points_M_D: np.ndarray, n_classes: int, rng: np.random.Generator, purity: float, purity_sample: int
) -> float:
    """The largest radius at which a share ``purity`` of the open balls around sampled points holds one cluster only."""
    from sklearn.cluster import KMeans  # takes 3 s to load

    kmeans = KMeans(min(n_classes, len(points_M_D)), n_init=1, random_state=int(rng.integers(2**31)))
    cluster_M = kmeans.fit_predict(points_M_D)
    norms_M = squared_norms(points_M_D)
    sample_S = rng.permutation(len(points_M_D))[:purity_sample]
    nearest_S = np.empty(len(sample_S))
    block = max(1, BLOCK_ENTRIES // len(points_M_D))
    for start in range(0, len(sample_S), block):
        sample_B = sample_S[start : start + block]
        squared_B_M = squared_distances(points_M_D, norms_M, sample_B)
        squared_B_M[cluster_M[sample_B][:, None] == cluster_M] = np.inf
        nearest_S[start : start + block] = squared_B_M.min(1)
    impure = int((1 - purity) * len(sample_S) + 1e-9)
    return float(np.sqrt(max(np.partition(nearest_S, impure)[impure], 0)))


def count_neighbors(points_N_D: np.ndarray, norms_N: np.ndarray, positions_B: np.ndarray, squared: float) -> np.ndarray:
    """Of how many of the points at ``positions_B`` the squared distance to each point is below ``squared``, (N,)."""
    counts_N = np.zeros(len(points_N_D), np.int64)
    block = max(1, BLOCK_ENTRIES // len(points_N_D))
    for start in range(0, len(positions_B), block):
        counts_N += (squared_distances(points_N_D, norms_N, positions_B[start : start + block]) < squared).sum(0)
    return counts_N


def squared_distances(points_N_D: np.ndarray, norms_N: np.ndarray, positions_B: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (B, N) of the points at ``positions_B`` to all, up to rounding below 0."""
    squared_B_N = (-2 * points_N_D[positions_B]) @ points_N_D.T
    squared_B_N += norms_N[positions_B, None]
    squared_B_N += norms_N
    return squared_B_N


def squared_norms(points_N_D: np.ndarray) -> np.ndarray:
    """Squared Euclidean norm of each point, float32 (N,)."""
    return np.einsum("nd,nd->n", points_N_D, points_N_D)
