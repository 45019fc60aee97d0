"""Core-set selection: greedy k-center refined by mixed integer programming."""

import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from dagal.acquisition import distances, kcenter
from dagal.acquisition.distances import Block
from dagal.errors import UserError

ROW_BLOCK, COLUMN_BLOCK = 512, 2048
MAX_ROWS = 16384  # candidates that a program must cover


@dataclass(frozen=True)
class Selection:
    """A query and how well it covers the candidates. Distances are Euclidean, the allowed outliers left out."""

    positions: np.ndarray  # (b,) int64, farthest first
    radius: float  # largest distance of a candidate to its nearest labeled or selected sample
    greedy_radius: float  # the same for greedy k-center
    lower_bound: float  # proven: no selection of this size has a smaller radius
    timed_out: bool  # a solve ended at the time limit, so a faster machine may select otherwise


def core_set(
    embeddings_N_D: np.ndarray,
    centers_L_D: np.ndarray,
    budget: int,
    time_limit: Annotated[float, Gt(0)] = 1000.0,
    outlier_fraction: Annotated[float, Ge(0), Lt(1)] = 1e-4,
    node_limit: Annotated[int, Ge(1)] = 1000,
    max_pairs: Annotated[int, Ge(1)] = 4_000_000,
) -> Selection:
    """Robust k-center (Sener & Savarese 2018, eq. 6 and alg. 2): b samples of the smallest radius, outliers left out.

    The radius is the largest distance of a candidate to its nearest labeled or selected sample after the
    ``floor(outlier_fraction * N)`` farthest candidates are left out. Greedy k-center gives an upper bound, and its picks a
    lower one: of b + 1 + outliers samples pairwise r apart, two must share a center, so r / 2. Between them a binary search
    over the distances that occur asks a mixed integer program whether b samples cover the rest within r. The paper's program
    has a variable for each pair; here it is the equivalent set cover: for each candidate i that no labeled sample covers, the
    selected samples within r of i, plus 1 if i is an outlier, are at least 1. HiGHS solves it. The result is never worse than
    greedy, and the optimum unless a limit is met; positions come farthest first, covers of fewer than b are filled greedily.

    Limits: pairs closer than the greedy radius are listed for the (at most 16,384) candidates farthest from the labeled ones
    until they are ``max_pairs`` (24 bytes each, some ten times that in the solver), and smaller radii than these candidates
    decide are not searched. Where that leaves nothing to search, the program sees only the first sqrt(max_pairs) samples of
    the farthest-first order; its covers are measured on all candidates, and nothing is proven. Each program ends after
    ``node_limit`` nodes (the same on every machine) or its share of ``time_limit`` seconds (then ``timed_out``), and is
    taken for unsolvable without proof. Besides the programs: O((L + b + 16,384) N D) time at worst.

    Raises UserError for what `kcenter_greedy` refuses, an outlier fraction outside [0, 1) and limits that are not positive.
    """
    kcenter.check_budget(budget, embeddings_N_D)
    if not 0 <= outlier_fraction < 1:
        raise UserError(f"the outlier fraction must be at least 0 and below 1, found {outlier_fraction}.")
    if not min(time_limit, node_limit, max_pairs) > 0:
        raise UserError("the limits of core_set on time, nodes and pairs must be above 0.")
    points_N_D, centers_L_D, _ = distances.checked(embeddings_N_D, centers_L_D)
    n_points, n_outliers = len(points_N_D), int(outlier_fraction * len(points_N_D))
    labeled_N = distances.nearest_squared_distance(points_N_D, centers_L_D)

    def completed(cover: np.ndarray) -> tuple[float, np.ndarray]:
        """Squared radius and positions of a cover, filled up greedily."""
        nearest = kcenter.Nearest(points_N_D, centers_L_D, labeled_N)
        for i in kcenter.kcenter_greedy(points_N_D[cover], centers_L_D, len(cover)):
            nearest.choose(int(cover[i]))
        kcenter.farthest_first(nearest, budget - len(cover))
        nearest.update(np.arange(n_points))
        return kcenter.trimmed(nearest.squared_N, n_outliers), np.array(nearest.chosen, np.int64)

    nearest = kcenter.Nearest(points_N_D, centers_L_D, labeled_N)
    n_apart = min(budget + n_outliers + 1, n_points)
    apart = kcenter.farthest_first(nearest, n_apart)[-1:].sum()
    lower = apart / 4 if n_apart > budget + n_outliers else 0.0
    greedy, positions = completed(np.array(nearest.chosen[:budget], np.int64))
    best, timed_out = greedy, False
    if budget == 0:
        lower = best
    if lower < best:
        subset = np.arange(n_points)
        cover = Cover(points_N_D, labeled_N, (lower, greedy), n_outliers, max_pairs)
        everything = cover.floor < greedy
        if not everything:
            kcenter.farthest_first(nearest, min(n_points, max(n_apart, int(max_pairs**0.5))) - n_apart)
            subset = np.array(nearest.chosen, np.int64)
            cover = Cover(points_N_D[subset], labeled_N[subset], (lower, greedy), n_outliers, max_pairs)

        deadline = time.monotonic() + time_limit
        low, high, unsolved = 0, len(cover.values), [-1]
        impossible = 0 if everything and cover.floor <= lower else None  # so many of the values are proven too small
        while low < high and time.monotonic() < deadline:
            middle, steps = (low + high) // 2, (high - low).bit_length()
            share = (deadline - time.monotonic()) / steps
            found, outcome = cover.solve(cover.values[middle], budget, share, node_limit)
            if found is None:
                unsolved.append(middle)
                timed_out |= outcome == "time"
                if outcome == "infeasible" and everything:
                    impossible = middle + 1
            else:
                reached, chosen = completed(subset[found])
                if reached < best:
                    best, positions = reached, chosen
                # a value given up at a limit may lie above what is reached now
                high = min(middle, int(np.searchsorted(cover.values, reached)))
            low = 1 + max(i for i in unsolved if i < high)
        timed_out |= low < high
        if impossible is not None:
            lower = max(lower, cover.values[impossible] if impossible < high else best)
    return Selection(positions, *(float(np.sqrt(x)) for x in (best, greedy, lower)), timed_out)


