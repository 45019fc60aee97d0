"""``python -m dagal show FILE``: an artifact in readable form, on a terminal or through a pipe.

Reads only what it prints, so a file of many gigabytes opens as fast as a small one.
"""

import argparse
import json
import math
import struct
from pathlib import Path

import cv2
import h5py
import numpy as np
from rich.color import Color
from rich.columns import Columns
from rich.console import Console
from rich.filesize import decimal
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dagal import artifacts, files, notes, storage
from dagal.datasets.origins import origins
from dagal.errors import UserError
from dagal.inspect.console import plain_console, plain_table, printable

SUMMARY_NUMBERS = 1_000_000
SHOWN_COLUMNS, SHOWN_VALUES, SHOWN_CATEGORIES = 8, 12, 1000
COUNTED = ("labels", "box_labels", "cycle", "split")  # categories, shown with their frequencies
LUMINANCE = " .:-=+*#%@"
TERMINAL_IMAGES, SHEET_IMAGES = 6, 64
TILE_COLUMNS = (24, 64)  # least and most characters across one image of the preview
LINE_PIXELS, CHARACTER_PIXELS = 16, 7  # height of a line below an image, and about the width of a character
TILE_PIXELS = (96, 256)  # smallest and largest longer side of one image of the contact sheet


def add_command(commands) -> None:
    """Add ``show`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "show",
        help="print an artifact (.h5, .json, .safetensors) in readable form",
        description="Print an artifact in readable form: attributes, data sets, summaries, first rows, and a "
        "preview of images. Reads only what it prints.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5, .json or .safetensors file")
    parser.add_argument(
        "--images",
        type=_count,
        metavar="N",
        help=f"images in the preview (default {TERMINAL_IMAGES}, with --png {SHEET_IMAGES}); 0: none",
    )
    parser.add_argument("--png", type=Path, metavar="OUT.png", help="write the preview as a contact sheet to this file")
    parser.add_argument("--rows", type=_count, default=10, metavar="N", help="rows of data (default 10)")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0")
    return int(text)


def run(options: argparse.Namespace) -> None:
    """Print ``options.file``. Raises UserError if it is missing, of another format, or damaged."""
    path, console = options.file, plain_console()
    if not path.is_file():
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'missing'}; name a file.")
    if options.png and path.suffix in (".json", ".safetensors"):
        raise UserError(f"{path} holds no images, so --png has nothing to draw.")
    try:
        if path.suffix == ".json":
            _show_json(path, console)
        elif path.suffix == ".safetensors":
            _show_safetensors(path, console)
        else:
            _show_hdf5(path, console, options)
    except (BrokenPipeError, UserError):
        raise
    except Exception as error:  # damage inside a file can be told in any way
        raise UserError(f"{path} cannot be read ({printable(error)}); delete it and run again.") from None


# ---------------------------------------------------------------------------------------------- other formats


def _show_json(path: Path, console: Console) -> None:
    try:
        try:
            data = artifacts.read_json(path)
        except storage.NoChecksums:  # not one of dagal's
            data = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); delete it and run again.") from None
    console.print_json(data=data, indent=2)


def _show_safetensors(path: Path, console: Console) -> None:
    """The header only: 8 bytes with its length, then JSON {name: {dtype, shape, data_offsets}}."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError("the header is cut off")
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        if tensors and tensors[-1][1]["data_offsets"][1] != size - 8 - length:
            raise ValueError("the data is cut off")
        table = plain_table("tensor", "shape", "dtype", "size")
        for name, tensor in tensors:
            first, last = tensor["data_offsets"]
            table.add_row(printable(name), _shape(tensor["shape"]), str(tensor["dtype"]), decimal(last - first))
        parameters = sum(math.prod(tensor["shape"]) for _, tensor in tensors)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{path} is no complete safetensors file ({error}); delete it and run again.") from None
    _title(console, path, f"safetensors, {decimal(size)}, {parameters:,} parameters")
    _print_attributes(console, metadata)
    console.print(table)


# ------------------------------------------------------------------------------------------------------- HDF5


