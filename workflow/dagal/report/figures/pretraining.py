"""Accuracy of the nearest neighbours, and spread of the outputs, over the epochs of pre-training, a line per backbone."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables import knn


def make(job):
    draw(job, pretraining)


def pretraining(table, path, dpi: int):
    """``table``: backbone, epoch (0: before the first), output_std (empty for epoch 0), even_std (1/sqrt(d), dashed), knn_accuracy
    (empty where it was not looked at). Source: Chen & He 2021, Fig. 2.
    """
    from matplotlib.lines import Line2D

    from dagal.report import drawing

    table = drawing.checked(table, "backbone", "epoch", "output_std", "even_std", "knn_accuracy")
    lines = drawing.looks(table.rename(columns={"backbone": "method"}))
    with drawing.canvas(path, dpi, 6.8, 2.8) as figure:
        left, right = figure.subplots(1, 2)
        for name, line in lines.items():
            mine = table[table["backbone"] == name]
            looked = mine.dropna(subset="knn_accuracy")
            left.plot(looked["epoch"], looked["knn_accuracy"], **line)
            right.plot(mine["epoch"], mine["output_std"], color=line["color"])
            right.axhline(mine["even_std"].iloc[0], color=line["color"], linestyle=(0, drawing.DASHES), linewidth=0.8)
        left.set(xlabel="epoch", ylabel="accuracy of nearest neighbours")
        top = 1.15 * table[["output_std", "even_std"]].max().max()
        right.set(xlabel="epoch", ylabel="s.d. of normalised outputs", ylim=(0, top))
        figure.legend(
            handles=[Line2D([], [], **line) for line in lines.values()], loc="outside right upper", handlelength=3
        )
    return figure


ITEM = figure_item(
    make,
    "pretraining",
    knn.ITEM,
    "knn",
    caption="""
    Pre-training without labels: accuracy of a vote of the nearest neighbours (weighted by similarity, among the training images, by
    the truth after the fact), and the standard deviation of the normalised outputs. The dashed line is 1/sqrt(d), that of outputs
    spread evenly; a curve that falls to 0 has collapsed. Nothing is chosen by these curves.
    """,
    category="Analysis",
)
