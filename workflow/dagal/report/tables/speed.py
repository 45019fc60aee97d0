"""metrics.csv and supervised.csv -> how fast each method learns towards what all labels give."""

from dagal.report import tables
from dagal.report.item import Item
from dagal.report.statistics import speed
from dagal.report.tables import summary

COLUMNS = ["method", "ceiling", "a", "beta", "beta_se", "points"]


def make(job):
    measure = job.params.measure
    full = summary.all_data(tables.read(job.input.supervised), measure)
    tables.write(job.output.speed, speeds(tables.read(job.input.metrics), measure, full), "%.6g")


def speeds(metrics, measure: str, full: dict[str, float]):
    """`statistics.speed` of each method, over the points of all seeds; ``full``: learner -> its mean performance with all labels."""
    import pandas as pd

    rows = []
    for method, part in metrics.groupby("method", sort=False):
        ceiling = full.get(part["learner"].iloc[0])
        if ceiling is not None and len(part) >= 3:
            rows.append([method, ceiling, *speed(part["labels"], part[measure], ceiling), len(part)])
    return pd.DataFrame(rows, columns=COLUMNS)


ITEM = Item(
    make=make,
    reads=summary.reads,
    writes={"speed": "{results}/speed.csv"},
    settings=lambda study, at: {"measure": study.measures[0]},
    when=lambda study: study.settings["cycles"] > 0 and "all" in study.settings["supervised"],
    caption="""
    Speed of learning: beta of the fit accuracy = ceiling - a exp(-beta (labels - first labels)) to the points of all seeds, with its
    standard error; the ceiling is the accuracy of the same learner with all labels.
    """,
    category="Tables",
    labels={"speed": "speed of learning"},
    environment="analysis",
)
