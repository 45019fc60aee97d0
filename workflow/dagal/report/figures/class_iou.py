"""IoU of each class by the last model of each method."""

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables import metrics


def make(job):
    draw(job, bars)


def bars(table, path, dpi: int):
    """``table``: method, seed, cycle, class_name and iou, and optionally deployable. Of the last cycle, a bar is the mean over the seeds, a
    dot a seed; a class without IoU has none.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "method", "seed", "cycle", "class_name", "iou")
    looks = drawing.looks(table)
    last = table[table["cycle"] == table.groupby("method")["cycle"].transform("max")]
    names = list(last["class_name"].unique())
    width = 0.8 / len(looks)
    with drawing.canvas(path, dpi, max(5, 0.12 * len(names) * (1 + len(looks))) + 2.2, 3) as figure:
        ax = figure.subplots()
        for rank, (method, look) in enumerate(looks.items()):
            of_method = last[last["method"] == method]
            places = np.arange(len(names)) - 0.4 + width * (rank + 0.5)
            ax.bar(
                places,
                of_method.groupby("class_name")["iou"].mean().reindex(names),
                width,
                color=look["color"],
                label=look["label"],
            )
            at = places[[names.index(name) for name in of_method["class_name"]]]
            ax.plot(at, of_method["iou"], ".", color="black", markersize=2.5, alpha=0.7)
        ax.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
        ax.grid(False, axis="x")
        ax.set(ylabel="IoU (test)", ylim=(0, 1))
        figure.legend(loc="outside right upper")
    return figure


ITEM = figure_item(
    make,
    "class_iou",
    metrics.ITEM,
    "classes",
    when=lambda study: study.task.name == "segmentation",
    caption="IoU of each class on the test set by the last model of each method: the mean over the seeds, and a dot for each of them.",
    category="Segmentation",
)
