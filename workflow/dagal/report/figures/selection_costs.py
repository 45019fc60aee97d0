"""Wall time and peak memory of a query per 1,000 samples of the pool, a bar per method; the time is split by stage."""

import math

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables.selection_costs import COLUMNS
from dagal.report.tables.selection_costs import ITEM as TABLE


def make(job):
    draw(job, selection_costs)


def selection_costs(table, path, dpi: int):
    """``table``: method, stage and `COLUMNS` of the table, any of which may be empty. Beside the bars: the seconds and those of the
    start, and the peak as it was, whatever the pool. Paper 004, sec. 4.2, compares these.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "method", "stage", *COLUMNS)
    methods = list(table["method"].unique())
    stages = sorted(table["stage"].unique(), key=lambda stage: stage in ("score", "select"))  # they run last
    by_stage = table.pivot_table("seconds_per_1000", "method", "stage", "sum", observed=True).reindex(methods)[stages]
    start = table.groupby("method")["startup_seconds"].sum().reindex(methods)
    memory = table.groupby("method")[["peak_memory_mb_per_1000", "peak_memory_mb"]].max().reindex(methods)
    places = np.arange(len(methods))
    with drawing.canvas(path, dpi, 8.6, max(2.2, 0.22 * len(methods) + 0.9)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        done = np.zeros(len(methods))
        for rank, stage in enumerate(stages):
            seconds = by_stage[stage].fillna(0).to_numpy()
            left.barh(places, seconds, 0.7, done, color=drawing.COLOURS[rank % len(drawing.COLOURS)], label=stage)
            done += seconds
        for place, seconds, once in zip(places, done, start, strict=True):
            left.annotate(
                f"{seconds:.3g} + {once:.2g} s", (seconds, place), (3, 0), textcoords="offset points", va="center"
            )
        right.barh(places, memory["peak_memory_mb_per_1000"].fillna(0), 0.7, color="#b0b0b0")
        for place, (per_1000, peak) in zip(places, memory.itertuples(index=False), strict=True):
            text = "not sampled" if math.isnan(peak) else f"{peak:,.0f} MB"
            right.annotate(text, (np.nan_to_num(per_1000), place), (3, 0), textcoords="offset points", va="center")
        left.set_yticks(places, methods)
        left.invert_yaxis()
        for ax, label in ((left, "seconds"), (right, "peak memory (MB)")):
            ax.set_xlabel(f"{label} per 1,000 pool samples")
            ax.grid(axis="y", visible=False)
            ax.tick_params(axis="y", length=0)
            ax.margins(x=0.18)
        left.set_xlabel(left.get_xlabel() + "\n(beside the bars: + the start of the jobs)")
        right.set_xlabel(right.get_xlabel() + "\n(beside the bars: in all)")
        figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    return figure


ITEM = figure_item(
    make,
    "selection_costs",
    TABLE,
    "selection_costs",
    caption="""
    What a query costs beyond the training of the learner: mean wall time of all jobs behind it (signals, draws, members of an
    ensemble, adversary, score, select), and the largest of the mean peak memories of these jobs; means over seeds and cycles. The
    start of the jobs (libraries, device, model), which does not depend on the pool, stands apart from what each further 1,000 samples
    of the pool cost. A signals job serves all methods that share its model.
    """,
    category="Analysis",
)
