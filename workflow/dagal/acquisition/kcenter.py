"""Greedy k-center: repeatedly the candidate farthest from everything labeled or already chosen.

All distances are those of `dagal.acquisition.distances.squared_distance`, so picks are the same bits for every block size
and number of threads, and exact ties (duplicates, grids) go to the lowest position.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from dagal.acquisition import distances
from dagal.acquisition.distances import CENTERS, ROWS, Block
from dagal.errors import UserError


class Nearest:
    """Squared distance of each point to its nearest center, brought up to date only where it is asked for.

    A center can only lower a distance, so a distance that misses the last centers is an upper bound. ``squared_N`` holds
    these bounds (float64, -1 for chosen points) and ``compared_N`` how many of the centers each was compared with: first the
    labeled ones, then the chosen points in order. ``squared_N`` may be handed in, complete for the labeled ones. Products are made on
    ``device`` ("cpu" or a device of torch). Memory beside the embeddings: O(N) and blocks of some MB.
    Raises UserError for embeddings that `distances.checked` refuses and a device that `distances.check_device` refuses.
    """

    def __init__(
        self,
        embeddings_N_D: np.ndarray,
        centers_L_D: np.ndarray,
        squared_N: np.ndarray | None = None,
        device: str = "cpu",
    ):
        distances.check_device(device)
        points_N_D, centers_L_D, self.dtype = distances.checked(embeddings_N_D, centers_L_D)
        self.points_N_D, self.centers_L_D, self.device = points_N_D, centers_L_D, device
        self.shift_D = distances.middle(centers_L_D if len(centers_L_D) else points_N_D)
        self.chosen = []
        regions = squared_N is None and distances.pivots(points_N_D, centers_L_D, self.dtype)
        if regions:
            squared_N = distances.nearest_in_regions(points_N_D, centers_L_D, self.dtype, *regions, device)
        if squared_N is not None:
            self.squared_N = squared_N.copy()
            self.compared_N = np.full(len(points_N_D), len(centers_L_D))
        else:  # isotropic embeddings: only points that reach the top meet all labeled ones
            self.squared_N = np.full(len(points_N_D), np.inf)
            self.compared_N = np.zeros(len(points_N_D), np.int64)
            if len(centers_L_D):
                self.update(np.arange(len(points_N_D)), np.inf)

    @property
    def n_centers(self) -> int:
        return len(self.centers_L_D) + len(self.chosen)

    def block(self, rows: np.ndarray) -> Block:
        """Points ready to be compared with centers."""
        return Block(self.points_N_D[rows], self.shift_D, self.dtype, self.device)

    def choose(self, position: int) -> None:
        """Make a point a center."""
        self.chosen.append(position)
        self.squared_N[position] = -1

    def stale(self, rows: np.ndarray) -> np.ndarray:
        """Those of the rows whose distance may still fall."""
        return rows[(self.compared_N[rows] < self.n_centers) & (self.squared_N[rows] > 0)]

    def update(self, rows: np.ndarray, floor: float = -1.0) -> None:
        """Compare the rows with all centers that they were not compared with yet; rows that fall below ``floor`` on the way stay stale.

        Rows are taken together when they lack about as many centers, so at most half of the products are repetitions.
        """
        n_labeled, n_centers = len(self.centers_L_D), self.n_centers
        while len(rows := self.stale(rows)) and len(rows := rows[self.squared_N[rows] >= floor]):
            compared = self.compared_N[rows]
            first = int(compared.min())
            last = min(first + min(max(first, 128), CENTERS), n_labeled if first < n_labeled else n_centers)
            if first < n_labeled:
                centers = self.centers_L_D[first:last]
            else:
                centers = self.points_N_D[self.chosen[first - n_labeled : last - n_labeled]]
            together = rows[(compared < last) & (compared <= (first + n_centers) // 2)]
            for start in range(0, len(together), ROWS):
                part = together[start : start + ROWS]
                values = self.squared_N[part]
                self.block(part).tighten(values, centers)
                self.squared_N[part] = values
            self.compared_N[together] = last


def largest(value_N: np.ndarray, count: int) -> tuple[np.ndarray, float, int]:
    """Positions of the ``count`` largest values, ascending, equal ones by lowest position; and bounds of all others.

    The other values are at most the second result, and those equal to it are at the third or later positions. O(N).
    """
    if count >= len(value_N):
        return np.arange(len(value_N)), -np.inf, 0
    level = np.partition(value_N, -count)[-count]
    above, level_positions = np.flatnonzero(value_N > level), np.flatnonzero(value_N == level)
    inside = level_positions[: count - len(above)]
    outside = level_positions[len(inside)] if len(inside) < len(level_positions) else len(value_N)
    return np.union1d(above, inside), level, outside


def kcenter_greedy(embeddings_N_D: np.ndarray, centers_L_D: np.ndarray, budget: int, device: str = "cpu") -> np.ndarray:
    """Repeatedly the candidate farthest from its nearest labeled or already selected one (Sener & Savarese 2018, alg. 1).

    Returns positions (b,) int64 in order of choice; ties go to the lowest position, and without labeled samples the first
    is position 0. Exactly the picks of the plain algorithm on `squared_distance`, which updates all N distances after every
    pick, but lazily: a distance not compared with the last picks is an upper bound, so while the farthest of a few hundred
    up-to-date candidates is above all other bounds, nobody else needs an update (Minoux 1978, in blocks for matrix products).

    O((L + b) N D) time at worst, mostly far less: products with the labeled samples where the triangle inequality cannot
    rule them out, then blocks of candidates near the top against the picks that they missed. Memory beside the embeddings:
    O(N) and some MB. ``device``: where the matrix products are made, "cpu" (NumPy) or a device of torch such as "cuda"; the
    picks are the same. Raises UserError for a budget outside 0..N, embeddings that are not finite, shapes that do not fit, or
    a device that torch cannot use.
    """
    check_budget(budget, embeddings_N_D)
    nearest = Nearest(embeddings_N_D, centers_L_D, device=device)
    farthest_first(nearest, budget)
    return np.array(nearest.chosen, np.int64)


def farthest_first(nearest: Nearest, budget: int) -> np.ndarray:
    """Choose ``budget`` more points; returns their squared distances when they were chosen (b,), never rising."""
    points_N_D, squared_N = nearest.points_N_D, nearest.squared_N
    target, width, reach, squared_b = len(nearest.chosen) + budget, ROWS, ROWS, []
    while len(nearest.chosen) < target:
        top, floor, outside = largest(squared_N, width)
        if squared_N[top].max() == 0:  # only twins of labeled or chosen points are left
            for position in np.flatnonzero(squared_N == 0)[: target - len(nearest.chosen)]:
                nearest.choose(int(position))
            break
        if len(nearest.stale(top)):
            if reach > width:
                top, floor, _ = largest(squared_N, reach)
            nearest.update(top, floor)
            reach = min(2 * reach, max(ROWS, len(squared_N) // 64))
            continue
        # the top is up to date: choose in it while it stays above the bounds of the others
        block, values = nearest.block(top), squared_N[top]
        before = len(nearest.chosen)
        while len(nearest.chosen) < target:
            best = int(values.argmax())
            if values[best] <= 0 or (values[best], -top[best]) < (floor, -outside):
                break
            squared_b.append(values[best])
            values[best] = -1
            nearest.choose(int(top[best]))
            block.tighten(values, points_N_D[[top[best]]])
        squared_N[top], nearest.compared_N[top] = values, nearest.n_centers
        width = reach = min(max(4 * (len(nearest.chosen) - before), 64), ROWS)
    return np.pad(squared_b, (0, budget - len(squared_b)))


def kcenter_initial(embeddings_N_D: np.ndarray, size: int, n_random: int, rng: np.random.Generator) -> np.ndarray:
    """First labeled set by k-center: ``n_random`` random samples, then greedily the farthest one (SRAAL, Zhang et al. 2020, alg. 1).

    Returns ``size`` positions int64 in order of choice, the random ones first. The paper wants n_random << size.
    Cost as `kcenter_greedy` without labeled samples. Raises UserError unless 0 <= n_random <= size <= N.
    """
    nothing_0_D = np.empty((0, np.shape(embeddings_N_D)[-1]), np.float32)
    check_budget(size, embeddings_N_D, "the size of the initial set")
    if not 0 <= n_random <= size:
        raise UserError(
            f"the number of random samples is {n_random}, outside 0 to {size}, the size of the initial set."
        )
    nearest = Nearest(embeddings_N_D, nothing_0_D)
    for position in rng.choice(len(embeddings_N_D), n_random, replace=False):
        nearest.choose(int(position))
    farthest_first(nearest, size - n_random)
    return np.array(nearest.chosen, np.int64)


def radius(
    embeddings_N_D: np.ndarray, centers_L_D: np.ndarray, positions: np.ndarray = (), n_outliers: int = 0
) -> float:
    """Largest distance of a candidate to its nearest labeled or selected sample, the ``n_outliers`` farthest ones left out.

    0 when none is left, infinity when nothing is labeled or selected. Cost of `nearest_squared_distance`.
    """
    squared_N = distances.nearest_squared_distance(embeddings_N_D, centers_L_D)
    if len(positions):
        chosen_B_D = np.asarray(embeddings_N_D)[positions]
        squared_N = np.minimum(squared_N, distances.nearest_squared_distance(embeddings_N_D, chosen_B_D))
    return float(np.sqrt(trimmed(squared_N, n_outliers)))


def trimmed(squared_N: np.ndarray, n_outliers: int) -> float:
    """Largest value after the ``n_outliers`` largest; 0 when none is left."""
    if n_outliers >= len(squared_N):
        return 0.0
    return max(0.0, float(np.partition(squared_N, -1 - n_outliers)[-1 - n_outliers]))


def kcenter_class_balanced(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    probs_N_C: np.ndarray,
    required_C: np.ndarray,
    budget: int,
    weight: Annotated[float, Ge(0)] | Literal["auto"] = 0.5,
    device: str = "cpu",
) -> np.ndarray:
    """KCenterGreedy-CB (thesis 003, alg. 2): repeatedly the candidate j of least -d_j + weight ||required - P_j - P^T z||_1.

    d_j is the Euclidean distance to the nearest labeled or selected sample, P the class probabilities (N, C), z what this query
    has selected, and required the labels that each class still lacks (C,) (`balance.required_per_class`). Without labeled samples all
    d_j of the first pick are equal. Returns positions (b,) int64 in order of choice, ties to the lowest position. The default
    weight is that of the authors' code on CIFAR-10 and CIFAR-100 (5 / C and 50 / C).

    Distances are lazy as in `kcenter_greedy`: an old distance gives a lower bound of the cost. Per pick O(N) plus O(N) for
    each class whose requirement is within reach of one sample; O(b N C) at worst. Candidates whose costs differ by less than
    rounding are compared by the formula itself. Memory beside the inputs: a transposed copy of P, O(N) and some MB.
    ``device`` as in `kcenter_greedy`.
    Raises UserError for what `kcenter_greedy` refuses, probabilities that are negative, not finite or do not sum to 1 per
    row, a requirement of another length, negative or not finite, and a weight that is negative or not finite.
    """
    check_budget(budget, embeddings_N_D)
    balance = Balance(*_checked_classes(probs_N_C, required_C, weight, len(embeddings_N_D)))
    nearest = Nearest(embeddings_N_D, centers_L_D, device=device)
    # without any center all are equally far
    distance_N = np.sqrt(nearest.squared_N) if nearest.n_centers else np.zeros(len(nearest.squared_N))
    front = np.empty(0, np.int64)  # candidates near the optimum, of the pick before

    def refresh(rows):
        rows = rows[nearest.squared_N[rows] >= 0]
        nearest.update(rows)
        distance_N[rows] = np.sqrt(nearest.squared_N[rows])
        cost_N[rows] = weight * l1_N[rows] - distance_N[rows]

    for _ in range(budget):
        l1_N = balance.after_one_more()
        cost_N = weight * l1_N - distance_N
        if nearest.n_centers:
            refresh(front)
        count = 64
        rounding = weight * balance.rounding(budget) + 1e-15 * distance_N.max(initial=0.0)
        while True:
            contenders = np.flatnonzero(cost_N <= cost_N.min() + 2 * rounding)
            if not nearest.n_centers or not len(nearest.stale(contenders)):
                break
            front = np.argpartition(cost_N, count)[:count] if count < len(cost_N) else contenders
            refresh(np.union1d(front, contenders))
            count = min(2 * count, ROWS)
        exact = weight * balance.exactly(contenders) - distance_N[contenders]
        pick = int(contenders[exact.argmin()])
        nearest.choose(pick)
        balance.choose(pick)
        if nearest.n_centers == 1:
            nearest.update(np.arange(len(distance_N)))
            distance_N = np.sqrt(np.maximum(nearest.squared_N, 0))
        distance_N[pick] = -np.inf
    return np.array(nearest.chosen, np.int64)


class Balance:
    """||residual - P_j||_1 of every candidate j, kept up to date as the residual = required - sum of the chosen P_j falls.

    |r_c - p| = r_c - p for all candidates while r_c is above the largest p of class c, and p - r_c once it is below the
    smallest: both are linear in p, and every class goes this way once. Only classes in between need their column.
    """

    def __init__(self, probs_N_C: np.ndarray, required_C: np.ndarray):
        self.probs_N_C, self.required_C = probs_N_C, required_C
        self.probs_C_N = np.ascontiguousarray(probs_N_C.T)
        self.top_C, self.bottom_C = probs_N_C.max(0, initial=0), probs_N_C.min(0, initial=1)
        self.used_C = np.zeros(len(required_C))
        self.sign_C = np.zeros(len(required_C))  # 1: p - r, -1: r - p, 0: in between
        self.linear_N = np.zeros(len(probs_N_C))

    def after_one_more(self) -> np.ndarray:
        """The norm for each candidate (N,), up to `rounding`."""
        residual_C = self.required_C - self.used_C
        sign_C = np.where(residual_C <= self.bottom_C, 1.0, np.where(residual_C >= self.top_C, -1.0, 0.0))
        for c in np.flatnonzero(sign_C != self.sign_C):
            self.linear_N += (sign_C[c] - self.sign_C[c]) * self.probs_C_N[c]
        self.sign_C = sign_C
        l1_N = self.linear_N - sign_C @ residual_C
        for c in np.flatnonzero(sign_C == 0):
            l1_N += np.abs(residual_C[c] - self.probs_C_N[c])
        return l1_N

    def exactly(self, rows: np.ndarray) -> np.ndarray:
        """The norm for some candidates by its formula, in float64."""
        residual_C = self.required_C - self.used_C
        return np.concatenate(
            [np.abs(residual_C - self.probs_N_C[rows[s : s + ROWS]]).sum(1) for s in range(0, len(rows), ROWS)]
        )

    def choose(self, position: int) -> None:
        self.used_C += self.probs_N_C[position]

    def rounding(self, budget: int) -> float:
        """Bound of the difference between `after_one_more` and `exactly`."""
        n_classes = len(self.required_C)
        return 2.0**-50 * (n_classes + 8) * (self.required_C.sum() + budget + 2)


def check_budget(budget: int, embeddings_N_D: np.ndarray, what: str = "the budget") -> None:
    if not 0 <= budget <= len(embeddings_N_D):
        raise UserError(f"{what} is {budget}, outside 0 to {len(embeddings_N_D)}, the number of candidates.")


def _checked_classes(probs_N_C, required_C, weight, n_points):
    probs_N_C, required_C = np.asarray(probs_N_C), np.asarray(required_C, np.float64)
    if probs_N_C.ndim != 2 or len(probs_N_C) != n_points:
        raise UserError(f"probabilities must have the shape ({n_points}, classes), found {probs_N_C.shape}.")
    # float16 sums are off by some 1e-3
    if not ((probs_N_C >= 0).all() and (np.abs(probs_N_C.sum(1, dtype=np.float64) - 1) < 5e-3).all()):
        raise UserError(
            "probabilities must be finite, not negative and sum to 1 for each sample; check the model's output."
        )
    if required_C.shape != probs_N_C.shape[1:] or not (np.isfinite(required_C) & (required_C >= 0)).all():
        raise UserError(
            f"the required labels must be {probs_N_C.shape[1]} finite numbers >= 0, one per class, found {required_C.tolist()}."
        )
    if not (np.isfinite(weight) and weight >= 0):
        raise UserError(f"the weight of the class balance must be a finite number >= 0, found {weight}.")
    return probs_N_C, required_C
