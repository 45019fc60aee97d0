"""Accuracy with and without the pseudo-labels, and how many of these are wrong, against the number of labels."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables.pseudo_labels import ITEM as TABLE


def make(job):
    draw(job, pseudo_labels)


def pseudo_labels(table, path, dpi: int):
    """``table``: method, seed, labels, accuracy, labeled_only_accuracy (empty where there is no such model), pseudo_label_error (empty
    where there is no pseudo-label), and optionally deployable. Source: thesis 003, Figs. 3.8 and 3.9.
    """
    from matplotlib.ticker import MaxNLocator

    from dagal.report import drawing

    table = drawing.checked(
        table, "method", "seed", "labels", "accuracy", "labeled_only_accuracy", "pseudo_label_error"
    )
    lines = drawing.looks(table)
    dotted = {name: line | {"linestyle": ":", "markerfacecolor": "white"} for name, line in lines.items()}
    dotted = {name: line | {"markeredgecolor": line["color"], "markeredgewidth": 1} for name, line in dotted.items()}
    panels = [("accuracy", lines), ("labeled_only_accuracy", dotted), ("pseudo_label_error", lines)]
    with drawing.canvas(path, dpi, 8.6, max(3.0, 0.17 * len(lines) + 0.8)) as figure:
        left, right = figure.subplots(1, 2)
        for ax, (column, style) in zip((left, left, right), panels, strict=True):
            known = table.dropna(subset=column)
            drawing.draw_means(ax, known, "labels", column, {name: style[name] for name in known["method"].unique()})
        for ax, label in ((left, "test accuracy"), (right, "share of pseudo-labels that is wrong")):
            ax.set(xlabel="labeled samples", ylabel=label)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        left.set_title("solid: with pseudo-labels; dotted: on the labels alone")
        right.set_ylim(bottom=0)
        drawing.add_legend(figure, table, lines)
    return figure


ITEM = figure_item(
    make,
    "pseudo_labels",
    TABLE,
    "pseudo_labels",
    caption="""
    Left: test accuracy of the models trained on labels and pseudo-labels (solid) and, in the two-model framework, of those trained on the
    labels alone that gave the pseudo-labels (dotted); thesis 003, figs. 3.8 and 3.9. Right: share of the pseudo-labels that is wrong,
    known after the fact. Means over the seeds, bands of one standard deviation.
    """,
    category="Analysis",
)
