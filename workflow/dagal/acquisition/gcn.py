"""A graph convolutional network that tells labeled from unlabeled embeddings: UncertainGCN and CoreGCN (Caramalau et al. 2021)."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from dagal.acquisition.clusters import to_unit_length
from dagal.acquisition.descent import adam
from dagal.acquisition.kcenter import kcenter_greedy
from dagal.errors import UserError

# as in the authors' code
DROPOUT = 0.3
WEIGHT_DECAY = 5e-4
UNLABELED = 1.2  # weight of the unlabeled samples in the loss (lambda)


def uncertain_gcn(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    margin: Annotated[float, Ge(0), Le(1)] = 0.1,
    hidden_units: Annotated[int, Ge(1)] = 128,
    epochs: Annotated[int, Ge(1)] = 200,
    learning_rate: Annotated[float, Gt(0)] = 0.001,
) -> np.ndarray:
    """The candidates whose probability of being labeled is nearest to ``margin`` (Caramalau et al. 2021).

    The probability is that of `train`, whose costs these are. Ties are broken at random.
    """
    _, labeled_N = train("uncertain_gcn", embeddings_N_D, centers_L_D, budget, rng, hidden_units, epochs, learning_rate)
    return np.lexsort((rng.random(len(labeled_N)), np.abs(labeled_N - margin)))[:budget]


def core_gcn(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    hidden_units: Annotated[int, Ge(1)] = 128,
    epochs: Annotated[int, Ge(1)] = 200,
    learning_rate: Annotated[float, Gt(0)] = 0.001,
) -> np.ndarray:
    """k-center greedy on what the network's first layer makes of the embeddings (Caramalau et al. 2021).

    The layer is that of `train`, whose costs these are besides those of `kcenter_greedy`.
    """
    hidden_M_H, _ = train("core_gcn", embeddings_N_D, centers_L_D, budget, rng, hidden_units, epochs, learning_rate)
    return kcenter_greedy(hidden_M_H[: len(embeddings_N_D)], hidden_M_H[len(embeddings_N_D) :], budget)


def train(
    name: str,
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    hidden_units: int,
    epochs: int,
    learning_rate: float,
) -> tuple[np.ndarray, np.ndarray]:
    """First layer of all nodes (N+L,H), and probability of being labeled of the candidates (N,) (Caramalau et al. 2021).

    Nodes are the candidates, then the labeled samples; an edge weighs what `spread` says. Two layers of graph convolution, ReLU
    and dropout between them, are trained with Adam on all nodes at once, by cross-entropy in which both parts have a mean of their
    own. Numbers as in the authors' code. They take a random subset of 10,000 unlabeled samples, for their graph is a matrix:
    here it never is, so that all candidates are in it; a method's ``subset`` takes fewer.

    O(epochs M D H) time for M = N + L; memory: two copies of the embeddings and some arrays (M,H), in float32 at least.
    """
    n_candidates = len(embeddings_N_D)
    if budget > n_candidates:
        raise UserError(f"{name} cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if len(centers_L_D) == 0:
        raise UserError(f"{name} compares the candidates with labeled samples, but there are none; start with some.")
    dtype = np.result_type(np.float32, embeddings_N_D, centers_L_D)
    points_M_D = np.concatenate([embeddings_N_D, centers_L_D], dtype=dtype)
    if not np.isfinite(points_M_D).all():
        raise UserError(f"{name} needs finite embeddings; check the model for NaN or infinite outputs.")
    points_M_D = unit_lengths(points_M_D)
    inverse_M_1 = inverse_degrees(points_M_D)
    around_M_D = spread(points_M_D, inverse_M_1, points_M_D)
    is_labeled_M = np.arange(len(points_M_D)) >= n_candidates
    shapes = (points_M_D.shape[1], hidden_units), (hidden_units,), (hidden_units, 1), (1,)
    parameters = [(rng.uniform(-1, 1, shape) / np.sqrt(shape[-1])).astype(dtype) for shape in shapes]
    step = adam(parameters, learning_rate, WEIGHT_DECAY)
    for _ in range(epochs):
        kept_M_H = (rng.random((len(points_M_D), hidden_units), np.float32) >= DROPOUT).astype(dtype) / (1 - DROPOUT)
        step(gradients(parameters, around_M_D, points_M_D, inverse_M_1, is_labeled_M, kept_M_H))
    hidden_M_H = np.maximum(around_M_D @ parameters[0] + parameters[1], 0)
    logits_M = (spread(points_M_D, inverse_M_1, hidden_M_H @ parameters[2]) + parameters[3])[:, 0]
    return hidden_M_H, sigmoid(logits_M[:n_candidates].astype(np.float64))


def gradients(
    parameters: list[np.ndarray],
    around_M_D: np.ndarray,
    points_M_D: np.ndarray,
    inverse_M_1: np.ndarray,
    is_labeled_M: np.ndarray,
    kept_M_H: np.ndarray,
) -> list[np.ndarray]:
    """Of the loss - mean of log s over the labeled - 1.2 x mean of log(1 - s) over the others, s = sigmoid(A (h * kept) W2 + b2),
    h = relu(A X W1 + b1), with regard to W1 (D,H), b1 (H,), W2 (H,1), b2 (1,).

    ``around_M_D`` is A X; ``kept_M_H`` what dropout multiplies with.
    """
    weights_D_H, biases_H, weights_H_1, biases_1 = parameters
    before_M_H = around_M_D @ weights_D_H + biases_H
    hidden_M_H = np.maximum(before_M_H, 0) * kept_M_H
    labeled_M_1 = sigmoid(spread(points_M_D, inverse_M_1, hidden_M_H @ weights_H_1) + biases_1)
    n_labeled = is_labeled_M.sum()
    of_logits_M_1 = np.where(
        is_labeled_M[:, None],
        (labeled_M_1 - 1) / n_labeled,
        UNLABELED * labeled_M_1 / (len(is_labeled_M) - n_labeled),
    ).astype(points_M_D.dtype)
    # A = B D^-1 + I with B symmetric, so that its transpose spreads what is scaled afterwards
    of_sums_M_1 = of_logits_M_1 + inverse_M_1 * (points_M_D @ (points_M_D.T @ of_logits_M_1) - of_logits_M_1)
    of_hidden_M_H = (of_sums_M_1 @ weights_H_1.T) * kept_M_H * (before_M_H > 0)
    return [
        around_M_D.T @ of_hidden_M_H,
        of_hidden_M_H.sum(0),
        hidden_M_H.T @ of_sums_M_1,
        of_logits_M_1.sum(0),
    ]


def unit_lengths(points_M_D: np.ndarray) -> np.ndarray:
    """The points with what is below 0 set to 0, as after a ReLU, scaled to unit length; a point without length stays at 0."""
    points_M_D = np.maximum(points_M_D, 0)
    to_unit_length(points_M_D)
    return points_M_D


def inverse_degrees(points_M_D: np.ndarray) -> np.ndarray:
    """1 / sum of the cosines of each point with all others (M,1); 0 where that sum is 0."""
    degrees_M_1 = points_M_D @ points_M_D.sum(0)[:, None] - np.einsum("md,md->m", points_M_D, points_M_D)[:, None]
    inverse_M_1 = np.zeros_like(degrees_M_1)
    return np.divide(
        1, degrees_M_1, out=inverse_M_1, where=degrees_M_1 > len(points_M_D) * np.finfo(degrees_M_1.dtype).eps
    )


def spread(points_M_D: np.ndarray, inverse_M_1: np.ndarray, values_M_K: np.ndarray) -> np.ndarray:
    """A v = (X X^T - I) D^-1 v + v (M,K), X the points at unit length, D their degrees: cosines as weights, and a loop of weight 1.

    The graph of the authors' code, by products of thin matrices instead of its M x M one. O(M D K) time.
    """
    scaled_M_K = inverse_M_1 * values_M_K
    return points_M_D @ (points_M_D.T @ scaled_M_K) - scaled_M_K + values_M_K


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -logits))
