"""Files of weights: safetensors, and what torch writes."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import torch
from safetensors.torch import save

from dagal.learners.networks.lenet import lenet
from hostile import Case
from hostile._readers import backbone

torch.manual_seed(0)
STATE = {
    name: tensor.clone(memory_format=torch.contiguous_format)
    for name, tensor in lenet((1, 16, 16), {})[0].state_dict().items()
}
FIRST = next(iter(STATE))


class Payload:
    """What a pickle of runs when it is read."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def saved(state: object) -> bytes:
    data = io.BytesIO()
    torch.save(state, data)
    return data.getvalue()


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape, first, last, dtype="F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def changed(**about) -> dict:
    """The state with another first tensor, or more of them."""
    return STATE | {about.pop("name", FIRST): about["tensor"]}


def packed(content: bytes) -> bytes:
    """The .pth with its members deflated, which torch itself never writes."""
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as file, zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as out:
        for member in file.namelist():
            out.writestr(member, file.read(member))
    return data.getvalue()


def given(name: str, content, *words: str, ending="pth"):
    def build(folder):
        (folder / f"w.{ending}").write_bytes(content())
        return folder / f"w.{ending}"

    return Case(f"weights: {name}", build, backbone, (f"w.{ending} cannot be loaded", *words))


def tensors(name: str, content, *words: str):
    return given(f"safetensors, {name}", content, *words, ending="safetensors")


def at(name: str, make, *words: str):
    return Case(f"weights: {name}", make, backbone, words)


def pipe(folder):
    os.mkfifo(folder / "w.pth")
    return folder / "w.pth"


def harmless(name: str, content, ending="pth"):
    def build(folder):
        (folder / f"w.{ending}").write_bytes(content())
        return folder / f"w.{ending}"

    return Case(f"weights: {name}", build, backbone, right=as_given)


def as_given(model):
    found = model.network.state_dict()
    assert found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


NAN, INFINITE = (torch.full_like(STATE[FIRST], value) for value in (np.nan, np.inf))
CASES = [
    given("pickle that runs a program", lambda: pickle.dumps(Payload()), "other objects than tensors"),
    given("pickle that runs a program, in .pth", lambda: saved({FIRST: Payload()}), "other objects than tensors"),
    given("NaN", lambda: saved(changed(tensor=NAN)), "numbers that are not finite"),
    given("infinite", lambda: saved(changed(tensor=INFINITE)), "numbers that are not finite"),
    given(
        "tensor of 10^12 numbers in 4 bytes",
        lambda: saved(changed(tensor=torch.zeros(1).expand(10**12))),
        "more than the file",
    ),
    given("tensor of 120 MB in little", lambda: packed(saved(changed(tensor=torch.zeros(3 * 10**7)))), "are packed"),
    given("tensors of other shapes", lambda: saved(changed(tensor=torch.zeros(7))), "into this architecture"),
    given("list", lambda: saved([1, 2, 3])),
    given("tensor", lambda: saved(torch.zeros(3))),
    given("names that are numbers", lambda: saved({1: torch.zeros(3)}), "is no tensor with a name"),
    given("numbers", lambda: saved({FIRST: 1.0}), "is no tensor with a name"),
    given("sparse tensor", lambda: saved(changed(tensor=torch.zeros(3).to_sparse())), "is no tensor with a name"),
    given("lists in lists", lambda: pickle.dumps({"a": [[[[]]]]}), ""),
    given("nothing", lambda: b"", ""),
    given("noise", lambda: np.random.default_rng(0).bytes(5000), ""),
    given("zip that ends early", lambda: saved(STATE)[:2000], ""),
    given("zip with another zip's ending", lambda: saved(STATE)[:-100] + bytes(100), ""),
    tensors("header of 2^60 bytes", lambda: safetensors({}, length=1 << 60)),
    tensors("header of 90 MB", lambda: safetensors(b" " * (90 << 20))),
    tensors("header that ends early", lambda: safetensors({}, length=500)),
    tensors("header that is no JSON", lambda: safetensors(b"{{{{{{{{")),
    tensors("header of brackets", lambda: safetensors(b"[" * 100_000)),
    tensors("list as a header", lambda: safetensors([1])),
    tensors("offsets that overlap", lambda: safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12))),
    tensors("offsets that lead out", lambda: safetensors({"a": tensor([2], 0, 1 << 40)}, bytes(8))),
    tensors("offsets that go back", lambda: safetensors({"a": tensor([2], 8, 0)}, bytes(8))),
    tensors("shape of another size", lambda: safetensors({"a": tensor([1 << 40], 0, 8)}, bytes(8))),
    tensors("shape that overflows", lambda: safetensors({"a": tensor([1 << 62, 1 << 62], 0, 8)}, bytes(8))),
    tensors("negative shape", lambda: safetensors({"a": tensor([-2], 0, 8)}, bytes(8))),
    tensors("unknown type", lambda: safetensors({"a": tensor([2], 0, 8, "X99")}, bytes(8))),
    tensors("hole in the data", lambda: safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 100, 104)}, bytes(104))),
    tensors("NaN", lambda: save(changed(tensor=NAN)), "numbers that are not finite"),
    tensors("tensors of other shapes", lambda: save(changed(tensor=torch.zeros(7))), "into this architecture"),
    tensors("nothing", lambda: b""),
    tensors("seven bytes", lambda: bytes(7)),
    at("pipe", pipe, "is a device, pipe or socket"),
    at("/dev/zero", lambda folder: "/dev/zero", "is a device, pipe or socket"),
    at("folder", lambda folder: folder, "cannot be loaded"),
    harmless("state dict", lambda: saved(STATE)),
    harmless("safetensors, state dict", lambda: save(STATE), "safetensors"),
]
