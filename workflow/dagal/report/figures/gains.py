"""Gain in performance over random, and over the same method without class balance, against the number of labels."""

from functools import partial

from dagal.report.figures import draw, figure_item
from dagal.report.figures.learning_curves import labels_of, settings
from dagal.report.tables.gains import ITEM as TABLE

TITLES = {"random": "over random", "plain": "of class balance over the plain method"}


def make(job):
    draw(job, partial(gains, methods=job.params.methods, measure=job.params.measure))


def gains(table, path, dpi: int, methods: dict[str, dict], measure: str = "accuracy"):
    """``table``: as `dagal.report.tables.gains`; a panel for each ``against``, in points (hundredths) of the measure.

    ``methods``: all of the study, with ``deployable``, so that colours are those of its other figures. Bands are one standard deviation over the seeds. Source: paper 004, fig. 3 and 4.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "method", "against", "cycle", "labels", "seeds", "gain_mean", "gain_std")
    known, panels = drawing.looks_of(methods), list(table["against"].unique())
    lines = {method: known[method] for method in table["method"].unique()}
    x_label, y_label = labels_of(measure)
    with drawing.canvas(path, dpi, 3.6 * len(panels) + 2.2, max(3.2, 0.17 * len(lines) + 0.4)) as figure:
        for ax, against in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            ax.axhline(0, color=drawing.GREY, linewidth=0.8)
            for method, part in table[table["against"] == against].groupby("method", sort=False):
                mean, deviation = 100 * part["gain_mean"], 100 * part["gain_std"].fillna(0)
                ax.plot(part["labels"], mean, **lines[method])
                ax.fill_between(
                    part["labels"],
                    mean - deviation,
                    mean + deviation,
                    color=lines[method]["color"],
                    alpha=0.1,
                    linewidth=0,
                )
            ax.set(title=f"gain {TITLES[against]}", xlabel=x_label)
            ax.set_ylabel(f"difference in {y_label} (points)" if ax.get_subplotspec().is_first_col() else "")
            drawing.count_labels(ax)
        drawing.add_legend(figure, table, lines)
    return figure


ITEM = figure_item(
    make,
    "gains",
    TABLE,
    "gains",
    settings=lambda study, at: settings(study, at) | {"methods": study.overview()},
    caption="""
    What each method gains over random, and a class-balanced method over the same without balance: mean and standard deviation over
    seeds of the differences, seed by seed, in points. Methods of a learner share the model of the first labels.
    """,
    category="Results",
)
