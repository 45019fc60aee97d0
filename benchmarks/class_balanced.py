"""Gap and seconds of class-balanced selection on three kinds of long-tailed pools: `python benchmarks/class_balanced.py`.

`exponential`: half of the classes rare, one-hot class of exponential weight on gamma(.1) noise; `step`: the same of weight 1;
`fillable`: shares .1**(c/(C-1)), gamma(.1 + 2 onehot), b/C labels required of every class, so that no class keeps a lack.
`floor` is an estimate of the least gap that any batch has: among requirements drawn uniformly from those that leave the LP's
basis as it is, the expected number of batches within a gap G of the relaxation is at most, for every beta > 0,

    exp(beta G) prod_n (1 + exp(-beta |worth_n - threshold|)) prod_c (1 / (beta (w - price_c)) + 1 / (beta (w + price_c))) / V

(Markov's inequality over the batches; c: classes with |price| < weight w; V: volume of the requirements). At the floor it
is 1, below it falls exponentially: `P(bar)` bounds the chance that a batch within the bar of issue 3 exists at all.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as for the rule `select`; more threads only wait for each other

import numpy as np  # noqa: E402
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from dagal.acquisition import class_balanced as solver
from dagal.acquisition.scores import entropy

BUDGET = 2500
CASES = [(10, 45_000, 0.6, 2e-5, 2), (100, 45_000, 2.0, 1e-4, 5), (200, 90_000, 2.0, 1e-4, 15)]  # C, N, weight, bars


def pool(kind: str, n: int, n_classes: int, seed: int):
    """Score (N,), probabilities (N,C), required (C,), budget."""
    rng = np.random.default_rng(seed)
    share_C = np.where(np.arange(n_classes) < n_classes // 2, 0.3, 1.0)
    if kind == "fillable":
        share_C = 0.1 ** (np.arange(n_classes) / (n_classes - 1))
    share_C = share_C / share_C.sum()
    onehot_N_C = np.eye(n_classes)[rng.choice(n_classes, n, p=share_C)]
    if kind == "exponential":
        probs_N_C = rng.gamma(0.1, size=(n, n_classes)) + 1e-12 + onehot_N_C * rng.exponential(1, n)[:, None]
    else:
        probs_N_C = rng.gamma(0.1 + onehot_N_C * (2 if kind == "fillable" else 1))
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    required_C = np.full(n_classes, BUDGET / n_classes)
    if kind != "fillable":  # after one query that followed the pool
        required_C = np.maximum(2 * required_C - rng.multinomial(BUDGET, share_C), 0)
    return entropy(probs_N_C), probs_N_C, required_C, BUDGET


def log_chance(score_N, probs_N_C, required_C, budget, weight):
    """Function of a gap of the objective: log of the bound above; and the value of the relaxation."""
    problem = score_N, probs_N_C, required_C, budget, weight
    prices_C, share_N = solver.relax(*problem)
    value = solver._lower_bound(prices_C, *problem)
    fractions = np.flatnonzero((share_N > 1e-9) & (share_N < 1 - 1e-9))
    if np.abs(required_C - share_N @ probs_N_C).max() < 1e-6:  # equal shifts of all prices mean the same
        prices_C = prices_C - (prices_C.min() + prices_C.max()) / 2
    worth_N = score_N + probs_N_C @ prices_C
    free = np.flatnonzero(np.abs(prices_C) < weight * (1 - 1e-7))
    free = free[np.argsort(-np.abs(prices_C[free]))][: len(fractions) - 1]
    m, n_in = len(free), share_N[fractions].sum()
    differences = (probs_N_C[fractions[:-1]] - probs_N_C[fractions[-1]])[:, free]
    spread = np.sqrt(m / 12)  # of a sum of m uniform shares, which the last share completes to n_in
    slice_ = norm.cdf((n_in - m / 2) / spread) - norm.cdf((n_in - 1 - m / 2) / spread)
    volume = np.linalg.slogdet(differences)[1] + np.log(slice_)
    costs = np.log(1 / (weight - prices_C[free]) + 1 / (weight + prices_C[free])).sum()
    reduced_N = np.abs(worth_N - np.median(worth_N[fractions]))

    def of(gap):
        def bound(log_beta):
            batches = np.logaddexp(0, -np.exp(log_beta) * reduced_N).sum()
            return np.exp(log_beta) * gap + batches - m * log_beta + costs - volume

        return minimize_scalar(bound, bounds=(-3, 12), method="bounded").fun

    return of, value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--kinds", nargs="+", default=["exponential", "step", "fillable"])
    options = parser.parse_args()
    print(
        f"{'pool':12}{'C':>4}{'seed':>5}{'gap':>10}{'bar':>8}{'floor':>10}{'log P(bar)':>11}{'seconds':>9}{'CPU s':>7}{'bar':>5}"
    )
    for kind in options.kinds:
        for n_classes, n, weight, bar, limit in CASES:
            for seed in options.seeds:
                problem = *pool(kind, n, n_classes, seed), weight
                started, cpu = time.perf_counter(), time.process_time()
                gap = solver.class_balanced(*problem).relative_gap
                seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
                of, value = log_chance(*problem)
                floor = brentq(of, 1e-9, 100) / abs(value)
                chance = of(bar * abs(value))
                row = f"{kind:12}{n_classes:4}{seed:5}{gap:10.1e}{bar:8.0e}{floor:10.1e}{chance:11.0f}"
                print(f"{row}{seconds:9.2f}{cpu:7.2f}{limit:5}", flush=True)


if __name__ == "__main__":
    main()
