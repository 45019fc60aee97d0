"""SRAAL's state indicators: values by hand, and the properties the paper states."""

import math

import numpy as np
import pytest

from dagal.acquisition.indicators import INDICATORS, uncertainty_indicator


def random_probs(n=2000, n_classes=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(n_classes, 0.5), n) * 0.98 + 0.02 / n_classes


def variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def naive_indicator(probs):
    """Eq. 3 by its words."""
    n_classes, largest = len(probs), max(probs)
    flattest = [largest] + [(1 - largest) / (n_classes - 1)] * (n_classes - 1)
    return 1 - variance(flattest) / variance(probs) * largest


@pytest.mark.parametrize(
    ("probs", "value"),
    [
        # V = (1/2, 1/2, 0, 0): Var 1/16; V' = (1/2, 1/6, 1/6, 1/6): MINVar 1/48; ratio 1/3
        ([0.5, 0.5, 0, 0], 1 - 1 / 3 / 2),
        # V = V': the ratio is 1
        ([0.5, 0.125, 0.125, 0.125, 0.125], 0.5),
        # V = (1/2, 3/8, 1/8): Var 7/288; V' = (1/2, 1/4, 1/4): MINVar 1/72; ratio 4/7
        ([0.5, 0.375, 0.125], 1 - 4 / 7 / 2),
    ],
)
def test_by_hand(probs, value):
    assert uncertainty_indicator(np.array([probs])) == pytest.approx([value], abs=1e-12)
    assert naive_indicator(probs) == pytest.approx(value, abs=1e-12)


def test_every_vector_follows_the_equation():
    probs = random_probs()
    np.testing.assert_allclose(uncertainty_indicator(probs), [naive_indicator(p) for p in probs.tolist()], atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 7, 10, 100, 1000])
def test_one_hot_is_0_and_uniform_is_the_limit(n_classes, dtype):
    assert uncertainty_indicator(np.eye(n_classes, dtype=dtype)).tolist() == [0] * n_classes
    limit = uncertainty_indicator(np.full((1, n_classes), 1 / n_classes, dtype))
    assert limit == pytest.approx([1 - 1 / n_classes], abs=1e-9)


def test_the_limit_is_approached_continuously():
    """Along the vectors with equal others, down to a step that is all rounding."""
    for step in (1e-2, 1e-4, 1e-6, 1e-8, 1e-12):
        probs = np.array([0.25 + step, *[0.25 - step / 3] * 3])
        assert uncertainty_indicator(probs[None]) == pytest.approx([0.75], abs=1.1 * step + 1e-9)


def test_float32_rounding_of_a_uniform_softmax_is_uniform():
    rng = np.random.default_rng(0)
    noisy = (1 / 10 + rng.normal(0, 1e-9, (100, 10))).astype(np.float32)
    np.testing.assert_allclose(uncertainty_indicator(noisy), 0.9, atol=1e-6)


def test_property_1_stays_in_0_1():
    for n_classes in (2, 3, 10, 100):
        values = uncertainty_indicator(np.random.default_rng(1).dirichlet(np.full(n_classes, 0.2), 3000))
        assert (values >= 0).all() and (values <= 1).all()
        assert np.ptp(values) > 0.3


def test_property_2_falls_with_the_largest_probability():
    """Mixing a vector with the uniform one keeps MINVar / Var and lowers the largest probability."""
    probs = random_probs()
    previous = uncertainty_indicator(probs)
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        mixed = uncertainty_indicator((1 - share) * probs + share / probs.shape[1])
        assert (mixed > previous).all()
        previous = mixed
    assert np.corrcoef(uncertainty_indicator(probs), probs.max(1))[0, 1] < -0.5


def test_property_3_rises_with_the_concentration_of_the_others():
    """At the same largest probability, from all others equal to what the vector has: the less even, the larger."""
    probs = np.sort(random_probs(), axis=1)[:, ::-1]
    even = probs.copy()
    even[:, 1:] = (1 - probs[:, :1]) / (probs.shape[1] - 1)
    previous = uncertainty_indicator(even)
    np.testing.assert_allclose(previous, 1 - probs[:, 0], atol=1e-9)
    for share in (0.25, 0.5, 0.75, 1):
        current = uncertainty_indicator((1 - share) * even + share * probs)
        assert (current > previous).all()
        previous = current


@pytest.mark.parametrize("name", INDICATORS)
def test_all_indicators_stay_in_0_1_and_do_not_change_their_input(name):
    probs = random_probs().astype(np.float32)
    before = probs.copy()
    values = INDICATORS[name](probs)
    assert values.shape == (2000,) and values.dtype == np.float64
    assert (values >= 0).all() and (values <= 1).all()
    np.testing.assert_array_equal(probs, before)


@pytest.mark.parametrize(
    ("name", "half", "uniform", "one_hot"),
    [
        ("sraal", 1 - 1 / 3 / 2, 0.75, 0),
        ("entropy", math.log(2) / math.log(4), 1, 0),
        ("standard_deviation", 1 - math.sqrt(1 / 16) / math.sqrt(3 / 16), 1, 0),
        ("least_confidence", 0.5, 0.75, 0),
        ("binary", 1, 1, 1),
    ],
)
def test_all_indicators_by_hand(name, half, uniform, one_hot):
    probs = np.array([[0.5, 0.5, 0, 0], [0.25] * 4, [0, 0, 1, 0]])
    assert INDICATORS[name](probs) == pytest.approx([half, uniform, one_hot], abs=1e-12)


@pytest.mark.parametrize("name", INDICATORS)
def test_one_class_is_no_error(name):
    assert INDICATORS[name](np.ones((3, 1))).tolist() == [1.0 if name == "binary" else 0.0] * 3
