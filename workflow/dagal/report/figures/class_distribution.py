"""Share of each class in the labeled set after each cycle, a panel per method, its L1 score above."""

import math

import numpy as np

from dagal.balance import l1_score
from dagal.report.figures import draw, figure_item
from dagal.report.tables import metrics

MANY_CLASSES = 20  # more classes are shown as a profile: their names do not fit


def make(job):
    draw(job, class_distribution)


def class_distribution(counts, path, dpi: int):
    """``counts``: method, cycle, class_name, count (in the whole labeled set after that cycle), and optionally
    deployable and seed: shares and L1 scores are then means over the seeds. A missing row counts 0, but every
    class must have a row somewhere. Up to `MANY_CLASSES`: a heat map of share / balanced share, a log scale.
    More: the shares against the rank of the class, for up to 5 cycles, the balanced share 1 / C dashed.
    """
    from dagal.report import drawing

    counts = drawing.checked(counts, "method", "cycle", "class_name", "count")
    if "seed" not in counts:
        counts["seed"] = 0
    lines = drawing.looks(counts)
    classes, methods = counts["class_name"].unique(), list(lines)
    keys = ["method", "cycle", "seed"]
    table = counts.pivot_table("count", keys, "class_name", "sum", fill_value=0, observed=True)[classes]
    share = table.div(table.sum(axis=1), axis=0).groupby(["method", "cycle"]).mean()
    balance = table.apply(l1_score, axis=1).groupby(["method", "cycle"]).mean()
    columns = min(4, len(methods))
    rows = math.ceil(len(methods) / columns)
    many = len(classes) > MANY_CLASSES
    height = 1.5 if many else 0.4 + 0.14 * len(classes)
    with drawing.canvas(path, dpi, 1.6 * columns + 1.8, max(2.0, height * rows + 0.4)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        (draw_profiles if many else draw_heat_maps)(figure, axes, [share.loc[m] for m in methods])
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


def draw_heat_maps(figure, axes: np.ndarray, shares) -> None:
    """``shares``: per method a frame cycle x class."""
    import seaborn as sns

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


def draw_profiles(figure, axes: np.ndarray, shares) -> None:
    """``shares``: per method a frame cycle x class."""
    import seaborn as sns
    from matplotlib.lines import Line2D
    from matplotlib.ticker import PercentFormatter

    from dagal.report import drawing

    n_classes = shares[0].shape[1]
    cycles = sorted(set().union(*(share.index for share in shares)))
    shown = [cycles[i] for i in np.unique(np.linspace(0, len(cycles) - 1, 5).round().astype(int))]
    colours = dict(zip(shown, sns.color_palette("viridis", len(shown)), strict=True))
    for ax, share in zip(axes, shares, strict=False):
        for cycle in share.index.intersection(shown):
            ax.plot(range(1, n_classes + 1), np.sort(share.loc[cycle])[::-1], color=colours[cycle])
        ax.axhline(1 / n_classes, color=drawing.GREY, linestyle=(0, drawing.DASHES), linewidth=0.8)
        ax.set(xlim=(1, n_classes), ylim=(0, None))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_ylabel("share of labels" if ax.get_subplotspec().is_first_col() else "")
    handles = [Line2D([], [], color=colour, label=f"cycle {cycle}") for cycle, colour in colours.items()]
    balanced = {"color": drawing.GREY, "linestyle": (0, drawing.DASHES), "linewidth": 0.8}
    handles.append(Line2D([], [], label=f"balanced, {1 / n_classes:.2%}", **balanced))
    figure.legend(handles=handles, loc="outside right upper")


ITEM = figure_item(
    make,
    "class_distribution",
    metrics.ITEM,
    "classes",
    when=metrics.has_classes,
    caption="""
    Classes of the labeled set in every cycle, mean over seeds, with the L1 score (0 balanced, 1 one class).
    """,
    category="Results",
)
