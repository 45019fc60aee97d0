"""Average margin: a class gets the more of the batch, the smaller the margins are where it is predicted."""

import numpy as np

from dagal.acquisition.clusters import rank_in_group
from dagal.acquisition.scores import margin
from dagal.errors import UserError


def average_margin(score_N: np.ndarray, probs_N_C: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """The best-scored candidates of each predicted class, in numbers proportional to 1 - the class's mean margin p(1) - p(2).

    Lv et al. 2020 (in 002, sec. 3.3), who control the sampling ratio of each defect category by its average margin; the survey prints
    no equation, so the proportionality is ours. Numbers are rounded down; the largest remainders, equal ones at random, get
    what is left, and what a class cannot fill goes to the best-scored of the others. A class that is predicted nowhere gets
    nothing, and where all margins are 1 all classes get as much. Best score first, ties at random.

    O(N (C + log N)) time.
    """
    n_candidates = len(score_N)
    if budget > n_candidates:
        raise UserError(f"average_margin cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if not np.isfinite(probs_N_C).all():
        raise UserError("average_margin needs finite probabilities; check the model for NaN or infinite outputs.")
    order_N = np.lexsort((rng.random(n_candidates), -score_N))
    if budget == 0:
        return order_N[:0]
    present_K, class_N = np.unique(probs_N_C[order_N].argmax(1), return_inverse=True)
    doubt_K = np.bincount(class_N, 1 + margin(probs_N_C[order_N])) / np.bincount(class_N)
    doubt_K = doubt_K if doubt_K.any() else np.ones(len(present_K))
    wanted_K = budget * doubt_K / doubt_K.sum()
    number_K = np.floor(wanted_K).astype(np.int64)
    remainders = np.lexsort((rng.random(len(number_K)), number_K - wanted_K))
    number_K[remainders[: budget - number_K.sum()]] += 1
    is_chosen_N = rank_in_group(class_N) < number_K[class_N]
    is_chosen_N[np.flatnonzero(~is_chosen_N)[: budget - is_chosen_N.sum()]] = True
    return order_N[is_chosen_N]
