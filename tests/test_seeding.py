"""Random streams: a fixed function of (seed, purpose), unrelated to each other."""

import itertools

import numpy as np
import pytest

from dagal.seeding import generator, seed_for


def test_the_scheme_is_pinned():
    """Published results depend on these numbers: whoever changes the scheme changes every study."""
    assert seed_for(0, "train", "mlp", 3) == 8085651528497552615
    assert seed_for(12, "validation") == 1123251114436259262
    np.testing.assert_array_equal(generator(0, "initial").integers(1000, size=4), [709, 947, 749, 925])


def test_seed_and_every_part_of_the_purpose_count():
    keys = [
        *itertools.product(range(5), ["train", "draws"], ["mlp", "resnet"], range(5)),
        *itertools.product(range(5), ["train", "draws"]),
    ]
    seeds = {seed_for(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "1x"), (11, "x")),
        ((0, "ab", "c"), (0, "a", "bc")),
        ((0, "a", 1, 2), (0, "a", 12)),
        ((0, "a", ""), (0, "a")),
        ((0, "a", "b"), (0, "b", "a")),
        ((1, 0, "a"), (0, 1, "a")),
    ],
)
def test_parts_do_not_run_into_each_other(one, other):
    assert seed_for(*one) != seed_for(*other)


def test_a_number_and_its_digits_are_the_same_purpose():
    """By design: wildcards of the workflow arrive as strings, settings as numbers."""
    assert seed_for(0, "score", 1) == seed_for(0, "score", "1")


def test_streams_repeat_and_are_uncorrelated():
    streams = [generator(seed, purpose).normal(size=2000) for seed in (0, 1) for purpose in ("a", "b")]
    np.testing.assert_array_equal(streams[0], generator(0, "a").normal(size=2000))
    correlation = np.corrcoef(streams) - np.eye(4)
    assert np.abs(correlation).max() < 0.1  # 4.5 standard errors; a shared stream has correlation 1
