"""How many of each class every query asked for, beside the classes of the pool, a row per method, cycle by cycle."""

import numpy as np

from dagal.balance import l1_score
from dagal.report.figures import draw, figure_item
from dagal.report.tables import class_entropy
from dagal.report.tables.gains import plain

MOST_CYCLES = 4
BAR = 65  # points: what the bars of a query take of its width


def make(job):
    draw(job, query_classes)


def query_classes(table, path, dpi: int):
    """``table``: method, seed, cycle, class_name, count (of the query) and pool (of the pool at cycle 0); means over the seeds.

    Behind each query, in yellow, the same number of labels in the shares of the pool. Above it the L1 score of the query.
    Sources: thesis 003, figs. 4.2, 4.3 and 4.8 to 4.10.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "method", "seed", "cycle", "class_name", "count", "pool")
    lines, classes = drawing.looks(table), table["class_name"].unique()
    cycles = sorted(table["cycle"].unique())
    shown = [cycles[i] for i in np.unique(np.linspace(0, len(cycles) - 1, MOST_CYCLES).round().astype(int))]
    methods = list(lines)
    means = table.groupby(["method", "cycle", "class_name"], sort=False)[["count", "pool"]].mean()
    width = 1.15 * len(classes)  # of a query, with the gap to the next
    with drawing.canvas(path, dpi, 1.9 * len(shown) + 0.8, 0.95 * len(methods) + 0.6) as figure:
        axes = figure.subplots(len(methods), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for method, ax in zip(methods, axes, strict=True):
            for place, cycle in enumerate(shown):
                if cycle not in means.loc[method].index:
                    continue  # the chain had stopped
                counts = means.loc[method, cycle].loc[classes]
                expected = counts["pool"] / counts["pool"].sum() * counts["count"].sum()
                at = place * width + np.arange(len(classes))
                # an artist each: hundreds of bars in dozens of panels would take a minute
                ax.stairs(expected, np.r_[at, at[-1] + 1], fill=True, color="#f5d76e")
                ax.vlines(at + 0.5, 0, counts["count"], color=lines[method]["color"], linewidth=BAR / len(classes))
                l1 = f"L1 {l1_score(counts['count']):.2f}"
                ax.annotate(l1, (at[-1] + 1, 0.97), xycoords=("data", "axes fraction"), ha="right", va="top")
            ax.grid(False)
            ax.tick_params("x", length=0)
            ax.set_ylabel(lines[method]["label"].replace(" (", "\n("), fontsize=7)
        centres = [place * width + len(classes) / 2 for place in range(len(shown))]
        axes[-1].set_xticks(centres, [f"query {cycle}" for cycle in shown])
        axes[-1].set_ylim(0, 1.25 * max(ax.dataLim.y1 for ax in axes))  # of all; above it there is room for the scores
        figure.supxlabel(f"the {len(classes)} classes, in order; yellow: in the shares of the pool", fontsize=8)
    return figure


def about_balance(study) -> bool:
    """Whether the classes of the pool are thinned, or a method balances them beside one that does not."""
    balanced = any(plain(name, study.methods) for name in study.methods)
    return balanced or study.settings["pool"]["imbalance"]["kind"] != "none"


ITEM = figure_item(
    make,
    "query_classes",
    class_entropy.ITEM,
    "classes",
    when=lambda study: class_entropy.ITEM.when(study) and about_balance(study),
    caption="""
    Classes of each query, after the fact, mean over seeds (thesis 003, figs. 4.2 and 4.3): behind them, in yellow, what as many labels
    would be if they were drawn from the pool at random. L1: imbalance of the query (0 balanced, 1 one class).
    """,
    category="Analysis",
)
