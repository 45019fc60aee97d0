"""``python -m dagal compare results/a results/b ... --out FOLDER``: several finished studies side by side, tables and a page."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from dagal import files
from dagal.errors import UserError
from dagal.inspect import export
from dagal.report import page

CURVE = [
    "study",
    "dataset",
    "method",
    "deployable",
    "learner",
    "cycle",
    "labels",
    "seeds",
    "mean",
    "low",
    "high",
    "measure",
]
RANK = ["method", "datasets", "rank", "critical_difference", "groups", "friedman_statistic", "friedman_p"]
TRANSFER = ["method", "dataset", "study", "other", "difference_study", "difference_other", "same_sign"]


@dataclass(frozen=True)
class Measured:
    """The measurements of a finished study: a frame, as in its metrics.csv, and what it calls its performance."""

    folder: Path
    name: str
    dataset: str
    measure: str
    interval: str
    metrics: object
    full: dict[str, float]  # learner -> its mean performance with all labels


def add_command(commands) -> None:
    """Add ``compare`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "compare",
        help="several finished studies side by side",
        description="Tables over several finished studies, and a page that shows them: curves and final numbers of all; labels from "
        "which methods beat random; with studies of one data set, whether a gain over random in one is one in the other, as with "
        "another budget or learner; with several data sets, mean ranks of the methods that all have, with the difference that counts.",
    )
    parser.add_argument(
        "studies",
        nargs="+",
        type=Path,
        metavar="STUDY",
        help="folder of a finished study, as results/digits, or a packed one",
    )
    parser.add_argument("--out", type=Path, default=Path("compare"), metavar="FOLDER", help="where to write (compare)")
    parser.set_defaults(run=run)


def run(options) -> None:
    from dagal.report import tables

    folders = [export.opened(path) for path in options.studies]
    studies = [measured(folder) for folder in folders]
    names = [study.name for study in studies]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two of the studies are called {name!r}; give each once, and other names to those that differ."
            )
    found = {"curves": curves(studies), "results": results(studies), "break_even": break_even(studies)}
    found |= {"ranks": ranks(studies), "transfer": transfer(studies)}
    for name, table in found.items():
        if len(table):
            tables.write(options.out / f"{name}.csv", table, "%.6g")
            print(f"{options.out / name}.csv: {len(table)} rows")
    if len(found["ranks"]):
        print(found["ranks"].to_string(index=False, float_format="%.3g"))
    page.write(folders, options.out / "index.html")
    print(f"page: {options.out / 'index.html'}")


def measured(folder: Path) -> Measured:
    """What a finished study measured. Raises UserError if it is none."""
    from dagal import tasks
    from dagal.report import tables
    from dagal.report.tables.summary import all_data

    try:
        settings = files.read_json(folder / "study.json")["settings"]
        measure, metrics = tasks.find(settings["task"]).measures[0], tables.read(folder / "metrics.csv")
        supervised = tables.read(folder / "supervised.csv") if "all" in settings["supervised"] else None
        full = all_data(supervised, measure) if supervised is not None else {}
        interval = settings["plots"].get("interval", "t")
        metrics[["method", "learner", "deployable", "seed", "cycle", "labels", measure]]
        return Measured(folder, settings["study"], settings["dataset"]["name"], measure, interval, metrics, full)
    except (UserError, OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} holds no finished study ({reason}); give a folder as results/digits.") from None


def curves(studies: list[Measured]):
    """Mean performance of each cycle with its interval, of all studies: columns `CURVE`."""
    import pandas as pd

    from dagal.report import significance

    rows = []
    for study in studies:
        for (method, cycle), part in study.metrics.groupby(["method", "cycle"], sort=False):
            n, mean, low, high, _, _ = significance.describe(part[study.measure].to_numpy(), study.interval)
            about = [study.name, study.dataset, method, part["deployable"].iloc[0], part["learner"].iloc[0], cycle]
            rows.append([*about, part["labels"].mean(), n, mean, low, high, study.measure])
    return pd.DataFrame(rows, columns=CURVE)


def results(studies: list[Measured]):
    """`comparison.estimates` of all studies."""
    import pandas as pd

    from dagal.report.tables import comparison

    found = []
    for study in studies:
        rows = comparison.estimates(study.metrics, study.measure, study.interval, study.full)
        found.append(pd.DataFrame(rows, columns=comparison.ESTIMATE))
        found[-1].insert(0, "study", study.name)
        found[-1].insert(1, "dataset", study.dataset)
    return pd.concat(found, ignore_index=True)


def break_even(studies: list[Measured]):
    """`tables.break_even` of the studies of classes."""
    import pandas as pd

    from dagal.report.tables import break_even as table

    found = [table.of_study(study.folder) for study in studies if study.measure == "accuracy"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=table.COLUMNS)


def mean_areas(study: Measured) -> dict[str, float]:
    """Method that can be deployed -> mean over the seeds of its area under the budget curve."""
    from dagal.report.statistics import aubc
    from dagal.report.tables import comparison

    deployable = comparison.of_methods(study.metrics, "deployable")
    curves = comparison.curves_of(study.metrics, study.measure)
    found = {
        method: [aubc(*curve) for curve in seeds.values()] for method, seeds in curves.items() if deployable[method]
    }
    return {method: sum(areas) / len(areas) for method, areas in found.items()}


def ranks(studies: list[Measured]):
    """Mean ranks over data sets of the deployable methods that all studies have, with Nemenyi's critical difference: columns `RANK`.

    A data set counts once, by the mean of its studies; seeds do not count as data sets, as their runs share the images. Empty below two
    data sets or two methods.
    """
    import numpy as np
    import pandas as pd

    from dagal.report import significance

    areas = [mean_areas(study) for study in studies]
    methods = [method for method in areas[0] if all(method in one for one in areas)]
    datasets = list(dict.fromkeys(study.dataset for study in studies))
    if len(datasets) < 2 or len(methods) < 2:
        return pd.DataFrame(columns=RANK)
    values_N_M = [
        np.mean(
            [
                [one[method] for method in methods]
                for one, study in zip(areas, studies, strict=True)
                if study.dataset == name
            ],
            0,
        )
        for name in datasets
    ]
    rank_M = significance.average_ranks(np.array(values_N_M))
    difference = significance.critical_difference(len(methods), len(datasets))
    groups = significance.alike(rank_M, difference)
    test = significance.friedman(np.array(values_N_M))
    rows = [
        [method, len(datasets), rank, difference, group, *test]
        for method, rank, group in zip(methods, rank_M, groups, strict=True)
    ]
    return pd.DataFrame(rows, columns=RANK).sort_values("rank", kind="stable", ignore_index=True)


def transfer(studies: list[Measured]):
    """Gains over random, in area, of methods that two studies of a data set have: columns `TRANSFER`.

    What holds at one budget or learner and not at another does not carry over.
    """
    import pandas as pd

    from dagal.report.tables import comparison

    gains = []
    for study in studies:
        against = pd.DataFrame(comparison.power(study.metrics, study.measure), columns=comparison.NEEDED)
        gains.append(against[against["quantity"] == "aubc"].set_index("method")["difference"].to_dict())
    rows = []
    for (own, study), (others, other) in itertools.combinations(zip(gains, studies, strict=True), 2):
        for method in own.keys() & others.keys() if study.dataset == other.dataset else ():
            both = own[method], others[method]
            rows.append([method, study.dataset, study.name, other.name, *both, bool(both[0] * both[1] > 0)])
    return pd.DataFrame(sorted(rows, key=lambda row: row[:4]), columns=TRANSFER)