def _show_hdf5(path: Path, console: Console, options: argparse.Namespace) -> None:
    if not h5py.is_hdf5(path):
        raise UserError(f"{path} is neither HDF5 nor named .json or .safetensors; nothing to show.")
    with artifacts.open_hdf5(path) as file:
        files.check_closed(file, path)
        datasets = {}
        file.visititems(lambda name, node: datasets.update({name: node} if isinstance(node, h5py.Dataset) else {}))
        attributes = {name: artifacts.attribute(file, name) for name in (*file.attrs, *file.get(artifacts.LONG, ()))}
        datasets = {name: dataset for name, dataset in datasets.items() if not name.startswith(f"{artifacts.LONG}/")}
        class_names = [_cell(name) for name in np.atleast_1d(attributes.get("class_names", []))]
        images = [dataset for dataset in datasets.values() if _is_images(dataset)]
        if options.png and not images:
            raise UserError(f"{path} holds no images, so --png has nothing to draw.")
        _title(console, path, f"HDF5, {decimal(path.stat().st_size)}")
        _print_attributes(console, {name: value for name, value in attributes.items() if name != notes.ATTRIBUTE})
        for line in attributes.get(notes.ATTRIBUTE, []):
            console.print(Text(f"note: {printable(line)}", style="yellow"))
        _print_contents(console, datasets)
        filled = {name: dataset for name, dataset in datasets.items() if dataset.size}
        _print_summaries(console, filled)
        _print_counts(console, filled, class_names)
        if options.rows:
            _print_columns(console, filled, class_names, options.rows, images_of(path))
            _print_corners(console, filled, options.rows)
        wanted = options.images
        if options.png:
            shown = _first(images[0], SHEET_IMAGES if wanted is None else wanted)
            if not len(shown):
                raise UserError("--png needs at least one image; raise --images.")
            draw_sheet(shown, [[str(place)] for place in range(len(shown))], options.png)
            console.print(f"\nfirst {len(shown)} of {len(images[0])} images drawn to {options.png}")
        else:
            for dataset in images:
                _print_preview(console, dataset, TERMINAL_IMAGES if wanted is None else wanted)


def _is_images(dataset: h5py.Dataset) -> bool:
    """Noisy ones may be wider than 8 bits."""
    drawable = dataset.dtype in (np.uint8, np.int16) and dataset.ndim == 4
    return drawable and bool(dataset.size) and dataset.shape[3] in (1, 3)


def _first(dataset: h5py.Dataset, n: int) -> np.ndarray:
    """The first images, as 8 bits can show them."""
    return dataset[:n].clip(0, 255).astype(np.uint8)


def _print_contents(console: Console, datasets: dict[str, h5py.Dataset]) -> None:
    table = plain_table("data set", "shape", "dtype", "stored", "on disk", "description")
    for name, dataset in datasets.items():
        stored = dataset.compression or ("chunked" if dataset.chunks else "plain")
        description, units = (_cell(dataset.attrs.get(key, "")) for key in ("description", "units"))
        table.add_row(
            Text(printable(name), style="cyan"),
            "empty" if dataset.shape is None else _shape(dataset.shape),
            "str" if h5py.check_string_dtype(dataset.dtype) else str(dataset.dtype),
            stored,
            decimal(dataset.id.get_storage_size()),
            Text(f"{description} [{units}]" if units else description, style="dim"),
        )
    console.print()
    console.print(table)


def _print_summaries(console: Console, datasets: dict[str, h5py.Dataset]) -> None:
    """Range of every numeric data set; the mean of measurements only, that of ids or classes says nothing."""
    table = plain_table("numbers", "min", "mean", "max", "not finite", "over", numbers=True)
    for name, dataset in datasets.items():
        if dataset.dtype.kind not in "iuf":
            continue
        values = _part(dataset, SUMMARY_NUMBERS)
        finite = values[np.isfinite(values)]
        low, mean, high = "-", "-", "-"
        if finite.size:
            low, high = _cell(finite.min()), _cell(finite.max())
            if dataset.dtype.kind == "f" or _is_images(dataset):
                mean = _cell(finite.mean(dtype=np.float64))
        over = "all" if values.size == dataset.size else f"first {values.size:,} of {dataset.size:,}"
        table.add_row(Text(printable(name), style="cyan"), low, mean, high, str(values.size - finite.size), over)
    if table.row_count:
        console.print()
        console.print(table)


