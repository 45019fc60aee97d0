"""Loss of the loss prediction over the epochs, a line per learner, a panel per cycle."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables.prediction_loss import ITEM as TABLE


def make(job):
    draw(job, prediction_loss)


def prediction_loss(table, path, dpi: int):
    """``table``: learner, kind (margin or ranking), seed, cycle, epoch (from 1), prediction_loss (empty where it is not trained),
    joint (whether head and backbone both learn from it in that epoch). Mean and standard deviation over the seeds, and over the
    methods that share a learner; dotted: the last joint epoch. Source: paper 004, Fig. 9.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "learner", "kind", "seed", "cycle", "epoch", "prediction_loss", "joint")
    table["method"] = table["learner"] + " (" + table["kind"] + ")"
    lines = {name: line | {"marker": ""} for name, line in drawing.looks(table).items()}
    cycles = sorted(table["cycle"].unique())
    with drawing.canvas(path, dpi, 2.9 * len(cycles) + 2.2, 2.8) as figure:
        for ax, cycle in zip(figure.subplots(1, len(cycles), squeeze=False, sharey=True)[0], cycles, strict=True):
            part = table[table["cycle"] == cycle]
            drawing.draw_means(ax, part.dropna(subset="prediction_loss"), "epoch", "prediction_loss", lines)
            for name, line in lines.items():
                mine = part[part["method"] == name]
                last = mine.loc[mine["joint"].astype(bool), "epoch"].max()
                if last < mine["epoch"].max():
                    ax.axvline(last, color=line["color"], linestyle=":", linewidth=0.9)
            ax.set(title=f"cycle {cycle}", xlabel="epoch", ylabel="loss of the prediction")
        drawing.add_legend(figure, table, lines)
    return figure


ITEM = figure_item(
    make,
    "prediction_loss",
    TABLE,
    "prediction_loss",
    caption="""
    Loss of the loss prediction over the epochs of the first and of the last models (fig. 9 of Kim et al. 2021). Predictions that are
    all equal cost the margin in the margin loss of Learning Loss, and log 2 = 0.69 in the ranking loss of Learning Loss v2 and
    TA-VAAL. After the dotted line it no longer trains the backbone, the head, or both, as the learner's `stops` says (not given: the
    backbone for the margin loss, both for the ranking loss).
    """,
    category="Analysis",
)
