"""Distances in bounded memory."""

import numpy as np

BLOCK_ENTRIES = 1 << 24  # 64 MB of float32


def nearest_squared_distance(points_N_D: np.ndarray, centers_L_D: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of each point to its nearest center, float32 (N,); infinity without centers.

    O(N L D) time by matrix products on blocks of at most 64 MB: never an N x L matrix.
    """
    nearest_N = np.full(len(points_N_D), np.inf, np.float32)
    if len(centers_L_D) == 0:
        return nearest_N
    # distances do not change by a shift, and small norms keep |x|^2 - 2xy + |y|^2 accurate
    shift_D = centers_L_D.mean(0, dtype=np.float64).astype(np.float32)
    centers_L_D = (centers_L_D - shift_D).astype(np.float32)
    center_norms_L = np.einsum("ld,ld->l", centers_L_D, centers_L_D)
    block = max(1, BLOCK_ENTRIES // max(len(centers_L_D), points_N_D.shape[1]))
    for start in range(0, len(points_N_D), block):
        points_B_D = (points_N_D[start : start + block] - shift_D).astype(np.float32)
        squared_B_L = center_norms_L - 2 * (points_B_D @ centers_L_D.T)
        norms_B = np.einsum("bd,bd->b", points_B_D, points_B_D)
        nearest_N[start : start + block] = np.maximum(squared_B_L.min(1) + norms_B, 0)
    return nearest_N
