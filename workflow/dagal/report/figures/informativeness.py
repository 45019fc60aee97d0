"""Accuracy of the initial model on the top-scored x % of the pool: the lower, the more there is to learn."""

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables.informativeness import ITEM as TABLE


def make(job):
    draw(job, informativeness)


def informativeness(curves, path, dpi: int):
    """``curves``: method, seed, share (0..1 of the pool), accuracy (0..1, `statistics.accuracy_on_top`), and
    optionally deployable. The shares must be the same for all seeds, and start at about 1 %: below, a curve
    shows the luck of single samples. Source: paper 000, Fig. 3.
    """
    from dagal.report import drawing

    curves = drawing.checked(curves, "method", "seed", "share", "accuracy")
    lines = drawing.looks(curves)
    curves["percent"] = 100 * curves["share"]
    every = max(1, curves["share"].nunique() // 6)
    # the first shares hold few samples: their means must be seen, but not the deviations set the scale
    mean = curves.groupby(["method", "share"], observed=True)["accuracy"].mean()
    top = np.nanmax([mean.max(), curves.loc[curves["share"] >= 0.1, "accuracy"].max()])
    with drawing.canvas(path, dpi, 6.8, max(3.4, 0.17 * len(lines) + 0.4)) as figure:
        ax = figure.subplots()
        drawing.draw_means(ax, curves, "percent", "accuracy", lines, every)
        ax.set(xlabel="highest-scored part of the pool (%)", ylabel="accuracy of the initial model")
        ax.set(xlim=(0, 100), ylim=(-0.03 * top, 1.08 * top) if top > 0 else (-0.03, 1))
        drawing.add_legend(figure, curves, lines)
    return figure


ITEM = figure_item(
    make,
    "informativeness",
    TABLE,
    "curves",
    caption="""
    Accuracy of the initial model on the top x % of the pool, sorted by each method's score (Zolfaghari Bengar et al. 2021,
    sec. 3.2): the lower, the better the score finds what the model gets wrong. Random is flat; the oracle is 0 until the
    errors are used up.
    """,
    category="Analysis",
)
