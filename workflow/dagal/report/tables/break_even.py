"""From how many labels per class on a method beats random, and whether that grows with the number of classes (003, sec. 5.6)."""

from collections.abc import Callable
from pathlib import Path

from dagal.errors import UserError
from dagal.report import tables
from dagal.report.item import Item
from dagal.report.statistics import break_even, is_random, random_method

COLUMNS = ["study", "learner", "method", "reference", "classes", "labels", "labels_per_class", "final_gain"]


def make(job):
    found = of_study(Path(job.input.metrics).parent)
    tables.write(job.output.break_even, found, "%.6g")
    print(found.to_string(index=False, na_rep="never"))


def of_study(folder: Path):
    """`table` of a finished study of classification. Raises UserError if it is none."""
    return measured(folder, table)


def of_data_set(folders: list[Path], name: str):
    """`joined` of finished studies of classification on the data set ``name``. Raises UserError if one is none."""
    return joined([measured(folder, lambda *found: found) for folder in folders], name)


def measured(folder: Path, function: Callable):
    """A function of the metrics and the number of classes of a finished study. Raises UserError."""
    try:
        metrics, classes = (tables.read(folder / f"{name}.csv") for name in ("metrics", "classes"))
        return function(metrics, classes["class_name"].nunique())
    except (UserError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder} holds no finished study of classification ({reason}); give a folder as results/digits."
        ) from None


def table(metrics, n_classes: int):
    """A row per method: `statistics.break_even` of its mean curve against that of the random method of the same learner.

    ``metrics``: study, method, learner, seed, cycle, labels, accuracy. Learners without a `random_method` are left out. ``labels``
    and ``labels_per_class`` are empty where the method never overtakes it; ``final_gain`` is the difference in accuracy at the end.
    """
    import pandas as pd

    rows = []
    for learner, method, reference, curve in compared(metrics):
        # methods of a learner share the model of cycle 0
        found = break_even(curve["labels"], curve["accuracy"], curve["accuracy_random"], int((curve.index == 0).sum()))
        gain = curve["accuracy"].iloc[-1] - curve["accuracy_random"].iloc[-1]
        study = metrics["study"].iloc[0]
        rows.append([study, learner, method, reference, n_classes, found, found / n_classes, gain])
    return pd.DataFrame(rows, columns=COLUMNS)


def joined(studies: list[tuple], name: str):
    """`table` of several studies of one data set, at different budgets, as if they were one called ``name``.

    ``studies``: metrics and number of classes of each. The points of a method that all of them measured, but for those of models that
    it shares with random, make one curve of gains over random; of points at the same number of labels, the mean counts. Source: thesis
    003, fig. 5.6, one threshold per data set.
    """
    import pandas as pd

    points = {}
    for metrics, _ in studies:
        for learner, method, reference, curve in compared(metrics):
            points.setdefault((learner, method, reference), []).append(curve[curve.index > 0])
    (n_classes,) = {n_classes for _, n_classes in studies}
    rows = []
    for place, curves in points.items():
        both = pd.concat(curves).groupby("labels")[["accuracy", "accuracy_random"]].mean()
        found = break_even(both.index, both["accuracy"], both["accuracy_random"]) if len(both) else float("nan")
        gain = both["accuracy"].iloc[-1] - both["accuracy_random"].iloc[-1] if len(both) else float("nan")
        rows.append([name, *place, n_classes, found, found / n_classes, gain])
    return pd.DataFrame(rows, columns=COLUMNS)


def compared(metrics):
    """(learner, method, its random method, curve) of every method that is compared with one.

    The curve has columns labels, accuracy and accuracy_random, means over the seeds, by cycle.
    """
    for learner, of_learner in metrics.groupby("learner", sort=False):
        names = list(of_learner["method"].unique())
        reference = random_method(learner, dict.fromkeys(names, learner))
        for method in names:
            if reference is None or method == reference:
                continue
            # chains may stop at different cycles: over the seeds and cycles that both have
            own, random = (of_learner[of_learner["method"] == name] for name in (method, reference))
            pairs = own.merge(random, on=["seed", "cycle"], suffixes=("", "_random"))
            yield learner, method, reference, pairs.groupby("cycle")[["labels", "accuracy", "accuracy_random"]].mean()


def compares(study) -> bool:
    """Whether some learner on a backbone or beside one has a random method and another to compare with it."""
    random = {about["learner"] for name, about in study.methods.items() if is_random(name)}
    compared = any(about["learner"] in random and not is_random(name) for name, about in study.methods.items())
    return bool(study.backbones) and study.settings["cycles"] > 0 and compared


ITEM = Item(
    make=make,
    reads=lambda study, at: {name: study.table(name) for name in ("metrics", "classes")},
    writes={"break_even": "{results}/break_even.csv"},
    when=compares,
    environment="analysis",
)
