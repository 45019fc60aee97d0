"""NoiseStability: candidates whose prediction a little noise in the weights changes much, each in a way of its own."""

import numpy as np

from dagal.acquisition.kcenter import kcenter_greedy


def noise_stability(noise_K_N_C: np.ndarray, budget: int) -> np.ndarray:
    """k-center greedy on the changes under all K noises, where no change at all is the first center (Li et al. 2024).

    So the first choice changes most, and each further one is farthest from those chosen and from what noise does not change. Costs
    and ties as in `kcenter_greedy`, in K C dimensions; memory: a copy of the changes.
    """
    n_noises, n_candidates, n_classes = noise_K_N_C.shape
    changes_N_KC = noise_K_N_C.transpose(1, 0, 2).reshape(n_candidates, n_noises * n_classes)
    return kcenter_greedy(changes_N_KC, np.zeros((1, n_noises * n_classes), changes_N_KC.dtype), budget)
