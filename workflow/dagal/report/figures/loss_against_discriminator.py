"""The learner's real loss on each unlabeled sample, after the fact, against D, a panel per method; the queried ones coloured."""

import math

from dagal.report.figures import draw, figure_item
from dagal.report.tables import adversaries


def make(job):
    draw(job, loss_against_discriminator)


def loss_against_discriminator(table, path, dpi: int):
    """``table``: method, discriminator (0..1), loss (>= 0), queried (bool). The titles hold Spearman's rank correlation: negative
    where a small D, which is queried, goes with a large loss. Source: paper 004, Fig. 8.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    from dagal.report import drawing

    table = drawing.checked(table, "method", "discriminator", "loss", "queried")
    methods = list(table["method"].unique())
    columns = len(methods) if len(methods) <= 4 else 3
    rows = math.ceil(len(methods) / columns)
    with drawing.canvas(path, dpi, 2.2 * columns + 1.0, 2.4 * rows + 0.2) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=False):
            part = table[table["method"] == method]
            queried = part["queried"].astype(bool)
            ranks = part[["discriminator", "loss"]].rank()
            for chosen, colour, size in ((~queried, "#b0b0b0", 4), (queried, drawing.COLOURS[1], 7)):
                shown = part[chosen]
                ax.scatter(shown["discriminator"], shown["loss"], size, colour, linewidths=0, rasterized=True)
            correlation = ranks["discriminator"].corr(ranks["loss"])
            ax.set_title(f"{method}\nSpearman \N{GREEK SMALL LETTER RHO} = {correlation:+.2f}")
            ax.set_xlabel("D(x)")
            ax.set_ylabel("real loss" if ax.get_subplotspec().is_first_col() else "")
            ax.xaxis.set_major_locator(MaxNLocator(4))
        for ax in axes[len(methods) :]:
            ax.set_axis_off()
        dots = {"linestyle": "", "marker": "o", "markeredgewidth": 0, "markersize": 4}
        handles = [Line2D([], [], color="#b0b0b0", label="unlabeled", **dots)]
        handles.append(Line2D([], [], color=drawing.COLOURS[1], label="queried", **dots))
        figure.legend(handles=handles, loc="outside right upper")
    return figure


ITEM = figure_item(
    make,
    "loss_against_discriminator",
    adversaries.ITEM,
    "discriminator",
    caption="""
    Real loss of the learner on each unlabeled sample against D at the last query of the first seed (fig. 8 of Kim et al. 2021). The
    loss is known after the fact only, from the hidden labels. The smallest D are queried: a negative rank correlation says that the
    discriminator asks for samples on which the learner fails.
    """,
    category="Analysis",
)
