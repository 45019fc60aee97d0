"""The pool of a seed: four disjoint parts, class counts as computed by hand, draws as announced."""

import itertools

import h5py
import numpy as np
import pytest
from scipy.stats import chi2

from dagal.errors import UserError
from dagal.pool import channel_statistics, draw, kept_share, make_split, ranked, thin

C = 4
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(C), 30))  # per class 25 to train, 5 to test
SPLIT = np.zeros(len(LABELS), np.uint8)
for label in range(C):
    SPLIT[np.flatnonzero(label == LABELS)[3:8]] = 1  # the test images lie between the others
KINDS = ["random", "class_uniform", "balanced"]
IMBALANCES = ["none", "step", "first_half", "exponential"]


def settings(initial="random", size=8, validation=0, imbalance="none", factor=0.1, where="rest"):
    return {
        "initial": {"kind": initial, "size": size},
        "validation": validation,
        "imbalance": {"kind": imbalance, "factor": factor, "where": where},
    }


def test_a_query_ranks_a_random_subset():
    """The same for all that ask for it in a cycle, another one in the next; as many as there are, at most."""
    ids = np.arange(100, 300)
    first = ranked(ids, 40, 5, 1)
    assert len(set(first)) == 40 and np.isin(first, ids).all() and (np.diff(first) > 0).all()
    assert np.array_equal(first, ranked(ids, 40, 5, 1)) and not np.array_equal(first, ranked(ids, 40, 5, 2))
    assert np.array_equal(ranked(ids, 0, 5, 1), ids) and np.array_equal(ranked(ids, 999, 5, 1), ids)


def counts(ids):
    return np.bincount(LABELS[ids], minlength=C).tolist()


@pytest.mark.parametrize("where", ["rest", "all"])
@pytest.mark.parametrize(("initial", "imbalance"), list(itertools.product(KINDS, IMBALANCES)))
def test_parts_are_disjoint_ascending_and_of_the_size_asked_for(initial, imbalance, where):
    split = make_split(SPLIT, LABELS, C, settings(initial, 6, 11, imbalance, 0.3, where), seed=1)
    assert set(split) == {"pool", "initial", "validation", "test"}
    for ids in split.values():
        assert ids.dtype == np.int64
        assert (np.diff(ids) > 0).all()
    every = np.concatenate(list(split.values()))
    assert len(np.unique(every)) == len(every)
    assert (len(split["initial"]), len(split["validation"])) == (6, 11)
    np.testing.assert_array_equal(split["test"], np.flatnonzero(SPLIT == 1))
    if imbalance == "none":
        assert len(every) == len(LABELS)


def test_the_seed_alone_decides():
    def parts(seed, validation=10, **changes):
        changed = settings(validation=validation, imbalance="step", **changes)
        split = make_split(SPLIT, LABELS, C, changed, seed)
        return {name: ids.tolist() for name, ids in split.items()}

    one, other = parts(1), parts(2)
    assert parts(1) == one
    assert {name for name in one if one[name] != other[name]} == {"pool", "initial", "validation"}
    # each draw by itself: the initial set without a validation set before it, the thinning of all
    assert parts(1, validation=0)["initial"] != parts(2, validation=0)["initial"]
    kept_one, kept_other = (parts(seed, validation=0, where="all") for seed in (1, 2))
    assert {*kept_one["pool"], *kept_one["initial"]} != {*kept_other["pool"], *kept_other["initial"]}
    # the comparison of imbalance factors starts from the same labeled set
    changed = parts(1, factor=0.5)
    assert {name for name in one if one[name] != changed[name]} == {"pool"}


