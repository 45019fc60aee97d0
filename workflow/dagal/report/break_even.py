"""From how many labels per class on a method beats random, and whether that grows with the number of classes (003, sec. 5.6).

``python -m dagal break-even results/a results/b ...`` joins studies.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from dagal.acquisition.methods import random_method
from dagal.errors import UserError
from dagal.report.statistics import break_even

COLUMNS = ["study", "learner", "method", "reference", "classes", "labels", "labels_per_class", "final_gain"]


def table(metrics: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """A row per method: `break_even` of its mean curve against that of the random method of the same learner.

    ``metrics``: study, method, learner, seed, cycle, labels, accuracy. Learners without a `random_method` are left out. ``labels`` and ``labels_per_class`` are empty where the method never overtakes it;
    ``final_gain`` is the difference in accuracy at the end.
    """
    rows = []
    for learner, of_learner in metrics.groupby("learner", sort=False):
        names = list(of_learner["method"].unique())
        reference = random_method(learner, dict.fromkeys(names, learner))
        for method in names:
            if reference is None or method == reference:
                continue
            # chains may stop at different cycles: over the seeds and cycles that both have
            own, random = (of_learner[of_learner["method"] == name] for name in (method, reference))
            pairs = own.merge(random, on=["seed", "cycle"], suffixes=("", "_random"))
            curve = pairs.groupby("cycle")[["labels", "accuracy", "accuracy_random"]].mean()
            found = break_even(curve["labels"], curve["accuracy"], curve["accuracy_random"])
            gain = curve["accuracy"].iloc[-1] - curve["accuracy_random"].iloc[-1]
            study = of_learner["study"].iloc[0]
            rows.append([study, learner, method, reference, n_classes, found, found / n_classes, gain])
    return pd.DataFrame(rows, columns=COLUMNS)


def correlations(joined: pd.DataFrame) -> pd.DataFrame:
    """Per learner and method, and for the method that is first in each study: Pearson's r of classes and labels per class.

    ``joined``: tables of several studies. A row needs two studies whose numbers of classes, and of labels, differ.
    """
    reached = joined.dropna(subset="labels_per_class")
    first = reached.sort_values("labels_per_class").drop_duplicates(["study", "learner"]).assign(method="(the first)")
    rows = []
    for (learner, method), part in pd.concat([first, reached]).groupby(["learner", "method"], sort=False):
        if part["classes"].nunique() > 1 and part["labels_per_class"].nunique() > 1:
            r = np.corrcoef(part["classes"], part["labels_per_class"])[0, 1]
            rows.append([learner, method, len(part), r])
    return pd.DataFrame(rows, columns=["learner", "method", "studies", "correlation"])


def add_command(commands) -> None:
    """Add ``break-even`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "break-even",
        help="labels per class from which methods beat random, over several studies",
        description="Labels per class from which each method beats the random method of its learner for good, and their "
        "correlation with the number of classes over the studies; every study counts as one, so give one per data set to compare data "
        "sets, as the thesis does. A method that never overtakes is left out of the correlation.",
    )
    parser.add_argument(
        "studies", nargs="+", type=Path, metavar="STUDY", help="folder of a finished study, as results/digits"
    )
    parser.add_argument("--csv", type=Path, metavar="OUT.csv", help="write the table to this file")
    parser.add_argument("--png", type=Path, metavar="OUT.png", help="draw labels per class against classes")
    parser.set_defaults(run=run)


def of_study(folder: Path) -> pd.DataFrame:
    """`table` of a finished study of classification. Raises UserError if it is none."""
    try:
        metrics, classes = (pd.read_csv(folder / f"{name}.csv") for name in ("metrics", "classes"))
        return table(metrics, classes["class_name"].nunique())
    except (OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder} holds no finished study of classification ({reason}); give a folder as results/digits."
        ) from None


def run(options) -> None:
    joined = pd.concat([of_study(folder) for folder in options.studies], ignore_index=True)
    if joined.empty:
        raise UserError("none of the studies has a method beside a random one of the same learner; add one.")
    print(joined.to_string(index=False, float_format="%.4g", na_rep="never"))
    found = correlations(joined)
    print()
    print(
        "no correlation: that needs two studies of different numbers of classes, in which a method beats random"
        if found.empty
        else found.to_string(index=False, float_format="%.3f")
    )
    if options.csv:
        joined.to_csv(options.csv, index=False, float_format="%.6g", lineterminator="\n")
    if options.png:
        from dagal.report import figures  # costs a second

        figures.break_even_classes(joined, options.png, 150)
