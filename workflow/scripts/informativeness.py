"""First scores of every method -> accuracy of the initial model on the top x % of the pool (000, sec. 4.3)."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.report.statistics import accuracy_on_top
from dagal.stopping import last_cycles, passed_through

start(snakemake)
shares = np.arange(1, 101) / 100
(labels_N,) = artifacts.read(snakemake.input.truth, "truth", "labels")
stops = last_cycles(snakemake.input.stops)
curves, dispersion = [], []
for score_file, signal_file in zip(snakemake.input.scores, snakemake.input.signals, strict=True):
    seed, method, cycle = artifacts.node(score_file)
    if passed_through(stops, seed, method, cycle):
        continue
    ids, score_N = artifacts.read(score_file, "scores", "ids", "score")
    pool, probs_N_C = artifacts.read(signal_file, "signals", "ids", "probabilities")
    correct_N = probs_N_C[np.searchsorted(pool, ids)].argmax(1) == labels_N[ids]
    deployable = snakemake.params.methods[method]["deployable"]
    accuracy_K = accuracy_on_top(score_N, correct_N, shares)
    curves += [[method, deployable, seed, *point] for point in zip(shares, accuracy_K, strict=True)]
    if method == "label_dispersion":
        dispersion += [[seed, *sample] for sample in zip(score_N, correct_N, strict=True)]
artifacts.write_csv(snakemake.output.curves, ["method", "deployable", "seed", "share", "accuracy"], curves)
artifacts.write_csv(snakemake.output.dispersion, ["seed", "dispersion", "correct"], dispersion)