def _part(dataset: h5py.Dataset, most: int) -> np.ndarray:
    """The first numbers of a data set, ``most`` at most; the axis of most chunks is cut first."""
    shape = list(dataset.shape)
    chunks = dataset.chunks or (1, *shape[1:])
    for axis in np.argsort([-length / chunk for length, chunk in zip(shape, chunks, strict=False)]):
        if math.prod(shape) > most:
            shape[axis] = max(1, most // (math.prod(shape) // shape[axis]))
    return dataset[tuple(map(slice, shape))]


def _print_counts(console: Console, datasets: dict[str, h5py.Dataset], class_names: list[str]) -> None:
    for name, dataset in datasets.items():
        if name.rpartition("/")[2] not in COUNTED or dataset.dtype.kind not in "iu" or dataset.ndim != 1:
            continue
        values, counts = np.unique(dataset[:SUMMARY_NUMBERS], return_counts=True)
        names = class_names if name.endswith("labels") else []
        count_of = dict.fromkeys(range(len(names)), 0)
        count_of.update(zip(values.tolist(), counts.tolist(), strict=True))
        if len(count_of) > SHOWN_CATEGORIES:
            continue
        part = f" over the first {SUMMARY_NUMBERS:,}" if len(dataset) > SUMMARY_NUMBERS else ""
        _heading(console, f"{name}: rows of each value{part}")
        items = [f"{_category(value, names)}: {count}" for value, count in sorted(count_of.items())]
        console.print(Columns(items, padding=(0, 3), equal=True, column_first=True))


def _print_columns(
    console: Console, datasets: dict[str, h5py.Dataset], class_names: list[str], rows: int, images: Path | None
) -> None:
    """1-D data sets, those of equal length side by side; beside ids, where the images are from, if ``images`` tells it."""
    groups = {}
    for name, dataset in datasets.items():
        if dataset.ndim == 1:
            groups.setdefault(len(dataset), []).append(name)
    for length, names in groups.items():
        columns = {}
        for name in names:
            dataset = datasets[name]
            classes = class_names if name.endswith("labels") else []
            columns[name] = [_category(value, classes) for value in dataset[:rows]]
        if "ids" in names and images:
            known = origins(images, datasets["ids"][:rows])
            columns |= {name: list(map(_cell, values)) for name, values in known.items()}
        if len(columns) == 1:
            more = ", ..." if length > rows else ""
            _heading(console, f"{names[0]}: first {min(rows, length)} of {length}")
            console.print(Text(", ".join(columns[names[0]]) + more))
            continue
        table = plain_table("", *columns, numbers=True)
        for row, cells in enumerate(zip(*columns.values(), strict=True)):
            table.add_row(Text(str(row), style="dim"), *cells)
        _heading(console, f"first {min(rows, length)} of {length} rows")
        console.print(table)


def _print_corners(console: Console, datasets: dict[str, h5py.Dataset], rows: int) -> None:
    """First rows and columns of 2-D data sets, and of the first matrix of 3-D ones."""
    for name, dataset in datasets.items():
        if dataset.ndim not in (2, 3) or dataset.dtype.kind not in "iufb":
            continue
        corner = dataset[(0,) * (dataset.ndim - 2) + (slice(rows), slice(SHOWN_COLUMNS))]
        table = plain_table("", *map(str, range(corner.shape[1])), numbers=True)
        for row, values in enumerate(corner):
            table.add_row(Text(str(row), style="dim"), *map(_cell, values))
        matrix = f"{name}[0]" if dataset.ndim == 3 else name
        _heading(console, f"{matrix}: first {_shape(corner.shape)} of {_shape(dataset.shape[-2:])}")
        console.print(table)


# ----------------------------------------------------------------------------------------------------- images


def _print_preview(console: Console, dataset: h5py.Dataset, wanted: int) -> None:
    """The first images, side by side: half blocks in colour, or characters by luminance."""
    images = _first(dataset, wanted)
    if not len(images):
        return
    width = max(1, console.width)
    tile = min(max(width // len(images) - 1, TILE_COLUMNS[0]), TILE_COLUMNS[1], width)
    lines = max(1, round(tile * images.shape[1] / images.shape[2] / 2))
    in_colour = console.color_system is not None and console.encoding.startswith("utf")
    per_row = max(1, (width + 1) // (tile + 1))
    _heading(console, f"{dataset.name.lstrip('/')}: first {len(images)} of {len(dataset)}")
    for first in range(0, len(images), per_row):
        tiles = [_resized(image, tile, 2 * lines) for image in images[first : first + per_row]]
        console.print(Text(" ".join(f"#{first + i}".ljust(tile)[:tile] for i in range(len(tiles))), style="dim"))
        for line in range(lines):
            text = Text(no_wrap=True, overflow="crop")
            for i, pixels in enumerate(tiles):
                text.append(" " if i else "")
                for upper, lower in zip(pixels[2 * line], pixels[2 * line + 1], strict=True):
                    if in_colour:
                        text.append("\N{UPPER HALF BLOCK}", Style(color=_color(upper), bgcolor=_color(lower)))
                    else:
                        brightness = (upper.mean() + lower.mean()) / 2 / 256
                        text.append(LUMINANCE[int(brightness * len(LUMINANCE))])
            console.print(text)


def _color(pixel: np.ndarray) -> Color:
    return Color.from_rgb(*(int(v) for v in np.broadcast_to(pixel, 3)))


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, C) by area averaging."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def images_of(path: Path) -> Path | None:
    """images.h5 of the data set of the study that a file belongs to, if it is there."""
    for folder in path.resolve().parents:
        record = folder / "study.json"
        if record.is_file():
            name = json.loads(record.read_text(encoding="utf-8"))["settings"]["dataset"]["name"]
            images = folder.parent / "datasets" / name / "images.h5"
            return images if images.is_file() else None
    return None


def draw_sheet(images_N_H_W_C: np.ndarray, captions: list[list[str]], path: Path) -> None:
    """Write images on a grid as PNG, small ones enlarged pixel by pixel, each with the lines of its caption below."""
    height, width = images_N_H_W_C.shape[1:3]
    longer = min(max(TILE_PIXELS[0] // max(height, width), 1) * max(height, width), TILE_PIXELS[1])
    scale = longer / max(height, width)
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    below = 4 + LINE_PIXELS * max(map(len, captions))
    columns = math.ceil(math.sqrt(len(images_N_H_W_C) * height / width))
    rows = math.ceil(len(images_N_H_W_C) / columns)
    sheet = np.full((rows * (height + below) + 4, columns * (width + 4) + 4, 3), 255, np.uint8)
    method = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    for i, (image, lines) in enumerate(zip(images_N_H_W_C, captions, strict=True)):
        top, left = i // columns * (height + below) + 4, i % columns * (width + 4) + 4
        tile = cv2.resize(image, (width, height), interpolation=method).reshape(height, width, -1)
        sheet[top : top + height, left : left + width] = tile
        for line, text in enumerate(lines):
            text = text[-max(1, width // CHARACTER_PIXELS) :]  # of a long name the end tells most
            place = (left, top + height + LINE_PIXELS * (line + 1) - 4)
            cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
    try:
        path.write_bytes(cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from None


# ------------------------------------------------------------------------------------------------------- text


def _title(console: Console, path: Path, text: str) -> None:
    console.print(Text.assemble((printable(path), "bold"), f"  {text}"))


def _heading(console: Console, text: str) -> None:
    console.print(Text(f"\n{printable(text)}", style="bold"))


def _print_attributes(console: Console, attributes) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in sorted(attributes.items(), key=str):
        values = [] if isinstance(value, h5py.Empty) else np.atleast_1d(value).ravel()
        more = f", ... ({len(values)} in all)" if len(values) > SHOWN_VALUES else ""
        table.add_row(Text(printable(name), style="cyan"), ", ".join(map(_cell, values[:SHOWN_VALUES])) + more)
    if table.row_count:
        console.print(table)


def _category(value, names: list[str]) -> str:
    known = bool(names) and 0 <= value < len(names)
    return f"{_cell(value)} {names[value]}" if known else _cell(value)


def _cell(value) -> str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.7g}"
    return printable(value)


def _shape(shape) -> str:
    return " x ".join(map(str, shape)) or "scalar"
