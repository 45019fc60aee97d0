"""Intervals, paired comparisons, ranks and power against brute force, simulation, other formulas and printed tables."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.power import TTestPower

from dagal.report import significance as s
from dagal.report.statistics import speed

RNG = np.random.default_rng(3)
DIFFERENCES = RNG.normal(0.02, 0.03, 8)


def test_t_interval_by_the_printed_quantile():
    # t(.975, 2) = 4.303: mean 2, standard error 1 / sqrt 3
    assert s.interval([1.0, 2, 3]) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert s.interval([2.0, 2, 2]) == s.interval([2.0, 2, 2], "bootstrap") == (2, 2)
    assert np.isnan([*s.interval([1.0]), *s.interval([1.0, np.nan])]).all()


def test_bootstrap_interval_is_bca_over_all_resamples():
    """By Efron's formulas, over every one of the 5^5 resamples instead of random ones."""
    values = np.array([0.1, 0.2, 0.25, 0.6, 0.3])
    means = np.sort([np.mean(one) for one in itertools.product(values, repeat=5)])
    left = np.array([np.delete(values, k).mean() for k in range(5)])
    skew = ((left.mean() - left) ** 3).sum() / (6 * ((left.mean() - left) ** 2).sum() ** 1.5)
    bias = stats.norm.ppf(((means < values.mean()).sum() + (means <= values.mean()).sum()) / 2 / len(means))
    ends = []
    for quantile in (-1.959964, 1.959964):
        share = stats.norm.cdf(bias + (bias + quantile) / (1 - skew * (bias + quantile)))
        ends.append(np.quantile(means, share))
    assert s.interval(values, "bootstrap") == pytest.approx(ends, abs=0.01)
    assert s.interval(values, "bootstrap") == s.interval(values, "bootstrap")


def test_description_of_seeds():
    found = s.describe([0.5, 0.6, 0.8])
    assert found[:2] == pytest.approx([3, 1.9 / 3])
    sd = math.sqrt(sum((value - 1.9 / 3) ** 2 for value in (0.5, 0.6, 0.8)) / 2)
    assert found[4:] == pytest.approx([sd, sd / math.sqrt(3)])
    assert np.isnan(s.describe([0.5])[2:]).all()


def holm_by_hand(p_values):
    """Reject from the smallest on, as long as p <= alpha / (m - k): the smallest alpha that rejects each."""
    order = np.argsort(p_values)
    found, largest = np.empty(len(p_values)), 0
    for k, place in enumerate(order):
        largest = max(largest, min(1, (len(p_values) - k) * p_values[place]))
        found[place] = largest
    return found


def test_holm_leaves_out_what_was_not_tested():
    p_values = np.array([0.04, 0.01, 0.03, 0.5])
    assert s.holm(p_values) == pytest.approx(holm_by_hand(p_values))
    with_gap = np.array([[0.04, 0.01, np.nan], [0.03, 0.5, np.nan]])
    assert s.holm(with_gap)[:, :2].ravel() == pytest.approx(holm_by_hand(p_values))
    assert np.isnan(s.holm(with_gap)[:, 2]).all() and np.isnan(s.holm([np.nan])).all()


def test_paired_t_is_that_of_scipy_and_refused_below_six_seeds():
    method, other = RNG.random((2, 7, 3))
    expected = [stats.ttest_rel(method[:, k], other[:, k]).pvalue for k in range(3)]
    assert s.paired_t(method - other) == pytest.approx(expected)
    missing = method - other
    missing[0, 1], missing[:2, 2] = np.nan, np.nan
    expected = [expected[0], stats.ttest_rel(method[1:, 1], other[1:, 1]).pvalue, np.nan]
    assert s.paired_t(missing) == pytest.approx(expected, nan_ok=True)
    assert s.paired_t(np.array([[0.1, 0.0]] * 6)).tolist() == [0, 1]


def brute_force_penalties(values, corrected):
    n_methods, _, n_cycles = values.shape
    places = [(i, j, k) for i in range(n_methods) for j in range(i) for k in range(n_cycles)]
    p_values = np.array([stats.ttest_rel(values[i, :, k], values[j, :, k]).pvalue for i, j, k in places])
    p_values = holm_by_hand(p_values) if corrected else p_values
    found = np.full((n_methods, n_methods), np.nan)
    np.fill_diagonal(found, np.nan)
    for i, j in itertools.permutations(range(n_methods), 2):
        found[i, j] = 0
    for (i, j, k), p_value in zip(places, p_values, strict=True):
        if p_value < 0.05:
            row, column = (i, j) if values[i, :, k].mean() > values[j, :, k].mean() else (j, i)
            found[row, column] += 1 / n_cycles
    return found


