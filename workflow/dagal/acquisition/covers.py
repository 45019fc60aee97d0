"""k-center and BADGE that tell how far their selection reaches, and so can choose by two levels from a pool in shards.

Each shard chooses a whole batch, and the same selector chooses among what the shards chose. Every candidate is within the radius of
its shard of a sample that the shard chose, or of a labeled one, and that sample within the second radius of the selection: the sum
bounds the radius of the whole, and is known without another pass.
"""

from dataclasses import dataclass

import numpy as np

from dagal.acquisition.badge import badge, squared_norms
from dagal.acquisition.kcenter import Nearest, check_budget, farthest_first


@dataclass(frozen=True)
class Cover:
    """A selection, and the largest distance of a candidate to the nearest selected or labeled sample."""

    positions: np.ndarray  # (b,) int64 in order of choice
    radius: float


def kcenter_cover(embeddings_N_D: np.ndarray, centers_L_D: np.ndarray, budget: int, device: str = "cpu") -> Cover:
    """`kcenter.kcenter_greedy` with its radius (Euclidean), which one more pick tells.

    At most twice the radius of the best ``budget`` centers (Gonzalez 1985): chosen samples and the farthest one left are a radius apart
    from each other and from the labeled ones, so that two of them share a center of any solution, or one is near a labeled sample. That
    holds for a shard, with the optimum of the whole pool, and for what the shards chose; so by two levels the factor is 4.
    """
    check_budget(budget, embeddings_N_D)
    nearest = Nearest(embeddings_N_D, centers_L_D, device=device)
    squared_b = farthest_first(nearest, min(budget + 1, len(embeddings_N_D)))
    chosen = np.array(nearest.chosen, np.int64)
    return Cover(chosen[:budget], float(np.sqrt(squared_b[budget])) if len(chosen) > budget else 0.0)


def badge_cover(probs_N_C: np.ndarray, embeddings_N_D: np.ndarray, budget: int, rng: np.random.Generator) -> Cover:
    """`badge.badge` with its radius, a distance of gradients to the nearest selected one; one more pass. No factor is known beforehand."""
    chosen = badge(probs_N_C, embeddings_N_D, budget, rng)
    return Cover(chosen, gradient_radius(probs_N_C, embeddings_N_D, chosen))


def gradient_radius(probs_n_C: np.ndarray, embeddings_n_D: np.ndarray, positions: np.ndarray) -> float:
    """Largest distance of the gradients of `badge` to the nearest of those at ``positions``. O(n b (C + D)), blocks of some MB."""
    residuals_b_C, embeddings_b_D = gradients(probs_n_C, embeddings_n_D, positions)
    squared_b = squared_norms(residuals_b_C) * squared_norms(embeddings_b_D)
    largest, block = 0.0, max(1, (1 << 21) // max(1, len(positions)))
    for start in range(0, len(probs_n_C), block):
        rows = np.arange(start, min(start + block, len(probs_n_C)))
        residuals_B_C, embeddings_B_D = gradients(probs_n_C, embeddings_n_D, rows)
        squared_B_b = (residuals_B_C @ residuals_b_C.T) * (embeddings_B_D @ embeddings_b_D.T)
        squared_B_b *= -2
        squared_B_b += squared_b
        squared_B = squared_B_b.min(1) + squared_norms(residuals_B_C) * squared_norms(embeddings_B_D)
        largest = max(largest, float(squared_B.max()))
    return float(np.sqrt(largest))


def gradients(probs_n_C: np.ndarray, embeddings_n_D: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two factors of some gradients, p - onehot(argmax p) and the embedding, float64."""
    residuals_B_C = probs_n_C[rows].astype(np.float64)
    residuals_B_C[np.arange(len(rows)), probs_n_C[rows].argmax(1)] -= 1
    return residuals_B_C, embeddings_n_D[rows].astype(np.float64)
