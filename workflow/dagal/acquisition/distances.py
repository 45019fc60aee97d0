"""Squared Euclidean distances: the same value for the same pair wherever it is computed, and few of them.

The distance of a pair is *defined* by `squared_distance` (float64, fixed order of summation). Matrix products round
differently with the shape of a block, the BLAS library and the number of threads; here they only serve as bounds with a
proven error, and each pair that could be the nearest is evaluated by the definition. So results, ties included, are the
same bits for every block size and thread count, at the speed of float32 matrix products. On a GPU too: the device only decides
where products are made.
"""

import importlib

import numpy as np

from dagal.errors import UserError

ROWS, CENTERS = 1024, 1024  # a block of products: 4 MB of float32, stays in the cache
DIFFERENCES = 1 << 17  # entries of a block of float64 differences: 1 MB
MAX_PIVOTS = 256
FEW = 1 << 30  # multiplications that are done before pivots are found


def squared_distance(
    points_N_D: np.ndarray, centers_M_D: np.ndarray, row_P: np.ndarray, column_P: np.ndarray
) -> np.ndarray:
    """Squared distance of point ``row_P[i]`` to center ``column_P[i]``, float64 (P,). O(P D) time, blocks of some MB.

    NumPy sums a contiguous row pairwise in an order that depends on D only, hence the same bits in any block.
    """
    squared_P = np.empty(len(row_P))
    step = max(1, DIFFERENCES // max(1, points_N_D.shape[1]))
    for start in range(0, len(row_P), step):
        part = slice(start, start + step)
        difference_B_D = np.subtract(points_N_D[row_P[part]], centers_M_D[column_P[part]], dtype=np.float64)
        difference_B_D *= difference_B_D
        squared_P[part] = difference_B_D.sum(1)
    return squared_P


def checked(embeddings_N_D: np.ndarray, centers_L_D: np.ndarray) -> tuple[np.ndarray, np.ndarray, type]:
    """Both arrays, copied to float64 unless they hold floats up to that, and the precision for products of them.

    That is float32 where its squares neither overflow nor vanish, else float64. Raises UserError unless both are 2-D, of the same
    dimension, finite and below 1e150.
    """
    arrays, largest = [], 0.0
    for what, array in ("embeddings", embeddings_N_D), ("embeddings of the labeled samples", centers_L_D):
        array = np.asarray(array)
        if array.ndim != 2:
            raise UserError(f"{what} must have the shape (samples, dimensions), found {array.shape}.")
        if array.dtype not in (np.float16, np.float32, np.float64):
            array = array.astype(np.float64)
        if array.size:
            limits = float(array.max()), -float(array.min())
            if not max(limits) < 1e150 or np.isnan(limits).any():
                raise UserError(f"{what} must be finite and below 1e150; check the model for NaN or infinite outputs.")
            largest = max(largest, *limits)
        arrays.append(array)
    points_N_D, centers_L_D = arrays
    if points_N_D.shape[1] != centers_L_D.shape[1]:
        raise UserError(
            f"embeddings have {points_N_D.shape[1]} dimensions but those of the labeled samples {centers_L_D.shape[1]}."
        )
    return points_N_D, centers_L_D, np.float32 if 1e-15 < largest < 1e15 else np.float64


def check_device(device: str) -> None:
    """Raise UserError unless products can be made on a device: "cpu" is NumPy, all else a device of torch ("cuda", "cuda:1")."""
    try:
        fetched(sent(np.zeros(1), device))
    except ImportError:
        reason = "needs torch, which this environment lacks; set device: cpu, or run where envs/torch.yaml is installed"
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises all of them for devices that it lacks
        first_sentence = str(error).split("\n")[0].split(". ")[0].rstrip(".:")
        reason = f"cannot be used ({first_sentence}); set device: cpu"
    else:
        return
    raise UserError(f"device {device!r} {reason}.")


def sent(array: np.ndarray, device: str):
    """An array where the products are made: as it is for "cpu", else a tensor of torch on that device."""
    # not an import statement: selection runs without torch unless the user asks for a device
    return array if device == "cpu" else importlib.import_module("torch").from_numpy(array).to(device)


def fetched(array) -> np.ndarray:
    """What `sent` gave, or a result of it, for NumPy."""
    return array if isinstance(array, np.ndarray) else array.numpy(force=True)


def product(left_B_D, right_D_M):
    """Matrix product of two arrays or two tensors of the same precision, rounded to that precision."""
    if isinstance(left_B_D, np.ndarray):
        return left_B_D @ right_D_M
    # torch can be set to multiply float32 as TF32 or bfloat16, with 11 or 8 of 24 bits: the error bound would not hold
    backends = importlib.import_module("torch").backends
    modes = [(backend.matmul, backend.matmul.fp32_precision) for backend in (backends.cuda, backends.mkldnn)]
    try:
        for matmul, _ in modes:
            matmul.fp32_precision = "ieee"
        return left_B_D @ right_D_M
    finally:
        for matmul, precision in modes:
            matmul.fp32_precision = precision


class Block:
    """Points ready to be compared with centers: beside the originals a shifted copy in the working precision.

    A distance does not change by a shift, and small norms keep |x|^2 - 2xy + |y|^2 accurate. With unit roundoff u, any order
    of summation and any shift, that expression is within k u / (1 - k u) (|x|^2 + |y|^2), k = D + 128, of `squared_distance`:
    D u for the product (Higham 2002, eq. 3.5, with 2|x||y| <= |x|^2 + |y|^2), the rest for the shift, the sums and the
    definition itself. The products stay on ``device`` (`check_device`), and only what decides on pairs is fetched.
    """

    def __init__(self, points_B_D: np.ndarray, shift_D: np.ndarray, dtype: type, device: str = "cpu"):
        self.points_B_D, self.dtype, self.device = points_B_D, dtype, device
        # the same numbers for rows of every precision
        self.shift_D = np.clip(np.asarray(shift_D, np.float64), -1e30, 1e30).astype(np.float32)
        shifted_B_D, self.low_B = self._shifted(points_B_D)
        self.shifted_B_D = sent(shifted_B_D, device)

    def _shifted(self, rows_M_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows minus the shift, and their squared norms lowered by the error bound."""
        limits = np.finfo(self.dtype)
        wide = np.promote_types(rows_M_D.dtype, self.dtype)
        shifted_M_D = np.subtract(rows_M_D, self.shift_D, dtype=wide).astype(self.dtype, copy=False)
        norms_M = np.einsum("md,md->m", shifted_M_D, shifted_M_D, dtype=np.float64)
        n_dims = rows_M_D.shape[1]
        error = float(limits.eps) / 2 * (n_dims + 128)
        low_M = norms_M * (1 - error / (1 - error)) - n_dims * float(limits.tiny)
        return shifted_M_D, low_M.astype(self.dtype)

    def bounds(self, centers_M_D: np.ndarray):
        """Lower bounds of the squared distances less ``low_B`` of the row, in the working precision (B, M), on the device."""
        shifted_M_D, low_M = self._shifted(centers_M_D)
        shifted_M_D *= -2
        bound_B_M = product(self.shifted_B_D, sent(shifted_M_D, self.device).T)
        bound_B_M += sent(low_M, self.device)
        return bound_B_M

    def tighten(self, nearest_B: np.ndarray, centers_M_D: np.ndarray) -> None:
        """Lower ``nearest_B`` (float64, in place) to the squared distance to the nearest of the centers where that is less.

        O(B M D) in a matrix product of the working precision; the definition is evaluated for pairs that the product
        cannot rule out, one or two for each point that changes. A point at distance 0 is left alone.
        """
        bound_B_M = self.bounds(centers_M_D)
        least_B = bound_B_M.min(1) if self.device == "cpu" else fetched(bound_B_M.amin(1))
        rows = np.flatnonzero(least_B < self._limit(nearest_B))
        if not len(rows):
            return
        bound_R_M = bound_B_M[sent(rows, self.device)] if len(rows) < len(nearest_B) else bound_B_M
        closest_R = fetched(bound_R_M.argmin(1))
        self._evaluate(nearest_B, rows, centers_M_D, closest_R)
        if len(centers_M_D) == 1:
            return
        open_R_M = fetched(bound_R_M < sent(self._limit(nearest_B)[rows, None], self.device))
        open_R_M[np.arange(len(rows)), closest_R] = False
        n_open = np.count_nonzero(open_R_M)
        if n_open > 4 * len(nearest_B) and self.dtype is not np.float64:
            # many distances equal up to float32: duplicates, tight clusters
            rows = rows[open_R_M.any(1)]
            values_R, twins = nearest_B[rows], distinct_rows(centers_M_D)[0]
            block = Block(self.points_B_D[rows], self.shift_D, np.float64, self.device)
            block.tighten(values_R, centers_M_D[twins])
            nearest_B[rows] = values_R
        elif n_open:
            which_P, closest_P = np.nonzero(open_R_M)
            self._evaluate(nearest_B, rows[which_P], centers_M_D, closest_P)

    def within(
        self, squared_B: float | np.ndarray, centers_M_D: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of point and center (row, column, squared distance), each (P,), no farther than ``squared_B``, for all or each point."""
        limit_B = np.nextafter((squared_B - self.low_B).astype(self.dtype), np.inf, dtype=self.dtype)
        row_P, column_P = np.nonzero(fetched(self.bounds(centers_M_D) <= sent(limit_B[:, None], self.device)))
        squared_P = squared_distance(self.points_B_D, centers_M_D, row_P, column_P)
        inside = squared_P <= np.broadcast_to(squared_B, len(limit_B))[row_P]
        return row_P[inside], column_P[inside], squared_P[inside]

    def _limit(self, nearest_B: np.ndarray) -> np.ndarray:
        """What a bound must be below to matter to each point."""
        return np.where(nearest_B > 0, nearest_B - self.low_B, -np.inf).astype(self.dtype)

    def _evaluate(self, nearest_B, row_P, centers_M_D, column_P):
        """The definition for pairs of point and center."""
        np.minimum.at(nearest_B, row_P, squared_distance(self.points_B_D, centers_M_D, row_P, column_P))


def distinct_rows(rows_M_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the first of each set of equal rows, ascending (m,), and which of them each row equals (M,).

    O(M (D + log M)): sorted by a hash, neighbours compared. Should two different rows ever have the same hash, twins with
    the other one between them stay apart.
    """
    weights_D = np.random.default_rng(0).random(rows_M_D.shape[1]) + 0.5
    hash_M = np.empty(len(rows_M_D))
    for start in range(0, len(rows_M_D), ROWS):
        hash_M[start : start + ROWS] = (rows_M_D[start : start + ROWS] * weights_D).sum(1)
    order = np.argsort(hash_M, kind="stable")
    alike = np.flatnonzero(hash_M[order[1:]] == hash_M[order[:-1]])
    new = np.ones(len(order), bool)
    for start in range(0, len(alike), ROWS):
        part = alike[start : start + ROWS]
        new[part + 1] = (rows_M_D[order[part + 1]] != rows_M_D[order[part]]).any(1)
    first = order[new]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    which_M = np.empty(len(order), np.int64)
    which_M[order] = rank[np.cumsum(new) - 1]
    return np.sort(first), which_M


def pivots(points_N_D: np.ndarray, centers_L_D: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray] | None:
    """Centers that stand for regions of space, if the triangle inequality rules out most pairs of point and center.

    Returns their positions (K,) and the distances of all centers to them, lowered by the rounding error (K, L); None where
    pruning does not pay: few pairs, or (isotropic embeddings) distances too alike. Pivots are the farthest-first traversal
    of at most 2048 centers, and how much they rule out is counted on at most 512 points. O(K L D) time, at most 256 MB.
    """
    n_points, n_centers, n_dims = len(points_N_D), len(centers_L_D), points_N_D.shape[1]
    if n_centers < 64 or n_points * n_centers * n_dims < FEW:
        return None
    shift_D = middle(centers_L_D)
    sample = np.arange(0, n_centers, -(-n_centers // 2048))
    block = Block(centers_L_D[sample], shift_D, dtype)
    nearest = np.full(len(sample), np.inf, dtype)
    chosen, farthest = [], 0
    for _ in range(min(MAX_PIVOTS, len(sample), (1 << 26) // n_centers)):
        chosen.append(farthest)
        shifted = block.shifted_B_D
        np.minimum(nearest, block.low_B + block.low_B[farthest] - 2 * (shifted @ shifted[farthest]), out=nearest)
        nearest[farthest] = -np.inf
        farthest = int(nearest.argmax())
    pivots_K = sample[chosen]

    def distances_M_K(rows_M_D):
        block = Block(rows_M_D, shift_D, dtype)
        shifted, low = block._shifted(centers_L_D[pivots_K])
        squared = block.low_B[:, None] + low - 2 * (block.shifted_B_D @ shifted.T)
        return np.sqrt(np.maximum(squared, 0, out=squared), out=squared)

    gaps_K_L = np.empty((len(pivots_K), n_centers), dtype)
    for start in range(0, n_centers, ROWS):
        gaps_K_L[:, start : start + ROWS] = distances_M_K(centers_L_D[start : start + ROWS]).T
    gaps_S_K = distances_M_K(points_N_D[:: -(-n_points // 512)])
    best = n_centers / 2, None
    for count in 16, 64, MAX_PIVOTS:
        group_S, radius_S = gaps_S_K[:, :count].argmin(1), gaps_S_K[:, :count].min(1)
        cost = count + np.mean([(gaps_K_L[g] < 2 * r).sum() for g, r in zip(group_S, radius_S, strict=True)])
        best = min(best, (cost, count), key=lambda x: x[0])
    return (pivots_K[: best[1]], gaps_K_L[: best[1]]) if best[1] else None


def middle(rows_M_D: np.ndarray) -> np.ndarray:
    """Mean of at most 4096 rows (D,): a shift that makes norms small."""
    if len(rows_M_D) == 0:
        return np.zeros(rows_M_D.shape[1])
    return rows_M_D[:: -(-len(rows_M_D) // 4096)].mean(0, dtype=np.float64)


def nearest_in_regions(points_N_D, centers_L_D, dtype, pivots_K, gaps_K_L, device: str = "cpu") -> np.ndarray:
    """`nearest_squared_distance` by the triangle inequality, products on ``device``.

    A point at distance r from its pivot p, itself a center, has no nearer center c with |c - p| >= 2 r.
    """
    nearest_N, group_N = np.empty(len(points_N_D)), np.empty(len(points_N_D), np.int64)
    shift_D = middle(centers_L_D)
    for start in range(0, len(points_N_D), ROWS):
        part = slice(start, start + ROWS)
        block = Block(points_N_D[part], shift_D, dtype, device)
        group_N[part] = fetched(block.bounds(centers_L_D[pivots_K]).argmin(1))
        rows = np.arange(start, start + len(block.low_B))
        nearest_N[part] = squared_distance(points_N_D, centers_L_D, rows, pivots_K[group_N[part]])
    order_N = np.lexsort((-nearest_N, group_N))
    for start, stop in _runs(group_N[order_N]):
        group = group_N[order_N[start]]
        pivot_D = centers_L_D[pivots_K[group]]
        for first in range(start, stop, ROWS):
            rows = order_N[first : min(first + ROWS, stop)]  # by falling distance to the pivot
            reach = 2 * np.sqrt(nearest_N[rows[0]]) * (1 + 1e-6)
            inside = np.flatnonzero(gaps_K_L[group] < reach)
            block, values = Block(points_N_D[rows], pivot_D, dtype, device), nearest_N[rows]
            for chunk in range(0, len(inside), CENTERS):
                block.tighten(values, centers_L_D[inside[chunk : chunk + CENTERS]])
            nearest_N[rows] = values
    return nearest_N


def _runs(sorted_N: np.ndarray):
    """(start, stop) of each run of equal values."""
    edges = np.flatnonzero(np.diff(sorted_N)) + 1
    return zip([0, *edges], [*edges, len(sorted_N)], strict=True) if len(sorted_N) else ()


def nearest_squared_distance(points_N_D: np.ndarray, centers_L_D: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of each point to its nearest center, float64 (N,); infinity without centers.

    The minimum of `squared_distance` over the centers, bit for bit. O(N L D) time in float32 matrix products at worst, on
    clustered embeddings nearer to N (L / clusters) D; blocks of some MB, never an N x L matrix.
    Raises UserError unless both are 2-D, finite and of the same dimension.
    """
    points_N_D, centers_L_D, dtype = checked(points_N_D, centers_L_D)
    shift_D = middle(centers_L_D)
    regions = pivots(points_N_D, centers_L_D, dtype)
    if regions:
        return nearest_in_regions(points_N_D, centers_L_D, dtype, *regions)
    nearest_N = np.full(len(points_N_D), np.inf)
    for start in range(0, len(points_N_D), ROWS):
        part = slice(start, start + ROWS)
        block = Block(points_N_D[part], shift_D, dtype)
        for chunk in range(0, len(centers_L_D), CENTERS):
            block.tighten(nearest_N[part], centers_L_D[chunk : chunk + CENTERS])
    return nearest_N
