"""Arrays (.npz) and tables (.csv, .tsv, .parquet)."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hostile import Case
from hostile._readers import data_set
from hostile.archives import FILES, lying
from hostile.images import encoded, six

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 1] * 3)


def npz(raw: Path, arrays: dict, packed=False) -> dict:
    (np.savez_compressed if packed else np.savez)(raw / "x.npz", **arrays)
    return {"loader": "npz", "path": str(raw / "x.npz"), "image_size": 8}


def npy(header: bytes, data: bytes = b"") -> bytes:
    """An array with any header."""
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def bytes_of(**arrays) -> bytes:
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def members(**members: bytes):
    """An .npz of such members, some of which are none."""

    def build(raw):
        with zipfile.ZipFile(raw / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(f"{name}.npy", content)
        return {"loader": "npz", "path": str(raw / "x.npz")}

    return build


class Payload:
    """What a pickle of runs when it is read."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def arrays(name, made: dict, *words, packed=False):
    return Case(f"npz: {name}", lambda raw: npz(raw, made, packed), data_set, ("x.npz", *words))


def file(name, content, *words):
    def build(raw):
        (raw / "x.npz").write_bytes(content())
        return {"loader": "npz", "path": str(raw / "x.npz")}

    return Case(f"npz: {name}", build, data_set, ("x.npz", *words))


def table(text: str | bytes | Callable[[], bytes], ending="csv"):
    def build(raw):
        for name, content in FILES.items():
            (raw / name).parent.mkdir(exist_ok=True)
            (raw / name).write_bytes(content)
        content = text() if callable(text) else text
        (raw / f"t.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
        return {"loader": "image_table", "path": str(raw / f"t.{ending}"), "image_size": 8}

    return build


def rows(*more: str, label=lambda name: name[0]) -> str:
    return "\n".join(["path,label", *(f"{name},{label(name)}" for name in FILES), *more])


def refused(name, text, *words, ending="csv"):
    return Case(f"table: {name}", table(text, ending), data_set, (f"t.{ending}", *words))


def read(name, text, right=six, ending="csv"):
    return Case(f"table: {name}", table(text, ending), data_set, right=right)


def parquet(columns: dict, about: bytes = b"{}") -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({b"huggingface": about}), data)
    return data.getvalue()


