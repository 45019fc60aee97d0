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
from matplotlib.colors import LinearSegmentedColormap
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
CLASS_COLOURS = ("#0072B2", "#C0392B")  # of two classes in a plane
LABELS = {"accuracy": ("labeled samples", "test accuracy"), "mean_ap": ("annotated frames", "mean AP at IoU .5 (test)")}
STOP = {"marker": "x", "markersize": 9, "markeredgewidth": 1.6, "linestyle": "", "zorder": 4}  # where a chain stopped
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


def _add_legend(figure: Figure, frame: pd.DataFrame, lines: dict[str, dict], further: list[Line2D] = ()) -> None:
    seeds = frame.groupby("method")["seed"].nunique()
    number = str(seeds.max()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    figure.legend(
        handles=[*(Line2D([], [], **line) for line in lines.values()), *further],
        title="1 seed" if number == "1" else f"mean and s.d. of {number} seeds",
        loc="outside right upper",
        alignment="left",
        handlelength=3,
    )


def nothing(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """What stands in for a figure whose table is empty, because every chain stopped before."""
    with _drawing(path, dpi, 4.6, 1.0) as figure:
        figure.text(0.5, 0.5, "nothing to show: all chains stopped before", ha="center", va="center")
    return figure


def learning_curves(
    metrics: pd.DataFrame,
    path: str | Path,
    dpi: int,
    supervised: pd.DataFrame | None = None,
    stopping: pd.DataFrame | None = None,
) -> Figure:
    """Accuracy, or the mean average precision of a detector, against the number of labels, a panel per study.

    ``metrics``: study, method, seed, cycle, labels, accuracy or mean_ap (0..1), and optionally deployable. A point is
    the mean over the seeds of one cycle, at their mean number of labels; where chains stop early, over the seeds that go on.

    ``supervised``: study, learner, labels, size and the measure, a horizontal line per learner and size at the mean over seeds.
    ``stopping``: study, method, seed, cycle, stopped (0 or 1), a cross at the last point of every chain that stopped.
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
    ends = metrics[:0]
    if stopping is not None:
        keys = ["study", "method", "seed", "cycle"]
        ends = metrics.merge(stopping.loc[stopping["stopped"] == 1, keys], on=keys)
    with _drawing(path, dpi, width * columns + 2.2, max(height * rows, 0.17 * len(lines) + 0.4)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, study in zip(axes, studies, strict=False):
            _draw_means(ax, metrics[metrics["study"] == study], "labels", measure, lines)
            if supervised is not None:
                _draw_baselines(ax, supervised[supervised["study"] == study], measure)
            for method, end in ends[ends["study"] == study].groupby("method", sort=False):
                ax.plot(end["labels"], end[measure], **STOP | {"color": lines[method]["color"]})
            ax.set(title=study, xlabel=x_label, ylabel=y_label)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        for ax in axes[len(studies) :]:
            ax.set_axis_off()
        _add_legend(
            figure, metrics, lines, [Line2D([], [], color=GREY, label="chain stopped", **STOP)] * bool(len(ends))
        )
    return figure


def _draw_baselines(ax: Axes, supervised: pd.DataFrame, measure: str) -> None:
    """Dotted lines at the mean over the seeds, with their names, side by side for learners, as their lines may be close."""
    learners = list(supervised["learner"].unique())
    for (learner, size), part in supervised.groupby(["learner", "size"], sort=False):
        mean = part[measure].mean()
        ax.axhline(mean, color=GREY, linestyle=":", linewidth=0.9, zorder=1)
        named = f"{learner}, " if len(learners) > 1 else ""
        text = f"supervised, {named}{'all ' if str(size) == 'all' else ''}{part['labels'].mean():,.0f} labels"
        place = (1 - learners.index(learner) / len(learners), mean)
        ax.annotate(text, place, (0, 2), ("axes fraction", "data"), "offset points", ha="right", fontsize=6)


def stopping(cycles: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """What chains may be stopped by, over the cycles: kappa of consecutive models, and the accuracy on the validation set.

    ``cycles``: method, seed, cycle, kappa, validation_accuracy, threshold, target_accuracy (one value or empty), stopped (1 at the
    cycle in which the chain stopped, marked by a cross). A line per method and seed; dashed: threshold and target.
    """
    cycles = _checked(cycles, "method", "seed", "cycle", "kappa", "validation_accuracy", "threshold", "stopped")
    shown = {
        "kappa": ("threshold", "Cohen's kappa, with the model before"),
        "validation_accuracy": ("target_accuracy", "validation accuracy"),
    }
    shown = {name: about for name, about in shown.items() if cycles[about[0]].notna().any()}
    lines = _lines(cycles)
    with _drawing(path, dpi, 3.9 * len(shown) + 2.0, max(3.2, 0.17 * len(lines) + 0.4)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False).ravel()
        for ax, (name, (limit, label)) in zip(axes, shown.items(), strict=True):
            for (method, _), chain in cycles.dropna(subset=name).groupby(["method", "seed"], sort=False):
                ax.plot(chain["cycle"], chain[name], alpha=0.8, **lines[method])
                end = chain[chain["stopped"] == 1]
                ax.plot(end["cycle"], end[name], **STOP | {"color": lines[method]["color"]})
            ax.axhline(cycles[limit].iloc[0], color=GREY, linestyle=(0, DASHES), linewidth=0.8)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            ax.set(xlabel="cycle", ylabel=label, xlim=(-0.3, cycles["cycle"].max() + 0.3))
        handles = [Line2D([], [], **line) for line in lines.values()]
        handles.append(Line2D([], [], color=GREY, label="chain stopped", **STOP))
        figure.legend(handles=handles, loc="outside right upper", handlelength=3)
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


def decision_boundary(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Points in a plane: what the model that scored them believes, the pool, the labels, and the picks, a panel per method.

    ``table``: method, kind, x, y, value; kind ``probability`` (value: probability of class 1, 0..1, on a full grid),
    ``pool``, ``labeled`` and ``query`` (value: the class, 0 or 1; of the pool not used). Source: paper 004, fig. 1.
    """
    table = _checked(table, "method", "kind", "x", "y", "value")
    methods = list(table["method"].unique())
    columns = min(4, len(methods))
    rows = math.ceil(len(methods) / columns)
    points = table[table["kind"] != "probability"]
    limits = [(points[axis].min() - 0.15, points[axis].max() + 0.15) for axis in ("x", "y")]
    shades = LinearSegmentedColormap.from_list("classes", ["#bcd4ec", "white", "#f2c4ba"])
    with _drawing(path, dpi, 2.3 * columns + 1.2, 1.85 * rows + 0.3) as figure:
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


def counting(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Confusion matrix of empty and not empty images, and the share of right counts per true bin.

    ``table``: measure, bin, images, value, as `counting.presence` and `counting.count_accuracy` return them. Shares of the matrix
    are of the true images. Source: Norouzzadeh et al. 2019 (in 002), table 1 and sec. 4.2.
    """
    table = _checked(table, "measure", "bin", "images", "value")
    overall = table[table["bin"] == "all"].set_index("measure")
    matrix = overall["value"].fillna(0)[["true_empty", "false_animal", "false_empty", "true_animal"]]
    matrix = matrix.to_numpy().reshape(2, 2)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    with _drawing(path, dpi, 7.6, 2.9) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1, 2.4])
        left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            text = f"{matrix[row, column]:,.0f}\n{share:.0%}"
            left.text(column, row, text, ha="center", va="center", color="white" if share > 0.5 else GREY)
        names = [f"{name} {overall['value'][name]:.1%}" for name in ("accuracy", "precision", "recall")]
        left.set(title="\n".join(names), xlabel="detected", ylabel="true")
        left.set_xticks([0, 1], ["empty", "animal"])
        left.set_yticks([0, 1], ["empty", "animal"], rotation=90, va="center")
        left.grid(False)
        bins = table["bin"][(table["measure"] == "exact") & (table["bin"] != "all")].tolist()
        for offset, (measure, colour) in enumerate(zip(("exact", "within_one"), COLOURS, strict=False)):
            values = table[table["measure"] == measure].set_index("bin")
            label = f"{measure.replace('_', ' ')}: {values['value']['all']:.1%} of all"
            height = values["value"][bins].fillna(0)
            right.bar(np.arange(len(bins)) + 0.4 * offset - 0.2, height, 0.4, color=colour, label=label)
        right.set_xticks(range(len(bins)), [f"{b}\n({n:,})" for b, n in zip(bins, values["images"][bins], strict=True)])
        right.set(xlabel="true number of animals (images)", ylabel="share of images", ylim=(0, 1.02))
        right.grid(axis="x", visible=False)
        right.legend(loc="lower left", bbox_to_anchor=(0, 1))
    return figure


TERMS = {
    "reconstruction": "VAE: reconstruction",
    "kl": "VAE: KL divergence",
    "adversarial": "VAE: adversarial",
    "supervised": "VAE: supervised",
    "supervised_kl": "VAE: KL, supervised",
    "discriminator_loss": "discriminator",
}


def adversary_losses(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Losses of VAE and discriminator over the training steps, a panel per method, of its first and its last query.

    ``table``: method, seed, cycle, step, and the columns of `TERMS`, of which ``discriminator_loss`` must be there; a term
    that a method lacks is empty. Lines are means over the seeds, on a log scale.
    """
    table = _checked(table, "method", "seed", "cycle", "step", "discriminator_loss")
    colours = dict(zip(TERMS, COLOURS, strict=False))
    terms = [term for term in TERMS if term in table and table[term].notna().any()]
    methods, cycles = list(table["method"].unique()), [table["cycle"].min(), table["cycle"].max()]
    styles = dict(zip(dict.fromkeys(cycles), ["-", (0, DASHES)], strict=False))
    columns = min(3, len(methods))
    rows = math.ceil(len(methods) / columns)
    with _drawing(path, dpi, 2.7 * columns + 1.9, 2.3 * rows + 0.2) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=False):
            part = table[table["method"] == method]
            for cycle, style in styles.items():
                mean = part[part["cycle"] == cycle].groupby("step")[terms].mean()
                for term in mean.columns[mean.notna().any()]:
                    ax.plot(mean.index, mean[term], color=colours[term], linestyle=style, label=f"{term} {cycle}")
            ax.set(title=method, xlabel="step", yscale="log")
            ax.set_ylabel("loss" if ax.get_subplotspec().is_first_col() else "")
        for ax in axes[len(methods) :]:
            ax.set_axis_off()
        handles = [Line2D([], [], color=colours[term], label=TERMS[term]) for term in terms]
        handles += [Line2D([], [], color=GREY, linestyle=s, label=f"query {cycle}") for cycle, s in styles.items()]
        figure.legend(handles=handles, loc="outside right upper", handlelength=3)
    return figure


def discriminator_histogram(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """How many unlabeled samples get which D, the probability of being labeled, a panel per method; the queried ones coloured.

    ``table``: method, discriminator (0..1), queried (bool); a row per sample. 50 bins over 0..1, counts on a log scale.
    Source: paper 004, Fig. 7b.
    """
    table = _checked(table, "method", "discriminator", "queried")
    methods, edges = list(table["method"].unique()), np.linspace(0, 1, 51)
    with _drawing(path, dpi, 6.2, 1.1 * len(methods) + 0.6) as figure:
        axes = figure.subplots(len(methods), 1, squeeze=False, sharex=True, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=True):
            part = table[table["method"] == method]
            values, queried = part["discriminator"], part["queried"].astype(bool)
            ax.hist(values, edges, color="#b0b0b0", label="unlabeled")
            ax.hist(values[queried], edges, color=COLOURS[1], label="queried")
            ax.set(title=f"{method}, standard deviation {values.std():.3f}", yscale="log", xlim=(0, 1))
            ax.set_ylabel("samples")
        axes[-1].set_xlabel("D(x), smaller = more like the unlabeled")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def loss_against_discriminator(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """The learner's real loss on each unlabeled sample, after the fact, against D, a panel per method; the queried ones coloured.

    ``table``: method, discriminator (0..1), loss (>= 0), queried (bool). The titles hold Spearman's rank correlation: negative
    where a small D, which is queried, goes with a large loss. Source: paper 004, Fig. 8.
    """
    table = _checked(table, "method", "discriminator", "loss", "queried")
    methods = list(table["method"].unique())
    columns = len(methods) if len(methods) <= 4 else 3
    rows = math.ceil(len(methods) / columns)
    with _drawing(path, dpi, 2.2 * columns + 1.0, 2.4 * rows + 0.2) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for ax, method in zip(axes, methods, strict=False):
            part = table[table["method"] == method]
            queried = part["queried"].astype(bool)
            ranks = part[["discriminator", "loss"]].rank()
            for chosen, colour, size in ((~queried, "#b0b0b0", 4), (queried, COLOURS[1], 7)):
                shown = part[chosen]
                ax.scatter(shown["discriminator"], shown["loss"], size, colour, linewidths=0, rasterized=True)
            correlation = ranks["discriminator"].corr(ranks["loss"])
            ax.set_title(f"{method}\nSpearman \N{GREEK SMALL LETTER RHO} = {correlation:+.2f}")
            ax.set_xlabel("D(x)")
            ax.set_ylabel("real loss" if ax.get_subplotspec().is_first_col() else "")
            ax.xaxis.set_major_locator(MaxNLocator(4))
        for ax in axes[len(methods) :]:
            ax.set_axis_off()
        dots = {"linestyle": "", "marker": "o", "markeredgewidth": 0, "markersize": 4}
        handles = [Line2D([], [], color="#b0b0b0", label="unlabeled", **dots)]
        handles.append(Line2D([], [], color=COLOURS[1], label="queried", **dots))
        figure.legend(handles=handles, loc="outside right upper")
    return figure


def pseudo_labels(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Accuracy with and without the pseudo-labels, and how many of these are wrong, against the number of labels.

    ``table``: method, seed, labels, accuracy, labeled_only_accuracy (empty where there is no such model), pseudo_label_error (empty
    where there is no pseudo-label), and optionally deployable. Source: thesis 003, Figs. 3.8 and 3.9.
    """
    table = _checked(table, "method", "seed", "labels", "accuracy", "labeled_only_accuracy", "pseudo_label_error")
    lines = _lines(table)
    dotted = {name: line | {"linestyle": ":", "markerfacecolor": "white"} for name, line in lines.items()}
    dotted = {name: line | {"markeredgecolor": line["color"], "markeredgewidth": 1} for name, line in dotted.items()}
    panels = [("accuracy", lines), ("labeled_only_accuracy", dotted), ("pseudo_label_error", lines)]
    with _drawing(path, dpi, 8.6, max(3.0, 0.17 * len(lines) + 0.8)) as figure:
        left, right = figure.subplots(1, 2)
        for ax, (column, style) in zip((left, left, right), panels, strict=True):
            known = table.dropna(subset=column)
            _draw_means(ax, known, "labels", column, {name: style[name] for name in known["method"].unique()})
        for ax, label in ((left, "test accuracy"), (right, "share of pseudo-labels that is wrong")):
            ax.set(xlabel="labeled samples", ylabel=label)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        left.set_title("solid: with pseudo-labels; dotted: on the labels alone")
        right.set_ylim(bottom=0)
        _add_legend(figure, table, lines)
    return figure


def prediction_loss(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Loss of the loss prediction over the epochs, a line per learner, a panel per cycle.

    ``table``: learner, kind (margin or ranking), seed, cycle, epoch (from 1), prediction_loss (empty where it is not trained),
    joint (whether it reaches the backbone in that epoch). Mean and standard deviation over the seeds, and over the methods that
    share a learner; dotted: the last joint epoch. Source: paper 004, Fig. 9.
    """
    table = _checked(table, "learner", "kind", "seed", "cycle", "epoch", "prediction_loss", "joint")
    table["method"] = table["learner"] + " (" + table["kind"] + ")"
    lines = {name: line | {"marker": ""} for name, line in _lines(table).items()}
    cycles = sorted(table["cycle"].unique())
    with _drawing(path, dpi, 2.9 * len(cycles) + 2.2, 2.8) as figure:
        for ax, cycle in zip(figure.subplots(1, len(cycles), squeeze=False, sharey=True)[0], cycles, strict=True):
            part = table[table["cycle"] == cycle]
            _draw_means(ax, part.dropna(subset="prediction_loss"), "epoch", "prediction_loss", lines)
            for name, line in lines.items():
                mine = part[part["method"] == name]
                last = mine.loc[mine["joint"].astype(bool), "epoch"].max()
                if last < mine["epoch"].max():
                    ax.axvline(last, color=line["color"], linestyle=":", linewidth=0.9)
            ax.set(title=f"cycle {cycle}", xlabel="epoch", ylabel="loss of the prediction")
        _add_legend(figure, table, lines)
    return figure


def pretraining(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Accuracy of the nearest neighbours, and spread of the outputs, over the epochs of pre-training, a line per backbone.

    ``table``: backbone, epoch (0: before the first), output_std (empty for epoch 0), even_std (1/sqrt(d), dashed), knn_accuracy
    (empty where it was not looked at). Source: Chen & He 2021, Fig. 2.
    """
    table = _checked(table, "backbone", "epoch", "output_std", "even_std", "knn_accuracy")
    lines = _lines(table.rename(columns={"backbone": "method"}))
    with _drawing(path, dpi, 6.8, 2.8) as figure:
        left, right = figure.subplots(1, 2)
        for name, line in lines.items():
            mine = table[table["backbone"] == name]
            looked = mine.dropna(subset="knn_accuracy")
            left.plot(looked["epoch"], looked["knn_accuracy"], **line)
            right.plot(mine["epoch"], mine["output_std"], color=line["color"])
            right.axhline(mine["even_std"].iloc[0], color=line["color"], linestyle=(0, DASHES), linewidth=0.8)
        left.set(xlabel="epoch", ylabel="accuracy of nearest neighbours")
        top = 1.15 * table[["output_std", "even_std"]].max().max()
        right.set(xlabel="epoch", ylabel="s.d. of normalised outputs", ylim=(0, top))
        figure.legend(
            handles=[Line2D([], [], **line) for line in lines.values()], loc="outside right upper", handlelength=3
        )
    return figure


def break_even(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Labels per class from which each method beats random, a panel per learner; a cross where it never does.

    ``table``: learner, method, labels_per_class (empty: never). Source: thesis 003, sec. 5.6.
    """
    table = _checked(table, "learner", "method", "labels_per_class")
    lines, learners = _lines(table), list(table["learner"].unique())
    rows = table["learner"].value_counts().max()
    reached = table["labels_per_class"].max()
    end = 1.15 * reached if np.isfinite(reached) else 1.0
    with _drawing(path, dpi, 3.2 * len(learners) + 1.2, max(1.8, 0.3 * rows + 0.9)) as figure:
        for ax, learner in zip(figure.subplots(1, len(learners), squeeze=False)[0], learners, strict=True):
            mine = table[table["learner"] == learner]
            for place, (method, value) in enumerate(zip(mine["method"], mine["labels_per_class"], strict=True)):
                look = lines[method] | {"linestyle": "", "clip_on": False}
                if not np.isfinite(value):
                    look |= {"marker": "x", "markeredgecolor": lines[method]["color"], "markeredgewidth": 1.5}
                ax.plot([value if np.isfinite(value) else end], [place], **look)
            ax.set_yticks(range(len(mine)), mine["method"])
            ax.set(title=learner, xlabel="labels per class (x: never)", xlim=(0, end), ylim=(len(mine) - 0.5, -0.5))
    return figure


def break_even_classes(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Labels per class from which methods beat random, against the number of classes, a panel per learner.

    ``table``: learner, method, classes, labels_per_class (empty: never, not drawn). Source: thesis 003, Fig. 5.6.
    """
    table = _checked(table, "learner", "method", "classes", "labels_per_class")
    lines, learners = _lines(table), list(table["learner"].unique())
    with _drawing(path, dpi, 3.0 * len(learners) + 1.8, 2.8) as figure:
        for ax, learner in zip(figure.subplots(1, len(learners), squeeze=False, sharey=True)[0], learners, strict=True):
            mine = table[table["learner"] == learner].dropna(subset="labels_per_class").sort_values("classes")
            for method, part in mine.groupby("method", sort=False):
                ax.plot(part["classes"], part["labels_per_class"], **lines[method])
            ax.set(title=learner, xlabel="classes", ylabel="labels per class", ylim=(0, None))
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.legend(
            handles=[Line2D([], [], **line) for line in lines.values()], loc="outside right upper", handlelength=3
        )
    return figure


def class_entropy(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Entropy in nats of the classes of each query, against the cycle; the dashed line is log C, all classes alike.

    ``table``: method, seed, cycle, entropy, n_classes, and optionally deployable. Source: paper 004, Fig. 7a.
    """
    table = _checked(table, "method", "seed", "cycle", "entropy", "n_classes")
    lines, n_classes = _lines(table), table["n_classes"].iloc[0]
    with _drawing(path, dpi, 6.8, max(3.4, 0.17 * len(lines) + 0.4)) as figure:
        ax = figure.subplots()
        _draw_means(ax, table, "cycle", "entropy", lines)
        top = math.log(n_classes)
        ax.axhline(top, color=GREY, linestyle=(0, (1, 2)), linewidth=0.8)
        ax.annotate(
            f"log {n_classes} = {top:.2f}: all classes alike", (0.01, top), (0, 3),
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip
        ax.set(xlabel="query cycle", ylabel="class entropy of the query (nats)")
        ax.set_ylim(0, 1.08 * top)  # a band may go beyond what an entropy can be
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _add_legend(figure, table, lines)
    return figure


def selection_costs(table: pd.DataFrame, path: str | Path, dpi: int) -> Figure:
    """Wall time and peak memory of a query per 1,000 samples of the pool, a bar per method; the time is split by stage.

    ``table``: method, stage, seconds_per_1000, peak_memory_mb_per_1000, peak_memory_mb; memory may be empty (a job too short to
    be sampled). Beside the bars: the seconds, and the peak as it was, whatever the pool. Paper 004, sec. 4.2, compares these.
    """
    table = _checked(table, "method", "stage", "seconds_per_1000", "peak_memory_mb_per_1000", "peak_memory_mb")
    methods = list(table["method"].unique())
    stages = sorted(table["stage"].unique(), key=lambda stage: stage in ("score", "select"))  # they run last
    by_stage = table.pivot_table("seconds_per_1000", "method", "stage", "sum", observed=True).reindex(methods)[stages]
    memory = table.groupby("method")[["peak_memory_mb_per_1000", "peak_memory_mb"]].max().reindex(methods)
    places = np.arange(len(methods))
    with _drawing(path, dpi, 8.6, max(2.2, 0.22 * len(methods) + 0.9)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        done = np.zeros(len(methods))
        for rank, stage in enumerate(stages):
            seconds = by_stage[stage].fillna(0).to_numpy()
            left.barh(places, seconds, 0.7, done, color=COLOURS[rank % len(COLOURS)], label=stage)
            done += seconds
        for place, seconds in zip(places, done, strict=True):
            left.annotate(f"{seconds:.3g}", (seconds, place), (3, 0), textcoords="offset points", va="center")
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
        right.set_xlabel(right.get_xlabel() + "\n(beside the bars: in all)")
        figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    return figure
