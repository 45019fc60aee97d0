"""Trajectories of the models behind the first queries by label-dispersion -> dispersion of the pool, and where the model is right."""

from dagal import artifacts
from dagal.acquisition.scores import label_dispersion
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through

CYCLES = 3  # of the thesis's figs. 3.3 and 3.4


def make(job):
    (labels_N,) = artifacts.read(job.input.truth, "truth", "labels")
    n_classes = len(artifacts.attributes(job.input.truth, "truth")["class_names"])
    last_cycle = last_cycles(job.input.stop_records)
    rows = []
    for path in job.input.trajectories:
        seed, _, cycle = artifacts.node(path)
        if passed_through(last_cycle, seed, job.params.method, cycle + 1):  # nothing was asked for
            continue
        ids, trajectory_E_n = artifacts.read(path, "trajectory", "ids", "trajectory")
        correct_n = trajectory_E_n[-1] == labels_N[ids]
        rows += [
            [seed, cycle, *sample]
            for sample in zip(label_dispersion(trajectory_E_n, n_classes), correct_n, strict=True)
        ]
    artifacts.write_csv(job.output.dispersion, ["seed", "cycle", "dispersion", "correct"], rows)


def method(study) -> str | None:
    """The first method that asks by label-dispersion."""
    return next((name for name, about in study.methods.items() if about["score"] == "label_dispersion"), None)


def reads(study, at):
    nodes = [study.node(seed, method(study), cycle) for seed in study.seeds for cycle in study.cycles[:-1][:CYCLES]]
    return {
        "trajectories": [study.file(node, "trajectory.h5") for node in nodes],
        "truth": study.truth,
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"dispersion": "{results}/dispersion.csv"},
    settings=lambda study, at: {"method": method(study)},
    when=lambda study: classifies(study) and method(study) is not None,
)
