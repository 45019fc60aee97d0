"""In what the contents of two artifacts differ, in words."""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file

from dagal import artifacts, files, storage
from dagal.errors import UserError

PROVENANCE = ("created_by", "params_hash", "dagal_version")  # say where a file comes from, not what is in it
BLOCK_BYTES = 32 << 20
NOTHING = object()


def differences(a: str | Path, b: str | Path) -> Iterator[str]:
    """A sentence for each part in which two files of one kind differ; none if their contents are equal, wherever they come from.

    Raises UserError if one of them cannot be read.
    """
    a, b = Path(a), Path(b)
    if a.suffix != b.suffix:
        raise UserError(f"{a} and {b} are of different kinds: compare files of one kind.")
    if a.suffix == ".h5":
        with artifacts.open_hdf5(a) as one, artifacts.open_hdf5(b) as other:
            for file, path in ((one, a), (other, b)):
                files.check_closed(file, path)
            yield from of_hdf5(one, other)
    elif a.suffix == ".json":
        yield from of_values(*(flat(without_provenance(artifacts.read_json(path))) for path in (a, b)))
    elif a.suffix == ".csv":
        yield from of_tables(artifacts.read_csv(a), artifacts.read_csv(b))
    elif a.suffix == ".safetensors":
        one, other = (tensors(path) for path in (a, b))
        for name in sorted(one.keys() | other.keys()):
            yield from of_arrays(f"tensor {name}", one.get(name), other.get(name))
    elif storage.read_bytes(a) != storage.read_bytes(b):
        yield "its bytes differ"


def tensors(path: Path) -> dict[str, np.ndarray]:
    """What a file of weights holds. Raises UserError if it is damaged."""
    storage.verified_bytes(path)
    return load_file(path)


def of_hdf5(a: h5py.File, b: h5py.File) -> Iterator[str]:
    attributes = [
        {name: artifacts.attribute(file, name) for name in (*file.attrs, *file.get(artifacts.LONG, ()))}
        for file in (a, b)
    ]
    one, other = ({name: plain(value) for name, value in without_provenance(found).items()} for found in attributes)
    yield from (f"attribute {line}" for line in of_values(one, other))
    for name in [*a, *(name for name in b if name not in a)]:
        if name != artifacts.LONG:
            yield from of_arrays(name, a.get(name), b.get(name))


def without_provenance(values: dict) -> dict:
    return {name: value for name, value in values.items() if name not in PROVENANCE}


def plain(value) -> object:
    """An attribute as Python's own values."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def of_arrays(name: str, a, b) -> Iterator[str]:
    """How two arrays or data sets differ, read in blocks of rows; None for one that is not there."""
    if a is None or b is None:
        yield f"{name} is only in the {'second' if a is None else 'first'}"
        return
    if a.shape != b.shape or a.dtype != b.dtype:
        yield f"{name} is {a.dtype} {shape(a)} against {b.dtype} {shape(b)}"
        return
    if not a.shape:
        one, other = a[()], b[()]
        if not same(one, other):
            yield f"{name} is {number(one)} against {number(other)}"
        return
    rows = max(1, BLOCK_BYTES // max(1, a.dtype.itemsize * math.prod(a.shape[1:])))
    different, first, largest = 0, None, 0.0
    for begin in range(0, len(a), rows):
        one, other = a[begin : begin + rows], b[begin : begin + rows]
        apart = ~same(one, other)
        if apart.any():
            if first is None:
                place = tuple(int(position) for position in np.argwhere(apart)[0])
                first = (begin + place[0], *place[1:]), one[place], other[place]
            different += int(apart.sum())
            if a.dtype.kind in "iufb":
                gap = np.abs(one[apart].astype(np.float64) - other[apart].astype(np.float64))
                largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max()))
    if first:
        place, one, other = first
        where = ", ".join(map(str, place))
        most = f", by {largest:.3g} at most" if a.dtype.kind == "f" else ""
        yield f"{name}: {different:,} of {math.prod(a.shape):,} values differ{most}; first [{where}], {number(one)} against {number(other)}"


def same(a, b) -> np.ndarray:
    """Where two arrays are equal; NaN equals NaN."""
    equal = np.asarray(a == b)
    if getattr(a, "dtype", None) is not None and a.dtype.kind == "f":
        equal |= np.isnan(a) & np.isnan(b)
    return equal


def number(value) -> str:
    """A value of an array, with as many digits as tell floats of its kind apart."""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)


def shape(array) -> str:
    return " x ".join(map(str, array.shape)) or "scalar"


def flat(value, key: str = "") -> dict[str, object]:
    """The values of nested mappings by their dotted keys."""
    if not isinstance(value, dict):
        return {key: value}
    found = [flat(one, f"{key}.{name}" if key else str(name)) for name, one in value.items()]
    return {name: one for each in found for name, one in each.items()}


def of_values(a: dict, b: dict) -> Iterator[str]:
    """The keys whose values differ."""
    for key in [*a, *(key for key in b if key not in a)]:
        one, other = (values.get(key, NOTHING) for values in (a, b))
        if one is NOTHING or other is NOTHING:
            yield f"{key} is only in the {'second' if one is NOTHING else 'first'}"
        elif one != other and not (one != one and other != other):
            yield f"{key} is {short(one)} against {short(other)}"


def short(value) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def of_tables(a: list[dict], b: list[dict]) -> Iterator[str]:
    """The first row in which two tables differ, and how many do."""
    if a and b and a[0].keys() != b[0].keys():
        yield f"its columns are {', '.join(a[0])} against {', '.join(b[0])}"
        return
    pairs = list(itertools.zip_longest(a, b, fillvalue={}))
    apart = [row for row, (one, other) in enumerate(pairs) if one != other]
    if apart:
        one, other = pairs[apart[0]]
        what = "; ".join(of_values(one, other)) if one and other else f"only in the {'first' if one else 'second'}"
        yield f"{len(apart):,} of {len(pairs):,} rows differ; first row {apart[0] + 1}: {what}"
