"""``make check-hostile``: build all hostile inputs, have them read, and print what was said; exit code 1 if one did harm."""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "workflow")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import hostile  # noqa: E402


def main(words: list[str]) -> int:
    """``words``: only the cases whose names hold one of them."""
    table = Table("input", "", "s", "MB", "what was said", show_lines=True)
    harm = 0
    for case in hostile.cases():
        if words and not any(word in case.name for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = hostile.attempt(case, Path(folder))
        harm += bool(found.wrong)
        said = f"{found.wrong}\n{found.said}" if found.wrong else found.said
        said = said.replace(folder, "").encode(errors="replace").decode()
        state = "HARM" if found.wrong else "right"
        table.add_row(case.name, state, f"{found.seconds:.2f}", f"{found.megabytes:.0f}", said)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    console.print(f"{table.row_count - harm} of {table.row_count} inputs did no harm")
    return int(harm > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
