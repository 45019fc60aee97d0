"""Image files in class folders, and what lies there instead of one."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from hostile import Case
from hostile._readers import data_set

DATA = zlib.compress(bytes(1000))
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def encoded(pixels=PIXELS, kind="PNG", **options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def folders(raw: Path) -> dict:
    """A harmless data set: two classes of three images."""
    for number, name in enumerate(["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"]):
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).write_bytes(encoded(np.roll(PIXELS, number)))
    return {"loader": "image_folder", "path": str(raw), "image_size": 8}


def with_file(name: str, content: bytes | Callable[[], bytes]):
    """The same with one more file; what is large is made when it is needed."""

    def build(raw):
        settings = folders(raw)
        (raw / name).write_bytes(content() if callable(content) else content)
        return settings

    return build


def with_entry(name: str, make):
    """The same with what ``make(path)`` puts there."""

    def build(raw):
        settings = folders(raw)
        make(raw / name)
        return settings

    return build


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth=8, colour=2, data=DATA) -> bytes:
    """A PNG with any header."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def zeros(n: int) -> bytes:
    """``n`` zeros, packed."""
    pack = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(
        [*(pack.compress(block[: min(len(block), n - first)]) for first in range(0, n, len(block))), pack.flush()]
    )


def jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header says another size."""
    data = bytearray(encoded(kind="JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp(width: int, height: int) -> bytes:
    data = bytearray(encoded(kind="BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def gif(width: int, height: int) -> bytes:
    data = bytearray(encoded(np.zeros((8, 8), np.uint8), kind="GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def webp(width: int, height: int) -> bytes:
    data = bytearray(encoded(kind="WEBP", lossless=True))
    place = data.index(b"VP8L") + 9
    data[place : place + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(data)


def tiff(*tags: tuple[int, int, int, int], following: int = 0, more: bytes = b"") -> bytes:
    """A TIFF of one directory of (tag, type, count, value)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + more


def gray_tiff(width: int, height: int, following: int = 0) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 200), (278, 4, 1, height), (279, 4, 1, width * height % 2**32)]
    return tiff(*tags, following=following, more=bytes(200))


def bombed_text(kind: bytes) -> bytes:
    packed = zeros(200 << 20)
    return png(8, 8, chunk(kind, b"a\0\0" + (b"\0\0" if kind == b"iTXt" else b"") + packed))


