"""Adversaries of a study -> adversary_auc.csv: how well the discriminator behind each query tells labeled from unlabeled images."""

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.tables.adversaries import adversary, queries
from dagal.stopping import last_cycles, passed_through


def make(job):
    source, last_cycle = job.input, last_cycles(job.input.stop_records)
    rows = []
    for (method, seed, cycle), path in zip(job.params.queries, source.adversaries, strict=True):
        if not passed_through(last_cycle, seed, method, cycle):
            looks_labeled, auc = artifacts.read(path, "adversary", "discriminator", "auc")
            rows.append([method, seed, cycle, float(auc), float(looks_labeled.min()), float(looks_labeled.max())])
    artifacts.write_csv(job.output.auc, ["method", "seed", "cycle", "auc", "lowest", "highest"], rows)


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "adversaries": [adversary(study, *query) for query in queries(study)],
        "stop_records": study.stop_records(),
    },
    writes={"auc": "{results}/adversary_auc.csv"},
    settings=lambda study, at: {"queries": queries(study)},
    when=lambda study: bool(queries(study)),
    caption="""
    How well the discriminator behind each query tells labeled from unlabeled images after its training (area under the ROC curve: 0.5 where
    the auto-encoder hides the labeled images, 1 where it never confuses the discriminator), and the lowest and highest probability of being
    labeled that it gives in the pool.
    """,
    category="Tables",
    labels={"auc": "what discriminators tell apart"},
)
