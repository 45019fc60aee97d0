"""The HDF5 artifacts: one way to write them, one way to read them. The kinds of files are declared where they are made.

A file appears under its name only when it is complete (temporary name, flush, rename) and holds no time stamps, so
identical inputs give identical bytes. Ids are int64 positions in ``images.h5``, never positions in a subset.
"""

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from dagal import __version__
from dagal.errors import UserError

CHUNK_BYTES = 1 << 20
GAP_BYTES = 64 << 10  # rows that are no farther apart are read together, with what lies between them
LONG = "attributes"  # group of those that are too long for an attribute
HEADER_BYTES = 60_000  # what an attribute may take of the 64 kB that HDF5 has for it
REFERENCE_BYTES = 16  # of a text of any length


@dataclass(frozen=True)
class Kind:
    """What a file holds: its name, the version of its layout, and its data sets with a description of each.

    Name and version are written as the root attribute ``schema``, the descriptions beside their data sets. Whoever changes the
    meaning of a data set raises the version; code that reads version 1 names the kind by its word alone.
    """

    name: str
    version: int = 1
    datasets: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return f"{self.name}/{self.version}"


def as_kind(kind: Kind | str) -> Kind:
    """A kind by its word is version 1 of it, whatever its data sets are."""
    return Kind(kind) if isinstance(kind, str) else kind


def params_hash(params: dict) -> str:
    """Short hash of a rule's own parameters, independent of their order."""
    return hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest()[:16]


def node(path: str | Path) -> tuple[int, str, int]:
    """(seed, branch, cycle) of a file of a node, ``.../seed0/entropy/cycle1/query.h5``."""
    seed, branch, cycle = Path(path).parts[-4:-1]
    return int(seed.removeprefix("seed")), branch, int(cycle.removeprefix("cycle"))


def provenance(rule: str, params: dict, seed: int = -1) -> dict:
    """Root attributes that say where a file comes from; ``seed`` is -1 where nothing random is involved."""
    return {"created_by": rule, "params_hash": params_hash(params), "seed": seed, "dagal_version": __version__}


