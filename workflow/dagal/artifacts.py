"""The HDF5 artifacts: one way to write them, one way to read them. The kinds of files are declared where they are made.

A file appears under its name only when it is complete, with checksums that are compared when it is read (`dagal.storage`), and holds
no time stamps, so identical inputs give identical bytes. Ids are int64 positions in ``images.h5``, never positions in a subset.
"""

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from dagal import __version__, storage
from dagal.errors import UserError

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 32 << 20  # of what is read or copied block by block
GAP_BYTES = 64 << 10  # rows that are no farther apart are read together, with what lies between them
LONG = "attributes"  # group of those that are too long for an attribute
HEADER_BYTES = 60_000  # what an attribute may take of the 64 kB that HDF5 has for it
REFERENCE_BYTES = 16  # of a text of any length
# seconds, processor time and peak memory (MiB) of a job, and seconds and memory of its start
COSTS = ("s", "cpu_time", "max_rss", "startup_s", "startup_rss")
GPU = ("gpu", "gpu_memory_mb")  # its name, and the most memory (MiB) that tensors took on it


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


class Unwritten(h5py.Dataset):
    """A data set to be filled by slices, which tells of a full disk when it is met: a large one would go on for hours."""

    def __init__(self, dataset: h5py.Dataset, blocks: storage.Written):
        super().__init__(dataset.id)
        self._blocks = blocks

    def __setitem__(self, where, values):
        super().__setitem__(where, values)
        if self._blocks.error:
            raise self._blocks.error


