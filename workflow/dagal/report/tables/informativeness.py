"""First scores of every method -> accuracy of the initial model on the top x % of the pool (000, sec. 3.2)."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.report.statistics import accuracy_on_top
from dagal.stopping import last_cycles, passed_through


def make(job):
    shares = np.arange(1, 101) / 100
    (labels_N,) = artifacts.read(job.input.truth, "truth", "labels")
    last_cycle = last_cycles(job.input.stop_records)
    curves = []
    for score_file, signal_file in zip(job.input.scores, job.input.signals, strict=True):
        seed, method, cycle = artifacts.node(score_file)
        if passed_through(last_cycle, seed, method, cycle):
            continue
        ids, score_N = artifacts.read(score_file, "scores", "ids", "score")
        pool, probs_N_C = artifacts.read(signal_file, "signals", "ids", "probabilities")
        correct_N = probs_N_C[np.searchsorted(pool, ids)].argmax(1) == labels_N[ids]
        deployable = job.params.methods[method]["deployable"]
        accuracy_K = accuracy_on_top(score_N, correct_N, shares)
        curves += [[method, deployable, seed, *point] for point in zip(shares, accuracy_K, strict=True)]
    artifacts.write_csv(job.output.curves, ["method", "deployable", "seed", "share", "accuracy"], curves)


def reads(study, at):
    """Scores that every method gives the pool with the initial model, and that model's own predictions."""
    pairs = [(seed, method) for seed in study.seeds for method in study.methods]
    return {
        "scores": [study.path(study.node(seed, method, 1), "scores") for seed, method in pairs],
        "signals": [study.path(study.node(seed, method, 0), "signals") for seed, method in pairs],
        "truth": study.truth,
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"curves": "{results}/informativeness.csv"},
    settings=lambda study, at: {"methods": study.overview()},
    when=classifies,
)
