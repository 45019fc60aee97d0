"""What figures share: an empty canvas, the look of each method, means over seeds, the legend.

A method has the same colour and marker in all figures of a study, given by its rank of first appearance;
`REFERENCE` is always grey. Methods that cannot be deployed (bool column ``deployable``, optional) are dashed.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dagal import storage
from dagal.report import significance
from dagal.report.palette import COLOURS, GREY, REFERENCE, ranks

MARKERS = "s^DvP<X>phd"  # 11 and 10 have no common divisor: 110 methods before a pair of both comes back
DASHES = (4, 2)
BANDS = {"sd": "s.d.", "se": "s.e.", "t": "95 % interval (t)", "bootstrap": "95 % interval (bootstrap)"}
STOP = {"marker": "x", "markersize": 9, "markeredgewidth": 1.6, "linestyle": "", "zorder": 4}  # where a chain stopped
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 5.5,
}


@contextmanager
def canvas(path: str | Path, dpi: int, width: float, height: float) -> Iterator[Figure]:
    """An empty figure of width x height inches, written to ``path`` as PNG if the block does not raise."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
        storage.write_bytes(path, drawn.getvalue())


def checked(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """A copy of a frame that must have these columns and a row. Raises ValueError if it has not."""
    missing = [name for name in columns if name not in frame.columns]
    if missing or frame.empty:
        raise ValueError(f"the frame {'lacks ' + ', '.join(missing) if missing else 'has no rows'}")
    return frame.reset_index(drop=True)  # rows are aligned below, so duplicates in the index must go


def looks(frame: pd.DataFrame) -> dict[str, dict]:
    """Line properties of each method, in order of first appearance."""
    hidden = set(frame.loc[~frame["deployable"].astype(bool), "method"]) if "deployable" in frame else set()
    methods = list(frame["method"].unique())
    lines = {}
    for method, rank in ranks(methods).items():
        colour = GREY if rank is None else COLOURS[rank % len(COLOURS)]
        hollow = rank is not None and rank // len(COLOURS) % 2 == 1
        lines[method] = {
            "color": colour,
            "marker": "o" if rank is None else MARKERS[rank % len(MARKERS)],
            "markerfacecolor": "white" if hollow else colour,
            "markeredgecolor": colour if hollow else "white",
            "markeredgewidth": 1 if hollow else 0.5,
            "linestyle": (0, DASHES) if method in hidden else "-",
            "label": f"{method} (not deployable)" if method in hidden else str(method),
        }
    return lines


def looks_of(methods: dict[str, dict]) -> dict[str, dict]:
    """`looks` of all methods of a study, for a figure that shows only some: ``methods`` as `Study.overview` has them."""
    return looks(pd.DataFrame([{"method": name, "deployable": about["deployable"]} for name, about in methods.items()]))


def draw_means(
    ax: Axes, frame: pd.DataFrame, x: str, y: str, lines: dict[str, dict], every: int = 1, band: str = "sd"
) -> None:
    """Mean over the seeds, and from 2 seeds on a band: one standard deviation (dividing by n - 1) or standard error (``se``), or an

    interval of the mean, of Student's ``t`` or by ``bootstrap``.
    """
    errorbar = band if band in ("sd", "se") else partial(significance.interval, kind=band)
    alpha = np.clip(0.6 / len(lines), 0.04, 0.16)  # bands that lie on each other must not hide the lines
    for rank, (method, line) in enumerate(lines.items()):
        sns.lineplot(
            frame[frame["method"] == method],
            x=x,
            y=y,
            errorbar=errorbar,
            err_kws={"alpha": alpha, "linewidth": 0},
            markevery=(rank * every // len(lines), every),
            zorder=3 if method == REFERENCE else 2,
            legend=False,
            ax=ax,
            **line,
        )


def add_legend(
    figure: Figure, frame: pd.DataFrame, lines: dict[str, dict], further: list[Line2D] = (), band: str = "sd"
) -> None:
    """``frame``: a row per ``seed``, or the number of ``seeds`` behind each row."""
    seeds = frame["seeds"] if "seeds" in frame else frame.groupby("method")["seed"].nunique()
    number = str(seeds.max()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    figure.legend(
        handles=[*(Line2D([], [], **line) for line in lines.values()), *further],
        title="1 seed" if number == "1" else f"mean and {BANDS[band]} of {number} seeds",
        loc="outside right upper",
        alignment="left",
        handlelength=3,
    )


def count_labels(ax: Axes) -> None:
    """Whole numbers on the horizontal axis."""
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def nothing(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """What stands in for a figure whose table is empty, because every chain stopped before."""
    with canvas(path, dpi, 4.6, 1.0) as figure:
        figure.text(0.5, 0.5, "nothing to show: all chains stopped before", ha="center", va="center")
    return figure
