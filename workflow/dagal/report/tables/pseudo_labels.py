"""metrics.json of the models trained on pseudo-labels -> pseudo_labels.csv: what those were worth, after the fact."""

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through


def make(job):
    last_cycle = last_cycles(job.input.stop_records)
    measured = ["labels", "accuracy", "labeled_only_accuracy", "pseudo_labels", "pseudo_label_error"]
    rows = []
    for (method, seed, cycle), path in zip(job.params.nodes, job.input.nodes, strict=True):
        if passed_through(last_cycle, seed, method, cycle):
            continue
        found, about = artifacts.read_json(path), job.params.methods[method]
        numbers = [found.get(name) for name in measured]
        rows.append([method, about["learner"], about["deployable"], seed, cycle, *numbers])
    header = ["method", "learner", "deployable", "seed", "cycle", *measured]
    artifacts.write_csv(job.output.pseudo_labels, header, rows)


def models(study) -> list[tuple[str, int, int]]:
    """(method, seed, cycle) of every model that is trained on pseudo-labels."""
    every = [(method, seed, cycle) for method in study.methods for seed in study.seeds for cycle in study.cycles]
    return [
        (method, seed, cycle)
        for method, seed, cycle in every
        if study.has_pseudo_labels(study.node(seed, method, cycle))
    ]


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "nodes": [study.path(study.node(seed, method, cycle), "metrics") for method, seed, cycle in models(study)],
        "stop_records": study.stop_records(),
    },
    writes={"pseudo_labels": "{results}/pseudo_labels.csv"},
    settings=lambda study, at: {"nodes": models(study), "methods": study.overview()},
    when=lambda study: classifies(study) and bool(models(study)),
    caption="""
    Every model that was trained on pseudo-labels, measured after the fact: its accuracy on the test set, that of the model trained on
    the labels alone (two models only), the number of pseudo-labels and the share of them that is wrong.
    """,
    category="Tables",
    labels={"pseudo_labels": "pseudo-labels and their errors"},
)
