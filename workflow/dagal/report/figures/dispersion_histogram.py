"""How many samples have which label-dispersion, and how often the model is right there, per cycle."""

import math
from fractions import Fraction

import numpy as np

from dagal.report.figures import draw, figure_item
from dagal.report.tables import dispersion


def make(job):
    draw(job, dispersion_histogram)


def dispersion_histogram(samples, path, dpi: int, n_epochs: int | None = None, most_bins: int = 20):
    """``samples``: dispersion (0..1), correct (bool), and optionally cycle; a row per sample, the seeds are pooled.
    Dispersions are multiples of 1 / ``n_epochs`` (None: of the smallest number that fits), and each of at most
    ``most_bins`` bins holds the same number of them (the last one maybe fewer), so no bin is high by chance.
    Error bars: 95 % Wilson intervals. Source: thesis 003, Figs. 3.3 and 3.4.
    """
    from matplotlib.ticker import PercentFormatter

    from dagal.report import drawing

    samples = drawing.checked(samples, "dispersion", "correct")
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
    with drawing.canvas(path, dpi, 0.8 + 2.3 * len(cycles), 3.2) as figure:
        axes = figure.subplots(2, len(cycles), squeeze=False, sharex=True, sharey="row")
        for (above, below), cycle in zip(axes.T, cycles, strict=True):
            part = samples[samples["cycle"] == cycle]
            hits = part.groupby("bin")["correct"].agg(["mean", "size"])
            centre = (hits.index * step + (step - 1) / 2) / n_epochs
            low, high = wilson_interval(hits["mean"], hits["size"])
            bars = np.clip([hits["mean"] - low, high - hits["mean"]], 0, None)
            above.errorbar(centre, hits["mean"], bars, color=drawing.COLOURS[1], marker="o", markersize=3)
            mean = part["correct"].mean()
            above.axhline(mean, color=drawing.GREY, linestyle=(0, drawing.DASHES), linewidth=0.8)
            above.annotate(f"all: {mean:.2f}", (1, mean), (0, 3), textcoords="offset points", ha="right")
            title = f"cycle {cycle}, {len(part):,} samples" if cycle_known else f"{len(part):,} samples"
            above.set(title=title, ylim=(0, 1.02))
            below.bar(centre, hits["size"] / len(part), width=0.9 * step / n_epochs, color=drawing.COLOURS[0])
            below.set(xlabel="label-dispersion", xlim=(-0.5 / n_epochs - 0.01, 1))
            below.yaxis.set_major_formatter(PercentFormatter(1))
        axes[0, 0].set_ylabel("accuracy")
        axes[1, 0].set_ylabel("share of samples")
    return figure


def wilson_interval(p, n, z: float = 1.96):
    """Limits of the interval of a proportion ``p`` of ``n``, 95 % by default (Wilson 1927)."""
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


ITEM = figure_item(
    make,
    "dispersion_histogram",
    dispersion.ITEM,
    "dispersion",
    caption="""
    Label-dispersion of the pool under the models behind the first three queries (thesis 003, figs. 3.3 and 3.4), and the accuracy of
    the model in each bin.
    """,
    category="Analysis",
)
