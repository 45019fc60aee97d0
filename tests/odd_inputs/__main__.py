"""``make check-readers``: build all odd inputs, read them, and print what was read; exit code 1 if one was read wrongly."""

import contextlib
import io
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "workflow")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import odd_inputs  # noqa: E402


def summary(read: odd_inputs.Read) -> str:
    """What was read, in a line."""
    if read.refusal:
        return f"refused: {read.refusal}"
    shape = " x ".join(map(str, read.images.shape[1:]))
    parts = " + ".join(str(int((read.split == part).sum())) for part in sorted({0, 1, *read.split.tolist()}))
    told = "".join(f"\n- {note}" for note in read.notes)
    return f"{parts} images {shape}, {len(read.class_names)} classes{told}"


def main() -> int:
    table, wrong = (
        Table("input", "", "what was read (training + test + validation), and what is told", show_lines=True),
        0,
    )
    for case in odd_inputs.cases():
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            try:
                read = odd_inputs.read(case, Path(folder))
                case.check(read, Path(folder) / "raw")
                row = ["right", summary(read)]
            except Exception:
                wrong += 1
                row = ["WRONG", traceback.format_exc(limit=-2)]
            table.add_row(case.name, row[0], row[1].replace(folder, "").encode(errors="replace").decode())
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    console.print(f"{table.row_count - wrong} of {table.row_count} inputs were read as they must be")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
