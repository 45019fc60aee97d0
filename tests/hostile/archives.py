"""Archives of class folders."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile

import numpy as np

from hostile import Case
from hostile._readers import data_set
from hostile.images import PIXELS, encoded, six

NAMES = ["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"]
FILES = {name: encoded(np.roll(PIXELS, number)) for number, name in enumerate(NAMES)}
ZEROS = bytes(64 << 20)


def settings(raw, name: str, content: bytes) -> dict:
    (raw / name).write_bytes(content)
    return {"loader": "image_folder", "path": str(raw / name), "image_size": 8}


def tarred(change=lambda tar: None, kind=tarfile.GNU_FORMAT) -> bytes:
    """A harmless tar, to which ``change`` adds."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=kind) as tar:
        for name, content in FILES.items():
            add(tar, name, content)
        change(tar)
    return data.getvalue()


def add(tar, name: str, content: bytes = b"", **about) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in about.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def header(name: str, size: int, kind: bytes) -> bytes:
    """The block of a tar member that says any size."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def zipped(change=lambda archive: None, method=zipfile.ZIP_DEFLATED) -> bytes:
    """A harmless zip, to which ``change`` adds."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        change(archive)
    return data.getvalue()


def lying(content: bytes, name: str, **fields) -> bytes:
    """A zip whose directory and local header say other things of a member: `size`, `method`, `flags`."""
    data, places = bytearray(content), {"flags": (6, "<H"), "method": (8, "<H"), "size": (22, "<I")}
    for key, value in fields.items():
        place, kind = places[key]
        for magic, further in ((b"PK\1\2", 2), (b"PK\3\4", 0)):
            at = data.rindex(magic, 0, data.rindex(name.encode()) if further else data.index(name.encode()))
            struct.pack_into(kind, data, at + place + further, value)
    return bytes(data)


def one_more(name: str, content: bytes):
    return lambda archive: archive.writestr(name, content)


def overlapping(n: int) -> bytes:
    """A zip whose entries all are the same packed 64 MB of zeros: a terabyte in little."""
    content = zipped(one_more("a/x.png", ZEROS))
    end = content.rindex(b"PK\5\6")
    start = content.rindex(b"PK\1\2", 0, end)
    entry = content[start:end]
    copies = b"".join(entry.replace(b"a/x.png", b"a/%05d" % i) for i in range(n))
    whole = bytearray(content[:end] + copies + content[end:])
    at, first = whole.rindex(b"PK\5\6"), struct.unpack_from("<I", content, end + 16)[0]
    count = 7 + n
    struct.pack_into("<HHII", whole, at + 8, count, count, at - first, first)
    return bytes(whole)


def link_out(archive) -> None:
    member = zipfile.ZipInfo("a/x.png")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


def special(kind: bytes, **about):
    return lambda tar: add(tar, "a/x.png", type=kind, **about)


def packed_late(make) -> bytes:
    """A tar after whose members come 1.6 GB of zeros."""
    return make(tarred()) + make(ZEROS[: 8 << 20]) * 200


def sparse(tar) -> None:
    """A member of a terabyte, of which no byte is stored (GNU 1.0)."""
    about = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(1 << 40),
        "GNU.sparse.name": "a/x.png",
    }
    add(tar, "a/x.png", b"1\n1099511627776\n0\n".ljust(512, b"\0"), pax_headers=about)


def refused(name, build, *words):
    return Case(f"archive: {name}", build, data_set, words)


def read(name, build, right):
    return Case(f"archive: {name}", build, data_set, right=right)


def tar(name, content, *words):
    return refused(f"tar: {name}", lambda raw: settings(raw, "x.tar", content()), "x.tar", *words)


def zip_(name, content, *words):
    return refused(f"zip: {name}", lambda raw: settings(raw, "x.zip", content()), "x.zip", *words)


def harmless(name, content, right=six):
    return read(name, lambda raw: settings(raw, "x.archive", content()), right)


def second_counts(found):
    six(found)
    place = found["file"].tolist().index(b"a/0.png")
    np.testing.assert_array_equal(found["images"][place], PIXELS[::-1])


def many(n: int) -> bytes:
    """A zip of so many members of no byte, and the images."""

    def change(archive):
        for i in range(n):
            archive.writestr(f"a/{i}.txt", b"")

    return zipped(change, zipfile.ZIP_STORED)


