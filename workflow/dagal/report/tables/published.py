"""The numbers that a paper printed (``published`` of a study), beside those that the study measured."""

from collections.abc import Iterator

import numpy as np

from dagal.report import tables
from dagal.report.item import Item
from dagal.report.tables import gains

COLUMNS = ["source", "measure", "method", "learner", "labels", "published", "measured_labels"]
COLUMNS += ["seeds", "measured", "se", "difference"]


def make(job):
    metrics = tables.read(job.input.metrics)
    supervised = tables.read(job.input.supervised) if job.input.get("supervised") else None
    found = beside(job.params.published, metrics, supervised, job.params.pairs, job.params.measure)
    tables.write(job.output.published, found, "%.6g")
    print(found.to_string(index=False))


def beside(published: list[dict], metrics, supervised, pairs: list[tuple[str, str, str]], measure: str):
    """A row per published number: where it stands, and the mean over the seeds that was measured at the nearest number of labels.

    ``published``: as in a study. ``metrics``: method, seed, cycle, labels and ``measure``; ``supervised``: learner, size, seed, labels
    and ``measure``, or None; ``pairs``: as `gains.pairs` makes them. ``labels`` is empty for all labels, what was measured where the
    study has no such model; ``se`` is the standard error (n - 1), empty for one seed.
    """
    import pandas as pd

    rows = []
    for entry, kind, name, labels, value in numbers(published):
        if kind == "method":
            models = of_method(metrics, name, entry["measure"], measure, pairs)
        else:
            models = of_learner(supervised, name, labels, entry["measure"], measure)
        at, seeds, mean, error = nearest(models, labels)
        place = {"source": entry["source"], "measure": entry["measure"], kind: name}
        rows.append(
            place
            | {"labels": np.nan if labels == "all" else labels, "published": value, "measured_labels": at}
            | {"seeds": seeds, "measured": mean, "se": error, "difference": mean - value}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def numbers(published: list[dict]) -> Iterator[tuple[dict, str, str, int | str, float]]:
    """(entry, ``method`` or ``learner``, its name, number of labels or ``all``, value) of each number."""
    for entry in published:
        for kind in ("method", "learner"):
            for name, values in entry[f"{kind}s"].items():
                yield from ((entry, kind, name, *pair) for pair in zip(entry["labels"], values, strict=True))


def of_method(metrics, method: str, wanted: str, measure: str, pairs: list[tuple[str, str, str]]):
    """The models of a method as group (the cycle), labels and value, what is ``wanted`` of it; None if there is nothing."""
    models = metrics[metrics["method"] == method]
    if wanted.startswith("gain_over_"):
        against = wanted.removeprefix("gain_over_")
        reference = next((other for name, kind, other in pairs if (name, kind) == (method, against)), None)
        others = metrics.loc[metrics["method"] == reference, ["seed", "cycle", measure]]
        models = models.merge(others, on=["seed", "cycle"], suffixes=("", "_reference"))
        values = (models[measure] - models[f"{measure}_reference"]).round(12)  # equal gains may differ by rounding
    else:
        values = plain(models[measure], wanted)
    return models.assign(group=models["cycle"], value=values)[["group", "labels", "value"]]


def of_learner(supervised, learner: str, labels: int | str, wanted: str, measure: str):
    """The supervised baselines of a learner, in the same way; for ``all`` labels only those trained on all."""
    import pandas as pd

    if supervised is None:
        return pd.DataFrame(columns=["group", "labels", "value"])
    models = supervised[(supervised["learner"] == learner) & ((supervised["size"] == "all") == (labels == "all"))]
    return models.assign(group=models["size"], value=plain(models[measure], wanted))[["group", "labels", "value"]]


def plain(values, wanted: str):
    return 1 - values if wanted == "error" else values


def nearest(models, labels: int | str) -> tuple[float, int, float, float]:
    """Labels, number, mean and standard error of the values at the number of labels that is nearest, the smaller of two."""
    groups = [part for _, part in models.groupby("group")]
    if not groups:
        return np.nan, 0, np.nan, np.nan
    means = [part["labels"].mean() for part in groups]
    k = min(range(len(groups)), key=lambda k: (0 if labels == "all" else abs(means[k] - labels), means[k]))
    values = groups[k]["value"]
    return means[k], len(values), values.mean(), values.std(ddof=1) / np.sqrt(len(values))


ITEM = Item(
    make=make,
    reads=lambda study, at: (
        {"metrics": study.table("metrics")} | ({"supervised": study.table("supervised")} if study.supervised() else {})
    ),
    writes={"published": "{results}/published.csv"},
    settings=lambda study, at: {
        "published": study.settings["published"],
        "pairs": gains.pairs(study.methods),
        "measure": study.measures[0],
    },
    when=lambda study: bool(study.settings.get("published")),
    caption="""
    Numbers that the study's paper printed, and the mean over seeds that was measured here at the nearest number of labels
    (``measured_labels``), with its standard error. ``labels`` is empty for a baseline that is trained on all labels. Accuracies, mean
    AP, mean IoU, errors and gains are fractions of 1.
    """,
    category="Tables",
    labels={"published": "published and measured"},
    environment="analysis",
)
