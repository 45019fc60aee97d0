"""What the seeds of a study, or several data sets, can tell apart: intervals, paired tests, effect sizes, ranks, power.

Values are paired by seed: one number per seed (S,), the same seeds in the same order. SciPy and statsmodels do the tests; they are
imported where they are needed, because they cost as much as the rest of a light job.
"""

import numpy as np

from dagal.report.statistics import MIN_SEEDS

LEVEL = 0.95  # of intervals
ALPHA = 1 - LEVEL
POWER = 0.8  # with which a difference is to be found
MOST_SEEDS = 10_000  # more are no answer to how many seeds are needed
EQUIVALENT = 0.01  # differences up to this, a point of accuracy, count as none (region of practical equivalence, ROPE)


def interval(values_S: np.ndarray, kind: str = "t") -> tuple[float, float]:
    """Interval of the mean at `LEVEL`: of Student's ``t``, or a ``bootstrap`` (BCa, 9,999 resamples by a generator of its own).

    A bootstrap of few seeds is too narrow: it knows no values but those that were drawn. Nan below 2 values and if any is nan.
    """
    from scipy import stats

    values_S = np.asarray(values_S, np.float64)
    if len(values_S) < 2 or not np.isfinite(values_S).all():
        return np.nan, np.nan
    mean, se = values_S.mean(), values_S.std(ddof=1) / np.sqrt(len(values_S))
    if np.ptp(values_S) == 0:
        return mean, mean
    if kind == "t":
        return tuple(map(float, stats.t.interval(LEVEL, len(values_S) - 1, mean, se)))
    found = stats.bootstrap((values_S,), np.mean, confidence_level=LEVEL, rng=np.random.default_rng(0))
    return tuple(map(float, found.confidence_interval))


def describe(values_S: np.ndarray, kind: str = "t") -> list[float]:
    """Number of values, mean, ends of the `interval`, standard deviation (n - 1) and standard error."""
    values_S = np.asarray(values_S, np.float64)
    sd = values_S.std(ddof=1) if len(values_S) > 1 else np.nan
    return [len(values_S), values_S.mean(), *interval(values_S, kind), sd, sd / np.sqrt(len(values_S))]


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values after Holm's correction for all that are not nan, in the shape given."""
    corrected = np.array(p_values, np.float64)
    known = np.isfinite(corrected)
    if known.any():  # below `MIN_SEEDS` seeds none is, which spares a second of imports
        from statsmodels.stats.multitest import multipletests

        corrected[known] = multipletests(corrected[known], method="holm")[1]
    return corrected


def paired_t(difference_S_K: np.ndarray) -> np.ndarray:
    """P-values (K,) of two-sided paired t-tests from differences (S,K), seeds in rows; nan stands for a seed that is missing.

    Nan below `MIN_SEEDS` seeds; 1 where no seed differs.
    """
    from scipy import stats

    difference_S_K = np.round(difference_S_K, 12)
    known_S_K = np.isfinite(difference_S_K)
    n_K, p_K = known_S_K.sum(0), np.full(difference_S_K.shape[1], np.nan)
    for n in np.unique(n_K[n_K >= MIN_SEEDS]):
        of_K = np.flatnonzero(n_K == n)
        found_n_K = np.stack([difference_S_K[known_S_K[:, k], k] for k in of_K], 1)
        varies = np.ptp(found_n_K, axis=0) > 0  # else t is infinite, or there is no difference at all
        p_K[of_K] = found_n_K[0] == 0
        p_K[of_K[varies]] = stats.ttest_1samp(found_n_K[:, varies], 0, axis=0).pvalue
    return p_K


