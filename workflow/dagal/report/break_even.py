"""``python -m dagal break-even results/a results/b ...``: break-even against random over several studies (003, sec. 5.6)."""

import json
from pathlib import Path

from dagal.errors import UserError


def correlations(joined):
    """Per learner and method, and for the method that is first in each study: Pearson's r of classes and labels per class.

    ``joined``: tables of several studies. A row needs two studies whose numbers of classes, and of labels, differ.
    """
    import numpy as np
    import pandas as pd

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
    parser.add_argument(
        "--join",
        action="store_true",
        help="studies of one data set, at different budgets, count as one: their curves are joined",
    )
    parser.add_argument("--csv", type=Path, metavar="OUT.csv", help="write the table to this file")
    parser.add_argument("--png", type=Path, metavar="OUT.png", help="draw labels per class against classes")
    parser.set_defaults(run=run)


def by_data_set(folders: list[Path]) -> dict[str, list[Path]]:
    """Name of a data set -> the folders of its studies. Raises UserError where a study does not tell."""
    found = {}
    for folder in folders:
        try:
            record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
            found.setdefault(record["settings"]["dataset"]["name"], []).append(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder} holds no study.json that names its data set ({error}); give a folder as results/digits."
            ) from None
    return found


def run(options) -> None:
    import pandas as pd

    from dagal.report.tables.break_even import of_data_set, of_study

    if options.join:
        found = [of_data_set(folders, name) for name, folders in by_data_set(options.studies).items()]
    else:
        found = [of_study(folder) for folder in options.studies]
    joined = pd.concat(found, ignore_index=True)
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
        from dagal.report.figures.break_even import break_even_classes

        break_even_classes(joined, options.png, 150)
