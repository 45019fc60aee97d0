"""Points in a plane: what the model that scored them believes, the pool, the labels, and the picks, a panel per method."""

import math

from dagal.report.figures import draw, figure_item
from dagal.report.tables.decision_boundary import ITEM as TABLE

CLASS_COLOURS = ("#0072B2", "#C0392B")  # of two classes in a plane


def make(job):
    draw(job, decision_boundary)


def decision_boundary(table, path, dpi: int):
    """``table``: method, kind, x, y, value; kind ``probability`` (value: probability of class 1, 0..1, on a full grid),
    ``pool``, ``labeled`` and ``query`` (value: the class, 0 or 1; of the pool not used). Source: paper 004, fig. 1.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.lines import Line2D

    from dagal.report import drawing

    table = drawing.checked(table, "method", "kind", "x", "y", "value")
    methods = list(table["method"].unique())
    columns = min(4, len(methods))
    rows = math.ceil(len(methods) / columns)
    points = table[table["kind"] != "probability"]
    limits = [(points[axis].min() - 0.15, points[axis].max() + 0.15) for axis in ("x", "y")]
    shades = LinearSegmentedColormap.from_list("classes", ["#bcd4ec", "white", "#f2c4ba"])
    with drawing.canvas(path, dpi, 2.3 * columns + 1.2, 1.85 * rows + 0.3) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=False):
            kinds = dict(list(table[table["method"] == method].groupby("kind")))
            plane = kinds["probability"].pivot(index="y", columns="x", values="value")
            ax.pcolormesh(plane.columns, plane.index, plane, cmap=shades, vmin=0, vmax=1, shading="gouraud")
            if plane.min(axis=None) < 0.5 < plane.max(axis=None):
                ax.contour(plane.columns, plane.index, plane, levels=[0.5], colors="black", linewidths=1)
            if "pool" in kinds:
                ax.scatter(kinds["pool"]["x"], kinds["pool"]["y"], s=4, color="#a6a6a6", linewidth=0)
            for value, colour in enumerate(CLASS_COLOURS):
                known = kinds["labeled"][kinds["labeled"]["value"] == value]
                ax.scatter(known["x"], known["y"], s=14, color=colour, edgecolor="white", linewidth=0.4)
            picks = kinds["query"]
            ax.scatter(picks["x"], picks["y"], s=34, marker="X", color="black", edgecolor="white", linewidth=0.7)
            ax.set(title=method, aspect="equal", xlim=limits[0], ylim=limits[1])
            ax.grid(False)
        for ax in axes[len(methods) :]:
            ax.set_axis_off()
        for ax in axes[max(0, len(methods) - columns) : len(methods)]:
            ax.xaxis.set_tick_params(labelbottom=True)
        dot = {"linestyle": "", "marker": "o", "markersize": 4}
        cross = {"linestyle": "", "marker": "X", "markersize": 6, "color": "black", "markeredgecolor": "white"}
        labeled = [Line2D([], [], **dot, color=c, label=f"labeled, class {k}") for k, c in enumerate(CLASS_COLOURS)]
        handles = [
            Line2D([], [], **cross, label="picked now"),
            *labeled,
            Line2D([], [], **dot | {"markersize": 2.5}, color="#a6a6a6", label="pool"),
            Line2D([], [], color="black", linewidth=1, label="decision boundary"),
        ]
        figure.legend(handles=handles, loc="outside right upper")
    return figure


ITEM = figure_item(
    make,
    "decision_boundary",
    TABLE,
    "decision_boundary",
    caption="""
    The last query of every method, first seed (Kim et al. 2021, fig. 1): crosses are the picks, dots the labels that the model
    which scored the pool was trained on (class 0 outer, class 1 inner moon), grey the pool. The shade is that model's class
    probability, the line where it is 1/2; there is no line where the model gives one class everywhere.
    """,
    category="Analysis",
)
