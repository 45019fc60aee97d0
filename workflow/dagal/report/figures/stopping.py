"""What chains may be stopped by, over the cycles: kappa of consecutive models, and the accuracy on the validation set."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables.stopping import ITEM as TABLE


def make(job):
    draw(job, stopping)


def stopping(cycles, path, dpi: int):
    """``cycles``: method, seed, cycle, kappa, validation_accuracy, threshold, target_accuracy (one value or empty), stopped (1 at the
    cycle in which the chain stopped, marked by a cross). A line per method and seed; dashed: threshold and target.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    from dagal.report import drawing

    cycles = drawing.checked(cycles, "method", "seed", "cycle", "kappa", "validation_accuracy", "threshold", "stopped")
    shown = {
        "kappa": ("threshold", "Cohen's kappa, with the model before"),
        "validation_accuracy": ("target_accuracy", "validation accuracy"),
    }
    shown = {name: about for name, about in shown.items() if cycles[about[0]].notna().any()}
    lines = drawing.looks(cycles)
    with drawing.canvas(path, dpi, 3.9 * len(shown) + 2.0, max(3.2, 0.17 * len(lines) + 0.4)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False).ravel()
        for ax, (name, (limit, label)) in zip(axes, shown.items(), strict=True):
            for (method, _), chain in cycles.dropna(subset=name).groupby(["method", "seed"], sort=False):
                ax.plot(chain["cycle"], chain[name], alpha=0.8, **lines[method])
                end = chain[chain["stopped"] == 1]
                ax.plot(end["cycle"], end[name], **drawing.STOP | {"color": lines[method]["color"]})
            ax.axhline(cycles[limit].iloc[0], color=drawing.GREY, linestyle=(0, drawing.DASHES), linewidth=0.8)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            ax.set(xlabel="cycle", ylabel=label, xlim=(-0.3, cycles["cycle"].max() + 0.3))
        handles = [Line2D([], [], **line) for line in lines.values()]
        handles.append(Line2D([], [], color=drawing.GREY, label="chain stopped", **drawing.STOP))
        figure.legend(handles=handles, loc="outside right upper", handlelength=3)
    return figure


ITEM = figure_item(
    make,
    "stopping",
    TABLE,
    "cycles",
    caption="""
    Where and why every chain of cycles stopped: by the accuracy on the validation set, or by Cohen's kappa between the predictions of
    consecutive models on a fixed set of unlabeled images of the pool (Stabilizing Predictions, Bloodgood and Vijay-Shanker 2009).
    What is shown of validation accuracy and kappa is known to whoever labels; the test set decides nothing. A cross marks the
    cycle after which a chain trained and asked for nothing more.
    """,
    category="Results",
)
