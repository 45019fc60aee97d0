"""Mean IoU of segmenters against what their masks cost: images with labels, labeled pixels, and clicks."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables import metrics

COSTS = {
    "labeled_images": "images with labels",
    "labeled_pixels": "labeled pixels",
    "clicks": "clicks",
}


def make(job):
    draw(job, curves, band=job.params.band)


def curves(table, path, dpi: int, band: str = "sd"):
    """``table``: study, method, seed, cycle, mean_iou and the columns of `COSTS`, and optionally deployable. A panel for each cost; a point
    is the mean over the seeds of one cycle, at their mean cost.
    """
    from dagal.report import drawing

    table = drawing.checked(table, "study", "method", "seed", "cycle", "mean_iou", *COSTS)
    lines = drawing.looks(table)
    for cost in COSTS:
        table[cost] = table.groupby(["method", "cycle"], observed=True)[cost].transform("mean")
    with drawing.canvas(path, dpi, 3 * len(COSTS) + 2.2, 3) as figure:
        axes = figure.subplots(1, len(COSTS), sharey=True)
        for ax, (cost, label) in zip(axes, COSTS.items(), strict=True):
            drawing.draw_means(ax, table, cost, "mean_iou", lines, band=band)
            ax.set(xlabel=label, ylabel="mean IoU (test)")
            drawing.count_labels(ax)
        drawing.add_legend(figure, table, lines, band=band)
    return figure


ITEM = figure_item(
    make,
    "segmentation_costs",
    metrics.ITEM,
    "metrics",
    settings=lambda study, at: {
        "dpi": study.settings["plots"]["dpi"],
        "band": study.settings["plots"].get("band", "sd"),
    },
    when=lambda study: study.task.name == "segmentation",
    caption="""
    Mean IoU on the test set against what the labels cost, in three ways: images of which any pixel is labeled, labeled pixels, and clicks
    (one for a dominant class; else one for each segment and each corner of its outline). Mean over seeds, with a band of the standard
    deviation or error. Which method is best can differ between the three.
    """,
    category="Segmentation",
)
