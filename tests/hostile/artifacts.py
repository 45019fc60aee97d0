"""HDF5, JSON and safetensors files that are shown."""

import os

import h5py
import numpy as np

from hostile import Case
from hostile._readers import sheet, shown
from hostile.weights import safetensors, tensor


def hdf5(change):
    """An HDF5 file with what ``change(file, folder)`` puts there."""

    def build(folder):
        with h5py.File(folder / "x.h5", "w") as file:
            file.attrs["schema"] = "query/1"
            change(file, folder)
        return folder / "x.h5"

    return build


def bytes_of(name: str, content: bytes):
    def build(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return build


def refused(name, build, *words, read=shown):
    return Case(f"shown: {name}", build, read, words)


def read(name, build, right):
    return Case(f"shown: {name}", build, shown, right=right)


def holds(*words):
    def right(text):
        assert all(word in text for word in words) and "\x1b" not in text, text

    return right


def outside(file, folder):
    with h5py.File(folder / "secret.h5", "w") as other:
        other["ids"] = [17, 4711]
    return folder / "secret.h5"


def link_out(name):
    def change(file, folder):
        file[name] = h5py.ExternalLink(str(outside(file, folder)), "ids")

    return change


def raw_outside(file, folder):
    file.create_dataset("ids", (100,), np.uint8, external=[("/etc/passwd", 0, 100)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((2,), int)
    layout[:] = h5py.VirtualSource(str(outside(file, folder)), "ids", (2,))
    file.create_virtual_dataset("ids", layout)


def loop(file, folder):
    file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    file.create_group("g")["itself"] = file
    file["ids"] = [1]


def giant(file, folder):
    file.create_dataset("ids", (1 << 60,), int, chunks=(1 << 10,))
    file.create_dataset("images", (1 << 40, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3))


def bomb(file, folder):
    data = file.create_dataset("score", (50 << 20,), np.uint8, chunks=(50 << 20,), compression="gzip")
    data[:1] = 1


def deep(file, folder):
    for _ in range(100):
        file = file.create_group("g")
    file["ids"] = [1]


def strange(file, folder):
    file["object"] = np.array(["a", "bc"], object)
    file["reference"] = np.array([file.ref], h5py.ref_dtype)
    file["enum"] = np.zeros(2, h5py.enum_dtype({"a": 0}))
    file["void"] = np.zeros(2, "V5")
    file["labels"] = np.array([np.nan, 1e308, -np.inf])
    file["half"] = np.zeros(3, np.float16)
    file["\x1b[2J"] = ["\x1b[2J"]


def ids(values):
    def change(file, folder):
        file["ids"] = values

    return change


NESTED = b"[" * 100_000
CASES = [
    refused("link into another file", hdf5(link_out("ids")), "x.h5 has ids in another file"),
    refused("attributes in another file", hdf5(link_out("attributes")), "x.h5 has attributes in another file"),
    refused("link into another file, for a sheet", hdf5(link_out("ids")), "x.h5 has ids in another file", read=sheet),
    refused("values in a file of passwords", hdf5(raw_outside), "x.h5 has ids in another file"),
    refused(
        "values in a file of passwords, for a sheet", hdf5(raw_outside), "x.h5 has ids in another file", read=sheet
    ),
    refused("values of another file", hdf5(virtual), "x.h5 has ids in another file"),
    refused("ids that are a group", hdf5(lambda file, folder: file.create_group("ids")), "holds no ids", read=sheet),
    refused("ids that are fractions", hdf5(ids([0.5])), "holds no ids", read=sheet),
    refused("ids that are one number", hdf5(ids(5)), "holds no ids", read=sheet),
    refused("ids of no study", hdf5(ids([-1, 1 << 60])), "leads to no images", read=sheet),
    refused(
        "pipe, for a sheet", lambda folder: os.mkfifo(folder / "x.h5") or folder / "x.h5", "device, pipe", read=sheet
    ),
    refused("pipe", lambda folder: os.mkfifo(folder / "x.h5") or folder / "x.h5", "x.h5"),
    refused("/dev/zero", lambda folder: "/dev/zero", "/dev/zero"),
    refused("no HDF5", bytes_of("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(1000)), "x.h5"),
    refused("HDF5 that ends early", lambda folder: cut(hdf5(ids(np.arange(10_000)))(folder)), "x.h5"),
    refused("JSON in JSON, 100,000 deep", bytes_of("x.json", NESTED), "x.json"),
    refused("JSON in no UTF-8", bytes_of("x.json", b'"\xff"'), "x.json"),
    refused("safetensors with a header of brackets", bytes_of("x.safetensors", safetensors(NESTED)), "x.safetensors"),
    refused("safetensors with a list as a header", bytes_of("x.safetensors", safetensors([1])), "x.safetensors"),
    refused(
        "safetensors with words as offsets",
        bytes_of("x.safetensors", safetensors({"a": tensor([1], "a", "b")})),
        "x.safetensors",
    ),
    refused(
        "safetensors with a number as attributes",
        bytes_of("x.safetensors", safetensors({"__metadata__": 1})),
        "x.safetensors",
    ),
    refused(
        "safetensors with a shape of words",
        bytes_of("x.safetensors", safetensors({"a": tensor(["x"], 0, 0)})),
        "x.safetensors",
    ),
    read("links that are loops", hdf5(loop), holds("ids")),
    read("10^18 numbers that are not there", hdf5(giant), holds("ids", "1152921504606846976")),
    read("50 MB in little", hdf5(bomb), holds("score", "52428800")),
    read("groups in groups, 100 deep", hdf5(deep), holds("ids")),
    read("strange types", hdf5(strange), holds("reference", "enum", "void")),
]


def cut(path):
    path.write_bytes(path.read_bytes()[:40_000])
    return path
