"""A sweep over lambda and, after the fact, the truth -> table of score loss, L1 loss and L1 score, of each method with weight auto."""

import numpy as np

from dagal import artifacts
from dagal.balance import l1_score
from dagal.report.item import Item, classifies


def make(job):
    source = job.input
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
        [job.params.method, *row, chosen]
        for row in zip(names, score_loss, l1_loss, map(l1_score, counts_Q_C), strict=True)
    ]
    artifacts.write_csv(
        job.output.lambda_study, ["method", "weight", "score_loss", "l1_loss", "l1_score", "chosen"], rows
    )


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "sweep": f"{study.results}/lambda/{at.method}.h5",
        "labeled": study.path(study.node(study.seeds[0], at.method, 0), "labeled"),
        "truth": study.truth,
    },
    writes={"lambda_study": "{results}/lambda/{method}.csv"},
    settings=lambda study, at: {"method": at.method},
    when=classifies,
    variants=lambda study: [{"method": method} for method in study.auto_weight],
)