class Writer:
    """Creates the data sets of one artifact; handed out by `create`."""

    def __init__(self, file: h5py.File, kind: Kind):
        self.file, self.kind = file, kind

    def dataset(self, name: str, shape: tuple[int, ...], dtype) -> h5py.Dataset:
        """Empty data set to be filled by slices; chunked over its longest axis (of images: the first), integers, texts and float16

        compressed but not images.
        """
        dtype = np.dtype(dtype)
        options = {}
        if np.prod(shape) * dtype.itemsize > CHUNK_BYTES:
            axis = 0 if len(shape) == 4 else int(np.argmax(shape))
            row_bytes = int(np.prod(shape)) // shape[axis] * dtype.itemsize
            chunk = max(1, min(shape[axis], CHUNK_BYTES // row_bytes))
            options["chunks"] = (*shape[:axis], chunk, *shape[axis + 1 :])
            if (dtype.kind in "iuS" or dtype == np.float16) and name != "images":
                options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        dataset = self.file.create_dataset(name, shape, dtype, **options)
        if self.kind.datasets:
            dataset.attrs["description"] = self.kind.datasets[name]
        return dataset


@contextmanager
def create(path: str | Path, kind: Kind | str, origin: dict, **attributes) -> Iterator[Writer]:
    """Open an artifact for writing; it takes its name only if the block ends without error.

    ``origin`` comes from `provenance`. Raises KeyError for a data set that the kind does not declare.
    """
    kind = as_kind(kind)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w", locking=False) as file:
            for name, value in {"schema": kind.schema, **origin, **attributes}.items():
                set_attribute(file, name, value)
            yield Writer(file, kind)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def set_attribute(file: h5py.File, name: str, value) -> None:
    """Give an artifact an attribute; one that HDF5 has no room for, as the names of 4,096 classes, becomes a data set below `LONG`."""
    values = np.asarray(value)
    if REFERENCE_BYTES * values.size > HEADER_BYTES:
        file[f"{LONG}/{name}"] = np.asarray(value, h5py.string_dtype()) if values.dtype.kind in "UO" else values
    else:
        file.attrs[name] = value


def attribute(file: h5py.File, name: str):
    """An attribute of an artifact, long or short. Raises KeyError."""
    if LONG in file and name in file[LONG]:
        dataset = file[LONG][name]
        return dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
    return file.attrs[name]


def datasets(file: h5py.File) -> dict[str, np.ndarray]:
    """All data sets of an artifact, in memory."""
    return {name: file[name][()] for name in file if name != LONG}


def write(path: str | Path, kind: Kind | str, origin: dict, data: dict[str, np.ndarray], **attributes) -> None:
    """Write an artifact whose data sets are all in memory."""
    with create(path, kind, origin, **attributes) as writer:
        for name, values in data.items():
            values = np.asarray(values)
            writer.dataset(name, values.shape, values.dtype)[...] = values


def write_json(path: str | Path, data: dict) -> None:
    """Write JSON; NaN is refused (ValueError)."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_csv(path: str | Path, header: list[str], rows: Iterable[Iterable]) -> None:
    """Write a table; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # names of files may be no UTF-8
    temporary.replace(path)


def open_hdf5(path: str | Path, **options) -> h5py.File:
    """Open an HDF5 file for reading, without a lock: artifacts never change, and not every file system has locks.

    Raises UserError that says what to do: only a damaged file has to be made again.
    """
    try:
        return h5py.File(path, "r", locking=False, **options)
    except OSError as error:
        place, reason = Path(path), error.strerror or " ".join(str(error).split())
        if place.resolve().name == "stopping.json":
            raise UserError(f"{path} holds no data: its chain had stopped, as {place.resolve()} tells.") from None
        if isinstance(error, PermissionError) or error.errno in (errno.EACCES, errno.EPERM):
            raise UserError(
                f"{path} may not be read ({os.strerror(errno.EACCES)}): give yourself the permission to read it (chmod u+r), and to "
                "enter its folders."
            ) from None
        if place.is_dir():
            raise UserError(f"{path} is a folder; name a file.") from None
        if isinstance(error, FileNotFoundError) or error.errno == errno.ENOENT:
            raise UserError(f"{path} is missing: run the study that makes it.") from None
        if error.errno not in (None, 0):  # what the system says of a disk or network
            raise UserError(
                f"{path} cannot be read now ({os.strerror(error.errno)}): try again when its disk can be read."
            ) from None
        raise UserError(f"{path} cannot be read as HDF5 ({reason}); delete it and run again.") from None


@contextmanager
def opened(path: str | Path, kind: Kind | str, cached: bool = True) -> Iterator[h5py.File]:
    """Open an artifact for reading.

    ``cached`` False is for images and features, which are not compressed: HDF5 then reads the rows asked for and no whole chunks.
    Raises UserError if it is unreadable, or of another kind or version.
    """
    expected = as_kind(kind).schema
    file = open_hdf5(path, rdcc_nbytes=None if cached else 0)
    with file:
        found = file.attrs.get("schema")
        if found != expected:
            raise UserError(f"{path} has schema {found!r} where {expected!r} is needed; delete it and run again.")
        yield file


def read(path: str | Path, kind: Kind | str, *names: str) -> list[np.ndarray]:
    """The named data sets of an artifact, in memory, in the order asked for."""
    with opened(path, kind) as file:
        return [file[name][()] for name in names]


def attributes(path: str | Path, kind: Kind | str) -> dict:
    """Root attributes of an artifact."""
    with opened(path, kind) as file:
        return {name: attribute(file, name) for name in (*file.attrs, *file.get(LONG, ()))}


def rows(dataset: h5py.Dataset, positions: np.ndarray, block_bytes: int = 32 << 20) -> np.ndarray:
    """``dataset[positions]`` for any order of positions; near ones are read in contiguous blocks (h5py's own fancy indexing is slow).

    Peak memory: the result and one block.
    """
    result = np.empty((len(positions), *dataset.shape[1:]), dataset.dtype)
    order = np.argsort(positions, kind="stable")
    ascending = np.asarray(positions)[order]
    if len(order) and not 0 <= ascending[0] <= ascending[-1] < len(dataset):
        raise IndexError(f"positions {ascending[0]} to {ascending[-1]} in {dataset.name} of {len(dataset)} rows")
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    block, gap = max(1, block_bytes // row_bytes), max(1, GAP_BYTES // row_bytes)
    ends = np.append(np.flatnonzero(np.diff(ascending) > gap) + 1, len(order))  # of runs of near rows
    first = 0
    while first < len(order):
        begin = ascending[first]
        last = min(int(np.searchsorted(ascending, begin + block)), int(ends[np.searchsorted(ends, first, "right")]))
        result[order[first:last]] = dataset[begin : ascending[last - 1] + 1][ascending[first:last] - begin]
        first = last
    return result
