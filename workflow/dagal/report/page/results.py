"""What the page shows of a study, read from its results folder: settings, tables, means with intervals, overlap, times of jobs."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from dagal import artifacts, tasks
from dagal.errors import UserError
from dagal.report import tables
from dagal.report.statistics import random_of

MOST_JOBS = 3000  # bars of the time line
# word that a job's name begins with -> part of the work that it belongs to
PARTS = {
    "train": "training",
    "finetune": "training",
    "member": "training",
    "pretrain": "training",
    "embedding": "training",
    "score": "choice",
    "select": "choice",
    "oracle": "choice",
    "initial": "choice",
    "evaluate": "measurement",
}


@dataclass(frozen=True)
class Results:
    """The results folder of a study, whose ``about`` is its study.json."""

    folder: Path
    about: dict

    @property
    def settings(self) -> dict:
        return self.about["settings"]

    @property
    def name(self) -> str:
        return self.settings["study"]

    @property
    def measure(self) -> str:
        """What performance is measured by, a column of metrics.csv."""
        return tasks.find(self.settings["task"]).measures[0]

    @functools.cached_property
    def metrics(self) -> pd.DataFrame:
        return tables.read(self.folder / "metrics.csv")

    @functools.cached_property
    def methods(self) -> dict[str, dict]:
        """Learner of each method, and whether it is deployable."""
        first = self.metrics.groupby("method", sort=False)[["learner", "deployable"]].first()
        return first.to_dict("index")

    def table(self, name: str) -> pd.DataFrame | None:
        """A table of the study; None if it has none of that name, or an empty one."""
        path = self.folder / f"{name}.csv"
        found = tables.read(path) if path.exists() else None
        return None if found is None or found.empty else found

    def file(self, seed: int, method: str, cycle: int, name: str) -> Path:
        """A file of a node; that of cycle 0 is shared by all methods of a learner."""
        branch = method if cycle else f"start-{self.methods[method]['learner']}"
        return self.folder / f"seed{seed}" / branch / f"cycle{cycle}" / name

    @property
    def queries(self) -> list[tuple[int, str, int]]:
        """(seed, method, cycle) of every query, as far as chains went."""
        rows = self.metrics.loc[self.metrics["cycle"] > 0, ["seed", "method", "cycle"]]
        return [(int(seed), method, int(cycle)) for seed, method, cycle in rows.itertuples(index=False)]

    def dataset_file(self, name: str) -> Path:
        """images.h5 or truth.h5 of the study's data set; of images with noise those that the first seed sees."""
        noisy = name == "images.h5" and self.settings["pool"]["noise"]["kind"] != "none"
        if noisy:
            return self.folder / f"seed{self.first_seed}" / name
        return self.folder.parent / "datasets" / self.settings["dataset"]["name"] / name

    @property
    def first_seed(self) -> int:
        return int(self.metrics["seed"].iloc[0])


def read(folder: Path) -> Results:
    """The results in a folder. Raises UserError if they are not those of a study that came to its tables."""
    for name in ("study.json", "metrics.csv"):
        if not (folder / name).exists():
            raise UserError(f"{folder} holds no {name}: name the results folder of a study that has been run.")
    return Results(folder, artifacts.read_json(folder / "study.json"))


# ------------------------------------------------------------------------------------------------------------- curves


def half_width(deviation, number):
    """Half the width of the 95 % t interval of a mean of ``number`` values with that standard deviation; nan for one value."""
    number = np.asarray(number, float)
    return np.where(number > 1, stdtrit(np.maximum(number - 1, 1), 0.975), np.nan) * deviation / np.sqrt(number)


def in_percent(results: Results) -> pd.DataFrame:
    """Every model of the chains: method, seed, cycle, labels, ``value`` (percent), ``gain`` over random of the same seed and cycle

    (points), and ``full``: percent of what the learner reaches with all labels. What is not known is nan.
    """
    frame = results.metrics[["method", "learner", "seed", "cycle", "labels"]].copy()
    frame["value"] = 100 * results.metrics[results.measure]
    learners = {method: about["learner"] for method, about in results.methods.items()}
    against = {method: random_of(method, learners) for method in learners}
    by_node = frame.set_index(["method", "seed", "cycle"])["value"]
    keys = zip(frame["method"].map(against), frame["seed"], frame["cycle"], strict=True)
    frame["gain"] = frame["value"] - [by_node.get(key, np.nan) for key in keys]
    supervised = results.table("supervised")
    full = (
        {} if supervised is None else supervised[supervised["size"] == "all"].groupby("learner")[results.measure].mean()
    )
    frame["full"] = frame["value"] / frame["learner"].map(dict(full)).astype(float)
    return frame.drop(columns="learner")


VALUES = ("value", "gain", "full")


def curves(models: pd.DataFrame) -> pd.DataFrame:
    """`in_percent` -> a row per method and cycle: mean labels, number of seeds, and of each of `VALUES` the mean and the ends of

    one standard deviation (``_sd_low``, ...) and of the 95 % t interval (``_ci_low``, ...).
    """
    groups = models.groupby(["method", "cycle"], sort=False)
    found = groups.agg(labels=("labels", "mean"), seeds=("seed", "nunique"))
    for name in VALUES:
        mean, deviation = groups[name].mean(), groups[name].std(ddof=1)
        found[f"{name}_mean"] = mean
        for band, half in (("sd", deviation), ("ci", half_width(deviation, groups[name].count()))):
            found[f"{name}_{band}_low"], found[f"{name}_{band}_high"] = mean - half, mean + half
    return found.reset_index()