def animated(n: int) -> bytes:
    frames = [Image.fromarray(np.full((8, 8, 3), i % 256, np.uint8)) for i in range(n)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    return data.getvalue()


def many_texts() -> bytes:
    about = PngImagePlugin.PngInfo()
    for i in range(100_000):
        about.add_text(f"a{i}", "b")
    return encoded(pnginfo=about)


def deep_folders(raw: Path) -> dict:
    settings = folders(raw)
    place = os.open(raw / "a", os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=place)  # noqa: PTH102
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    return settings


def bound(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(here)


def looped(path: Path) -> None:
    path.symlink_to(path.name)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 43)


def refused(name, build, *words):
    return Case(f"image: {name}", build, data_set, words)


def read(name, build, right):
    return Case(f"image: {name}", build, data_set, right=right)


def six(found):
    assert found["images"].shape == (6, 8, 8, 3) and np.bincount(found["labels"]).tolist() == [3, 3]


def seven(found):
    assert found["images"].shape == (7, 8, 8, 3) and np.bincount(found["labels"]).tolist() == [4, 3]


def seventh_is(pixels):
    def right(found):
        seven(found)
        place = found["file"].tolist().index(b"a/x.png")
        np.testing.assert_array_equal(found["images"][place], pixels)

    return right


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(/tmp/pwned) (w) file closefile\nshowpage\n"
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(12) + bytes(2 + 3 * 64)
NO_IMAGE = ("a/x.png", "cannot be decoded as an image of at most 268,435,456 pixels")

CASES = [
    *(
        refused(f"{kind} that declares {side:,} x {side:,} pixels", with_file("a/x.png", make(side, side)), *NO_IMAGE)
        for kind, make, sides in (
            ("PNG", png, (17_000, 65_000, 2**31 - 1)),
            ("PNG of 16 bits and alpha", lambda w, h: png(w, h, depth=16, colour=6), (65_000,)),
            ("JPEG", jpeg, (65_000,)),
            ("BMP", bmp, (65_000,)),
            ("GIF", gif, (65_000,)),
            ("WebP", webp, (16_384,)),
            ("TIFF", gray_tiff, (65_000, 2**32 - 1)),
            ("PNM", lambda w, h: b"P6 %d %d 255\n" % (w, h) + bytes(100), (65_000, 10**30)),
        )
        for side in sides
    ),
    refused(
        "PNM whose maximum has 100,000 digits",
        with_file("a/x.png", b"P5 8 8 " + b"9" * 100_000 + b"\n" + bytes(64)),
        *NO_IMAGE,
    ),
    refused("PNG of no width", with_file("a/x.png", png(0, 8)), *NO_IMAGE),
    refused("PNG that ends early", with_file("a/x.png", encoded()[:60]), *NO_IMAGE),
    refused("PNG with less than it declares", with_file("a/x.png", png(3000, 3000)), *NO_IMAGE),
    refused("JPEG that ends early", with_file("a/x.png", encoded(kind="JPEG")[:150]), *NO_IMAGE),
    refused("file without a byte", with_file("a/x.png", b""), *NO_IMAGE),
    refused("file of zeros", with_file("a/x.png", bytes(10_000)), *NO_IMAGE),
    refused("only the first bytes of PNG", with_file("a/x.png", b"\x89PNG\r\n\x1a\n"), *NO_IMAGE),
    refused("SVG named .png", with_file("a/x.png", SVG), *NO_IMAGE),
    refused("EPS named .png", with_file("a/x.png", EPS), *NO_IMAGE),
    refused("PSD named .png", with_file("a/x.png", PSD), *NO_IMAGE),
    refused("HTML named .png", with_file("a/x.png", b"<html><script>alert(1)</script></html>"), *NO_IMAGE),
    refused("program named .png", with_file("a/x.png", Path("/bin/sh").resolve().read_bytes()[:100_000]), *NO_IMAGE),
    refused("TIFF whose directory is nowhere", with_file("a/x.png", b"II*\0\xff\xff\xff\x7f"), *NO_IMAGE),
    refused(
        "TIFF of 2^32 tags of one",
        with_file("a/x.png", tiff((256, 4, 2**32 - 1, 8), (257, 4, 2**32 - 1, 8))),
        *NO_IMAGE,
    ),
    refused("pipe in a class folder", with_entry("a/x.png", os.mkfifo), "a/x.png", "is a device, pipe or socket"),
    refused("pipe that is named no image", with_entry("a/pipe", os.mkfifo), "a/pipe", "is a device, pipe or socket"),
    refused("socket in a class folder", with_entry("a/x.png", bound), "a/x.png", "is a device, pipe or socket"),
    refused("link to /dev/zero", with_entry("a/x.png", lambda path: path.symlink_to("/dev/zero")), "is a device, pipe"),
    refused(
        "link to /dev/random that is named no image",
        with_entry("a/x", lambda path: path.symlink_to("/dev/random")),
        "device",
    ),
    refused("link to itself", with_entry("a/x.png", looped), "symbolic links"),
    refused("link to a missing file", with_entry("a/x.png", lambda path: path.symlink_to("nowhere.png")), "is missing"),
    refused(
        "link to a file of passwords", with_entry("a/x.png", lambda path: path.symlink_to("/etc/passwd")), *NO_IMAGE
    ),
    refused("folders in folders, 200 deep", deep_folders, "lies in more than 100 folders"),
    refused("8 terabytes of nothing", with_entry("a/x.png", sparse), "a/x.png", "bytes, and at most 1,073,741,824"),
    refused(
        "class folder whose name steers terminals",
        with_entry(
            "\x1b[2J",
            lambda path: (
                path.mkdir(),
                (path / "0.png").write_bytes(encoded()),
                (path / "1.png").write_bytes(encoded()),
            ),
        ),
        "\\x1b[2J",
        "can be printed",
    ),
    refused(
        "path that is a pipe",
        lambda raw: (os.mkfifo(raw / "x"), {"loader": "image_folder", "path": str(raw / "x")})[1],
        "pipe",
    ),
    refused(
        "path that is /dev/zero",
        lambda raw: {"loader": "image_folder", "path": "/dev/zero"},
        "is a device, pipe or socket",
    ),
    read("link to the folder that it is in", with_entry("a/x", lambda path: path.symlink_to(path.parent)), six),
    read("hidden pipe", with_entry("a/.pipe", os.mkfifo), six),
    read(
        "text of 200 MB in a PNG (zTXt)",
        with_file("a/x.png", lambda: bombed_text(b"zTXt")),
        seventh_is(np.zeros((8, 8, 3))),
    ),
    read(
        "text of 200 MB in a PNG (iTXt)",
        with_file("a/x.png", lambda: bombed_text(b"iTXt")),
        seventh_is(np.zeros((8, 8, 3))),
    ),
    refused(
        "profile of 200 MB in a PNG",
        with_file("a/x.png", lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + zeros(200 << 20)), colour=6)),
        *NO_IMAGE,
    ),
    refused(
        "9,000 x 9,000 transparent pixels",
        with_file("a/x.png", lambda: png(9_000, 9_000, colour=6, data=zeros(9_000 * 36_001))),
        *NO_IMAGE,
    ),
    read("100,000 texts in a PNG", with_file("a/x.png", lambda: many_texts()), seventh_is(PIXELS)),
    read(
        "TIFF whose directories are a loop",
        with_file("a/x.png", gray_tiff(8, 8, following=8)),
        seventh_is(np.zeros((8, 8, 3))),
    ),
    read("GIF of 5,000 images", with_file("a/x.png", lambda: animated(5_000)), seventh_is(np.zeros((8, 8, 3)))),
    read("bytes after the end of a PNG", with_file("a/x.png", lambda: encoded() + bytes(10 << 20)), seventh_is(PIXELS)),
    read("name of 250 letters", with_file(f"a/{'x' * 246}.png", encoded()), seven),
    read("name that steers terminals", with_file("a/\x1b[2J\n.png", encoded()), seven),
]
