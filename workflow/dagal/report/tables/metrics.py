"""metrics.json of all nodes -> metrics.csv (a row per method, seed and cycle) and classes.csv (per class besides)."""

from dagal import artifacts
from dagal.report.item import Item
from dagal.stopping import last_cycles, passed_through


def make(job):
    study, methods = job.params.study, job.params.methods
    by_node = {}
    for path in job.input.nodes:
        by_node[artifacts.node(path)] = artifacts.read_json(path)

    measured = ["labels", *job.params.measured]
    of_class = ["class_names", "labels_per_class", job.params.per_class] if job.params.per_class else []
    seeds, cycles = sorted({key[0] for key in by_node}), sorted({key[2] for key in by_node})
    last_cycle = last_cycles(job.input.stop_records)
    metrics, classes = [], []
    for method, about in methods.items():
        for seed in seeds:
            for cycle in cycles:
                if passed_through(last_cycle, seed, method, cycle):
                    continue
                found = by_node[seed, method if cycle else f"start-{about['learner']}", cycle]
                key = [study, method, about["learner"], about["deployable"], seed, cycle]
                metrics.append(key + [found[name] for name in measured])
                rows = zip(*(found[name] for name in of_class), strict=True)
                classes += [[study, method, about["deployable"], seed, cycle, *row] for row in rows]
    header = ["study", "method", "learner", "deployable", "seed", "cycle", *measured]
    artifacts.write_csv(job.output.metrics, header, metrics)
    if of_class:
        header = ["study", "method", "deployable", "seed", "cycle", "class_name", "count"]
        artifacts.write_csv(job.output.classes, [*header, job.params.per_class.removesuffix("_per_class")], classes)


def has_classes(study) -> bool:
    """Whether the study's performance is measured of each class as well."""
    return bool(study.task.per_class)


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "nodes": [study.path(node, "metrics") for node in study.nodes()],
        "stop_records": study.stop_records(),
    },
    writes={"metrics": "{results}/metrics.csv"},
    writes_besides=lambda study: {"classes": "{results}/classes.csv"} if has_classes(study) else {},
    settings=lambda study, at: {
        "study": study.name,
        "methods": study.overview(),
        "measured": list(study.measures),
        "per_class": study.task.per_class,
    },
    caption="""
    One row per method, seed and cycle. Cycle 0 is the model trained on the initial set, shared by all methods with the same
    learner and repeated here for each of them. Accuracy is measured once per model, on the untouched test set;
    ``l1_score`` is the imbalance of the labeled set (0 balanced, 1 one class).
    """,
    category="Tables",
    labels={"metrics": "all measurements"},
)
