"""Training histories of learners that predict their own loss -> the loss of that prediction in each epoch."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through


def make(job):
    last_cycle = last_cycles(job.input.stop_records)
    rows = []
    for (name, settings), path in zip(job.params.learners, job.input.histories, strict=True):
        seed, branch, cycle = artifacts.node(path)
        if passed_through(last_cycle, seed, branch, cycle):
            continue
        (loss_E,) = artifacts.read(path, "history", "prediction_loss")
        prediction = settings["loss_prediction"]
        place = [name, prediction["loss"], branch, seed, cycle]
        for epoch, loss in enumerate(loss_E):
            joint = int(epoch < prediction["share"] * settings["epochs"])
            rows.append([*place, epoch + 1, None if np.isnan(loss) else loss, joint])
    header = ["learner", "kind", "branch", "seed", "cycle", "epoch", "prediction_loss", "joint"]
    artifacts.write_csv(job.output.prediction_loss, header, rows)


def histories(study) -> dict[str, str]:
    """history.h5 -> learner, of the first and the last models that predict their own loss."""
    found = {}
    for method, about in study.methods.items():
        if study.learners[about["learner"]]["loss_prediction"]:
            for cycle in (study.cycles[0], study.cycles[-1]):
                for seed in study.seeds:
                    found[study.path(study.node(seed, method, cycle), "history")] = about["learner"]
    return found


ITEM = Item(
    make=make,
    reads=lambda study, at: {"histories": list(histories(study)), "stop_records": study.stop_records()},
    writes={"prediction_loss": "{results}/prediction_loss.csv"},
    settings=lambda study, at: {"learners": [(name, study.learners[name]) for name in histories(study).values()]},
    when=lambda study: classifies(study) and bool(histories(study)),
)