def test_penalty_matrix_against_brute_force_row_beats_column():
    values = RNG.normal(0, 1, (4, 8, 5)) + np.array([0, 0.5, 1.5, 3])[:, None, None]
    raw, corrected = s.penalty_matrix(values)
    np.testing.assert_allclose(raw, brute_force_penalties(values, False))
    np.testing.assert_allclose(corrected, brute_force_penalties(values, True))
    assert raw[3, 0] == 1 and raw[0, 3] == 0 and corrected.sum(where=~np.isnan(corrected)) < np.nansum(raw)


def test_penalty_matrix_divides_by_all_cycles_and_is_refused_below_six_seeds():
    values = np.stack([RNG.normal(1, 0.01, (6, 4)), RNG.normal(0, 0.01, (6, 4))])
    values[0, :, 2:] = np.nan  # its chains stopped
    assert s.penalty_matrix(values)[0][0, 1] == 0.5
    assert np.isnan(s.penalty_matrix(values[:, :5])[0]).all()
    values[0, 0] = np.nan  # one seed fewer
    assert np.isnan(s.penalty_matrix(values)[0]).all()


def test_penalties_are_paired_by_seed():
    """Seeds that differ by more than the methods do: only pairs show the difference."""
    seeds = np.arange(8.0)[:, None]
    values = np.stack([seeds + 0.1 + RNG.normal(0, 0.01, (8, 1)), seeds])
    assert s.penalty_matrix(values)[0][0, 1] == 1
    values[1] = values[1, ::-1]
    assert s.penalty_matrix(values)[0][0, 1] == 0


@pytest.mark.parametrize("n", [3, 8])
def test_effect_size_by_integration(n):
    """J by its gamma functions; the ends of the interval by an integral of the noncentral t that needs no special function."""
    difference = DIFFERENCES[:n]
    g, low, high = s.effect_size(difference)
    df, t = n - 1, difference.mean() / difference.std(ddof=1) * n**0.5
    correction = math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))
    assert g == pytest.approx(correction * t / n**0.5)

    def below(ncp):
        """P(Z + ncp <= t sqrt(chi2 / df))."""
        return integrate.quad(lambda x: stats.norm.cdf(t * (x / df) ** 0.5 - ncp) * stats.chi2.pdf(x, df), 0, 200)[0]

    assert below(low / correction * n**0.5) == pytest.approx(0.975, abs=1e-5)
    assert below(high / correction * n**0.5) == pytest.approx(0.025, abs=1e-5)


@pytest.mark.parametrize(
    "difference", [DIFFERENCES, 0.06 + 0.013 * np.array([-1, 0, 1]), 1 + 0.001 * np.arange(3), [0.1, 0.3]]
)
def test_effect_size_turns_with_the_sign(difference):
    g, low, high = s.effect_size(difference)
    assert low < g < high or len(difference) == 2  # two seeds have no correction
    assert s.effect_size(-np.array(difference)) == pytest.approx((-g, -high, -low), abs=1e-6, nan_ok=True)


def test_effect_size_needs_variance():
    assert np.isnan(s.effect_size([0.1, 0.1, 0.1])).all() and np.isnan(s.effect_size([0.1])).all()


@pytest.mark.parametrize("n", [3, 8])
def test_posterior_by_draws(n):
    """By draws of the variance and then of the mean, as Bayes' rule has them under the prior 1 / variance."""
    difference, rng = DIFFERENCES[:n], np.random.default_rng(1)
    variance = difference.var(ddof=1) * (n - 1) / rng.chisquare(n - 1, 400_000)
    means = rng.normal(difference.mean(), np.sqrt(variance / n))
    expected = [(means > 0.01).mean(), (abs(means) <= 0.01).mean(), (means < -0.01).mean()]
    assert s.posterior(difference) == pytest.approx(expected, abs=0.004)
    assert s.posterior(-difference) == pytest.approx(s.posterior(difference)[::-1])


def test_posterior_is_careful_at_three_seeds_and_sure_without_variance():
    assert 0.8 < s.posterior([0.03, 0.05, 0.04])[0] < 0.99
    assert s.posterior([0.03, 0.05, 0.01])[0] < 0.95  # though every seed is better
    assert s.posterior([0.02] * 3) == (1, 0, 0) and s.posterior([0.001] * 3) == (0, 1, 0)
    assert np.isnan(s.posterior([0.1])).all()


@pytest.mark.parametrize("n", [2, 3, 6, 40])
def test_power_is_that_of_statsmodels(n):
    solved = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="two-sided")
    assert s.detectable(0.02, n) == pytest.approx(0.02 * solved)
    assert s.power(-0.3, n) == pytest.approx(TTestPower().power(0.3, n, 0.05, alternative="two-sided"))


