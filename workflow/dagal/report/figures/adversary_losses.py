"""Losses of VAE and discriminator over the training steps, a panel per method, of its first and its last query."""

import math

from dagal.report.figures import draw, figure_item
from dagal.report.tables import adversaries

TERMS = {
    "reconstruction": "VAE: reconstruction",
    "kl": "VAE: KL divergence",
    "adversarial": "VAE: adversarial",
    "supervised": "VAE: supervised",
    "supervised_kl": "VAE: KL, supervised",
    "discriminator_loss": "discriminator",
}


def make(job):
    draw(job, adversary_losses)


def adversary_losses(table, path, dpi: int):
    """``table``: method, seed, cycle, step, and the columns of `TERMS`, of which ``discriminator_loss`` must be there; a term
    that a method lacks is empty. Lines are means over the seeds, on a log scale.
    """
    from matplotlib.lines import Line2D

    from dagal.report import drawing

    table = drawing.checked(table, "method", "seed", "cycle", "step", "discriminator_loss")
    colours = dict(zip(TERMS, drawing.COLOURS, strict=False))
    terms = [term for term in TERMS if term in table and table[term].notna().any()]
    methods, cycles = list(table["method"].unique()), [table["cycle"].min(), table["cycle"].max()]
    styles = dict(zip(dict.fromkeys(cycles), ["-", (0, drawing.DASHES)], strict=False))
    columns = min(3, len(methods))
    rows = math.ceil(len(methods) / columns)
    with drawing.canvas(path, dpi, 2.7 * columns + 1.9, 2.3 * rows + 0.2) as figure:
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
        handles += [
            Line2D([], [], color=drawing.GREY, linestyle=s, label=f"query {cycle}") for cycle, s in styles.items()
        ]
        figure.legend(handles=handles, loc="outside right upper", handlelength=3)
    return figure


ITEM = figure_item(
    make,
    "adversary_losses",
    adversaries.ITEM,
    "losses",
    caption="""
    Losses of the variational auto-encoder and of the discriminator over the training steps, before the first (solid) and the last
    query (dashed); means over seeds. A discriminator that cannot tell the pools apart has 2 log 2 = 1.39 (with the targets 0 and 1
    of VAAL and TA-VAAL); near 0 it tells them apart almost without fail.
    """,
    category="Analysis",
)