class Cover:
    """Which candidates cover which within a squared radius in ``span``, and whether few of them cover all.

    Only candidates farther than ``floor`` from the labeled samples are listed, so only radii from there on are decided.
    """

    def __init__(self, points_N_D, labeled_N, span: tuple[float, float], n_outliers: int, max_pairs: int):
        lower, upper = span
        distinct, which_N = distances.distinct_rows(points_N_D)
        self.n_points, self.n_outliers = len(points_N_D), n_outliers
        self.size_N = np.zeros(len(points_N_D))
        self.size_N[distinct] = np.bincount(which_N)
        rows = distinct[labeled_N[distinct] > lower]
        rows = rows[np.argsort(-labeled_N[rows], kind="stable")]
        points_N_D, _, dtype = distances.checked(points_N_D, points_N_D[:0])
        shift_D = distances.middle(points_N_D)
        self.floor = labeled_N[rows[MAX_ROWS]] if len(rows) > MAX_ROWS else lower
        found, n_pairs, n_rows = [], 0, 0
        for start in range(0, len(rows[:MAX_ROWS]), ROW_BLOCK):
            part = rows[start : min(start + ROW_BLOCK, MAX_ROWS)]
            block, pairs = Block(points_N_D[part], shift_D, dtype), []
            for chunk in range(0, len(distinct), COLUMN_BLOCK):
                columns = distinct[chunk : chunk + COLUMN_BLOCK]
                row_P, column_P, squared_P = block.within(upper, points_N_D[columns])
                pairs.append((part[row_P], columns[column_P], squared_P))
                n_pairs += len(row_P)
                if n_pairs > max_pairs:
                    break
            if n_pairs > max_pairs:
                self.floor = labeled_N[part[0]]
                break
            found += pairs
            n_rows += len(part)
        self.rows, self.labeled_N = rows[:n_rows], labeled_N
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        self.row_P, self.column_P, self.squared_P = map(np.concatenate, zip(none, *found, strict=True))
        values = np.union1d(self.squared_P, labeled_N[self.rows])
        self.values = values[(values >= self.floor) & (values < upper)]

    def solve(self, squared: float, budget: int, time_limit: float, node_limit: int) -> tuple[np.ndarray | None, str]:
        """At most ``budget`` positions that cover all but the outliers, or None with "infeasible", "time" or "nodes"."""
        started = time.monotonic()
        rows = self.rows[self.labeled_N[self.rows] > squared]
        inside = (self.squared_P <= squared) & (self.labeled_N[self.row_P] > squared)
        columns, column_P = np.unique(self.column_P[inside], return_inverse=True)
        index_N = np.zeros(self.n_points, np.int64)
        index_N[rows] = np.arange(len(rows))
        n_columns, n_slack = len(columns), len(rows) if self.n_outliers else 0
        cover = sparse.csr_array(
            (np.ones(len(column_P)), (index_N[self.row_P[inside]], column_P)), shape=(len(rows), n_columns)
        )
        size = self.size_N[rows]
        if size.sum() <= self.n_outliers:
            return np.empty(0, np.int64), "solved"
        chosen_row = np.r_[np.ones(n_columns), np.zeros(n_slack)]
        limits = [
            LinearConstraint(sparse.hstack([cover, sparse.eye_array(len(rows), n_slack)], "csr"), 1, np.inf),
            LinearConstraint(chosen_row[None], -np.inf, budget),
        ]
        if n_slack:
            limits.append(LinearConstraint(np.r_[np.zeros(n_columns), size][None], -np.inf, self.n_outliers))
        result = milp(
            np.zeros(n_columns + n_slack),
            integrality=np.ones(n_columns + n_slack),
            bounds=Bounds(0, 1),
            constraints=limits,
            options={"time_limit": time_limit, "node_limit": node_limit},
        )
        if result.x is not None:
            taken = result.x[:n_columns] > 0.5
            if taken.sum() <= budget and size[cover @ taken == 0].sum() <= self.n_outliers:
                return columns[taken], "solved"
        if result.status == 2:
            return None, "infeasible"
        return None, "time" if time.monotonic() - started >= time_limit else "nodes"
