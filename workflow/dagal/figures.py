"""Figures of a study: tidy frames in, a PNG out. No Snakemake, no global state, same input, same bytes.

Every function draws on a `Figure` of its own with matplotlib's defaults, whatever the user's matplotlibrc
says, writes it to ``path`` (complete or not at all) at ``dpi`` dots per inch, and returns it. A frame without
rows, or without one of its columns, raises ValueError.

A method has the same colour and marker in all figures of a study, given by its rank of first appearance;
`REFERENCE` is always grey. Methods that cannot be deployed (bool column ``deployable``, optional) are dashed.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from dagal.balance import l1_score

REFERENCE = "random"
GREY = "#333333"
# Chosen greedily from the palettes of Okabe and Ito and of Tol: any two are at least 15 apart in CIE Lab, to
# normal, deuteranope and protanope eyes, and dark enough for white paper.
COLOURS = ["#0072B2", "#D55E00", "#44AA99", "#661100", "#E69F00"]
COLOURS += ["#332288", "#56B4E9", "#117733", "#AA3377", "#CC6677"]
MARKERS = "s^DvP<X>phd"  # 11 and 10 have no common divisor: 110 methods before a pair of both comes back
DASHES = (4, 2)
LABELS = {"accuracy": ("labeled samples", "test accuracy"), "mean_ap": ("annotated frames", "mean AP at IoU .5 (test)")}
MANY_CLASSES = 20  # more classes are shown as a profile: their names do not fit
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
def _drawing(path: str | Path, dpi: int, width: float, height: float) -> Iterator[Figure]:
    """An empty figure of width x height inches, written to ``path`` as PNG if the block does not raise."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        try:
            figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _checked(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame.columns]
    if missing or frame.empty:
        raise ValueError(f"the frame {'lacks ' + ', '.join(missing) if missing else 'has no rows'}")
    return frame.reset_index(drop=True)  # rows are aligned below, so duplicates in the index must go


def _lines(frame: pd.DataFrame) -> dict[str, dict]:
    """Line properties of each method, in order of first appearance."""
    hidden = set(frame.loc[~frame["deployable"].astype(bool), "method"]) if "deployable" in frame else set()
    methods = list(frame["method"].unique())
    coloured = [method for method in methods if method != REFERENCE]
    lines = {}
    for method in methods:
        rank = coloured.index(method) if method in coloured else None
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


