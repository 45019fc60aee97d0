"""Images in a plane where those of similar features are near: the classes of the pool, and what each method asked for first."""

import math
from functools import partial

from dagal.report.figures import draw, figure_item
from dagal.report.tables.projection import ITEM as TABLE

MOST_CLASSES = 10  # that colours tell apart


def make(job):
    draw(job, partial(projection, methods=job.params.methods))


def projection(table, path, dpi: int, methods: dict[str, dict]):
    """``table``: kind (``pool`` or a method), x, y, class_name. The first panel shows the classes of the pool, the others a method each.

    ``methods``: all of the study, with ``deployable``, so that colours are those of its other figures.
    Source: paper 002, camera traps, fig. 2.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "kind", "x", "y", "class_name")
    pool = table[table["kind"] == "pool"]
    shown, lines = [kind for kind in table["kind"].unique() if kind != "pool"], drawing.looks_of(methods)
    classes = list(pool["class_name"].value_counts().index)
    columns = min(4, 1 + len(shown))
    rows = math.ceil((1 + len(shown)) / columns)
    with drawing.canvas(path, dpi, 2.3 * columns + 1.6, 2.3 * rows + 0.2) as figure:
        first, *axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for rank, name in enumerate(classes):
            part = pool[pool["class_name"] == name]
            colour = drawing.COLOURS[rank] if rank < MOST_CLASSES else "#c8c8c8"
            first.scatter(
                part["x"], part["y"], s=4, color=colour, linewidth=0, label=name if rank < MOST_CLASSES else None
            )
        first.set(title="the pool, by class")
        for ax, method in zip(axes, shown, strict=False):
            part = table[table["kind"] == method]
            ax.scatter(pool["x"], pool["y"], s=4, color="#c8c8c8", linewidth=0)
            ax.scatter(part["x"], part["y"], s=16, color=lines[method]["color"], edgecolor="white", linewidth=0.4)
            ax.set(title=method)
        for ax in [first, *axes]:
            ax.grid(False)
            ax.set(xticks=[], yticks=[])
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        title = f"the {MOST_CLASSES} largest of {len(classes)} classes" if len(classes) > MOST_CLASSES else "classes"
        figure.legend(*first.get_legend_handles_labels(), title=title, loc="outside right upper", markerscale=2)
    return figure


ITEM = figure_item(
    make,
    "projection",
    TABLE,
    "projection",
    settings=lambda study, at: {"dpi": study.settings["plots"]["dpi"], "methods": study.overview()},
    caption="""
    Images in a plane by t-SNE of their features, so that similar ones are near: up to 1,000 of the pool with their classes, after the
    fact, and the first 50 that each method of the first learner on a backbone asked for, first seed.
    """,
    category="Analysis",
)
