"""Accuracy on the validation set against the number of labels, as the learning curves show that on the test set."""

from functools import partial

from dagal.report.figures import draw, figure_item
from dagal.report.figures.learning_curves import band_of, learning_curves
from dagal.report.item import classifies
from dagal.report.tables import metrics


def make(job):
    draw(job, partial(learning_curves, measure="validation_accuracy", band=job.params.band))


ITEM = figure_item(
    make,
    "validation_curves",
    metrics.ITEM,
    "metrics",
    settings=lambda study, at: {
        "dpi": study.settings["plots"]["dpi"],
        "band": band_of(study),
    },
    when=lambda study: classifies(study) and study.settings["pool"]["validation"] > 0,
    caption="""
    Accuracy on the validation set against the number of labels, mean over seeds: what is known to whoever labels (paper 001, figs. 4
    to 6, plots it against the rounds).
    """,
    category="Analysis",
)