def _draw_means(ax: Axes, frame: pd.DataFrame, x: str, y: str, lines: dict[str, dict], every: int = 1) -> None:
    """Mean over the seeds, and a band of one standard deviation (dividing by n - 1) from 2 seeds on."""
    alpha = np.clip(0.6 / len(lines), 0.04, 0.16)  # bands that lie on each other must not hide the lines
    for rank, (method, line) in enumerate(lines.items()):
        sns.lineplot(
            frame[frame["method"] == method],
            x=x,
            y=y,
            errorbar="sd",
            err_kws={"alpha": alpha, "linewidth": 0},
            markevery=(rank * every // len(lines), every),
            zorder=3 if method == REFERENCE else 2,
            legend=False,
            ax=ax,
            **line,
        )


def _add_legend(figure: Figure, frame: pd.DataFrame, lines: dict[str, dict]) -> None:
    seeds = frame.groupby("method")["seed"].nunique()
    number = str(seeds.max()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    figure.legend(
        handles=[Line2D([], [], **line) for line in lines.values()],
        title="1 seed" if number == "1" else f"mean and s.d. of {number} seeds",
        loc="outside right upper",
        alignment="left",
        handlelength=3,
    )


def learning_curves(metrics: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Accuracy, or the mean average precision of a detector, against the number of labels, a panel per study.

    ``metrics``: study, method, seed, cycle, labels, accuracy or mean_ap (0..1), and optionally deployable. A point is
    the mean over the seeds of one cycle, at their mean number of labels (it differs where chains stop early).
    """
    measure = "mean_ap" if "mean_ap" in metrics else "accuracy"
    x_label, y_label = LABELS[measure]
    metrics = _checked(metrics, "study", "method", "seed", "cycle", "labels", measure)
    lines = _lines(metrics)
    metrics["labels"] = metrics.groupby(["study", "method", "cycle"], observed=True)["labels"].transform("mean")
    studies = metrics["study"].unique()
    columns = 2 if len(studies) == 4 else min(3, len(studies))
    rows = math.ceil(len(studies) / columns)
    width, height = (4.6, 3.4) if len(studies) == 1 else (2.9, 2.4)
    with _drawing(path, dpi, width * columns + 2.2, max(height * rows, 0.17 * len(lines) + 0.4)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, study in zip(axes, studies, strict=False):
            _draw_means(ax, metrics[metrics["study"] == study], "labels", measure, lines)
            ax.set(title=study, xlabel=x_label, ylabel=y_label)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        for ax in axes[len(studies) :]:
            ax.set_axis_off()
        _add_legend(figure, metrics, lines)
    return figure


def informativeness(curves: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Accuracy of the initial model on the top-scored x % of the pool: the lower, the more there is to learn.

    ``curves``: method, seed, share (0..1 of the pool), accuracy (0..1, `statistics.accuracy_on_top`), and
    optionally deployable. The shares must be the same for all seeds, and start at about 1 %: below, a curve
    shows the luck of single samples. Source: paper 000, Fig. 3.
    """
    curves = _checked(curves, "method", "seed", "share", "accuracy")
    lines = _lines(curves)
    curves["percent"] = 100 * curves["share"]
    every = max(1, curves["share"].nunique() // 6)
    # the first shares hold few samples: their means must be seen, but not the deviations set the scale
    mean = curves.groupby(["method", "share"], observed=True)["accuracy"].mean()
    top = np.nanmax([mean.max(), curves.loc[curves["share"] >= 0.1, "accuracy"].max()])
    with _drawing(path, dpi, 6.8, max(3.4, 0.17 * len(lines) + 0.4)) as figure:
        ax = figure.subplots()
        _draw_means(ax, curves, "percent", "accuracy", lines, every)
        ax.set(xlabel="highest-scored part of the pool (%)", ylabel="accuracy of the initial model")
        ax.set(xlim=(0, 100), ylim=(-0.03 * top, 1.08 * top) if top > 0 else (-0.03, 1))
        _add_legend(figure, curves, lines)
    return figure


def class_distribution(counts: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Share of each class in the labeled set after each cycle, a panel per method, its L1 score above.

    ``counts``: method, cycle, class_name, count (in the whole labeled set after that cycle), and optionally
    deployable and seed: shares and L1 scores are then means over the seeds. A missing row counts 0, but every
    class must have a row somewhere. Up to `MANY_CLASSES`: a heat map of share / balanced share, a log scale.
    More: the shares against the rank of the class, for up to 5 cycles, the balanced share 1 / C dashed.
    """
    counts = _checked(counts, "method", "cycle", "class_name", "count")
    if "seed" not in counts:
        counts["seed"] = 0
    lines = _lines(counts)
    classes, methods = counts["class_name"].unique(), list(lines)
    keys = ["method", "cycle", "seed"]
    table = counts.pivot_table("count", keys, "class_name", "sum", fill_value=0, observed=True)[classes]
    share = table.div(table.sum(axis=1), axis=0).groupby(["method", "cycle"]).mean()
    balance = table.apply(l1_score, axis=1).groupby(["method", "cycle"]).mean()
    columns = min(4, len(methods))
    rows = math.ceil(len(methods) / columns)
    many = len(classes) > MANY_CLASSES
    height = 1.5 if many else 0.4 + 0.14 * len(classes)
    with _drawing(path, dpi, 1.6 * columns + 1.8, max(2.0, height * rows + 0.4)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        (_draw_profiles if many else _draw_heat_maps)(figure, axes, [share.loc[m] for m in methods])
        for ax, method in zip(axes, methods, strict=False):
            scores = [f"{score:.2f}" for score in balance.loc[method]]
            ends = scores if len(scores) == 1 else [scores[0], scores[-1]]
            ax.set_title(f"{lines[method]['label']}\nL1 " + " \N{RIGHTWARDS ARROW} ".join(ends))
        for ax in axes[len(methods) :]:
            ax.set_axis_off()
        for ax in axes[max(0, len(methods) - columns) : len(methods)]:
            ax.xaxis.set_tick_params(labelbottom=True)
            ax.set_xlabel("rank of the class" if many else "cycle")
    return figure


def _draw_heat_maps(figure: Figure, axes: np.ndarray, shares: list[pd.DataFrame]) -> None:
    """``shares``: per method a frame cycle x class."""
    cycles = sorted(set().union(*(share.index for share in shares)))
    with np.errstate(divide="ignore"):
        ratios = [np.log2(share.reindex(cycles).T * share.shape[1]) for share in shares]
    values = np.concatenate(ratios)
    octaves = math.ceil(np.clip(np.abs(values[np.isfinite(values)]).max(), 1, 3))
    for ax, ratio in zip(axes, ratios, strict=False):
        image = ratio.clip(-octaves, octaves)
        sns.heatmap(image, vmin=-octaves, vmax=octaves, cmap="RdBu_r", cbar=False, linewidths=0.3, ax=ax)
        ax.tick_params(length=0, rotation=0)
        ax.set(xlabel="", ylabel="")
    bar = figure.colorbar(axes[0].collections[0], ax=axes.tolist(), shrink=0.8, aspect=30)
    powers = [2**k for k in range(1, octaves + 1)]
    names = [f"1/{power}" for power in powers[::-1]] + ["1 = balanced"] + [str(power) for power in powers]
    names[0], names[-1] = f"{names[0]} or less", f"{names[-1]} or more"
    bar.set_ticks(range(-octaves, octaves + 1), labels=names)
    bar.set_label("share of class /\nbalanced share")
    bar.outline.set_linewidth(0.6)


def _draw_profiles(figure: Figure, axes: np.ndarray, shares: list[pd.DataFrame]) -> None:
    """``shares``: per method a frame cycle x class."""
    n_classes = shares[0].shape[1]
    cycles = sorted(set().union(*(share.index for share in shares)))
    shown = [cycles[i] for i in np.unique(np.linspace(0, len(cycles) - 1, 5).round().astype(int))]
    colours = dict(zip(shown, sns.color_palette("viridis", len(shown)), strict=True))
    for ax, share in zip(axes, shares, strict=False):
        for cycle in share.index.intersection(shown):
            ax.plot(range(1, n_classes + 1), np.sort(share.loc[cycle])[::-1], color=colours[cycle])
        ax.axhline(1 / n_classes, color=GREY, linestyle=(0, DASHES), linewidth=0.8)
        ax.set(xlim=(1, n_classes), ylim=(0, None))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_ylabel("share of labels" if ax.get_subplotspec().is_first_col() else "")
    handles = [Line2D([], [], color=colour, label=f"cycle {cycle}") for cycle, colour in colours.items()]
    balanced = {"color": GREY, "linestyle": (0, DASHES), "linewidth": 0.8}
    handles.append(Line2D([], [], label=f"balanced, {1 / n_classes:.2%}", **balanced))
    figure.legend(handles=handles, loc="outside right upper")


def dispersion_histogram(
    samples: pd.DataFrame, path: str | Path, dpi: int, n_epochs: int | None = None, most_bins: int = 20
) -> Figure:
    """How many samples have which label-dispersion, and how often the model is right there, per cycle.

    ``samples``: dispersion (0..1), correct (bool), and optionally cycle; a row per sample, the seeds are pooled.
    Dispersions are multiples of 1 / ``n_epochs`` (None: of the smallest number that fits), and each of at most
    ``most_bins`` bins holds the same number of them (the last one maybe fewer), so no bin is high by chance.
    Error bars: 95 % Wilson intervals. Source: thesis 003, Figs. 3.3 and 3.4.
    """
    samples = _checked(samples, "dispersion", "correct")
    cycle_known = "cycle" in samples
    if not cycle_known:
        samples["cycle"] = 0
    if n_epochs is None:
        fractions = [Fraction(value).limit_denominator(1000) for value in samples["dispersion"].unique()]
        # values that are no such multiples would give an endless number
        n_epochs = min(math.lcm(*(fraction.denominator for fraction in fractions)), 10**6)
    step = math.ceil(n_epochs / most_bins)
    samples["bin"] = np.rint(samples["dispersion"] * n_epochs).astype(int) // step
    samples["correct"] = samples["correct"].astype(float)
    cycles = sorted(samples["cycle"].unique())
    with _drawing(path, dpi, 0.8 + 2.3 * len(cycles), 3.2) as figure:
        axes = figure.subplots(2, len(cycles), squeeze=False, sharex=True, sharey="row")
        for (above, below), cycle in zip(axes.T, cycles, strict=True):
            part = samples[samples["cycle"] == cycle]
            hits = part.groupby("bin")["correct"].agg(["mean", "size"])
            centre = (hits.index * step + (step - 1) / 2) / n_epochs
            low, high = _wilson_interval(hits["mean"], hits["size"])
            bars = np.clip([hits["mean"] - low, high - hits["mean"]], 0, None)
            above.errorbar(centre, hits["mean"], bars, color=COLOURS[1], marker="o", markersize=3)
            mean = part["correct"].mean()
            above.axhline(mean, color=GREY, linestyle=(0, DASHES), linewidth=0.8)
            above.annotate(f"all: {mean:.2f}", (1, mean), (0, 3), textcoords="offset points", ha="right")
            title = f"cycle {cycle}, {len(part):,} samples" if cycle_known else f"{len(part):,} samples"
            above.set(title=title, ylim=(0, 1.02))
            below.bar(centre, hits["size"] / len(part), width=0.9 * step / n_epochs, color=COLOURS[0])
            below.set(xlabel="label-dispersion", xlim=(-0.5 / n_epochs - 0.01, 1))
            below.yaxis.set_major_formatter(PercentFormatter(1))
        axes[0, 0].set_ylabel("accuracy")
        axes[1, 0].set_ylabel("share of samples")
    return figure


def _wilson_interval(p, n, z: float = 1.96):
    """Limits of the interval of a proportion ``p`` of ``n``, 95 % by default (Wilson 1927)."""
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def lambda_study(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Score loss, L1 loss and L1 score of a query over the weight lambda, with the plain method and pseudo-labels as lines.

    ``table``: weight (a number, or ``top_k`` / ``pseudo_label``), score_loss, l1_loss, l1_score, chosen. Source: thesis
    003, fig. 4.4.
    """
    table = _checked(table, "weight", "score_loss", "l1_loss", "l1_score", "chosen")
    weight = pd.to_numeric(table["weight"], errors="coerce")
    with _drawing(path, dpi, 10.5, 3.0) as figure:
        for ax, column in zip(figure.subplots(1, 3), ("score_loss", "l1_loss", "l1_score"), strict=True):
            ax.plot(
                weight.dropna(), table.loc[weight.notna(), column], marker="o", color="black", label="class-balanced"
            )
            for name, style, label in (("top_k", "--", "plain method"), ("pseudo_label", ":", "pseudo-labels")):
                ax.axhline(
                    table.loc[table["weight"] == name, column].item(), linestyle=style, color="tab:blue", label=label
                )
            ax.axvline(table["chosen"].iloc[0], color="tab:orange", linewidth=1, label="chosen")
            ax.set(xlabel="weight \N{GREEK SMALL LETTER LAMDA}", title=column.replace("_", " ").replace("l1", "L1"))
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure
