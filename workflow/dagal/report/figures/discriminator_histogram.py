"""How many unlabeled samples get which D, the probability of being labeled, a panel per method; the queried ones coloured."""

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables import adversaries


def make(job):
    draw(job, discriminator_histogram)


def discriminator_histogram(table, path, dpi: int):
    """``table``: method, discriminator (0..1), queried (bool); a row per sample. 50 bins over 0..1, counts on a log scale.
    Source: paper 004, Fig. 7b.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "method", "discriminator", "queried")
    methods, edges = list(table["method"].unique()), np.linspace(0, 1, 51)
    with drawing.canvas(path, dpi, 6.2, 1.1 * len(methods) + 0.6) as figure:
        axes = figure.subplots(len(methods), 1, squeeze=False, sharex=True, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=True):
            part = table[table["method"] == method]
            values, queried = part["discriminator"], part["queried"].astype(bool)
            ax.hist(values, edges, color="#b0b0b0", label="unlabeled")
            ax.hist(values[queried], edges, color=drawing.COLOURS[1], label="queried")
            ax.set(title=f"{method}, standard deviation {values.std():.3f}", yscale="log", xlim=(0, 1))
            ax.set_ylabel("samples")
        axes[-1].set_xlabel("D(x), smaller = more like the unlabeled")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


ITEM = figure_item(
    make,
    "discriminator_histogram",
    adversaries.ITEM,
    "discriminator",
    caption="""
    D, the probability of being labeled, of all samples of the pool at the last query of the first seed (fig. 7b of Kim et al. 2021).
    The samples with the smallest D are queried, from a random subset of the pool where a method has one. Kim et al. read a narrow
    histogram as a choice that is close to random.
    """,
    category="Analysis",
)