# 25 training images per class; the balanced initial set takes 2 of each class
@pytest.mark.parametrize(
    ("imbalance", "factor", "where", "pool"),
    [
        ("none", 0.1, "rest", [23, 23, 23, 23]),
        ("none", 0.1, "all", [23, 23, 23, 23]),
        ("step", 0.1, "rest", [23, 23, 2, 2]),  # 23 * .1 = 2.3
        ("step", 0.1, "all", [23, 23, 1, 1]),  # 25 * .1 = 2.5 -> 3, of which 2 are in the initial set
        ("first_half", 0.3, "rest", [7, 7, 23, 23]),  # 6.9
        ("first_half", 0.3, "all", [6, 6, 23, 23]),  # 7.5 -> 8
        ("exponential", 0.1, "rest", [23, 11, 5, 2]),  # shares 1, .464, .215, .1: 10.7, 4.96, 2.3
        ("exponential", 0.1, "all", [23, 10, 3, 1]),  # 11.6 -> 12, 5.4 -> 5, 2.5 -> 3
        ("step", 1, "rest", [23, 23, 23, 23]),
    ],
)
def test_imbalance_by_hand(imbalance, factor, where, pool):
    split = make_split(SPLIT, LABELS, C, settings("balanced", 8, 0, imbalance, factor, where), seed=0)
    assert counts(split["initial"]) == [2, 2, 2, 2]
    assert counts(split["pool"]) == pool


@pytest.mark.parametrize(
    ("imbalance", "n_classes", "share"),
    [
        ("step", 5, [1, 1, 1, 0.01, 0.01]),
        ("first_half", 5, [0.01, 0.01, 1, 1, 1]),
        ("exponential", 5, [1, 0.01**0.25, 0.1, 0.01**0.75, 0.01]),
        ("exponential", 1, [1]),
        ("none", 3, [1, 1, 1]),
    ],
)
def test_shares_of_an_odd_number_of_classes(imbalance, n_classes, share):
    np.testing.assert_allclose(kept_share(imbalance, 0.01, n_classes), share, rtol=1e-12)


def test_thinning_rounds_half_up_and_picks_every_member_alike():
    labels = np.repeat([0, 1, 3], [5, 15, 10])  # class 2 has no member
    share = np.array([0.1, 0.1, 1, 0.5])  # .5 -> 1, 1.5 -> 2, -, 5
    times = np.zeros(len(labels))
    for seed in range(1000):
        kept = thin(labels, share, np.random.default_rng(seed))
        assert (np.diff(kept) > 0).all()
        assert np.bincount(labels[kept], minlength=4).tolist() == [1, 2, 0, 5]
        times[kept] += 1
    assert_alike(times[:5], 1)
    assert_alike(times[5:20], 2)
    assert_alike(times[20:], 5)


def assert_alike(times, size):
    """Chi-square test that n samples, ``size`` of them drawn per repeat, were drawn equally often."""
    n, expected = len(times), times.sum() / len(times)
    statistic = ((times - expected) ** 2 / expected).sum() * (n - 1) / (n - size)
    assert statistic < chi2.isf(1e-4, n - 1)


TAILED = np.random.default_rng(1).permutation(np.repeat(np.arange(3), [200, 40, 20]))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("random", [23.1, 4.6, 2.3]), ("class_uniform", [10, 10, 10]), ("balanced", [10, 10, 10])],
)
def test_class_distribution_of_the_initial_set(kind, expected):
    times, drawn = np.zeros(len(TAILED)), []
    for seed in range(400):
        positions = draw(TAILED, 30, kind, 3, np.random.default_rng(seed))
        assert positions.dtype == np.int64
        assert len(positions) == 30
        assert (np.diff(positions) > 0).all()
        times[positions] += 1
        drawn.append(np.bincount(TAILED[positions], minlength=3))
    np.testing.assert_allclose(np.mean(drawn, 0), expected, atol=0.5)  # 4 standard errors
    assert (np.std(drawn, 0).max() == 0) == (kind == "balanced")
    for label, size in ((0, expected[0]), (1, expected[1])):  # within a class, every member alike
        assert_alike(times[label == TAILED], size)


def test_the_remainder_of_a_balanced_set_goes_to_random_classes():
    extra = np.zeros(3)
    for seed in range(300):
        positions = draw(TAILED, 11, "balanced", 3, np.random.default_rng(seed))
        per_class = np.bincount(TAILED[positions], minlength=3)
        assert sorted(per_class) == [3, 4, 4]
        extra += per_class - 3
    assert_alike(extra, 2)


