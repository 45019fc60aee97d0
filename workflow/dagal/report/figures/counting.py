"""Confusion matrix of empty and not empty images, and the share of right counts per true bin."""

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables.counting import ITEM as TABLE


def make(job):
    draw(job, counting)


def counting(table, path, dpi: int):
    """``table``: measure, bin, images, value, as `counting.presence` and `counting.count_accuracy` return them. Shares of the matrix
    are of the true images. Source: Norouzzadeh et al. 2019 (in 002), table 1 and sec. 4.2.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "measure", "bin", "images", "value")
    overall = table[table["bin"] == "all"].set_index("measure")
    matrix = overall["value"].fillna(0)[["true_empty", "false_animal", "false_empty", "true_animal"]]
    matrix = matrix.to_numpy().reshape(2, 2)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    with drawing.canvas(path, dpi, 7.6, 2.9) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1, 2.4])
        left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            text = f"{matrix[row, column]:,.0f}\n{share:.0%}"
            left.text(column, row, text, ha="center", va="center", color="white" if share > 0.5 else drawing.GREY)
        names = [f"{name} {overall['value'][name]:.1%}" for name in ("accuracy", "precision", "recall")]
        left.set(title="\n".join(names), xlabel="detected", ylabel="true")
        left.set_xticks([0, 1], ["empty", "animal"])
        left.set_yticks([0, 1], ["empty", "animal"], rotation=90, va="center")
        left.grid(False)
        bins = table["bin"][(table["measure"] == "exact") & (table["bin"] != "all")].tolist()
        for offset, (measure, colour) in enumerate(zip(("exact", "within_one"), drawing.COLOURS, strict=False)):
            values = table[table["measure"] == measure].set_index("bin")
            label = f"{measure.replace('_', ' ')}: {values['value']['all']:.1%} of all"
            height = values["value"][bins].fillna(0)
            right.bar(np.arange(len(bins)) + 0.4 * offset - 0.2, height, 0.4, color=colour, label=label)
        right.set_xticks(range(len(bins)), [f"{b}\n({n:,})" for b, n in zip(bins, values["images"][bins], strict=True)])
        right.set(xlabel="true number of animals (images)", ylabel="share of images", ylim=(0, 1.02))
        right.grid(axis="x", visible=False)
        right.legend(loc="lower left", bbox_to_anchor=(0, 1))
    return figure


ITEM = figure_item(
    make,
    "counting",
    TABLE,
    "counting",
    caption="""
    What the detector alone tells of the camera-trap images, without any label. Left: images with and without animals, in truth
    and as detected, each row's shares. Right: share of the images with animals whose detected number is in the right bin (1 to 10,
    11-50, 51+), or in that or a neighbouring one, by the true bin; an image in which nothing was detected counts as wrong.
    """,
    category="Analysis",
)
