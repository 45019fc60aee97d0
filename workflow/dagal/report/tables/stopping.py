"""stopping.json of the last node of every chain -> where and why each stopped, and what was known in each of its cycles."""

from pathlib import Path

from dagal import artifacts
from dagal.report.item import Item


def make(job):
    params = job.params
    chains, cycles = [], []
    for (method, seed), path in zip(params.chains, map(Path, job.input.stop_records), strict=True):
        record = artifacts.read_json(path)
        last, stopped = record["cycle"], int(record["stopped"])
        accuracies, kappas = record["validation_accuracy"], [None, *record["kappa"]]
        kappas += [None] * (len(accuracies) - len(kappas))
        reason = record["reason"] or f"all of its {last} cycles were run"
        chains.append([params.study, method, seed, stopped, last, record["labels"], accuracies[-1], kappas[-1], reason])
        for cycle, known in enumerate(zip(accuracies, kappas, strict=True)):
            limits = params.target_accuracy, params.threshold
            cycles.append([method, seed, cycle, *known, *limits, int(stopped and cycle == last)])
    known = ["validation_accuracy", "kappa"]
    header = ["study", "method", "seed", "stopped", "cycle", "labels", *known, "reason"]
    artifacts.write_csv(job.output.chains, header, chains)
    header = ["method", "seed", "cycle", *known, "target_accuracy", "threshold", "stopped"]
    artifacts.write_csv(job.output.cycles, header, cycles)


def chains(study) -> list[tuple[str, int]]:
    """(method, seed) of every chain of cycles."""
    return [(method, seed) for method in study.methods for seed in study.seeds]


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "stop_records": [
            study.path(study.node(seed, method, study.cycles[-1]), "stopping") for method, seed in chains(study)
        ]
    },
    writes={"chains": "{results}/stopping.csv", "cycles": "{results}/stopping_cycles.csv"},
    settings=lambda study, at: {
        "study": study.name,
        "chains": chains(study),
        "target_accuracy": study.settings["stopping"]["target_accuracy"],
        "threshold": (study.settings["stopping"]["kappa"] or {}).get("threshold"),
    },
    when=lambda study: study.stopping,
    caption="""
    Where and why every chain of cycles stopped: by the accuracy on the validation set, by how little it changed, or by Cohen's kappa between the predictions of
    consecutive models on a fixed set of unlabeled images of the pool (Stabilizing Predictions, Bloodgood and Vijay-Shanker 2009).
    What is shown of validation accuracy and kappa is known to whoever labels; the test set decides nothing. A cross marks the
    cycle after which a chain trained and asked for nothing more.
    """,
    category="Tables",
    labels={"chains": "where and why chains stopped"},
)
