"""Selection from a pool in parts, "shards", each of which is seen by one job only: what the jobs return is merged.

`top_k` and `class_balanced` give what they give in one piece. k-center and BADGE go by two levels: `dagal.acquisition.covers`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dagal.acquisition import class_balanced as one_piece
from dagal.acquisition.selection import largest

SAMPLE = 100_000  # samples of all shards on which the first prices are found
MARGIN = 2000  # samples beside the budget that are looked at in one piece: more than the LP and the search ever touch


@dataclass(frozen=True)
class Rows:
    """Some candidates: their positions in the pool (M,), scores (M,) and class probabilities (M,C)."""

    positions: np.ndarray
    score_M: np.ndarray
    probs_M_C: np.ndarray


def joined(parts: Sequence[Rows]) -> Rows:
    """The candidates of several parts, each once, in the order of their positions."""
    positions, first = np.unique(np.concatenate([part.positions for part in parts]), return_index=True)
    score_M, probs_M_C = (
        np.concatenate([getattr(part, name) for part in parts])[first] for name in ("score_M", "probs_M_C")
    )
    return Rows(positions, score_M, probs_M_C)


# ---------------------------------------------------------------------------------------------------------------- top k


def ties(rng: np.random.Generator, first: int, last: int) -> np.ndarray:
    """Numbers ``first`` to ``last`` of ``rng.random(N)``, without those before; moves the generator. For PCG64, NumPy's default."""
    rng.bit_generator.advance(int(first))  # a NumPy integer would overflow
    return rng.random(last - first)


def best(score_n: np.ndarray, tie_n: np.ndarray, first: int, budget: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What one shard, which begins at position ``first`` of the pool, can add to the top k: positions, scores, ties (k,)."""
    chosen = largest(score_n, tie_n, budget)
    return first + chosen, score_n[chosen], tie_n[chosen]


def merged_best(parts: Sequence[tuple], budget: int) -> np.ndarray:
    """Positions (b,) of the top k of all shards, best first: those of `selection.top_k` with `ties` of its generator."""
    positions, score_K, tie_K = map(np.concatenate, zip(*parts, strict=True))
    return positions[largest(score_K, tie_K, budget)]


# ------------------------------------------------------------------------------------------------------- class balanced


def worth(score_n: np.ndarray, probs_n_C: np.ndarray, prices_C: np.ndarray) -> np.ndarray:
    """score + probs . prices (n,), the same bits for a sample in any shard (a matrix product would round by its shape)."""
    worth_n = np.empty(len(score_n))
    for start in range(0, len(score_n), 65536):
        part = slice(start, start + 65536)
        worth_n[part] = score_n[part] + (probs_n_C[part].astype(np.float64) * prices_C).sum(1)
    return worth_n


def sample(score_n: np.ndarray, probs_n_C: np.ndarray, first: int, n_total: int) -> Rows:
    """Evenly spaced samples of a shard, its part of `SAMPLE`."""
    step = max(1, n_total // SAMPLE)
    rows = np.arange(-first % step, len(score_n), step)
    return Rows(first + rows, score_n[rows], probs_n_C[rows])


def above(score_n: np.ndarray, probs_n_C: np.ndarray, first: int, prices_C: np.ndarray, level: float) -> Rows:
    """The samples of a shard whose worth at the broadcast prices is at least ``level``. O(n C)."""
    rows = np.flatnonzero(worth(score_n, probs_n_C, prices_C) >= level)
    return Rows(first + rows, score_n[rows], probs_n_C[rows])


def preceding(score_n: np.ndarray, first: int, positions_M: np.ndarray, score_M: np.ndarray) -> np.ndarray:
    """How many samples of a shard come before each of some candidates of the pool (M,), by falling score, then position."""
    order = np.argsort(-score_n, kind="stable")
    before_M, until_M = (np.searchsorted(-score_n[order], -score_M, side) for side in ("left", "right"))
    place_n = np.empty(len(order), np.int64)
    place_n[order] = np.arange(len(order))
    row_M = positions_M - first
    is_own_M = (row_M >= 0) & (row_M < len(order))
    found_M = np.where(row_M < 0, before_M, until_M)
    found_M[is_own_M] = place_n[row_M[is_own_M]]
    return found_M


def class_balanced(
    ask: Callable[[np.ndarray, float], Sequence[Rows]],
    count: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]],
    samples: Sequence[Rows],
    n_total: int,
    required_C: np.ndarray,
    budget: int,
    weight: float,
) -> one_piece.Selection:
    """`class_balanced.class_balanced` of a pool in shards.

    ``ask(prices, level)`` returns `above` of each shard, ``count(positions, scores)`` `preceding` of each; ``samples`` are their `sample`.

    Prices that balance the sample are broadcast, and each shard returns its samples of a worth near the threshold or above it; the
    problem of these alone is solved in one piece. Its prices are broadcast in turn, until no shard has a sample among the ``budget``
    + `MARGIN` of highest worth that is not there already, mostly at once. Then all others are out in the relaxation, so that the lower
    bound is that of the whole pool, and neither search nor proof of optimality would touch them.

    The result does not depend on how the pool is cut, and differs from that in one piece only as the rounding of its LPs does. Positions are those of the pool. Raises UserError as the original does.
    """
    drawn = joined(samples)
    share = len(drawn.positions) / n_total
    scaled = drawn.score_M.astype(np.float64), drawn.probs_M_C.astype(np.float64), required_C * share
    prices_C, _ = one_piece.relax(*scaled, max(1, round(budget * share)), weight)
    worth_S = np.sort(worth(*scaled[:2], prices_C))[::-1]
    wanted, found = min(n_total, budget + MARGIN), None
    reach = wanted + MARGIN
    while found is None or len(found.positions) < wanted:
        place = round(reach * share)
        found = joined(ask(prices_C, worth_S[place] if place < len(worth_S) else -np.inf))
        reach *= 2
    while True:
        place_M = np.sort(sum(count(found.positions, found.score_M)))
        problem = found.score_M, found.probs_M_C, required_C, budget, weight
        selection, prices_C = one_piece.solve(*problem, place_M, n_total)
        worth_M = worth(found.score_M, found.probs_M_C, prices_C)
        level = np.partition(worth_M, -wanted)[-wanted]
        grown = joined([found, *ask(prices_C, level)])
        if len(grown.positions) == len(found.positions):
            break
        found = grown
    return one_piece.Selection(
        found.positions[selection.positions], selection.objective, selection.lower_bound, selection.relative_gap
    )
