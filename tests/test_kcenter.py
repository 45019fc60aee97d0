"""Greedy k-center, plain and class-balanced, against brute force on the full matrix of the defined distance."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dagal.acquisition import distances, kcenter
from dagal.acquisition.distances import Block, distinct_rows, nearest_squared_distance
from dagal.acquisition.kcenter import kcenter_class_balanced, kcenter_greedy, kcenter_initial, radius
from dagal.errors import UserError

KINDS = ["normal", "grid", "twins", "offset", "line", "equal", "tight", "mixed"]


def matrix(points, centers):
    return ((points[:, None].astype(np.float64) - centers[None].astype(np.float64)) ** 2).sum(-1)


def plain(points, centers, budget):
    """Every distance after every pick; `argmax` takes the lowest position."""
    nearest = matrix(points, centers).min(1) if len(centers) else np.full(len(points), np.inf)
    chosen = []
    for _ in range(budget):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, matrix(points, points[chosen[-1:]])[:, 0])
        nearest[chosen] = -1
    return chosen


def plain_balanced(points, centers, probs, required, budget, weight):
    nearest = matrix(points, centers).min(1) if len(centers) else np.zeros(len(points))
    used, chosen = np.zeros(probs.shape[1]), []
    for _ in range(budget):
        cost = -np.sqrt(nearest) + weight * np.abs(required - used - probs).sum(1)
        cost[chosen] = np.inf
        chosen.append(int(cost.argmin()))
        new = matrix(points, points[chosen[-1:]])[:, 0]
        nearest = np.minimum(nearest, new) if len(chosen) > 1 or len(centers) else new
        used += probs[chosen[-1]]
    return chosen


def embeddings(kind, n, dim, rng):
    return {
        "normal": lambda: rng.normal(size=(n, dim)).astype(np.float32),
        "grid": lambda: rng.integers(0, 4, (n, dim)).astype(np.float16),
        "twins": lambda: 1e3 * rng.normal(size=(6, dim)).astype(np.float32)[rng.integers(0, 6, n)],
        "offset": lambda: (1e4 + 1e-2 * rng.normal(size=(n, dim))).astype(np.float32),
        "line": lambda: np.outer(rng.integers(0, 9, n), np.ones(dim)),
        "equal": lambda: np.ones((n, dim), np.float32),
        "tight": lambda: rng.normal(size=(3, dim))[rng.integers(0, 3, n)] + 1e-7 * rng.normal(size=(n, dim)),
        "mixed": lambda: 1e-30 * rng.normal(size=(n, dim)) + 1e20 * (rng.random((n, 1)) < 0.1),
    }[kind]()


def blobs(n, dim, rng, std=0.1, n_blobs=20):
    return (rng.normal(size=(n_blobs, dim))[rng.integers(0, n_blobs, n)] + std * rng.normal(size=(n, dim))).astype("f")


@pytest.fixture
def always_regions(monkeypatch):
    monkeypatch.setattr(distances, "FEW", 0)


@pytest.fixture
def products(monkeypatch):
    """Number of pairs of point and center that went through a matrix product."""
    count, bounds = [0], Block.bounds

    def counted(self, centers_M_D):
        count[0] += len(self.points_B_D) * len(centers_M_D)
        return bounds(self, centers_M_D)

    monkeypatch.setattr(Block, "bounds", counted)
    return count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(25))
def test_greedy_equals_brute_force(kind, seed):
    rng = np.random.default_rng(seed)
    n, n_centers, dim = rng.integers(1, 60), rng.choice([0, 1, 9]), rng.integers(1, 6)
    everything = embeddings(kind, n + n_centers, dim, rng)
    points, centers = everything[n_centers:], everything[:n_centers]
    budget = int(rng.choice([n, rng.integers(0, n + 1)]))
    chosen = kcenter_greedy(points, centers, budget)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == plain(points, centers, budget)


@pytest.mark.parametrize("shape", ["isotropic", "clusters", "tight clusters", "twins", "grid"])
@pytest.mark.parametrize("n_centers", [0, 300])
def test_greedy_equals_the_plain_algorithm_on_larger_pools(shape, n_centers, always_regions):
    rng = np.random.default_rng(0)
    n, dim = 3000, 24
    everything = {
        "isotropic": lambda: rng.normal(size=(n, dim)).astype("f"),
        "clusters": lambda: blobs(n, dim, rng),
        "tight clusters": lambda: blobs(n, dim, rng, 1e-5),
        "twins": lambda: rng.normal(size=(n // 10, dim)).astype("f")[rng.integers(0, n // 10, n)],
        "grid": lambda: rng.integers(0, 40, (n, 2)).astype("f"),
    }[shape]()
    points, centers = everything[n_centers:], everything[:n_centers]
    assert kcenter_greedy(points, centers, 400).tolist() == plain(points, centers, 400)


def test_greedy_mixes_precisions():
    rng = np.random.default_rng(0)
    points, centers = 1e5 + rng.normal(size=(2, 200, 8))
    for types in [("f", "d"), ("d", "f"), ("d", "d")]:
        some, others = points.astype(types[0]), centers[:20].astype(types[1])
        before = some.copy()
        assert kcenter_greedy(some, others, 50).tolist() == plain(some, others, 50)
        np.testing.assert_array_equal(some, before)


def test_greedy_skips_most_products(products):
    rng = np.random.default_rng(0)
    n, n_centers, budget = 8000, 1000, 300
    pairs = n * (n_centers + budget)
    clustered = blobs(n + n_centers, 160, rng)
    kcenter_greedy(clustered[n_centers:], clustered[:n_centers], budget)
    assert products[0] < 0.15 * pairs
    products[0] = 0
    isotropic = rng.normal(size=(n + n_centers, 160)).astype(np.float32)
    kcenter_greedy(isotropic[n_centers:], isotropic[:n_centers], budget)
    assert products[0] < 0.6 * pairs


@pytest.mark.parametrize("kind", [*KINDS, "blobs"])
@pytest.mark.parametrize("regions", [False, True])
def test_nearest_distance_is_the_defined_one_bit_for_bit(kind, regions, monkeypatch):
    rng = np.random.default_rng(0)
    everything = blobs(700, 5, rng) if kind == "blobs" else embeddings(kind, 700, 5, rng)
    points, centers = everything[200:], everything[:200]
    expected = matrix(points, centers).min(1)
    if regions:
        monkeypatch.setattr(distances, "FEW", 0)
    for block in 1024, 7:
        monkeypatch.setattr(distances, "ROWS", block)
        monkeypatch.setattr(distances, "CENTERS", block)
        np.testing.assert_array_equal(nearest_squared_distance(points, centers), expected)


def test_nearest_distance_without_centers_or_points():
    nothing = np.empty((0, 3), np.float32)
    assert np.isinf(nearest_squared_distance(np.ones((4, 3)), nothing)).all()
    assert nearest_squared_distance(nothing, np.ones((4, 3))).shape == (0,)
    assert kcenter_greedy(nothing, nothing, 0).shape == (0,)


def test_regions_are_found_in_clusters_only(always_regions):
    rng = np.random.default_rng(0)
    clustered, isotropic = blobs(2000, 64, rng), rng.normal(size=(2000, 64)).astype(np.float32)
    positions, gaps = distances.pivots(clustered[500:], clustered[:500], np.float32)
    exact = np.sqrt(matrix(clustered[positions], clustered[:500]))
    assert (gaps <= exact).all()
    assert (gaps >= exact - 0.1).all()
    assert distances.pivots(isotropic[500:], isotropic[:500], np.float32) is None


def test_the_bound_holds_for_far_and_near_pairs():
    rng = np.random.default_rng(0)
    for scale in 1e-14, 1.0, 1e14:
        points, centers = scale * (5 + rng.normal(size=(2, 300, 40)))
        centers[:50] = points[:50]
        block = Block(points.astype("f"), points.mean(0), np.float32)
        low = block.low_B[:, None].astype(np.float64) + block.bounds(centers.astype("f"))
        exact = matrix(points.astype("f"), centers.astype("f"))
        assert (low <= exact).all()
        assert (low >= exact - 1e-3 * scale**2 * 40).all()


@pytest.fixture(params=["cpu:0", "cuda"])
def device(request):
    """A device of torch; its CPU runs what a GPU would."""
    if not request.param.startswith("cpu") and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no GPU")
    return request.param


def both(points, centers, budget, device):
    """Picks of the plain and of the class-balanced algorithm."""
    probs = np.random.default_rng(1).dirichlet(np.ones(5), len(points))
    chosen = kcenter_greedy(points, centers, budget, device=device).tolist()
    required = np.linspace(0, budget / 2, 5)
    return chosen, kcenter_class_balanced(points, centers, probs, required, budget, 0.5, device=device).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_centers", [0, 1, 40])
def test_device_equals_brute_force(kind, n_centers, device):
    rng = np.random.default_rng(0)
    everything = embeddings(kind, 150 + n_centers, 6, rng)
    points, centers = everything[n_centers:], everything[:n_centers]
    expected = both(points, centers, 70, "cpu")
    assert expected[0] == plain(points, centers, 70)
    assert both(points, centers, 70, device) == expected


@pytest.mark.parametrize("shape", ["isotropic", "clusters", "tight clusters", "twins", "grid", "float64"])
def test_device_equals_numpy_on_larger_pools(shape, device, always_regions, monkeypatch):
    rng = np.random.default_rng(0)
    n, dim = 2300, 24
    everything = {
        "isotropic": lambda: rng.normal(size=(n, dim)).astype("f"),
        "clusters": lambda: blobs(n, dim, rng),
        "tight clusters": lambda: blobs(n, dim, rng, 1e-5),
        "twins": lambda: rng.normal(size=(n // 10, dim)).astype("f")[rng.integers(0, n // 10, n)],
        "grid": lambda: rng.integers(0, 40, (n, 2)).astype("f"),
        "float64": lambda: 1e100 * blobs(n, dim, rng).astype(np.float64),
    }[shape]()
    expected = both(everything[300:], everything[:300], 300, "cpu")
    product, types = distances.product, set()

    def seen(left, right):
        assert not isinstance(left, np.ndarray)
        assert left.device == right.device and left.device.type == device.split(":")[0]
        types.add(str(left.dtype))
        return product(left, right)

    monkeypatch.setattr(distances, "product", seen)
    assert both(everything[300:], everything[:300], 300, device) == expected
    assert ("torch.float32" in types) == (shape != "float64")
    if "float64" in shape or "tight" in shape:  # too large for float32, or too alike
        assert "torch.float64" in types


def test_device_gets_blocks_and_three_answers_are_fetched_for_each(monkeypatch):
    sizes, calls, tightened = [], [0], [0]
    sent, fetched, tighten = distances.sent, distances.fetched, Block.tighten

    def counted_sent(array, device):
        sizes.append(array.size)
        return sent(array, device)

    def counted_fetched(array):
        calls[0] += 1
        return fetched(array)

    def counted_tighten(self, *arguments):
        tightened[0] += 1
        return tighten(self, *arguments)

    monkeypatch.setattr(distances, "sent", counted_sent)
    monkeypatch.setattr(distances, "fetched", counted_fetched)
    monkeypatch.setattr(Block, "tighten", counted_tighten)
    points = np.random.default_rng(0).normal(size=(5000, 8)).astype("f")
    kcenter_greedy(points[1500:], points[:1500], 20, device="cpu:0")
    assert max(sizes) <= 1024 * 8
    assert tightened[0] < calls[0] <= 3 * tightened[0] + 1  # one for the check of the device


def test_device_bounds_hold_whatever_precision_torch_is_set_to(device, monkeypatch):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    points, centers = (5 + rng.normal(size=(2, 300, 400))).astype("f")
    centers[:50] = points[:50]
    block = Block(points, points.mean(0), np.float32, device)
    modes, matmul = [], torch.Tensor.__matmul__

    def watched(left, right):
        modes.append((torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision))
        return matmul(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        low = block.low_B[:, None].astype(np.float64) + distances.fetched(block.bounds(centers))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert modes == [("ieee", "ieee")]
    exact = matrix(points, centers)
    assert (low <= exact).all()
    assert (low >= exact - 0.1).all()
    row, column, squared = block.within(np.median(exact), centers)
    assert sorted(zip(row, column, strict=True)) == [*zip(*np.nonzero(exact <= np.median(exact)), strict=True)]


@pytest.mark.parametrize("name", ["cuda", "gpu", "meta", ["cuda"]])
def test_device_that_torch_cannot_use(name):
    torch = pytest.importorskip("torch")
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    points = np.random.default_rng(0).normal(size=(9, 2))
    for choose in (
        lambda: kcenter_greedy(points, points[:2], 3, device=name),
        lambda: kcenter_class_balanced(points, points[:2], np.full((9, 2), 0.5), np.ones(2), 3, device=name),
    ):
        with pytest.raises(UserError, match=r"^device .* cannot be used \([^\n]+\); set device: cpu\.$") as caught:
            choose()
        assert ". " not in str(caught.value)


def test_device_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    points = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(UserError, match="^device 'cuda' needs torch, .*; set device: cpu, or"):
        kcenter_greedy(points, points[:2], 3, device="cuda")
    assert len(kcenter_greedy(points, points[:2], 3)) == 3


def test_torch_is_not_imported_unless_a_device_is_set():
    code = """
