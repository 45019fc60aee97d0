"""Tables of images: CSV, TSV or Parquet with a path and a label in each row, and Parquet with the images in it.

Columns, in any case: ``path`` (or ``file_name``), below the folder of the table; ``label``, in which, where a person labels, cells may be
empty; and, where wanted, ``split`` (train, test,
val), ``validation`` (yes or no) and ``group``. Parquet as the `datasets` library writes it has a column ``image`` instead of the path,
and the names of the classes in its schema.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dagal.datasets import groups
from dagal.datasets.archives import reading
from dagal.datasets.decoding import counted, decoded, readable
from dagal.datasets.folders import PARTS, TEST_FRACTION, split_classes
from dagal.datasets.source import Source
from dagal.errors import UserError
from dagal.files import contents, regular

PATHS = ("path", "file_name")
YES, NO = ("1", "true", "yes", "y"), ("", "0", "false", "no", "n")
PART = {name: part for part, names in PARTS.items() for name in names}
ROWS = 64  # of Parquet with images, read at a time
MOST_ROWS = 50_000_000  # of a table, which is in memory as a whole


@dataclass(frozen=True)
class Table:
    """The columns that are read, as text, one entry per row; None where a table does not have one."""

    path: list[str]
    label: list[str]
    split: list[str] | None = None
    validation: list[str] | None = None
    group: list[str] | None = None


def image_table(settings: dict) -> Source:
    """The images of a table, or of a folder of Parquet files that hold theirs, at ``path``."""
    path = Path(settings["path"])
    if not path.exists():
        raise UserError(f"{path} does not exist: put the table there, a .csv, .tsv or .parquet file.")
    with reading(path):
        if path.is_dir() or path.suffix.lower() == ".parquet":
            table, contents = parquet(path, settings)
        else:
            table, contents = text_table(path, settings), partial(files_beside, path)
    notes: list[str] = []
    check(table, path, all_labeled=settings.get("labels") in (None, "test"))
    labels, class_names = classes(table.label)
    part_N = parts(table, labels, settings, path)
    order = np.argsort(part_N, kind="stable")
    names, labels = [table.path[row] for row in order], labels[order]
    counts = np.bincount(part_N, minlength=3)
    if not counts[0] or not (counts[1] or settings.get("labels") in ("some", "none")):
        raise UserError(
            f"{path} has no image for {'training' if not counts[0] else 'testing'}: correct its column split."
        )
    about = {}
    if given := group_names(table, settings, path):
        about = groups.about([given[row] for row in order], part_N[order], path)
    if only := sorted(set(range(len(class_names))) - {*labels[: counts[0]].tolist()}):
        which = readable(class_names[only[0]])
        notes.append(f"{counted(len(only), 'class')} without a training image, such as {which}")
    return Source(
        class_names=class_names,
        labels=labels,
        n_train=int(counts[0]),
        n_validation=int(counts[2]),
        images=decoded(contents, path, names, settings, labels, int(counts[0]), notes),
        about=about,
        files=names,
        notes=notes,
    )


def text_table(path: Path, settings: dict) -> Table:
    """A CSV or TSV file; what divides the cells is the comma, semicolon or tab that its first line has most of."""
    try:
        text = contents(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8: save it as UTF-8.") from None
    first = text.split("\n", 1)[0]
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(",;\t", key=first.count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    if not rows:
        raise UserError(f"{path} is empty: give it a line of names (path, label) and one for each image.")
    header, *body = rows
    if uneven := next((number for number, row in enumerate(body, 2) if len(row) != len(header)), None):
        raise UserError(
            f"{path} has {len(body[uneven - 2])} cells in row {uneven} and {len(header)} names: correct it."
        )
    columns = dict(zip((name.strip().lower() for name in header), zip(*body, strict=True), strict=True)) if body else {}
    columns = columns or {name.strip().lower(): [] for name in header}
    return chosen({name: [cell.strip() for cell in cells] for name, cells in columns.items()}, settings, path)


def chosen(columns: dict[str, list[str]], settings: dict, path: Path) -> Table:
    """The columns that are read. Raises UserError where one is missing."""
    place = next((name for name in PATHS if name in columns), None)
    if settings.get("labels") in ("some", "none") and place:
        columns = {"label": [""] * len(columns[place])} | columns
    for name in (place or "path", "label", *([settings["group"].lower()] if settings.get("group") else [])):
        if name not in columns:
            raise UserError(f"{path} has no column {name} (only {', '.join(map(readable, columns))}): add it.")
    group = columns.get((settings.get("group") or "group").lower())
    paths = [name.replace("\\", "/").removeprefix("./") for name in columns[place]]
    return Table(paths, columns["label"], columns.get("split"), columns.get("validation"), group)


def parquet(path: Path, settings: dict):
    """The table of Parquet files, and what reads the contents of its images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [regular(file) for file in files]
    if not files:
        raise UserError(f"{path} holds no .parquet file: put some there, or give the path of a table.")
    root = path if path.is_dir() else path.parent
    try:
        if (n := sum(pq.read_metadata(file).num_rows for file in files)) > MOST_ROWS:
            raise UserError(f"{path} has {n:,} rows, and at most {MOST_ROWS:,} are read: leave some out.")
        schemas = [pq.read_schema(file) for file in files]
        names = {name.lower(): name for name in schemas[0].names}
        image = names.get("image")
        inside = image is not None and not any(name in names for name in PATHS)
        wanted = [name for lower, name in names.items() if not (inside and lower == "image")]
        columns: dict[str, list] = {name.lower(): [] for name in wanted}
        columns |= {"path": [], "split": columns.get("split", [])} if inside else {}
        for file in files:
            table = pq.read_table(file, columns=wanted)
            for name in wanted:
                columns[name.lower()] += table.column(name).to_pylist()
            if inside:
                below = file.relative_to(root).as_posix()
                columns["path"] += [f"{below}/{row}" for row in range(table.num_rows)]
                if "split" not in names:
                    columns["split"] += [part_of(file)] * table.num_rows
    except (pa.ArrowException, KeyError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{path} cannot be read as Parquet ({' '.join(str(error).split())}): write it again.") from None
    if "label" in columns:
        columns["label"] = [named_label(value, class_label(schemas[0])) for value in columns["label"]]
    if inside and "split" not in names and len(set(columns["split"])) == 1:
        del columns["split"]  # all rows are of one part, which is then divided
    text = {name: ["" if value is None else str(value) for value in values] for name, values in columns.items()}
    table = chosen(text, settings, path)
    if inside:
        return table, partial(images_inside, root, image)
    if path.is_dir():
        raise UserError(f"{path} is a folder of tables without an image in them: give the path of one table.")
    return table, partial(files_beside, path)


def part_of(file: Path) -> str:
    """The part of a data set that a file's name begins with, as train-00000-of-00001.parquet; train if it has none."""
    word = re.match(r"[a-z]+", file.stem.lower())
    return PART.get(word[0] if word else "", "train")


def class_label(schema) -> list[str]:
    """Names of the classes that the `datasets` library keeps in a schema; none elsewhere."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return list(map(str, about["info"]["features"]["label"]["names"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def named_label(value, names: list[str]) -> str | None:
    """The name of a class that a table has as its number."""
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value


def files_beside(path: Path, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of files below the folder of a table, or at their absolute path; those that are not there are left out."""
    for name in names:
        file = path.parent / name
        with reading(path):
            data = contents(file) if file.is_file() else None
        if data is not None:
            yield name, data


def images_inside(root: Path, column: str, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of images in Parquet files, by FILE/ROW."""
    import pyarrow.parquet as pq

    for file in sorted({name.rpartition("/")[0] for name in names}):
        row = 0
        with reading(root / file):
            for batch in pq.ParquetFile(root / file).iter_batches(ROWS, columns=[column]):
                for value in batch.column(0).to_pylist():
                    if f"{file}/{row}" in names:
                        data = value.get("bytes") if isinstance(value, dict) else value
                        yield f"{file}/{row}", data if isinstance(data, bytes) else b""
                    row += 1


def check(table: Table, path: Path, all_labeled: bool) -> None:
    """Raises UserError for a table without rows, rows without path or, if ``all_labeled``, label, and files that stand twice."""
    if not table.path:
        raise UserError(f"{path} has no row: add one for each image.")
    for name, values in (("path", table.path), *([("label", table.label)] if all_labeled else [])):
        if "" in values:
            raise UserError(f"{path} has no {name} in row {values.index('') + 2}: fill it in, or delete the row.")
    if len(set(table.path)) < len(table.path):
        seen: set[str] = set()
        twice = next(name for name in table.path if name in seen or seen.add(name))
        raise UserError(f"{path} lists {readable(twice)} twice: give each image one row.")


def classes(labels: list[str]) -> tuple[np.ndarray, list[str]]:
    """Class of each row (N,) int64, -1 for an empty cell, and their names: in the order of numbers where all are, else of the alphabet."""
    names = sorted({*labels} - {""})
    if all(re.fullmatch(r"-?\d{1,18}", name) for name in names):
        names.sort(key=int)
    place = {name: position for position, name in enumerate(names)} | {"": -1}
    return np.array([place[label] for label in labels], np.int64), names


def group_names(table: Table, settings: dict, path: Path) -> list[str] | None:
    """Group of each row, by the column or by the pattern."""
    if settings.get("group_pattern"):
        return groups.of_names(settings["group_pattern"], table.path, path)
    if table.group and "" in table.group:
        raise UserError(f"{path} has no group in row {table.group.index('') + 2}: fill it in, or delete the column.")
    return table.group


def parts(table: Table, labels_N: np.ndarray, settings: dict, path: Path) -> np.ndarray:
    """0 train, 1 test or 2 validation for each row (N,), as the table says, or drawn as for folders where it does not."""
    part_N = np.zeros(len(labels_N), np.int64)
    if table.split is not None and any(table.split):
        numbers = {"train": 0, "test": 1, "val": 2}
        for row, word in enumerate(table.split):
            part = PART.get(word.lower())
            if part is None:
                raise UserError(
                    f"{path} has split {word!r} in row {row + 2}: it must be train, test or val, in every row or in none."
                )
            part_N[row] = numbers[part]
        if not (part_N == 1).any():
            part_N[part_N == 2] = 1  # val is the test set of data without one
    for row, word in enumerate(table.validation or []):
        if word.lower() not in (*YES, *NO):
            raise UserError(f"{path} has validation {word!r} in row {row + 2}: it must be yes or no.")
        if word.lower() in YES and part_N[row] == 0:
            part_N[row] = 2
    if (part_N == 1).any() or settings.get("labels") in ("some", "none"):
        return part_N
    fraction = settings.get("test_fraction") or TEST_FRACTION
    rest = np.flatnonzero(part_N == 0)
    if given := group_names(table, settings, path):
        is_test_N = groups.drawn([given[row] for row in rest], labels_N[rest], fraction, path)
    else:
        is_test_N = split_classes(path, [(table.label[row], table.path[row]) for row in rest], fraction)
    part_N[rest[is_test_N]] = 1
    return part_N
