"""A sweep over lambda and, after the fact, the truth -> table of score loss, L1 loss and L1 score."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.balance import l1_score

start(snakemake)
source = snakemake.input
weights, queries, score_loss, l1_loss = artifacts.read(
    source.sweep, "sweep", "weights", "queries", "score_loss", "l1_loss"
)
chosen = artifacts.attributes(source.sweep, "sweep")["chosen"]
(labels_N,) = artifacts.read(source.truth, "truth", "labels")
n_classes = len(artifacts.attributes(source.truth, "truth")["class_names"])
names = [*weights, "top_k", "pseudo_label"]
(initial,) = artifacts.read(source.labeled, "labeled", "labels")
counts_Q_C = [np.bincount([*initial, *labels_N[query]], minlength=n_classes) for query in queries]
rows = [
    [snakemake.wildcards.method, *row, chosen]
    for row in zip(names, score_loss, l1_loss, map(l1_score, counts_Q_C), strict=True)
]
artifacts.write_csv(snakemake.output[0], ["method", "weight", "score_loss", "l1_loss", "l1_score", "chosen"], rows)
