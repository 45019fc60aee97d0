"""Selectors: positions (b,) int64 of the queried candidates, in order of choice.

A selector says by the names of its arguments what it reads (see `dagal.acquisition.methods.SIGNALS`).
"""

import numpy as np

from dagal.acquisition.distances import nearest_squared_distance


def top_k(score_N: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """The ``budget`` largest scores, best first, ties in random order. O(N log N)."""
    return np.lexsort((rng.random(len(score_N)), -score_N))[:budget]


def kcenter_greedy(embeddings_N_D: np.ndarray, centers_L_D: np.ndarray, budget: int) -> np.ndarray:
    """Repeatedly the candidate farthest from its nearest labeled or already selected one (Sener & Savarese 2018, alg. 1).

    Ties go to the lowest position. O((L + b) N D) time, O(N) memory beside the embeddings.
    """
    points_N_D = embeddings_N_D.astype(np.float32)
    nearest_N = nearest_squared_distance(points_N_D, centers_L_D)
    selected = np.empty(budget, np.int64)
    for step in range(budget):
        selected[step] = farthest = int(nearest_N.argmax())
        chosen_1_D = points_N_D[farthest : farthest + 1]
        np.minimum(nearest_N, nearest_squared_distance(points_N_D, chosen_1_D), out=nearest_N)
        nearest_N[farthest] = -1.0
    return selected