def many_rows() -> bytes:
    """Sixty million rows of two values, in little."""
    data, n = io.BytesIO(), 1_000_000
    part = pa.table(
        {
            "path": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), ["a"]).cast(pa.string()),
            "label": np.zeros(n, bool),
        }
    )
    with pq.ParquetWriter(data, part.schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(part)
    return data.getvalue()


def spoiled(content: bytes) -> bytes:
    """Its directory is damaged."""
    data = bytearray(content)
    data[-60:-20] = bytes(40)
    return bytes(data)


PICTURES = [{"bytes": content, "path": name} for name, content in FILES.items()]
PATHS = {"path": list(FILES), "label": [name[0] for name in FILES]}
NONE = "is no .npz file of plain arrays"

CASES = [
    arrays("pickled objects", {"images": IMAGES, "labels": np.array([Payload()] * 6)}, NONE),
    arrays(
        "pickled names of classes", {"images": IMAGES, "labels": LABELS, "class_names": np.array([Payload()] * 2)}, NONE
    ),
    arrays(
        "zeros that are packed to nothing",
        {"images": np.zeros((40, 1000, 1000, 3), np.uint8), "labels": np.arange(40) % 2},
        "more than 100 times its size",
        packed=True,
    ),
    arrays(
        "list of lists of names", {"images": IMAGES, "labels": LABELS, "class_names": [["a", "b"]]}, "must be a list"
    ),
    arrays("one name", {"images": IMAGES, "labels": LABELS, "class_names": "ab"}, "must be a list"),
    arrays("one group", {"images": IMAGES, "labels": LABELS, "group": 1}, "must be a list"),
    arrays("labels that are not finite", {"images": IMAGES, "labels": np.full(6, np.nan)}, "labels"),
    arrays(
        "negative labels with names", {"images": IMAGES, "labels": LABELS - 1, "class_names": ["a", "b"]}, "label -1"
    ),
    arrays(
        "labels of 2^63 with names",
        {"images": IMAGES, "labels": np.full(6, 2**63, np.uint64), "class_names": ["a"]},
        "label",
    ),
    arrays("complex images", {"images": IMAGES.astype(complex), "labels": LABELS}, "images must be numbers"),
    arrays("images of text", {"images": IMAGES.astype(str), "labels": LABELS}, "images must be numbers"),
    arrays(
        "images of no pixel", {"images": np.zeros((6, 0, 8, 3), np.uint8), "labels": LABELS}, "images must be numbers"
    ),
    arrays("images of eleven axes", {"images": np.zeros((6,) + (1,) * 10), "labels": LABELS}, "images must be numbers"),
    Case(
        "npz: images that are nowhere finite",
        lambda raw: npz(raw, {"images": np.full((6, 8, 8), np.nan), "labels": LABELS}),
        data_set,
        ("hold no finite value",),
    ),
    arrays("fewer labels than images", {"images": IMAGES, "labels": LABELS[:5]}, "labels"),
    arrays(
        "names that steer terminals",
        {"images": IMAGES, "labels": LABELS, "class_names": ["a", "\x1b[2J"]},
        "can be printed",
    ),
    arrays(
        "name of 100,000 letters",
        {"images": IMAGES, "labels": LABELS, "class_names": ["a", "b" * 100_000]},
        "200 letters",
    ),
    arrays("labels in no UTF-8", {"images": IMAGES, "labels": np.array([b"a", b"\xff"] * 3)}, "UTF-8"),
    Case(
        "npz: header of a terabyte",
        members(images=npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,), }"), labels=b""),
        data_set,
        ("x.npz", NONE),
    ),
    Case(
        "npz: header of 2^62 numbers of 8 bytes",
        members(images=npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,), }"), labels=b""),
        data_set,
        ("x.npz", NONE),
    ),
    Case(
        "npz: negative shape",
        members(images=npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -1), }"), labels=b""),
        data_set,
        ("x.npz", NONE),
    ),
    Case(
        "npz: header that is code",
        members(images=npy(b"__import__('os').system('touch pwned')"), labels=b""),
        data_set,
        ("x.npz", NONE),
    ),
    Case("npz: header of brackets", members(images=npy(b"(" * 9000), labels=b""), data_set, ("x.npz", NONE)),
    Case(
        "npz: pipe",
        lambda raw: (os.mkfifo(raw / "x.npz"), {"loader": "npz", "path": str(raw / "x.npz")})[1],
        data_set,
        ("device, pipe",),
    ),
    Case("npz: /dev/zero", lambda raw: {"loader": "npz", "path": "/dev/zero"}, data_set, ("device, pipe or socket",)),
    file("pickle", lambda: __import__("pickle").dumps(Payload()), NONE),
    file(
        "array that is in no .npz",
        lambda: npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", b"\0"),
        NONE,
    ),
    file("encrypted", lambda: lying(bytes_of(images=IMAGES, labels=LABELS), "images.npy", flags=1), NONE),
    file("ends early", lambda: bytes_of(images=IMAGES, labels=LABELS)[:500], NONE),
    file("noise", lambda: np.random.default_rng(0).bytes(1000), NONE),
    refused("quote that never ends", rows('"a/0.png,' + "a,b\n" * 100_000)),
    refused("cell of ten million letters", rows(f"a/x.png,{'a' * 10_000_000}"), "field larger than"),
    refused("class of 1,000 letters", rows(label=lambda name: name[0] * 1000), "at most 200 letters"),
    refused("class that steers terminals", rows(label=lambda name: f"{name[0]}\x1b[2J"), "\\x1b[2J", "can be printed"),
    refused("NUL in a path", rows("a/\0.png,a"), "is missing from"),
    refused("path of 5,000 letters", rows(f"{'a' * 5000}.png,a")),
    refused("path that is a device", rows("/dev/zero,a"), "/dev/zero is missing from"),
    refused(
        "path to a file of passwords", rows("../../../../../../../../etc/passwd,a"), "cannot be decoded as an image"
    ),
    refused("path to a file of passwords from the root", rows("/etc/passwd,a"), "cannot be decoded as an image"),
    refused("path in no UTF-8", rows().encode() + b"\n\xff.png,a", "is no text in UTF-8"),
    refused("UTF-16", rows().encode("utf-16"), "is no text in UTF-8"),
    refused("rows of different length", rows("a,b,c"), "cells in row"),
    refused("nothing", "", "is empty"),
    refused("only quotes", '"""""""""', "has no column"),
    refused("column twice", rows().replace("path,label", "path,path"), "no column label"),
    refused("Parquet that is none", b"PAR1" + bytes(100) + b"PAR1", "cannot be read as Parquet", ending="parquet"),
    refused("Parquet that is damaged", spoiled(parquet(PATHS)), "cannot be read as Parquet", ending="parquet"),
    refused("Parquet that ends early", parquet(PATHS)[:200], "cannot be read as Parquet", ending="parquet"),
    refused("Parquet of sixty million rows", many_rows, "has 60,000,000 rows", ending="parquet"),
    refused(
        "Parquet whose images are numbers",
        parquet({"image": list(range(6)), "label": [0, 1] * 3}),
        "cannot be decoded",
        ending="parquet",
    ),
    refused(
        "Parquet whose images are lists",
        parquet({"image": [[1]] * 6, "label": [0, 1] * 3}),
        "cannot be decoded",
        ending="parquet",
    ),
    refused(
        "Parquet whose images are of nothing", parquet({"image": [None] * 6, "label": [0, 1] * 3}), ending="parquet"
    ),
    refused(
        "Parquet whose images are bombs",
        parquet({"image": [{"bytes": encoded()[:-9]}] * 6, "label": [0, 1] * 3}),
        "cannot be decoded",
        ending="parquet",
    ),
    read(
        "Parquet whose names are of nothing",
        parquet({"image": PICTURES, "label": PATHS["label"]}, b'{"info": [1]}'),
        ending="parquet",
    ),
    read(
        "Parquet whose names are nested",
        parquet({"image": PICTURES, "label": PATHS["label"]}, b"[" * 100_000),
        ending="parquet",
    ),
    read("formulas as classes", rows(label=lambda name: f"=cmd|'/c {name[0]}'!A0"), lambda found: six(found)),
    read("paths that lead out and back", rows(label=lambda name: name[0]).replace("a/", "../brought/a/")),
]