def power_by_integration(effect, n):
    """Over the standard deviation that n seeds show: |T| > edge where the mean is more than so many of them from 0."""
    edge, df, ncp = stats.t.ppf(0.975, n - 1), n - 1, effect * n**0.5

    def beyond(share):
        width = edge * (stats.chi2.ppf(share, df) / df) ** 0.5
        return stats.norm.sf(width - ncp) + stats.norm.cdf(-width - ncp)

    return integrate.quad(beyond, 0, 1)[0]


@pytest.mark.parametrize("effect", [0.5, 0.9, 1.7, 3, 4.84, 9, 15])
def test_seeds_needed_are_the_first_that_are_enough(effect):
    """Also for effects at which statsmodels gives nan."""
    needed = s.seeds_needed(effect * 0.02, 0.02)
    assert needed == s.seeds_needed(-effect * 0.02, 0.02) and power_by_integration(effect, needed) >= 0.8
    assert needed == 2 or power_by_integration(effect, needed - 1) < 0.8


def test_power_by_simulation():
    sd, n = 0.03, 5
    drawn = np.random.default_rng(0).normal(s.detectable(sd, n), sd, (20_000, n))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)


def test_power_where_it_is_not_known():
    assert np.isnan(
        [
            s.detectable(0.1, 1),
            s.detectable(np.nan, 3),
            s.detectable(0.0, 3),
            s.seeds_needed(0.0, 0.1),
            s.seeds_needed(0.1, 0.0),
        ]
    ).all()
    assert np.isnan(s.seeds_needed(1e-5, 1.0))


def test_critical_difference_by_the_printed_table():
    """Demsar 2006, table 5(a), and his example: 4 methods on 14 data sets, 2.569 sqrt(4 5 / 6 14) = 1.25."""
    for k, q in {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 10: 3.164}.items():
        assert s.critical_difference(k, 6) == pytest.approx(q * math.sqrt(k * (k + 1) / 36), rel=4e-4)
    assert s.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_ranks_and_friedman_by_hand():
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.6, 0.4], [0.9, 0.9, 0.1], [0.3, 0.2, 0.1]])
    ranks = s.average_ranks(values)
    assert ranks == pytest.approx([(1 + 2 + 1.5 + 1) / 4, (2 + 1 + 1.5 + 2) / 4, 3])
    n, k = values.shape
    statistic = 12 * n / (k * (k + 1)) * ((ranks - (k + 1) / 2) ** 2).sum()
    ties = 1 - (2**3 - 2) / (n * k * (k * k - 1))
    found = s.friedman(values)
    assert found == pytest.approx((statistic / ties, stats.chi2.sf(statistic / ties, k - 1)))
    assert np.isnan(s.friedman(values[:, :2])).all() and np.isnan(s.friedman(np.ones((3, 3)))).all()


def test_letters_join_what_the_critical_difference_cannot_tell_apart():
    assert s.alike(np.array([3.0, 1.0, 2.0, 4.5]), 1.2) == ["b", "a", "ab", "c"]
    assert s.alike(np.array([1.0, 2.0, 3.0]), 5) == ["a", "a", "a"]
    assert s.alike(np.array([2.0, 1.0]), 0.5) == ["b", "a"]
    ranks, difference = RNG.random(9) * 9, 2.5
    letters = s.alike(ranks, difference)
    for i, j in itertools.combinations(range(9), 2):
        assert bool({*letters[i]} & {*letters[j]}) == (abs(ranks[i] - ranks[j]) <= difference)


def test_speed_of_learning():
    labels = np.repeat([50.0, 100, 150, 200, 250], 3)
    exact = 0.95 - 0.4 * np.exp(-0.01 * (labels - 50))
    assert speed(labels, exact, 0.95)[:2] == pytest.approx((0.4, 0.01))
    noisy = exact + np.random.default_rng(0).normal(0, 0.01, len(labels))
    a, beta, error = speed(labels, noisy, 0.95)
    # the minimum over a grid, and the error by the derivatives at it
    grid_a, grid_beta = np.meshgrid(np.linspace(a - 0.02, a + 0.02, 81), np.linspace(beta * 0.9, beta * 1.1, 81))
    fitted = 0.95 - grid_a[..., None] * np.exp(-grid_beta[..., None] * (labels - 50))
    place = ((fitted - noisy) ** 2).sum(-1).argmin()
    assert (grid_a.flat[place], grid_beta.flat[place]) == pytest.approx((a, beta))
    decay = np.exp(-beta * (labels - 50))
    jacobian = np.stack([-decay, a * (labels - 50) * decay], 1)
    variance = ((0.95 - a * decay - noisy) ** 2).sum() / (len(labels) - 2)
    assert error == pytest.approx(np.sqrt(variance * np.linalg.inv(jacobian.T @ jacobian)[1, 1]), rel=1e-3)


def test_speed_needs_points():
    with pytest.raises(ValueError, match="3 points"):
        speed([1, 2], [0.1, 0.2], 1)
    assert np.isnan(speed([5, 5, 5], [0.1, 0.2, 0.3], 1)).all()