END = "cannot be read to its end"
CASES = [
    refused(
        "zip of a pipe",
        lambda raw: (os.mkfifo(raw / "x.zip"), {"loader": "image_folder", "path": str(raw / "x.zip")})[1],
        "pipe",
    ),
    zip_("64 MB of zeros in 65 kB, 9,000 times the same", lambda: overlapping(9000), "more than 100 times its size"),
    zip_("member of 130 MB of zeros", lambda: zipped(one_more("a/x.png", ZEROS * 2)), "more than 100 times its size"),
    zip_("says a member has 4 GB", lambda: lying(zipped(), "a/0.png", size=0xFFFFFFFE), "more than 100 times"),
    zip_("says a bomb has 100 bytes", lambda: lying(zipped(one_more("a/x.png", ZEROS)), "a/x.png", size=100), END),
    zip_("bzip2", lambda: zipped(method=zipfile.ZIP_BZIP2), "by a method other than deflate"),
    zip_("LZMA", lambda: zipped(method=zipfile.ZIP_LZMA), "by a method other than deflate"),
    zip_("unknown method", lambda: lying(zipped(), "a/0.png", method=77), "by a method other than deflate"),
    zip_("encrypted", lambda: lying(zipped(), "a/0.png", flags=1), "encrypted"),
    zip_("says it is packed, and is not", lambda: lying(zipped(method=zipfile.ZIP_STORED), "a/0.png", method=8), END),
    zip_("ends early", lambda: zipped()[:-30], END),
    zip_("only its first bytes", lambda: b"PK\3\4", END),
    zip_(
        "damaged inside",
        lambda: zipped().replace(FILES["a/0.png"][:4], b"????", 1)[:100] + bytes(100) + zipped()[200:],
        END,
    ),
    zip_("link out of it", lambda: zipped(link_out), "a/x.png as a link"),
    zip_("no image", lambda: zipped().replace(b".png", b".txt"), "has no image"),
    zip_("nothing", lambda: b"PK\5\6" + bytes(18), "holds fewer than two class folders"),
    tar("device", lambda: tarred(special(tarfile.CHRTYPE, devmajor=1, devminor=5)), "a/x.png as a link or device"),
    tar("pipe", lambda: tarred(special(tarfile.FIFOTYPE)), "a/x.png as a link or device"),
    tar(
        "link out of it",
        lambda: tarred(special(tarfile.SYMTYPE, linkname="/etc/passwd")),
        "a/x.png as a link or device",
    ),
    tar(
        "hard link out of it",
        lambda: tarred(special(tarfile.LNKTYPE, linkname="../../x")),
        "a/x.png as a link or device",
    ),
    tar(
        "sparse member of a terabyte", lambda: tarred(sparse, tarfile.PAX_FORMAT), "a/x.png of 1,099,511,627,776 bytes"
    ),
    tar(
        "name of 8 GB",
        lambda: header("././@LongLink", 1 << 33, b"L") + tarred(),
        END,
        "a header of 8,589,934,592 bytes",
    ),
    tar("attributes of 8 GB", lambda: header("a", 1 << 33, b"x") + tarred(), END, "a header of 8,589,934,592 bytes"),
    tar("member that says a terabyte", lambda: header("a/x.png", 1 << 40, b"0") + tarred(), END),
    tar("ends early", lambda: tarred()[:2000], END),
    tar("zeros", lambda: bytes(1 << 20), "holds fewer than two class folders"),
    tar("noise", lambda: np.random.default_rng(0).bytes(10_000), END),
    tar(
        "gzip of 1.6 GB of zeros",
        lambda: packed_late(lambda data: gzip.compress(data, 9)),
        "more than 100 times its size",
    ),
    tar("bzip2 of 1.6 GB of zeros", lambda: packed_late(bz2.compress), "more than 100 times its size"),
    tar(
        "xz of 1.6 GB of zeros",
        lambda: packed_late(lambda data: lzma.compress(data, preset=0)),
        "more than 100 times its size",
    ),
    tar(
        "name of 900 MB in gzip",
        lambda: gzip.compress(header("././@LongLink", 900 << 20, b"L")) + gzip.compress(ZEROS) * 14,
        "a header of",
    ),
    tar("gzip that ends early", lambda: gzip.compress(tarred())[:-20], END),
    tar("gzip whose sum is wrong", lambda: gzip.compress(tarred())[:-8] + bytes(8), END),
    tar("gzip in gzip", lambda: gzip.compress(gzip.compress(tarred())), END),
    harmless(
        "tar: names that lead out",
        lambda: tarred(lambda tar: (add(tar, "../x/9.png", b"x"), add(tar, "a/../../y.txt", b"x"))),
    ),
    harmless("tar: absolute names", lambda: tarred(lambda tar: add(tar, "/.x/y.png", b"x"))),
    harmless("zip: names that lead out", lambda: zipped(one_more("../../x/9.png", b"x"))),
    harmless("zip: backslashes that lead out", lambda: zipped(one_more("..\\..\\x\\9.png", b"x"))),
    harmless("zip: member without a name", lambda: zipped(one_more("9", b"")).replace(b"9PK", b"\0PK")),
    harmless("zip: archive in the archive", lambda: zipped(one_more("a/x.zip", zipped()))),
    harmless("zip: 10,000 members of no byte", lambda: many(10_000)),
    harmless(
        "tar: member twice", lambda: tarred(lambda tar: add(tar, "a/0.png", encoded(PIXELS[::-1]))), second_counts
    ),
    harmless("zip: bytes before it", lambda: b"PK" + bytes(1000) + zipped()),
]
