"""Last labeled.h5 of every method and seed -> the class counts of each of its queries, and their entropy (paper 004, sec. 5.2)."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles


def make(job):
    from scipy.stats import entropy

    last_cycle = last_cycles(job.input.stop_records)
    entropies, classes = [], []
    (labels_N,) = artifacts.read(job.input.truth, "truth", "labels")
    names = artifacts.attributes(job.input.truth, "truth")["class_names"]
    splits = zip(job.params.seeds, job.input.splits, strict=True)
    pools = {seed: labels_N[artifacts.read(path, "split", "pool")[0]] for seed, path in splits}
    pool_C = {seed: np.bincount(labels, minlength=len(names)) for seed, labels in pools.items()}
    for path in job.input.labeled:
        seed, method, _ = artifacts.node(path)
        ids, cycle_L = artifacts.read(path, "labeled", "ids", "cycle")
        place = [method, job.params.methods[method]["deployable"], seed]
        last = last_cycle.get((seed, method), cycle_L.max())
        for cycle in np.unique(cycle_L[(cycle_L > 0) & (cycle_L <= last)]):
            counts_C = np.bincount(labels_N[ids[cycle_L == cycle]], minlength=len(names))  # an oracle may err
            entropies.append([*place, cycle, entropy(counts_C), len(names)])
            classes += [[*place, cycle, *row] for row in zip(names, counts_C, pool_C[seed], strict=True)]
    keys = ["method", "deployable", "seed", "cycle"]
    artifacts.write_csv(job.output.class_entropy, [*keys, "entropy", "n_classes"], entropies)
    artifacts.write_csv(job.output.classes, [*keys, "class_name", "count", "pool"], classes)


def reads(study, at):
    last = [study.node(seed, method, study.cycles[-1]) for method in study.methods for seed in study.seeds]
    return {
        "labeled": [study.path(node, "labeled") for node in last],
        "truth": study.truth,
        "splits": [study.split(seed) for seed in study.seeds],
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"class_entropy": "{results}/class_entropy.csv", "classes": "{results}/query_classes.csv"},
    settings=lambda study, at: {"methods": study.overview(), "seeds": study.seeds},
    when=classifies,
    caption="""
    How many of each class every query asked for, after the fact, beside those in the pool at the start.
    """,
    category="Tables",
    labels={"classes": "classes of each query"},
)
