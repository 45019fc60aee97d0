"""Adversaries of a study -> their losses over the steps, and D of the pool at each method's last query beside the real loss."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through

TERMS = ("reconstruction", "kl", "adversarial", "supervised", "supervised_kl", "discriminator_loss")


def make(job):
    source, last_cycle = job.input, last_cycles(job.input.stop_records)
    rows = []
    for (method, seed, cycle), path in zip(job.params.queries, source.adversaries, strict=True):
        if passed_through(last_cycle, seed, method, cycle):
            continue
        with artifacts.opened(path, "adversary") as file:
            step_S = file["step"][()]
            losses = [file[term][()] if term in file else [None] * len(step_S) for term in TERMS]
        rows += [[method, seed, cycle, *values] for values in zip(step_S, *losses, strict=True)]
    artifacts.write_csv(job.output.losses, ["method", "seed", "cycle", "step", *TERMS], rows)

    rows = []
    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    files = zip(source.last, source.signals, source.queries, strict=True)
    for (method, seed, cycle), (adversary, signals, query) in zip(job.params.last, files, strict=True):
        if passed_through(last_cycle, seed, method, cycle):
            continue
        ids, looks_labeled = artifacts.read(adversary, "adversary", "ids", "discriminator")
        (probs_N_C,) = artifacts.read(signals, "signals", "probabilities")
        (queried,) = artifacts.read(query, "query", "ids")
        loss = -np.log(np.maximum(probs_N_C[np.arange(len(ids)), labels_N[ids]], np.finfo(np.float32).tiny))
        found = zip(ids, looks_labeled, loss, np.isin(ids, queried).astype(int), strict=True)
        rows += [[method, seed, cycle, *sample] for sample in found]
    header = ["method", "seed", "cycle", "id", "discriminator", "loss", "queried"]
    artifacts.write_csv(job.output.discriminator, header, rows)


def queries(study) -> list[tuple[str, int, int]]:
    """(method, seed, cycle) of every query by an adversary."""
    reading = [method for method in study.methods if "adversary" in study.signal_kinds(method)]
    return [(method, seed, cycle) for method in reading for seed in study.seeds for cycle in study.cycles[1:]]


def last_queries(study) -> list[tuple[str, int, int]]:
    """Those of the first seed's last cycle."""
    return [query for query in queries(study) if query[1:] == (study.seeds[0], study.cycles[-1])]


def adversary(study, method: str, seed: int, cycle: int) -> str:
    """The file of the adversary behind a query."""
    node = study.parent(study.node(seed, method, cycle))
    return study.file(node, f"{study.signal_file(method, 'adversary')}.h5")


def reads(study, at):
    """All adversaries of the study; for `last_queries` also the pool's signals and what was queried."""
    last = [study.node(seed, method, cycle) for method, seed, cycle in last_queries(study)]
    return {
        "adversaries": [adversary(study, *query) for query in queries(study)],
        "last": [adversary(study, *query) for query in last_queries(study)],
        "signals": [study.path(study.parent(node), "signals") for node in last],
        "queries": [study.path(node, "query") for node in last],
        "truth": study.truth,
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"losses": "{results}/adversary_losses.csv", "discriminator": "{results}/discriminator.csv"},
    settings=lambda study, at: {"queries": queries(study), "last": last_queries(study)},
    when=lambda study: classifies(study) and bool(queries(study)),
)
