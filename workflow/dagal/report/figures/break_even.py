"""Labels per class from which each method beats random, a panel per learner; a cross where it never does."""

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables.break_even import ITEM as TABLE


def make(job):
    draw(job, break_even)


def break_even(table, path, dpi: int):
    """``table``: learner, method, labels_per_class (empty: never). Source: thesis 003, sec. 5.6."""
    from dagal.report import drawing

    table = drawing.checked(table, "learner", "method", "labels_per_class")
    lines, learners = drawing.looks(table), list(table["learner"].unique())
    rows = table["learner"].value_counts().max()
    reached = table["labels_per_class"].max()
    end = 1.15 * reached if np.isfinite(reached) else 1.0
    with drawing.canvas(path, dpi, 3.2 * len(learners) + 1.2, max(1.8, 0.3 * rows + 0.9)) as figure:
        for ax, learner in zip(figure.subplots(1, len(learners), squeeze=False)[0], learners, strict=True):
            mine = table[table["learner"] == learner]
            for place, (method, value) in enumerate(zip(mine["method"], mine["labels_per_class"], strict=True)):
                look = lines[method] | {"linestyle": "", "clip_on": False}
                if not np.isfinite(value):
                    look |= {"marker": "x", "markeredgecolor": lines[method]["color"], "markeredgewidth": 1.5}
                ax.plot([value if np.isfinite(value) else end], [place], **look)
            ax.set_yticks(range(len(mine)), mine["method"])
            ax.set(title=learner, xlabel="labels per class (x: never)", xlim=(0, end), ylim=(len(mine) - 0.5, -0.5))
    return figure


def break_even_classes(table, path, dpi: int):
    """Labels per class from which methods beat random, against the number of classes, a panel per learner.

    ``table``: learner, method, classes, labels_per_class (empty: never, not drawn). Source: thesis 003, Fig. 5.6.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    from dagal.report import drawing

    table = drawing.checked(table, "learner", "method", "classes", "labels_per_class")
    lines, learners = drawing.looks(table), list(table["learner"].unique())
    with drawing.canvas(path, dpi, 3.0 * len(learners) + 1.8, 2.8) as figure:
        for ax, learner in zip(figure.subplots(1, len(learners), squeeze=False, sharey=True)[0], learners, strict=True):
            mine = table[table["learner"] == learner].dropna(subset="labels_per_class").sort_values("classes")
            for method, part in mine.groupby("method", sort=False):
                ax.plot(part["classes"], part["labels_per_class"], **lines[method])
            ax.set(title=learner, xlabel="classes", ylabel="labels per class", ylim=(0, None))
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.legend(
            handles=[Line2D([], [], **line) for line in lines.values()], loc="outside right upper", handlelength=3
        )
    return figure


ITEM = figure_item(
    make,
    "break_even",
    TABLE,
    "break_even",
    caption="""
    Labels per class from which each method is better than random for good (thesis 003, sec. 5.6): mean curves over the seeds, straight
    between the cycles, against the random method of the same learner. A cross at the end stands for never within the study.
    """,
    category="Analysis",
)
