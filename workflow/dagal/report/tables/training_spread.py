"""Last models trained once more on the same labels -> how far the results of a study move by training alone."""

import numpy as np

from dagal import artifacts
from dagal.report import tables
from dagal.report.item import Item
from dagal.report.statistics import random_of
from dagal.stopping import last_cycles, passed_through

COLUMNS = ["method", "deployable", "seeds", "repeats", "accuracy", "training_sd", "seed_sd"]
COLUMNS += ["reference", "difference", "difference_sd"]


def make(job):
    import pandas as pd

    source = job.input
    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    last_cycle, repeats = last_cycles(source.stop_records), {}
    for path in source.repeats:
        seed, method, cycle = artifacts.node(path)
        if not passed_through(last_cycle, seed, method, cycle):
            ids, probs_N_C = artifacts.read(path, "predictions", "ids", "probabilities")
            repeats.setdefault((method, seed), []).append(float(np.mean(probs_N_C.argmax(1) == labels_N[ids])))
    found = spread(tables.read(source.metrics), repeats)
    tables.write(job.output.training_spread, pd.DataFrame(found, columns=COLUMNS), "%.6g")


def spread(metrics, repeats: dict[tuple[str, int], list[float]]) -> list[list]:
    """Rows of `COLUMNS`, a method each. (Method, seed) -> accuracies of its last model, trained again; those of metrics count as well.

    ``training_sd``: within the seeds, root of the mean of their variances; ``seed_sd``: between the seeds, of the models of the study.
    ``difference``: to the random method, of the models of the study, mean over the seeds that both have; ``difference_sd``: standard
    deviation of that mean if nothing but the training were repeated.
    """
    learners = metrics.groupby("method", sort=False)["learner"].first().to_dict()
    deployable = metrics.groupby("method")["deployable"].first()
    finals = metrics[metrics["cycle"] == metrics["cycle"].max()].set_index(["method", "seed"])["accuracy"]
    seeds = {}
    for method, seed in repeats:
        seeds.setdefault(method, []).append(seed)
    deviation = {
        method: float(
            np.sqrt(np.mean([np.var([finals[method, seed], *repeats[method, seed]], ddof=1) for seed in own]))
        )
        for method, own in seeds.items()
    }
    rows = []
    for method, own in seeds.items():
        accuracies = [[finals[method, seed], *repeats[method, seed]] for seed in own]
        row = [method, deployable[method], len(own), len(accuracies[0]) - 1, np.mean(accuracies), deviation[method]]
        row.append(np.std([one[0] for one in accuracies], ddof=1) if len(own) > 1 else np.nan)
        reference = random_of(method, learners)
        common = [seed for seed in own if seed in seeds.get(reference, [])]
        if reference not in (None, method) and common:
            difference = np.mean([finals[method, seed] - finals[reference, seed] for seed in common])
            by_training = np.hypot(deviation[method], deviation[reference]) / np.sqrt(len(common))
            rows.append([*row, reference, difference, by_training])
        else:
            rows.append([*row, None, np.nan, np.nan])
    return rows


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "metrics": study.table("metrics"),
        "repeats": study.repeats(),
        "truth": study.truth,
        "stop_records": study.stop_records(),
    },
    writes={"training_spread": "{results}/training_spread.csv"},
    when=lambda study: study.settings["repeats"] > 0,
    caption="""
    The spread that training alone causes: the last model of every chain, trained again on the same labels by other seeds of the
    training. ``training_sd`` is the standard deviation of the accuracy within seeds, ``seed_sd`` that between them. The difference to
    random tells nothing of a method where ``difference_sd``, by which it moves when nothing but the training is repeated, is larger.
    """,
    category="Tables",
    labels={"training_spread": "spread by training alone"},
    environment="analysis",
)