def test_class_uniform_goes_on_when_a_class_is_used_up():
    positions = draw(TAILED, 240, "class_uniform", 3, np.random.default_rng(0))
    assert np.bincount(TAILED[positions]).tolist() == [180, 40, 20]
    everyone = draw(TAILED, 260, "class_uniform", 3, np.random.default_rng(0))
    np.testing.assert_array_equal(everyone, np.arange(260))


def test_class_uniform_ignores_classes_without_samples():
    positions = draw(np.array([0, 0, 2, 2]), 3, "class_uniform", 4, np.random.default_rng(0))
    assert len(np.unique(positions)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 101}, "101 samples cannot be drawn from 100"),
        ({"validation": 50, "size": 51}, "51 samples cannot be drawn from 50"),
        ({"initial": "class_uniform", "size": 101}, "101 samples cannot be drawn"),
        (
            {"initial": "balanced", "size": 16, "imbalance": "step", "where": "all"},
            "needs 4 samples of class 2, which has 3",
        ),
    ],
)
def test_sets_that_are_too_large_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        make_split(SPLIT, LABELS, C, settings(**changes), seed=0)


@pytest.mark.parametrize("initial", KINDS)
def test_the_whole_pool_can_be_labeled_at_the_start(initial):
    split = make_split(SPLIT, LABELS, C, settings(initial, 100), seed=0)
    np.testing.assert_array_equal(split["initial"], np.flatnonzero(SPLIT == 0))
    assert len(split["pool"]) == 0


@pytest.mark.parametrize(("of_type", "low"), [(np.uint8, 20), (np.int16, -300)])
def test_channel_statistics_equal_numpy_on_the_whole_array(tmp_path, of_type, low):
    rng = np.random.default_rng(0)
    images = rng.integers(low, 200, size=(5000, 2, 3, 3)).astype(of_type)
    images[..., 1] = 77
    ids = np.sort(rng.choice(5000, 4700, replace=False))
    images[np.setdiff1d(np.arange(5000), ids)] = 255  # test images must not count
    with h5py.File(tmp_path / "x.h5", "w") as file:
        mean, std = channel_statistics(file.create_dataset("images", data=images), ids)
    assert mean.dtype == std.dtype == np.float32
    scaled = images[ids] / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std[[0, 2]], scaled.std((0, 1, 2))[[0, 2]], rtol=1e-6)
    assert std[1] == 1


N_TRAINING = int((SPLIT == 0).sum())
GROUPS = np.arange(N_TRAINING) // 4


@pytest.mark.parametrize("size", [4, 11, 30])
def test_validation_takes_whole_groups(size):
    group_N = np.full(len(SPLIT), -1)
    group_N[SPLIT == 0] = GROUPS
    found = [
        make_split(SPLIT, LABELS, C, settings(size=6, validation=size), seed, group_N=group_N) for seed in range(5)
    ]
    for split in found:
        rest = np.concatenate([split["pool"], split["initial"]])
        assert not {*group_N[split["validation"]]} & {*group_N[rest]}
        assert len(split["validation"]) == size // 4 * 4  # as many groups of four as fit
        assert len(rest) + len(split["validation"]) == N_TRAINING
    assert len({tuple(split["validation"]) for split in found}) > 1
    with pytest.raises(UserError, match="smallest of the .* groups of training images has 4"):
        make_split(SPLIT, LABELS, C, settings(size=6, validation=3), 0, group_N=group_N)


def test_a_validation_set_of_the_data_is_kept():
    parts = SPLIT.copy()
    own = np.flatnonzero(SPLIT == 0)[5:9]
    parts[own] = 2
    split = make_split(parts, LABELS, C, settings(size=6), seed=0)
    assert split["validation"].tolist() == own.tolist()
    assert not {*own} & {*split["pool"], *split["initial"], *split["test"]}
    with pytest.raises(UserError, match="the data set brings 4 images for validation"):
        make_split(parts, LABELS, C, settings(size=6, validation=2), seed=0)
