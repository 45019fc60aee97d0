"""Last labeled.h5 of every method and seed -> the entropy of the class counts of each of its queries (paper 004, sec. 5.2)."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles


def make(job):
    from scipy.stats import entropy

    last_cycle = last_cycles(job.input.stop_records)
    rows = []
    (labels_N,) = artifacts.read(job.input.truth, "truth", "labels")
    n_classes = len(artifacts.attributes(job.input.truth, "truth")["class_names"])
    for path in job.input.labeled:
        seed, method, _ = artifacts.node(path)
        ids, cycle_L = artifacts.read(path, "labeled", "ids", "cycle")
        place = [method, job.params.methods[method]["deployable"], seed]
        last = last_cycle.get((seed, method), cycle_L.max())
        for cycle in np.unique(cycle_L[(cycle_L > 0) & (cycle_L <= last)]):
            counts_C = np.bincount(labels_N[ids[cycle_L == cycle]], minlength=n_classes)  # an oracle may err
            rows.append([*place, cycle, entropy(counts_C), n_classes])
    artifacts.write_csv(
        job.output.class_entropy, ["method", "deployable", "seed", "cycle", "entropy", "n_classes"], rows
    )


def reads(study, at):
    last = [study.node(seed, method, study.cycles[-1]) for method in study.methods for seed in study.seeds]
    return {
        "labeled": [study.path(node, "labeled") for node in last],
        "truth": study.truth,
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"class_entropy": "{results}/class_entropy.csv"},
    settings=lambda study, at: {"methods": study.overview()},
    when=classifies,
)