import sys, numpy as np
from dagal.acquisition.kcenter import kcenter_class_balanced, kcenter_greedy
points = np.random.default_rng(0).normal(size=(90, 4))
kcenter_greedy(points, points[:5], 20)
kcenter_class_balanced(points, points[:5], np.full((90, 2), 0.5), np.ones(2), 20)
print("torch" in sys.modules)
kcenter_greedy(points, points[:5], 20, "cpu:0")
print("torch" in sys.modules)
"""
    library = Path(kcenter.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=library, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_distinct_rows():
    rows = np.array([[1, 2], [0, 0], [1, 2], [3, 3], [-0.0, 0], [1, 2]], np.float32)
    first, which = distinct_rows(rows)
    assert first.tolist() == [0, 1, 3]
    assert which.tolist() == [0, 1, 0, 2, 1, 0]
    assert distinct_rows(rows[:0])[0].shape == (0,)


def test_radius():
    points, centers = np.array([[0.0], [3.0], [10.0], [4.0]]), np.array([[1.0]])
    assert radius(points, centers) == 9
    assert radius(points, centers, n_outliers=1) == 3
    assert radius(points, centers, np.array([2])) == 3
    assert radius(points, centers, np.array([2]), 2) == 1
    assert radius(points, centers, n_outliers=4) == 0
    assert radius(points, centers[:0]) == np.inf


def test_initial_set_starts_at_random_and_goes_on_greedily():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 4)).astype(np.float32)
    chosen = kcenter_initial(points, 40, 5, np.random.default_rng(1))
    assert chosen.dtype == np.int64
    assert chosen.tolist() == kcenter_initial(points, 40, 5, np.random.default_rng(1)).tolist()
    assert len(set(chosen.tolist())) == 40
    starts = [kcenter_initial(points, 40, 5, np.random.default_rng(s))[:5].tolist() for s in range(5)]
    assert len(np.unique(starts)) > 10
    left = np.setdiff1d(np.arange(300), chosen[:5])
    assert left[plain(points[left], points[chosen[:5]], 35)].tolist() == chosen[5:].tolist()
    assert radius(points, points[:0], chosen) < radius(points, points[:0], rng.choice(300, 40, replace=False))
    assert kcenter_initial(points, 10, 0, rng).tolist() == plain(points, points[:0], 10)
    assert len(kcenter_initial(points, 10, 10, rng)) == 10
    assert sorted(kcenter_initial(np.ones((9, 2)), 9, 2, rng)) == list(range(9))


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("seed", range(25))
def test_balanced_equals_brute_force(kind, seed):
    rng = np.random.default_rng(seed)
    n, n_centers, dim = rng.integers(1, 60), rng.choice([0, 1, 9]), rng.integers(1, 6)
    n_classes, weight = rng.integers(1, 8), rng.choice([0, 0.5, 1, 100])
    everything = embeddings(kind, n + n_centers, dim, rng)
    probs = rng.dirichlet(np.full(n_classes, rng.choice([0.1, 1, 10])), n)
    if seed % 3 == 0:
        probs = np.eye(n_classes)[rng.integers(0, n_classes, n)]  # many equal costs
    if seed % 3 == 1:
        probs = probs.astype(np.float32)[rng.integers(0, n, n)]
    budget = int(rng.choice([n, rng.integers(0, n + 1)]))
    required = rng.uniform(0, 2 * budget / n_classes + 1, n_classes) * (rng.random(n_classes) < 0.7)
    arguments = everything[n_centers:], everything[:n_centers], probs, required.round(seed % 2), budget, weight
    chosen = kcenter_class_balanced(*arguments)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == plain_balanced(*arguments)


@pytest.mark.parametrize("clustered", [False, True])
def test_balanced_equals_brute_force_on_a_larger_pool(clustered, always_regions):
    rng = np.random.default_rng(0)
    everything = blobs(1500, 16, rng) if clustered else rng.normal(size=(1500, 16)).astype("f")
    probs = rng.dirichlet(np.full(10, 0.2), 1200).astype(np.float32)
    arguments = everything[300:], everything[:300], probs, np.linspace(0, 40, 10), 200, 0.5
    assert kcenter_class_balanced(*arguments).tolist() == plain_balanced(*arguments)


def test_balanced_without_weight_is_greedy():
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(500, 8)), rng.normal(size=(20, 8))
    probs = rng.dirichlet(np.ones(5), 500)
    chosen = kcenter_class_balanced(points, centers, probs, np.ones(5), 100, weight=0)
    assert chosen.tolist() == kcenter_greedy(points, centers, 100).tolist()


def test_balanced_by_hand_and_with_full_weight():
    points, centers = np.array([[1.0], [9.0], [8.0], [2.0]]), np.array([[0.0]])
    probs = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    # class 1 lacks one label: position 3 costs 0 + 100 - 2, the others 2 more in the norm and at most 7 less in distance
    assert kcenter_class_balanced(points, centers, probs, np.array([0, 1.0]), 2, weight=100).tolist() == [3, 1]
    rng = np.random.default_rng(0)
    classes = rng.choice(4, 400, p=[0.7, 0.2, 0.05, 0.05])
    points = rng.normal(size=(400, 6))
    required = np.array([0, 10, 15, 15])
    chosen = kcenter_class_balanced(points, points[:5], np.eye(4)[classes], required, 40, weight=1e3)
    assert np.bincount(classes[chosen], minlength=4).tolist() == required.tolist()
    greedy = kcenter_greedy(points, points[:5], 40)
    assert np.bincount(classes[greedy], minlength=4).tolist() != required.tolist()


def balanced(**changes):
    rng = np.random.default_rng(0)
    arguments = {
        "embeddings_N_D": rng.normal(size=(6, 3)), "centers_L_D": rng.normal(size=(2, 3)),
        "probs_N_C": np.full((6, 4), 0.25), "required_C": np.ones(4), "budget": 2, "weight": 1.0,
    }  # fmt: skip
    return kcenter_class_balanced(**arguments | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probs_N_C": np.full((6, 4), np.nan)}, "sum to 1"),
        ({"probs_N_C": np.full((6, 4), 0.3)}, "sum to 1"),
        ({"probs_N_C": np.tile([-0.5, 0.5, 0.5, 0.5], (6, 1))}, "not negative"),
        ({"probs_N_C": np.full((5, 4), 0.25)}, r"\(6, classes\)"),
        ({"probs_N_C": np.full(6, 1.0)}, r"\(6, classes\)"),
        ({"required_C": np.ones(3)}, "must be 4 finite numbers"),
        ({"required_C": np.array([1, 1, 1, np.inf])}, "finite"),
        ({"required_C": np.array([1, 1, 1, -1.0])}, ">= 0"),
        ({"weight": -1.0}, "found -1.0"),
        ({"weight": np.nan}, "found nan"),
        ({"budget": 7}, "the budget is 7, outside 0 to 6"),
        ({"embeddings_N_D": np.full((6, 3), np.inf)}, "finite"),
    ],
)
def test_balanced_refuses(changes, message):
    with pytest.raises(UserError, match=message):
        balanced(**changes)


def test_balanced_takes_half_precision_probabilities():
    probs = np.random.default_rng(0).dirichlet(np.ones(100), 6).astype(np.float16)
    assert len(balanced(probs_N_C=probs, required_C=np.ones(100))) == 2


def test_greedy_and_initial_refuse():
    points = np.zeros((4, 2), np.float32)
    with pytest.raises(UserError, match="the budget is 5, outside 0 to 4"):
        kcenter_greedy(points, points, 5)
    with pytest.raises(UserError, match="the budget is -1"):
        kcenter_greedy(points, points, -1)
    with pytest.raises(UserError, match="2 dimensions but those of the labeled samples 3"):
        kcenter_greedy(points, np.zeros((4, 3)), 1)
    with pytest.raises(UserError, match=r"embeddings must have the shape \(samples, dimensions\), found \(4,\)"):
        kcenter_greedy(points[:, 0], points, 1)
    for bad in np.nan, np.inf, -np.inf, 1e200:
        spoiled = np.where(np.arange(8).reshape(4, 2) == 3, bad, 0.0)
        with pytest.raises(UserError, match="^embeddings must be finite"):
            kcenter_greedy(spoiled, points, 1)
        with pytest.raises(UserError, match="^embeddings of the labeled samples must be finite"):
            kcenter_greedy(points, spoiled, 1)
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="size of the initial set is 5"):
        kcenter_initial(points, 5, 1, rng)
    with pytest.raises(UserError, match="number of random samples is 3, outside 0 to 2"):
        kcenter_initial(points, 2, 3, rng)


def test_largest():
    values = np.array([1.0, 3, 3, 2, 3, 0])
    top, level, outside = kcenter.largest(values, 2)
    assert (top.tolist(), level, outside) == ([1, 2], 3, 4)
    top, level, outside = kcenter.largest(values, 3)
    assert (top.tolist(), level, outside) == ([1, 2, 4], 3, 6)
    assert kcenter.largest(values, 9)[0].tolist() == list(range(6))
