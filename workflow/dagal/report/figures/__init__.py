"""The figures of a study, a file each: ``make(job)`` writes a picture. No global state: same input, same bytes.

A function that draws a table takes it as a frame, draws on a `Figure` of its own with matplotlib's defaults, whatever the user's
matplotlibrc says, writes it to ``path`` (complete or not at all) at ``dpi`` dots per inch, and returns it. A frame without rows, or
without one of the columns that the function names, raises ValueError. These files import pandas, matplotlib and the like in
their functions, as the planner reads all of them at every start.
"""

from collections.abc import Callable

from dagal.report import tables
from dagal.report.item import Item


def draw(job, function: Callable, **further) -> None:
    """``function(table, path, dpi)`` of a job's table; an empty one, because every chain stopped before, is said to be empty."""
    from dagal.report import drawing

    table = tables.read(job.input.table)
    (drawing.nothing if table.empty else function)(table, job.output[0], job.params.dpi, **further)


def figure_item(make: Callable, name: str, table: Item, output: str, **about) -> Item:
    """The item of a figure that shows one output of a table's item, wherever the study has that; ``about`` as for `Item`."""
    of_table = {
        "reads": lambda study, **variant: {"table": table.outputs(study, **variant)[output]},
        "outputs": lambda study, **variant: {"figure": study.figure("_".join([name, *variant.values()]))},
        "settings": lambda study, **variant: {"dpi": study.settings["plots"]["dpi"]},
        "when": table.when,
        "variants": table.variants,
        "labels": {"figure": name.replace("_", " ")},
        "environment": "analysis",
    }
    return Item(make, **(of_table | about))
