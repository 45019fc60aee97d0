"""The tables of a study, a file each: ``make(job)`` writes comma-separated values."""

import io

from dagal import storage

# columns of names, which stay text: a method may be called NA, a class 7
NAMES = ("study", "method", "learner", "reference", "backbone", "class_name", "stage", "measure", "bin", "kind", "size")


def read(path):
    """A table of a study as a frame: columns of `NAMES` hold str, an empty cell elsewhere is NaN."""
    import pandas as pd  # costs most of a second, which the planner and light tables save

    table = storage.verified_table(path)
    columns = pd.read_csv(io.BytesIO(table), nrows=0).columns
    numbers = {column: ["", "nan"] for column in columns if column not in NAMES}
    return pd.read_csv(io.BytesIO(table), dtype=dict.fromkeys(NAMES, str), na_values=numbers, keep_default_na=False)


def write(path, frame, float_format: str) -> None:
    """Write a frame as a table, its numbers as the format says; a value that is missing becomes an empty cell."""
    storage.write_table(path, frame.to_csv(index=False, float_format=float_format, lineterminator="\n").encode())