def penalty_matrix(values_M_S_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairwise penalty matrices (M,M), raw and after Holm over all pairs and cycles: row beats column.

    ``values_M_S_K``: performance of M methods, S seeds and K cycles, nan where a chain had stopped. Entry (i, j) is the share of the
    K cycles in which method i is significantly better than j (paired t-test, p < .05); the divisor is K for every pair. Nan for a pair
    with fewer than `MIN_SEEDS` seeds in common. Source: BADGE (Ash et al. 2020), sec. 4, which sums such shares over data sets, budgets
    and networks.
    """
    values_M_S_K = np.asarray(values_M_S_K, np.float64)
    n_methods, _, n_cycles = values_M_S_K.shape
    pairs = [(i, j) for i in range(n_methods) for j in range(i)]
    differences = [values_M_S_K[i] - values_M_S_K[j] for i, j in pairs]
    p_P_K = np.array([paired_t(one) for one in differences]).reshape(len(pairs), n_cycles)
    found = []
    for tested in (p_P_K, holm(p_P_K)):
        shares_M_M = np.full((n_methods, n_methods), np.nan)
        for (i, j), p_K, difference_S_K in zip(pairs, tested, differences, strict=True):
            if np.isfinite(p_K).any():
                mean_K = np.where(np.isfinite(p_K), np.nansum(difference_S_K, 0), 0)
                wins = [((p_K < ALPHA) & (sign * mean_K > 0)).sum() for sign in (1, -1)]
                shares_M_M[i, j], shares_M_M[j, i] = np.array(wins) / n_cycles
        found.append(shares_M_M)
    return tuple(found)


def effect_size(difference_S: np.ndarray) -> tuple[float, float, float]:
    """Hedges' g of paired differences, and its interval at `LEVEL`: says how large a difference is from 3 seeds on.

    g is J d with Cohen's d = mean / standard deviation of the differences and J the exact correction for few seeds; the interval is J
    times that of d by the noncentral t distribution. Nan below 3 seeds and without variance. Source: Hedges 1981; Goulet-Pelletier and Cousineau
    2018.
    """
    from scipy import optimize, special, stats

    difference_S = np.round(np.asarray(difference_S, np.float64), 12)
    n = len(difference_S)
    if n < 2 or not np.isfinite(difference_S).all() or np.ptp(difference_S) == 0:
        return np.nan, np.nan, np.nan
    d, df = difference_S.mean() / difference_S.std(ddof=1), n - 1
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2) if df > 1 else np.nan
    t, reach = d * np.sqrt(n), 40 + 40 * abs(d * np.sqrt(n))
    ends = [
        # P(T <= t) as that of -T: SciPy's cdf is nan far out where t and ncp have other signs
        optimize.brentq(lambda ncp, share=share: stats.nct.sf(-t, df, -ncp) - share, t - reach, t + reach)
        for share in (1 - ALPHA / 2, ALPHA / 2)
    ]
    return correction * d, *(correction * ncp / np.sqrt(n) for ncp in ends)


def posterior(difference_S: np.ndarray, rope: float = EQUIVALENT) -> tuple[float, float, float]:
    """Probabilities that the true mean difference is above ``rope``, within -rope..rope, and below: better, equivalent, worse.

    Posterior of a mean under the noninformative prior: a t distribution with n - 1 degrees of freedom around the mean of the
    differences, scaled by their standard error. Honest at 3 seeds, as its tails are wide. Nan below 2 seeds. Source: Benavoli et al.
    2017, without their correlation: seeds are independent runs, not folds that share data.
    """
    from scipy import stats

    difference_S = np.round(np.asarray(difference_S, np.float64), 12)
    n = len(difference_S)
    if n < 2 or not np.isfinite(difference_S).all():
        return np.nan, np.nan, np.nan
    mean, se = difference_S.mean(), difference_S.std(ddof=1) / np.sqrt(n)
    if np.ptp(difference_S) == 0:
        better, worse = float(mean > rope), float(mean < -rope)
    else:
        better, worse = stats.t.sf([rope, rope], n - 1, [mean, -mean], se).tolist()
    return better, 1 - better - worse, worse


def power(effect: float, n: int) -> float:
    """Probability that a paired t-test of n seeds finds an ``effect``, the true mean difference over its standard deviation."""
    from scipy import stats

    edge, ncp = stats.t.ppf(1 - ALPHA / 2, n - 1), effect * np.sqrt(n)
    return float(stats.nct.sf(edge, n - 1, ncp) + stats.nct.sf(edge, n - 1, -ncp))


def detectable(sd: float, n: int) -> float:
    """The smallest true difference that a paired t-test of n seeds finds with probability `POWER`, from the s.d. of the differences.

    Nan below 2 seeds, and without variance, which then is not known.
    """
    from scipy import optimize

    if n < 2 or not sd > 0:
        return np.nan
    return sd * optimize.brentq(lambda effect: power(effect, n) - POWER, 0, 20)


def seeds_needed(difference: float, sd: float) -> float:
    """The smallest number of seeds whose paired t-test finds a difference with probability `POWER`; nan as `detectable`, and above `MOST_SEEDS`."""
    if not (sd > 0 and abs(difference) > 0):
        return np.nan
    effect, low, high = abs(difference) / sd, 1, 2
    while power(effect, high) < POWER:
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return np.nan
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle) >= POWER else (middle, high)
    return float(high)


def average_ranks(values_N_M: np.ndarray) -> np.ndarray:
    """Mean rank (M,) of each method over N data sets, 1 the best, ties shared; ``values_N_M``: larger is better."""
    from scipy import stats

    return stats.rankdata(-np.round(values_N_M, 12), axis=1).mean(0)


def critical_difference(n_methods: int, n_datasets: int) -> float:
    """By how much mean ranks must differ at .05 (Nemenyi): q sqrt(k (k + 1) / 6 N). Source: Demsar 2006, sec. 3.2.2."""
    from scipy import stats

    q = stats.studentized_range.ppf(LEVEL, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


def friedman(values_N_M: np.ndarray) -> tuple[float, float]:
    """Statistic and p-value of Friedman's test that all methods rank alike over N data sets; nan below 3 methods or 2 data sets."""
    from scipy import stats

    n_datasets, n_methods = np.shape(values_N_M)
    if n_methods < 3 or n_datasets < 2 or not np.ptp(values_N_M, axis=1).any():
        return np.nan, np.nan
    found = stats.friedmanchisquare(*np.round(values_N_M, 12).T)
    return float(found.statistic), float(found.pvalue)


def alike(ranks_M: np.ndarray, difference: float) -> list[str]:
    """Letters of each method: those that share one have mean ranks within the critical difference of each other."""
    order = np.argsort(ranks_M, kind="stable")
    sorted_M, letters, last, runs = np.asarray(ranks_M)[order], [""] * len(order), -1, 0
    for first, rank in enumerate(sorted_M):
        end = int(np.searchsorted(sorted_M, rank + difference, "right")) - 1
        if end > last:  # else all of these are in the run before
            for place in order[first : end + 1]:
                letters[place] += chr(ord("a") + runs)
            last, runs = end, runs + 1
    return letters
