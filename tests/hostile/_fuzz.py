"""Fuzzing: harmless files of every kind with a few bytes changed. A reader may read one or refuse it, and nothing else.

``python tests/hostile/_fuzz.py SECONDS [SEED]`` goes on for so long (``make fuzz SECONDS=3600``) and keeps every file that a reader
dies of. What it finds becomes a case. The n-th change to a file follows from the seed, the kind of file and n.
"""

import io
import os
import re
import select
import signal
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [path for path in (str(HERE.parent), str(HERE.parents[1] / "workflow")) if path not in sys.path]

import odd_inputs  # noqa: E402
import odd_videos  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save  # noqa: E402

import hostile  # noqa: E402
from dagal import config, datasets  # noqa: E402
from dagal.datasets import frames  # noqa: E402
from dagal.datasets.decoding import Decoder  # noqa: E402
from dagal.errors import UserError  # noqa: E402
from dagal.learners.weights import read_weights  # noqa: E402
from hostile import annotations, archives, arrays, configs, images, weights  # noqa: E402
from hostile._readers import shown  # noqa: E402

BATCH = 25  # changed files that a process reads
EDGES = [0, 1, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
WORDS = [
    b"-1",
    b"1e308",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"9" * 400,
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"0.5",
    b"\xff",
    b"\0",
    b"*a",
    b"&a",
]
SECONDS = 5  # of processor time for one file


def changed(samples: list[bytes], rng: np.random.Generator) -> bytes:
    """One of the samples with one to four changes."""
    data = bytearray(samples[rng.integers(len(samples))])
    for _ in range(rng.integers(1, 5)):
        first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        last = min(last, first + int(2 ** rng.uniform(0, 12)))
        kind = rng.integers(9)
        if kind == 0 and first < len(data):
            data[first] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[first:last] = rng.bytes(last - first)
        elif kind == 2:
            del data[first:last]
        elif kind == 3:
            data[first:first] = data[first:last] * int(rng.integers(1, 20))
        elif kind == 4:
            del data[last if rng.random() < 0.5 else first :]
        elif kind == 5:
            other = samples[rng.integers(len(samples))]
            data[first:last] = other[first : first + int(rng.integers(200))]
        elif kind == 6:
            size = int(rng.choice([1, 2, 4, 8]))
            edge = EDGES[rng.integers(len(EDGES))] % 256**size
            data[first : first + size] = edge.to_bytes(size, "little" if rng.random() < 0.5 else "big")
        else:  # a number or a word
            tokens = list(re.finditer(rb"-?[0-9.]+|[A-Za-z_]+", data[: 1 << 16]))
            if tokens:
                token = tokens[rng.integers(len(tokens))]
                data[token.start() : token.end()] = WORDS[rng.integers(len(WORDS))]
    return bytes(data)


def image(data: bytes, folder: Path) -> None:
    Decoder({}, lambda: iter(())).rgb(data, "x") if data else None
    frames.header(io.BytesIO(data))


def of_data_set(settings: dict, name: str) -> Callable:
    """Reads a data set of which one file is changed, to its last image."""

    def read(data, folder):
        place = Path(settings["path"])
        (place / name if place.is_dir() else place).write_bytes(data)
        source = datasets.LOADERS.find(settings["loader"])(settings)
        for _ in source.images if hasattr(source, "images") else source.frames:
            pass

    return read


def to_file(name: str, reader: Callable) -> Callable:
    def read(data, folder):
        (folder / name).write_bytes(data)
        reader(folder / name)

    return read


def encodings() -> dict[str, list[bytes]]:
    """Image files by format."""
    rgb, deep = images.PIXELS, np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    alpha = np.dstack([rgb, rgb[..., :1]])
    found = {kind: [images.encoded(rgb, kind)] for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")}
    found["PNG"] += [images.encoded(deep), images.encoded(alpha), images.many_texts()[:3000]]
    found["TIFF"] += [
        images.encoded(deep, "TIFF"),
        images.encoded(alpha, "TIFF", compression="tiff_lzw"),
        images.gray_tiff(8, 8),
    ]
    found["GIF"] += [images.animated(3)]
    exif = Image.Exif()
    exif[0x0112] = 6
    found["JPEG"] += [images.encoded(rgb, "JPEG", exif=exif)]
    return found


def hdf5(folder: Path) -> bytes:
    with h5py.File(folder / "sample.h5", "w") as file:
        file.attrs["schema"] = "query/1"
        file["ids"], file["score"] = np.arange(20), np.linspace(0, 1, 20)
        file.create_dataset("images", data=np.zeros((4, 8, 8, 3), np.uint8), chunks=(1, 8, 8, 3), compression="gzip")
        file.create_dataset("class_names", data=["a", "b"])
    return (folder / "sample.h5").read_bytes()


def kinds(folder: Path) -> dict[str, tuple[list[bytes], Callable]]:
    """Kind of file -> (harmless samples, reader of (bytes, folder))."""
    found = {f"image {kind}": (samples, image) for kind, samples in encodings().items()}
    found["config"] = (
        [
            configs.STUDY.encode(),
            *(path.read_bytes() for path in sorted((HERE.parents[1] / "experiments").glob("*.yaml"))),
        ],
        to_file("study.yaml", config.load),
    )
    found["weights .pth"] = ([weights.saved(weights.STATE)], to_file("w.pth", lambda path: read_weights(str(path))))
    found["weights .safetensors"] = (
        [save(weights.STATE)],
        to_file("w.safetensors", lambda path: read_weights(str(path))),
    )
    found["shown .safetensors"] = (
        [save({"a": weights.STATE[weights.FIRST][:1, :1]})],
        to_file("w.safetensors", lambda path: shown(path, folder)),
    )
    found["shown .h5"] = ([hdf5(folder)], to_file("x.h5", lambda path: shown(path, folder)))
    sets = {
        "zip": (lambda raw: archives.settings(raw, "x.zip", archives.zipped()), "x.zip"),
        "tar": (lambda raw: archives.settings(raw, "x.tar", archives.tarred()), "x.tar"),
        "tar.gz": (lambda raw: archives.settings(raw, "x.tar", archives.gzip.compress(archives.tarred())), "x.tar"),
        "npz": (
            lambda raw: arrays.npz(raw, {"images": arrays.IMAGES, "labels": arrays.LABELS, "class_names": ["a", "b"]}),
            "x.npz",
        ),
        "csv": (arrays.table(arrays.rows()), "t.csv"),
        "parquet": (
            arrays.table(arrays.parquet({"image": arrays.PICTURES, "label": arrays.PATHS["label"]}), "parquet"),
            "t.parquet",
        ),
        "parquet of paths": (arrays.table(arrays.parquet(arrays.PATHS), "parquet"), "t.parquet"),
        "annotations": (annotations.survey(), "annotations.json"),
        "detections": (annotations.survey(), "detections.json"),
        "COCO videos": (annotations.videos(), "annotations.json"),
        "MOT boxes": (annotations.mot(), "a/gt/gt.txt"),
        "MOT seqinfo": (annotations.mot(), "a/seqinfo.ini"),
        "ImageNet-VID": (annotations.imagenet(annotations.XML), "Annotations/VID/train/x/a/000000.xml"),
        "film": (annotations.film(None, make=lambda path: odd_videos.film(path)), "a.mp4"),
    }
    for kind, (build, name) in sets.items():
        (folder / kind).mkdir()
        settings = odd_inputs.resolved({"name": "fuzz", **build(folder / kind)})
        place = Path(settings["path"])
        found[kind] = ([(place / name if place.is_dir() else place).read_bytes()], of_data_set(settings, name))
    return found


def batch(kind: str, samples: list[bytes], read: Callable, numbers: range, seed: int, folder: Path) -> tuple[int, str]:
    """Have a process read changed files: how many it has read, and what went wrong with the last of them, or nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            hostile.limit(SECONDS * BATCH)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            for number in numbers:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                os.write(writing, b".")
                try:
                    read(nth(kind, samples, number, seed), folder)
                except UserError:
                    pass
                except BaseException:
                    os.write(writing, traceback.format_exc(limit=-4).encode())
                    break
        finally:
            os._exit(0)
    os.close(writing)
    told = b""
    while select.select([reading], [], [], hostile.WAIT_SECONDS)[0] and (block := os.read(reading, 1 << 16)):
        told += block
    waited = os.waitpid(child, os.WNOHANG)
    if waited == (0, 0) and not select.select([reading], [], [], 0)[0]:
        os.kill(child, signal.SIGKILL)
    status = waited[1] if waited[0] else os.waitpid(child, 0)[1]
    os.close(reading)
    n = len(told) - len(told.lstrip(b"."))
    wrong = told[n:].decode(errors="replace")
    return n, wrong or (f"its process died of signal {os.WTERMSIG(status)}" if status else "")


def nth(kind: str, samples: list[bytes], number: int, seed: int) -> bytes:
    return changed(samples, np.random.default_rng([seed, zlib.crc32(kind.encode()), number]))


def fuzz(
    kind: str, samples: list[bytes], read: Callable, numbers: range, seed: int, folder: Path
) -> list[tuple[int, str]]:
    """(number, what went wrong) of every changed file that was neither read nor refused."""
    found = []
    while numbers:
        n, wrong = batch(kind, samples, read, numbers[:BATCH], seed, folder)
        if wrong:
            found.append((numbers[n - 1], wrong))
        numbers = numbers[max(n, 1) :]
    return found


def main(seconds: float, seed: int) -> int:
    """Fuzz all kinds in turn; the exit code is 1 if something was found."""
    end, first, n, found = time.monotonic() + seconds, 0, 0, 0
    kept = Path(tempfile.mkdtemp(prefix="fuzz-"))
    with tempfile.TemporaryDirectory() as place:
        every = kinds(Path(place))
        while time.monotonic() < end:
            for kind, (samples, read) in every.items():
                for number, wrong in fuzz(kind, samples, read, range(first, first + BATCH), seed, Path(place)):
                    file = kept / f"{kind.replace(' ', '-')}-{seed}-{number}"
                    file.write_bytes(nth(kind, samples, number, seed))
                    print(f"{file}\n{wrong}", flush=True)
                    found += 1
                n += BATCH
                if time.monotonic() > end:
                    break
            first += BATCH
    print(f"{n:,} changed files of {len(every)} kinds: {found} were neither read nor refused in a sentence")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
