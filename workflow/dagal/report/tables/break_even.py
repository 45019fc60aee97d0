"""From how many labels per class on a method beats random, and whether that grows with the number of classes (003, sec. 5.6)."""

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
    try:
        metrics, classes = (tables.read(folder / f"{name}.csv") for name in ("metrics", "classes"))
        return table(metrics, classes["class_name"].nunique())
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
            # methods of a learner share the model of cycle 0
            found = break_even(
                curve["labels"], curve["accuracy"], curve["accuracy_random"], int((curve.index == 0).sum())
            )
            gain = curve["accuracy"].iloc[-1] - curve["accuracy_random"].iloc[-1]
            study = of_learner["study"].iloc[0]
            rows.append([study, learner, method, reference, n_classes, found, found / n_classes, gain])
    return pd.DataFrame(rows, columns=COLUMNS)


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
