"""``make check-readers``: build all odd inputs, read them, and print what was read; exit code 1 if one was read wrongly."""

import contextlib
import io
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "workflow")]

import odd_videos  # noqa: E402
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


def attempt(case: odd_inputs.Case, folder: Path) -> tuple[str, str]:
    """Whether a case was read as it must be, and what was read."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            read = odd_inputs.read(case, folder)
            case.check(read, folder / "raw")
        return "right", summary(read)
    except Exception:
        return "WRONG", traceback.format_exc(limit=-2)


def main() -> int:
    table = Table("input", "", "what was read (training + test + others), and what is told", show_lines=True)
    # what must be read of videos is stated in words; tests/test_odd_videos.py compares it with their pixels
    of_videos = [(odd_inputs.Case(one.name, one.build, no_check), one.expected) for one in odd_videos.CASES]
    wrong = 0
    for case, expected in [*((case, "") for case in odd_inputs.cases()), *of_videos]:
        with tempfile.TemporaryDirectory() as folder:
            state, told = attempt(case, Path(folder))
            wrong += state == "WRONG"
            told = told.replace(folder, "").encode(errors="replace").decode()
            table.add_row(case.name, state, f"must be: {expected}\n{told}" if expected else told)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    console.print(f"{table.row_count - wrong} of {table.row_count} inputs were read or refused in a sentence")
    return int(wrong > 0)


def no_check(read: odd_inputs.Read, folder: Path) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
