"""Score loss, L1 loss and L1 score of a query over the weight lambda, with the plain method and pseudo-labels as lines."""

from dagal.report.figures import draw, figure_item
from dagal.report.tables.lambda_study import ITEM as TABLE


def make(job):
    draw(job, lambda_study)


def lambda_study(table, path, dpi: int):
    """``table``: weight (a number, or ``top_k`` / ``pseudo_label``), score_loss, l1_loss, l1_score, chosen. Source: thesis
    003, fig. 4.4.
    """
    import pandas as pd

    from dagal.report import drawing

    table = drawing.checked(table, "weight", "score_loss", "l1_loss", "l1_score", "chosen")
    weight = pd.to_numeric(table["weight"], errors="coerce")
    with drawing.canvas(path, dpi, 10.5, 3.0) as figure:
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


ITEM = figure_item(
    make,
    "lambda_{method}",
    TABLE,
    "lambda_study",
    labels={"figure": "lambda {method}"},
    caption="""
    Losses of the first query of a class-balanced method over the weight lambda (fig. 4.4 of the thesis): minus the summed
    scores, the distance of the expected class counts from the required ones, and, after the fact, the imbalance of the true
    labels after the query. Horizontal lines: the same for the plain method and for balancing by hard pseudo-labels. The
    vertical line is the weight that the study uses: the smallest after which the L1 loss no longer falls.
    """,
    category="Analysis",
)