class Writer:
    """Creates the data sets of one artifact; handed out by `create`."""

    def __init__(self, file: h5py.File, kind: Kind, blocks: storage.Written):
        self.file, self.kind, self.blocks = file, kind, blocks

    def dataset(self, name: str, shape: tuple[int, ...], dtype) -> h5py.Dataset:
        """Empty data set to be filled by slices; chunked over its longest axis (of images, masks and regions: the first), integers, texts and float16

        compressed but not images.
        """
        dtype = np.dtype(dtype)
        options = {}
        if np.prod(shape) * dtype.itemsize > CHUNK_BYTES:
            axis = 0 if len(shape) == 4 or name in ("masks", "regions", "instances", "depth") else int(np.argmax(shape))
            row_bytes = int(np.prod(shape)) // shape[axis] * dtype.itemsize
            chunk = max(1, min(shape[axis], CHUNK_BYTES // row_bytes))
            options["chunks"] = (*shape[:axis], chunk, *shape[axis + 1 :])
            if (dtype.kind in "iuS" or dtype == np.float16) and name != "images":
                options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        dataset = self.file.create_dataset(name, shape, dtype, **options)
        if self.kind.datasets:
            dataset.attrs["description"] = self.kind.datasets[name]
        return Unwritten(dataset, self.blocks)


@contextmanager
def create(path: str | Path, kind: Kind | str, origin: dict, **attributes) -> Iterator[Writer]:
    """Open an artifact for writing; it takes its name only if the block ends without error.

    ``origin`` comes from `provenance`. Raises KeyError for a data set that the kind does not declare, and UserError if the disk is
    full or cannot be written.
    """
    kind = as_kind(kind)
    with storage.streamed(path) as blocks, h5py.File(blocks, "w") as file:
        for name, value in {"schema": kind.schema, **origin, **attributes}.items():
            set_attribute(file, name, value)
        yield Writer(file, kind, blocks)


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


class Rows:
    """Rows of opened data sets, one part after the other, that are read when they are written to another file: masks, say.

    A part is a data set, or an array, and the positions (n,) in it, in the order wanted.
    """

    def __init__(self, *parts: tuple[h5py.Dataset, np.ndarray]):
        self.parts, first = parts, parts[0][0]
        self.dtype = first.dtype
        self.shape = (sum(len(positions) for _, positions in parts), *first.shape[1:])

    def blocks(self, multiple: int = 1) -> Iterator[np.ndarray]:
        """The rows in their order, about `BLOCK_BYTES` at a time and, but for the last block, a multiple of so many, whatever the part."""
        row_bytes = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:])))
        size = max(1, BLOCK_BYTES // row_bytes // multiple) * multiple
        waiting = []
        for dataset, positions in self.parts:
            start = 0
            while start < len(positions):
                missing = size - sum(map(len, waiting))
                waiting.append(rows(dataset, positions[start : start + missing]))
                start += missing
                if sum(map(len, waiting)) == size:
                    yield np.concatenate(waiting)
                    waiting = []
        if waiting:
            yield np.concatenate(waiting)


def joined(*values: np.ndarray | Rows) -> Rows:
    """The rows of all of them, one after the other, in memory or not."""
    parts = [one.parts if isinstance(one, Rows) else ((one, np.arange(len(one))),) for one in values]
    return Rows(*itertools.chain(*parts))


def datasets(file: h5py.File, held: bool = True) -> dict[str, np.ndarray | Rows]:
    """All data sets of an artifact, in memory; with ``held`` False those of more than two axes, as masks are, as `Rows`."""

    def values(dataset):
        return dataset[()] if held or dataset.ndim < 3 else Rows((dataset, np.arange(len(dataset))))

    return {name: values(file[name]) for name in file if name != LONG}


def write(path: str | Path, kind: Kind | str, origin: dict, data: dict[str, np.ndarray | Rows], **attributes) -> None:
    """Write an artifact whose data sets are in memory, or `Rows` of other files."""
    with create(path, kind, origin, **attributes) as writer:
        for name, values in data.items():
            values = values if isinstance(values, Rows) else np.asarray(values)
            dataset = writer.dataset(name, values.shape, values.dtype)
            if not isinstance(values, Rows):
                dataset[...] = values
                continue
            first = 0
            for block in values.blocks(dataset.chunks[0] if dataset.chunks else 1):
                dataset[first : first + len(block)] = block
                first += len(block)


def write_json(path: str | Path, data: dict) -> None:
    """Write JSON, with its checksum as a first field ``checksum``; NaN is refused (ValueError)."""
    text = json.dumps({"checksum": storage.FIELD} | data, indent=1, allow_nan=False) + "\n"
    storage.write_bytes(path, storage.with_field(text.encode()))


def read_json(path: str | Path) -> dict:
    """What `write_json` wrote. Raises UserError if it is damaged."""
    data = json.loads(storage.verified_bytes(path))
    del data["checksum"]
    return data


def write_csv(path: str | Path, header: list[str], rows: Iterable[Iterable]) -> None:
    """Write a table; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    storage.write_table(path, encoded(text.getvalue()))


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a table that `write_csv` wrote. Raises UserError if it is damaged."""
    return list(csv.DictReader(io.StringIO(storage.verified_table(path).decode(errors="surrogateescape"), newline="")))


def write_costs(path: str | Path, values: Iterable[str], processor: str, gpu: Iterable[str] = ("NA", "NA")) -> None:
    """Write what a job cost, in the columns of Snakemake's own benchmark files, `COSTS`, and on the `GPU`; its processor; a checksum."""
    rows = [[*COSTS, *GPU, "processor", "checksum"], [*values, *gpu, processor, storage.FIELD]]
    storage.write_bytes(path, storage.with_field("".join("\t".join(row) + "\n" for row in rows).encode()))


def read_costs(path: str | Path) -> dict[str, str]:
    """What a job cost, by `COSTS` and `GPU`, "NA" where it is not known, and on which ``processor``. Raises UserError if the file is damaged."""
    names, values = storage.verified_bytes(path).decode().splitlines()
    return dict(zip(names.split("\t"), values.split("\t"), strict=True))


def fingerprint(path: str | Path) -> str:
    """What tells the content of a file from any other: of an artifact in HDF5 by its checksums, which spares reading it."""
    try:
        with storage.Verified(path) as blocks:
            return blocks.fingerprint
    except OSError as error:
        raise storage.unreadable(path, error) from None
    except storage.NoChecksums:
        return hashlib.sha256(storage.read_bytes(path)).hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    storage.write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    """UTF-8, but for the names of files, which may be none."""
    return text.encode(errors="surrogateescape")


@contextmanager
def open_hdf5(path: str | Path, checked: bool = False, **options) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without a lock: artifacts never change, and not every file system has locks.

    What is read of an artifact is compared with its checksums; a file without is opened as it is, unless it must be ``checked``.
    Raises UserError that says what to do: only a damaged file has to be made again.
    """
    try:
        content = storage.Verified(path)
    except OSError as error:
        raise storage.unreadable(path, error) from None
    except storage.NoChecksums:
        place = Path(path).resolve()
        if place.name == "stopping.json":
            raise UserError(f"{path} holds no data: its chain had stopped, as {place} tells.") from None
        if checked:
            raise
        content = place.open("rb", buffering=0)
    with content:
        try:
            file = h5py.File(content, "r", **options)
        except OSError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path} cannot be read as HDF5 ({reason}); delete it and run again.") from None
        try:
            with file:
                yield file
        finally:
            if error := getattr(content, "error", None):  # which HDF5 may have taken for something that is not there
                raise error


@contextmanager
def opened(path: str | Path, kind: Kind | str, cached: bool = True) -> Iterator[h5py.File]:
    """Open an artifact for reading; what is read is compared with its checksums.

    ``cached`` False is for images and features, which are not compressed: HDF5 then reads the rows asked for and no whole chunks.
    Raises UserError if it is unreadable or damaged, or of another kind or version.
    """
    expected = as_kind(kind).schema
    with open_hdf5(path, checked=True, rdcc_nbytes=None if cached else 0) as file:
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


def rows(dataset: h5py.Dataset, positions: np.ndarray, block_bytes: int = BLOCK_BYTES) -> np.ndarray:
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
