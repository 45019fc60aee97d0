"""WAAL: unsure candidates that a Wasserstein critic finds far from the labeled ones."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from dagal.acquisition.descent import adam
from dagal.errors import UserError

BATCH = 64  # of labeled samples and of candidates in one step
PENALTY = 10.0  # of a slope that is not 1 (Gulrajani et al. 2017)
SMALLEST = np.finfo(np.float32).tiny  # below it a probability counts as this


def waal(
    probs_N_C: np.ndarray,
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    weight: Annotated[float, Ge(0)] = 10.0,
    hidden_units: Annotated[int, Ge(1)] = 50,
    steps: Annotated[int, Ge(1)] = 500,
    learning_rate: Annotated[float, Gt(0)] = 0.001,
) -> np.ndarray:
    """The candidates of smallest `doubt_bound` - ``weight`` x critic (the query of Shui et al. 2020, with the weights of their code).

    The critic g of one hidden layer maximises mean g(candidates) - mean g(labeled), less a penalty on slopes other than 1 between
    the two, so that the difference approaches their Wasserstein distance; it is large where labeled samples are few. Unlike the
    paper's, it is trained on the embeddings of the finished model: that the learner's own training draws the two together is
    no part of a selector. Embeddings are centered and divided by one number, their spread. Ties are broken at random.

    O((steps + N) D H) time; memory: a float32 copy of the embeddings and an array (N,H).
    """
    n_candidates = len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"waal cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if len(centers_L_D) == 0:
        raise UserError("waal compares the candidates with labeled samples, but there are none; start with some.")
    points_M_D = np.concatenate([embeddings_N_D, centers_L_D], dtype=np.float32)
    if not np.isfinite(points_M_D).all():
        raise UserError("waal needs finite embeddings; check the model for NaN or infinite outputs.")
    points_M_D -= points_M_D.mean(0)
    points_M_D /= points_M_D.std() or 1
    points_N_D, labeled_L_D = points_M_D[:n_candidates], points_M_D[n_candidates:]
    shapes = (points_N_D.shape[1], hidden_units), (hidden_units,), (hidden_units,)
    parameters = [(rng.uniform(-1, 1, shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]
    step = adam(parameters, learning_rate)
    for _ in range(steps):
        drawn_B_D, known_B_D = (points[rng.integers(len(points), size=BATCH)] for points in (points_N_D, labeled_L_D))
        between_B_D = known_B_D + rng.random((BATCH, 1), np.float32) * (drawn_B_D - known_B_D)
        step(gradients(parameters, drawn_B_D, known_B_D, between_B_D))
    score_N = doubt_bound(probs_N_C) - weight * critic(parameters, points_N_D).astype(np.float64)
    return np.lexsort((rng.random(n_candidates), score_N))[:budget]


def doubt_bound(probs_N_C: np.ndarray) -> np.ndarray:
    """(||log p||_2 + sum_c -log p_c) / 2, float64 (N,): smallest where all classes are equally probable."""
    logs_N_C = np.log(np.maximum(probs_N_C.astype(np.float64), SMALLEST))
    return (np.linalg.norm(logs_N_C, axis=1) - logs_N_C.sum(1)) / 2


def critic(parameters: list[np.ndarray], points_B_D: np.ndarray) -> np.ndarray:
    """g(x) = v . relu(x W + b) (B,), of the parameters W (D,H), b (H,), v (H,)."""
    weights_D_H, biases_H, values_H = parameters
    return np.maximum(points_B_D @ weights_D_H + biases_H, 0) @ values_H


def gradients(
    parameters: list[np.ndarray], drawn_B_D: np.ndarray, known_B_D: np.ndarray, between_B_D: np.ndarray
) -> list[np.ndarray]:
    """Of mean g(known) - mean g(drawn) + 10 mean (||slope of g|| - 1)^2 with regard to W, b and v; slopes are taken between the two.

    The slope at x is W (v m), m the hidden units that are on, which a small change of the parameters leaves as they are.
    """
    weights_D_H, biases_H, values_H = parameters
    found = [np.zeros_like(one) for one in parameters]
    for points_B_D, sign in ((known_B_D, 1), (drawn_B_D, -1)):
        before_B_H = points_B_D @ weights_D_H + biases_H
        of_hidden_B_H = (before_B_H > 0) * values_H * (sign / len(points_B_D))
        found[0] += points_B_D.T @ of_hidden_B_H
        found[1] += of_hidden_B_H.sum(0)
        found[2] += sign * np.maximum(before_B_H, 0).mean(0)
    is_on_B_H = between_B_D @ weights_D_H + biases_H > 0
    slopes_B_D = (is_on_B_H * values_H) @ weights_D_H.T
    lengths_B_1 = np.linalg.norm(slopes_B_D, axis=1, keepdims=True)
    of_slopes_B_D = 2 * PENALTY / len(slopes_B_D) * (lengths_B_1 - 1) * slopes_B_D
    of_slopes_B_D /= np.where(lengths_B_1 > 0, lengths_B_1, 1)
    found[0] += of_slopes_B_D.T @ (is_on_B_H * values_H)
    found[2] += ((of_slopes_B_D @ weights_D_H) * is_on_B_H).sum(0)
    return found
