"""Discriminative active learning: label what a classifier tells apart from the labeled set."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from dagal.errors import UserError

BATCH = 128  # of labeled samples and of candidates in one step


def dal(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    mini_queries: Annotated[int, Ge(1)] = 10,
    hidden_units: tuple[Annotated[int, Ge(1)], ...] = (256, 256, 256),
    learning_rate: Annotated[float, Gt(0)] = 0.001,
    max_steps: Annotated[int, Ge(1)] = 300,
    stop_accuracy: Annotated[float, Gt(0), Le(1)] = 0.98,
) -> np.ndarray:
    """The candidates that a labeled-or-unlabeled classifier of embeddings finds least labeled (Gissin & Shalev-Shwartz 2019, sec. 3).

    In ``mini_queries`` parts, each with a newly trained classifier that counts the earlier parts as labeled, so that the
    batch does not crowd in one place. The classifier is scikit-learn's MLPClassifier with the authors' three layers of 256,
    and not logistic regression: a hyperplane cannot single out a region that the labeled samples surround. As theirs, it
    stops at 98 % training accuracy, before it is certain of samples next to labeled ones; looked at every 20 steps.
    A step of Adam sees equally many labeled samples and candidates, where they weight the classes; ``max_steps`` bounds
    the time when the two cannot be told apart; and all candidates are ranked, not a subset of 10 L. The embeddings are
    centered and divided by one number, their spread. Ties are broken at random.

    O(mini_queries (steps + N) W) time for a network of W weights; memory: about four float32 copies of the embeddings.
    """
    from sklearn.neural_network import MLPClassifier  # takes 3 s to load

    n_candidates, n_labeled = len(embeddings_N_D), len(centers_L_D)
    if budget > n_candidates:
        raise UserError(f"dal cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if n_labeled == 0:
        raise UserError("dal compares the candidates with labeled samples, but there are none; start with some.")
    if min(mini_queries, max_steps) < 1:
        raise UserError("dal needs mini_queries and max_steps of at least 1.")
    if budget == 0:
        return np.empty(0, np.int64)
    points_M_D = np.concatenate([embeddings_N_D, centers_L_D], dtype=np.float32)
    if not np.isfinite(points_M_D).all():
        raise UserError("dal needs finite embeddings; check the model for NaN or infinite outputs.")
    points_M_D -= points_M_D.mean(0)
    points_M_D /= points_M_D.std() or 1

    is_labeled_M = np.arange(len(points_M_D)) >= n_candidates
    selected = np.empty(0, np.int64)
    for part in np.array_split(np.arange(budget), min(mini_queries, budget)):
        labeled, left = np.flatnonzero(is_labeled_M), np.flatnonzero(~is_labeled_M)
        model = MLPClassifier(
            tuple(hidden_units),
            learning_rate_init=learning_rate,
            batch_size=2 * BATCH,
            random_state=int(rng.integers(2**31)),
        )
        for step in range(1, max_steps + 1):
            rows = np.concatenate([rng.choice(labeled, BATCH), rng.choice(left, BATCH)])
            model.partial_fit(points_M_D[rows], is_labeled_M[rows], classes=[False, True])
            if step % 20 == 0:
                rows = np.concatenate([rng.choice(labeled, 4 * BATCH), rng.choice(left, 4 * BATCH)])
                if model.score(points_M_D[rows], is_labeled_M[rows]) > stop_accuracy:
                    break
        # the probability of being labeled: it stays apart from 0 where the other one would round to 1
        probs_N = model.predict_proba(points_M_D[left])[:, 1]
        chosen = left[np.lexsort((rng.random(len(left)), probs_N))[: len(part)]]
        is_labeled_M[chosen] = True
        selected = np.append(selected, chosen)
    return selected
