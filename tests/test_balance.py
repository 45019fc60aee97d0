"""Requirement per class (003, eq. 4.4), by hand."""

import numpy as np
import pytest

from dagal.balance import required_per_class


def test_uniform_start_lacks_the_same_of_every_class():
    """The thesis' own case: c = 1, n_i = b0 / C gives b / C."""
    np.testing.assert_array_equal(required_per_class(np.full(10, 500), 2500, 5000, 1), np.full(10, 250.0))


@pytest.mark.parametrize(
    ("counts", "budget", "initial", "cycle", "expected"),
    [
        ([9, 1, 2], 6, 12, 1, [0, 5, 4]),  # (6 + 12) / 3 = 6 each
        ([9, 5, 4], 6, 12, 2, [0, 3, 4]),  # (12 + 12) / 3 = 8 each
        ([3, 0], 1, 3, 1, [0, 2]),
        ([1, 0], 2, 1, 1, [0.5, 1.5]),
    ],
)
def test_by_hand(counts, budget, initial, cycle, expected):
    np.testing.assert_array_equal(required_per_class(np.array(counts), budget, initial, cycle), expected)


@pytest.mark.parametrize(
    "wrong", [([-1, 2], 1, 1, 1), ([1, 2], -1, 1, 1), ([1, 2], 1, -1, 1), ([1, 2], 1, 1, 0), ([[1]], 1, 1, 1)]
)
def test_bad_input(wrong):
    with pytest.raises(ValueError, match="must be >= 0"):
        required_per_class(*wrong)