# ------------------------------------------------------------------------------------------------------------ summary


def summary(results: Results) -> list[dict]:
    """A row per method: final measure and area under the curve (percent) with interval, labels saved, seconds of a cycle.

    Cells are (mean, low, high), None where something is not known. Intervals are those of estimates.csv and labels_saved.csv where
    the study has them, else t intervals from the deviations of summary.csv.
    """
    table = results.table("summary").set_index("method")
    seconds, rows = cycle_seconds(results), []
    learners = {method: about["learner"] for method, about in results.methods.items()}
    for method, about in results.methods.items():
        row = table.loc[method]
        saved = interval(results, "labels_saved", method)
        rows.append(
            {
                "method": method,
                "learner": about["learner"],
                "deployable": bool(about["deployable"]),
                "seeds": int(row["seeds"]),
                "labels": float(row["labels"]),
                "final": interval(results, results.measure, method) or from_deviation(row, results.measure, 100),
                "aubc": interval(results, "aubc", method) or from_deviation(row, "aubc", 100),
                "reference": random_of(method, learners) == method,
                "saved": saved or from_deviation(row, "labels_saved", 1),
                "seconds": seconds.get(method),
            }
        )
    return rows


def interval(results: Results, quantity: str, method: str) -> tuple | None:
    """(mean, low, high) of a quantity in estimates.csv, in percent, or of the labels saved."""
    if quantity == "labels_saved":
        table, columns, factor = results.table("labels_saved"), ["saved", "low", "high"], 1
    else:
        table, columns, factor = results.table("estimates"), ["mean", "low", "high"], 100
        table = None if table is None else table[table["quantity"] == quantity]
    found = None if table is None else table[table["method"] == method]
    return None if found is None or found.empty else cell(factor * found.iloc[0][columns].astype(float))


def from_deviation(row: pd.Series, name: str, factor: float) -> tuple | None:
    if f"{name}_mean" not in row:
        return None
    mean, half = row[f"{name}_mean"], half_width(row[f"{name}_std"], row["seeds"])
    return cell(factor * np.array([mean, mean - half, mean + half], float))


def cell(values) -> tuple | None:
    """Three numbers as (mean, low, high), ends that are not known as None; None if the mean is not known."""
    mean, low, high = (float(value) if np.isfinite(value) else None for value in values)
    return None if mean is None else (mean, low, high)


def cycle_seconds(results: Results) -> dict[str, float]:
    """Wall seconds of all recorded jobs of a cycle of each method, the mean over seeds and cycles; the shared start is left out."""
    costs = results.table("costs")
    if costs is None:
        return {}
    of_method = costs.assign(branch=costs["branch"].astype(str))
    of_method = of_method[of_method["branch"].isin(results.methods)]
    cycles = results.metrics[results.metrics["cycle"] > 0].groupby("method").size()
    return (of_method.groupby("branch")["seconds"].sum() / cycles).dropna().to_dict()


# ------------------------------------------------------------------------------------------------------------ queries


def overlap(results: Results) -> pd.DataFrame:
    """How much of what two methods asked for is the same: method, other, and the share of the images asked for by either that both

    asked for (Jaccard), of the ``first`` queries and of ``all`` queries; percent, means over the seeds.
    """
    asked = {key: artifacts.read(results.file(*key, "query.h5"), "query", "ids")[0] for key in results.queries}
    rows = []
    for seed in sorted({seed for seed, _, _ in asked}):
        chains = {}
        for (at, method, cycle), ids in sorted(asked.items()):
            if at == seed:
                chains.setdefault(method, []).append((cycle, set(ids.tolist())))
        sets = {
            method: {"first": chain[0][1], "all": set().union(*(ids for _, ids in chain))}
            for method, chain in chains.items()
        }
        for method, one in sets.items():
            for other, two in sets.items():
                shares = {which: 100 * len(one[which] & two[which]) / len(one[which] | two[which]) for which in one}
                rows.append({"method": method, "other": other, **shares})
    if not rows:
        return pd.DataFrame(columns=["method", "other", "first", "all"])
    return pd.DataFrame(rows).groupby(["method", "other"], sort=False).mean().reset_index()


# -------------------------------------------------------------------------------------------------------------- times


def jobs(results: Results) -> pd.DataFrame:
    """When each job of the study's models ran: ``job``, ``part`` (see `PARTS`), ``branch``, ``seed``, ``cycle``, ``start`` and ``end``.

    In minutes after the first of them began. A job ends when its file of costs is written, so this holds for results that lie where
    they were made. Of more than `MOST_JOBS` jobs, those of the last seeds are left out.
    """
    rows = []
    for seed in sorted(results.metrics["seed"].unique()):
        for path in sorted(results.folder.glob(f"seed{seed}/*/cycle*/*.benchmark.tsv")):
            seconds = artifacts.read_costs(path)["s"]
            job, end = path.name.split(".")[0], path.stat().st_mtime
            _, branch, cycle = artifacts.node(path)
            part = PARTS.get(re.split(r"[_\d]", job)[0], "signals")
            rows.append((job, part, branch, int(seed), cycle, end - float(seconds if seconds != "NA" else 0), end))
        if len(rows) > MOST_JOBS:
            break
    found = pd.DataFrame(rows[:MOST_JOBS], columns=["job", "part", "branch", "seed", "cycle", "start", "end"])
    first = found["start"].min()
    return found.assign(start=(found["start"] - first) / 60, end=(found["end"] - first) / 60)
