"""Performance against the number of labels, a panel per study."""

import math
from functools import partial

from dagal.report import tables
from dagal.report.figures import draw, figure_item
from dagal.report.item import interval
from dagal.report.tables import metrics

LABELS = {
    "accuracy": ("labeled samples", "test accuracy"),
    "validation_accuracy": ("labeled samples", "validation accuracy"),
    "cross_validated_accuracy": ("labeled samples", "accuracy by cross-validation"),
    "mean_ap": ("annotated frames", "mean AP at IoU .5 (test)"),
}


def make(job):
    further = {name: tables.read(job.input[name]) for name in ("supervised", "stopping") if job.input.get(name)}
    draw(job, partial(learning_curves, measure=job.params.measure, band=job.params.band), **further)


def labels_of(measure: str) -> tuple[str, str]:
    """What stands beside the axes of a curve of a measure."""
    return LABELS.get(measure, ("labeled samples", f"{measure.replace('_', ' ')} (test)"))


def learning_curves(
    metrics, path, dpi: int, measure: str = "accuracy", supervised=None, stopping=None, band: str = "sd"
):
    """``metrics``: study, method, seed, cycle, labels, the measure of performance, and optionally deployable. A point is
    the mean over the seeds of one cycle, at their mean number of labels; where chains stop early, over the seeds that go on.

    ``supervised``: study, learner, labels, size and the measure, a horizontal line per learner and size at the mean over seeds.
    ``stopping``: study, method, seed, cycle, stopped (0 or 1), a cross at the last point of every chain that stopped.
    ``band``: see `drawing.draw_means`.
    """
    from matplotlib.lines import Line2D

    from dagal.report import drawing

    x_label, y_label = labels_of(measure)
    metrics = drawing.checked(metrics, "study", "method", "seed", "cycle", "labels", measure)
    lines = drawing.looks(metrics)
    metrics["labels"] = metrics.groupby(["study", "method", "cycle"], observed=True)["labels"].transform("mean")
    studies = metrics["study"].unique()
    columns = 2 if len(studies) == 4 else min(3, len(studies))
    rows = math.ceil(len(studies) / columns)
    width, height = (4.6, 3.4) if len(studies) == 1 else (2.9, 2.4)
    ends = metrics[:0]
    if stopping is not None:
        keys = ["study", "method", "seed", "cycle"]
        ends = metrics.merge(stopping.loc[stopping["stopped"] == 1, keys], on=keys)
    with drawing.canvas(path, dpi, width * columns + 2.2, max(height * rows, 0.17 * len(lines) + 0.4)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, study in zip(axes, studies, strict=False):
            drawing.draw_means(ax, metrics[metrics["study"] == study], "labels", measure, lines, band=band)
            if supervised is not None:
                draw_baselines(ax, supervised[supervised["study"] == study], measure)
            for method, end in ends[ends["study"] == study].groupby("method", sort=False):
                ax.plot(end["labels"], end[measure], **drawing.STOP | {"color": lines[method]["color"]})
            ax.set(title=study, xlabel=x_label, ylabel=y_label)
            drawing.count_labels(ax)
        for ax in axes[len(studies) :]:
            ax.set_axis_off()
        drawing.add_legend(
            figure,
            metrics,
            lines,
            [Line2D([], [], color=drawing.GREY, label="chain stopped", **drawing.STOP)] * bool(len(ends)),
            band,
        )
    return figure


def draw_baselines(ax, supervised, measure: str) -> None:
    """Dotted lines at the mean over the seeds, with their names, side by side for learners, as their lines may be close."""
    from dagal.report import drawing

    learners = list(supervised["learner"].unique())
    for (learner, size), part in supervised.groupby(["learner", "size"], sort=False):
        mean = part[measure].mean()
        ax.axhline(mean, color=drawing.GREY, linestyle=":", linewidth=0.9, zorder=1)
        named = f"{learner}, " if len(learners) > 1 else ""
        text = f"supervised, {named}{'all ' if str(size) == 'all' else ''}{part['labels'].mean():,.0f} labels"
        place = (1 - learners.index(learner) / len(learners), mean)
        ax.annotate(text, place, (0, 2), ("axes fraction", "data"), "offset points", ha="right", fontsize=6)


def reads(study, at):
    further = {"supervised": bool(study.supervised()), "stopping": study.stopping}
    return {"table": study.table("metrics")} | {name: study.table(name) for name, used in further.items() if used}


def settings(study, at):
    return {"dpi": study.settings["plots"]["dpi"], "band": band_of(study), "measure": study.measures[0]}


def band_of(study) -> str:
    """The band of `drawing.draw_means` that a study asks for."""
    band = study.settings["plots"].get("band", "sd")
    return interval(study) if band == "interval" else band


ITEM = figure_item(
    make,
    "learning_curves",
    metrics.ITEM,
    "metrics",
    reads=reads,
    settings=settings,
    caption="""
    Test accuracy against the number of labels: mean over seeds, with a band of the standard deviation, the standard error or the 95 % interval. Every method starts from the same
    initial models.
    """,
    category="Results",
)
