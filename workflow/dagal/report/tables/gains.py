"""metrics.csv -> what each method gains per cycle: over random, and class-balanced methods over the same without balance."""

from collections.abc import Sequence

import numpy as np

from dagal.report import significance, tables
from dagal.report.item import Item, interval
from dagal.report.statistics import random_of
from dagal.report.tables.summary import costs

# selector -> that of the same method without class balance
PLAIN = {"class_balanced": "top_k", "pseudo_label": "top_k", "kcenter_class_balanced": "kcenter_greedy"}
COLUMNS = ["method", "deployable", "against", "reference", "cycle", "labels", "seeds", "gain_mean", "gain_std"]
COLUMNS += ["gain_low", "gain_high"]


def make(job):
    metrics, costs = tables.read(job.input.metrics), job.params.get("costs", ())
    found = gains(metrics, job.params.pairs, job.params.measure, job.params.interval, costs)
    tables.write(job.output.gains, found, "%.6g")
    print(found.to_string(index=False))


def gains(metrics, pairs: list[tuple[str, str, str]], measure: str, kind: str = "t", costs: Sequence[str] = ()):
    """Mean, standard deviation (n - 1) and `significance.interval` over the seeds of the difference in ``measure``, seed by seed, in every cycle of both.

    ``metrics``: method, deployable, seed, cycle, labels and the measure. ``pairs``: method, what kind of method it is compared with
    (``random`` or ``plain``), and which one. ``costs``: further columns of ``metrics``, what the labels have cost besides their number:
    both methods have as many labels in a cycle, but not as many boxes or clicks, so the means of both are told. Sources: paper 004, fig. 3 and 4; thesis 003, tables 4.1 to 4.3.
    """
    import pandas as pd

    curves = dict(list(metrics.groupby("method")))
    of_costs = [f"{cost}{whose}" for cost in costs for whose in ("", "_reference")]
    rows = []
    for method, against, reference in pairs:
        both = curves[method].merge(curves[reference], on=["seed", "cycle"], suffixes=("", "_reference"))
        both["gain"] = both[measure] - both[f"{measure}_reference"]
        for cycle, part in both.groupby("cycle"):
            place = [method, part["deployable"].iloc[0], against, reference, cycle, part["labels"].mean()]
            gain_S = np.round(part["gain"].to_numpy(), 12)  # equal accuracies may differ by rounding
            paid = [part[name].mean() for name in of_costs]
            gain = [part["gain"].mean(), part["gain"].std(), *significance.interval(gain_S, kind)]
            rows.append([*place, len(part), *gain, *paid])
    return pd.DataFrame(rows, columns=[*COLUMNS, *of_costs])


def pairs(methods: dict[str, dict]) -> list[tuple[str, str, str]]:
    """(method, ``random`` or ``plain``, the method that it is compared with), all against random first.

    ``methods``: the settings of each method. The random one is that of `random_of`; the plain one has the same score, learner and
    whatever else but the selector.
    """
    learners = {name: about["learner"] for name, about in methods.items()}
    found = [(name, "random", random_of(name, learners)) for name in methods]
    found += [(name, "plain", plain(name, methods)) for name in methods]
    return [pair for pair in found if pair[2] not in (None, pair[0])]


def plain(name: str, methods: dict[str, dict]) -> str | None:
    """The first method that is a class-balanced one without its balance, if there is any."""
    own = methods[name]
    if own["select"] not in PLAIN:
        return None
    wanted = own | {"select": PLAIN[own["select"]], "select_options": {}}
    return next((other for other, about in methods.items() if about | {"select_options": {}} == wanted), None)


ITEM = Item(
    make=make,
    reads=lambda study, at: {"metrics": study.table("metrics")},
    writes={"gains": "{results}/gains.csv"},
    settings=lambda study, at: (
        {
            "pairs": pairs(study.methods),
            "measure": study.measures[0],
            "interval": interval(study),
        }
        | costs(study)
    ),
    when=lambda study: study.settings["cycles"] > 0 and bool(pairs(study.methods)),
    caption="""
    What each method gains in every cycle, mean, standard deviation and 95 % interval over seeds of the differences seed by seed: over the random
    method that it is compared with (``against`` random), and, of a class-balanced method, over the same method without balance
    (``against`` plain; tables 4.1 to 4.3 of the thesis). Of boxes and masks also how many boxes, pixels and clicks the labels of both
    have cost until then.
    """,
    category="Tables",
    labels={"gains": "gain per cycle"},
    environment="analysis",
)
