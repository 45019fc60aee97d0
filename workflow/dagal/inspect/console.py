"""What the commands print with: tables without lines, and texts that cannot steer the terminal."""

from rich.console import Console
from rich.table import Table


def plain_console() -> Console:
    """A console that takes texts as they are."""
    return Console(highlight=False, markup=False, emoji=False)


def plain_table(*names: str, numbers: bool = False) -> Table:
    """Table without lines; with ``numbers`` all columns but the first are flush right."""
    table = Table(*map(printable, names), box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right" if numbers else "left"
    return table


def printable(value) -> str:
    """Without control characters: a name in a file must not be able to steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in str(value))
