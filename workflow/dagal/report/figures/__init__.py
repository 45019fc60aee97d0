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
    (drawing.nothing if table.empty else function)(table, job.output.figure, job.params.dpi, **further)


def figure_item(make: Callable, name: str, table: Item, output: str, **about) -> Item:
    """The item of a figure that shows one output of a table's item, wherever the study has that; ``about`` as for `Item`.

    ``name`` has the wildcards of the table's pattern.
    """

    def reads(study, at):
        pattern = {**table.writes, **table.writes_besides(study)}[output]
        return {"table": study.pattern(pattern, **vars(at))}

    of_table = {
        "writes": {"figure": f"{{results}}/figures/{name}.png"},
        "reads": reads,
        "settings": lambda study, at: {"dpi": study.settings["plots"]["dpi"]},
        "when": table.when,
        "variants": table.variants,
        "labels": {"figure": name.replace("_", " ")},
        "environment": "analysis",
    }
    return Item(make, **(of_table | about))
