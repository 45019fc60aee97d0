"""Entropy in nats of the classes of each query, against the cycle; the dashed line is log C, all classes alike."""

import math

from dagal.report.figures import draw, figure_item
from dagal.report.tables.class_entropy import ITEM as TABLE


def make(job):
    draw(job, class_entropy)


def class_entropy(table, path, dpi: int):
    """``table``: method, seed, cycle, entropy, n_classes, and optionally deployable. Source: paper 004, Fig. 7a."""
    from matplotlib.ticker import MaxNLocator

    from dagal.report import drawing

    table = drawing.checked(table, "method", "seed", "cycle", "entropy", "n_classes")
    lines, n_classes = drawing.looks(table), table["n_classes"].iloc[0]
    with drawing.canvas(path, dpi, 6.8, max(3.4, 0.17 * len(lines) + 0.4)) as figure:
        ax = figure.subplots()
        drawing.draw_means(ax, table, "cycle", "entropy", lines)
        top = math.log(n_classes)
        ax.axhline(top, color=drawing.GREY, linestyle=(0, (1, 2)), linewidth=0.8)
        ax.annotate(
            f"log {n_classes} = {top:.2f}: all classes alike", (0.01, top), (0, 3),
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip
        ax.set(xlabel="query cycle", ylabel="class entropy of the query (nats)")
        ax.set_ylim(0, 1.08 * top)  # a band may go beyond what an entropy can be
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.add_legend(figure, table, lines)
    return figure


ITEM = figure_item(
    make,
    "class_entropy",
    TABLE,
    "class_entropy",
    caption="""
    Entropy of the true classes of each query (fig. 7a of Kim et al. 2021): log C where all C classes come alike, 0 where one class
    comes alone. In an imbalanced pool random stays below log C.
    """,
    category="Analysis",
)
