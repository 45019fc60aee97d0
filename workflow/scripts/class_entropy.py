"""Last labeled.h5 of every method and seed -> the entropy of the class counts of each of its queries (paper 004, sec. 5.2)."""

import numpy as np
from job import start
from scipy.stats import entropy

from dagal import artifacts
from dagal.stopping import last_cycles

start(snakemake)
stops = last_cycles(snakemake.input.stops)
rows = []
(labels_N,) = artifacts.read(snakemake.input.truth, "truth", "labels")
n_classes = len(artifacts.attributes(snakemake.input.truth, "truth")["class_names"])
for path in snakemake.input.labeled:
    seed, method, _ = artifacts.node(path)
    ids, cycle_L = artifacts.read(path, "labeled", "ids", "cycle")
    place = [method, snakemake.params.methods[method]["deployable"], seed]
    last = stops.get((seed, method), cycle_L.max())
    for cycle in np.unique(cycle_L[(cycle_L > 0) & (cycle_L <= last)]):
        counts_C = np.bincount(labels_N[ids[cycle_L == cycle]], minlength=n_classes)  # an oracle may err
        rows.append([*place, cycle, entropy(counts_C), n_classes])
artifacts.write_csv(snakemake.output[0], ["method", "deployable", "seed", "cycle", "entropy", "n_classes"], rows)
