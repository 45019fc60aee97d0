"""Files below a folder or in an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz): their names, and what is in them.

An archive is never unpacked to disk. A tar is read front to back, once for the names and once for the images. One that unpacks to
far more than it has bytes is refused, and so are devices, pipes and sockets.
"""

import bz2
import contextlib
import csv
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dagal import files
from dagal.datasets.decoding import ENDINGS
from dagal.errors import UserError

PACKED = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # first bytes -> reader
MOST_TIMES, FREE_BYTES = 100, 64 << 20  # an archive may unpack to so many times its own bytes, and some more
MOST_HEADER_BYTES = 1 << 20  # of a name or of attributes in a tar, which tarfile reads as a whole
MOST_DEPTH = 100  # of folders in folders
LEFTOVERS = ("__MACOSX", "Thumbs.db", "desktop.ini")  # of operating systems; hidden files count as such too

TOO_MUCH = f"it unpacks to more than {MOST_TIMES} times its size"

# (parts of the name below the folder looked at, whole name); the name of a folder ends in an empty part
Entry = tuple[list[str], str]


@dataclass(frozen=True)
class Listing:
    """All folders and files of a folder or an archive, without hidden ones."""

    entries: list[Entry]
    links: bool = False  # whether some of them are links, or lie in a linked folder
    loops: list[str] = field(default_factory=list)  # links to a folder that they are in, which are not followed


def listing(path: Path) -> Listing:
    """What there is. Raises UserError if ``path`` does not exist or cannot be read."""
    if not path.exists():
        raise UserError(f"{path} does not exist: put the class folders, or a .zip, .tar or .tar.gz of them, there.")
    found, links, loops = {}, False, []  # an archive may hold a name twice
    if path.is_dir():
        with reading(path):
            for parts, kind in walk(path):
                links |= kind != "own"
                if kind == "loop":
                    loops.append("/".join(parts))
                else:
                    found["/".join(parts)] = parts
    else:
        found = {"/".join(parts): parts for parts, _ in read(path) if parts != [""]}
    return Listing([(parts, name) for name, parts in found.items() if not hidden(parts)], links, loops)


def hidden(parts: list[str]) -> bool:
    return any(part.startswith(".") or part in LEFTOVERS for part in parts)


def read(path: Path, wanted: Collection[str] = ()) -> Iterator[tuple[list[str], bytes | None]]:
    """Folders and files below a folder or in an archive: (parts of the name, content if wanted). Raises UserError."""
    with reading(path):
        if not path.is_dir():
            with files.regular(path).open("rb") as file:
                members = _zipped if file.peek(2)[:2] == b"PK" else _members
                yield from members(path, file, wanted)
        elif wanted:
            for name in sorted(wanted):
                with contextlib.suppress(FileNotFoundError):  # whoever wanted it tells what is missing
                    yield name.split("/"), files.contents(path / name)
        else:
            yield from ((parts, None) for parts, kind in walk(path) if kind != "loop")


class reading:
    """Turns what goes wrong within its block into one sentence about ``path``."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, PermissionError):
            file = error.filename or self.path
            raise UserError(f"{file} may not be read ({error.strerror}): give yourself the permission.") from None
        # zipfile has NotImplementedError for methods and RuntimeError for passwords
        if isinstance(
            error,
            OSError
            | tarfile.TarError
            | EOFError
            | zlib.error
            | lzma.LZMAError
            | zipfile.BadZipFile
            | RuntimeError
            | ValueError
            | csv.Error
            | struct.error
            | MemoryError,
        ) and not isinstance(error, RecursionError):
            raise UserError(
                f"{self.path} cannot be read to its end ({error}): make it readable, or download or pack it again."
            ) from None


def walk(folder: Path) -> Iterator[tuple[list[str], str]]:
    """(parts of the name, kind) of everything below a folder: "own", "linked" (a link or below one) or "loop".

    A link to a folder that it lies in is a loop and not followed. Raises OSError for a folder that cannot be read, UserError for a
    device, pipe or socket that is not hidden, and for folders deeper than `MOST_DEPTH`.
    """

    def inside(place: str, parts: list[str], kind: str, above: tuple[str, ...]):
        yield [*parts, ""], kind
        if len(parts) > MOST_DEPTH:
            raise UserError(f"{place} lies in more than {MOST_DEPTH} folders: put the images less deep.")
        with os.scandir(place) as found:
            items = sorted(found, key=lambda item: item.name)
        for item in items:
            linked = item.is_symlink()
            if not item.is_dir():
                if not (item.is_file() or item.name.startswith(".")):
                    with contextlib.suppress(FileNotFoundError):  # a link to nothing
                        files.regular(item.path)
                yield [*parts, item.name], "linked" if linked else kind
                continue
            real = os.path.realpath(item.path) if linked else os.path.join(above[-1], item.name)  # noqa: PTH118
            if real in above:
                yield [*parts, item.name], "loop"
            else:
                yield from inside(item.path, [*parts, item.name], "linked" if linked else kind, (*above, real))

    yield from inside(str(folder), [], "own", (os.path.realpath(folder),))


def most_bytes(path: Path) -> int:
    """What an archive may unpack to."""
    return MOST_TIMES * path.stat().st_size + FREE_BYTES


class _Unpacked(io.RawIOBase):
    """A packed stream that ends in an error where it unpacks to far more than it has bytes."""

    def __init__(self, stream: BinaryIO, path: Path):
        self.stream, self.left = stream, most_bytes(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        n = self.stream.readinto(buffer)
        self.left -= n
        if self.left < 0:
            raise tarfile.ReadError(TOO_MUCH)
        return n


class _StrictMember(tarfile.TarInfo):
    """Makes an archive that stops without its end mark an error, which tarfile takes for complete, and one with a giant header."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        member = super().frombuf(buf, encoding, errors)
        # names and attributes of the next member; what else is no file has no content
        if not (member.isreg() or member.isdir()) and member.size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tar):
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _members(path: Path, file: BinaryIO, wanted: Collection[str]) -> Iterator[tuple[list[str], bytes | None]]:
    """Those of a tar, packed or not."""
    unpacked = PACKED.get(file.peek(2)[:2])
    stream = _Unpacked(unpacked(file), path) if unpacked else file
    most = most_bytes(path) if unpacked else path.stat().st_size
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictMember) as tar:
        for member in tar:
            if tar.offset > most:  # tarfile would go on looking for the next one behind the end
                raise tarfile.ReadError(f"{member.name} goes on behind it")
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if member.isdir():
                yield [*parts, ""], None
            elif member.isreg() and parts:
                yield parts, _content(tar.extractfile(member), member, path) if "/".join(parts) in wanted else None
            elif Path(member.name).suffix.lower() in (*ENDINGS, "") and not hidden(parts):
                raise UserError(
                    f"{path} holds {member.name} as a link or device: pack it with tar --hard-dereference -h."
                )
            tar.members.clear()  # tarfile would keep them all
    while stream.read(1 << 20):  # the checksum comes last
        pass


def _zipped(path: Path, file: BinaryIO, wanted: Collection[str]) -> Iterator[tuple[list[str], bytes | None]]:
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > most_bytes(path):
            raise zipfile.BadZipFile(TOO_MUCH)
        for member in archive.infolist():
            parts = [part for part in member.filename.replace("\\", "/").split("/") if part not in ("", ".")]
            if member.filename.endswith("/"):  # is_dir fails for a member without a name
                yield [*parts, ""], None
            elif stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(f"{path} holds {member.filename} as a link: pack it with zip without -y.")
            elif parts:
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile bounds no other
                    raise UserError(
                        f"{path} holds {member.filename} packed by a method other than deflate: pack it again."
                    )
                yield parts, _content(archive.open(member), member, path) if "/".join(parts) in wanted else None


def _content(file: BinaryIO, member: tarfile.TarInfo | zipfile.ZipInfo, path: Path) -> bytes:
    """What a member holds. Raises UserError for one that is too large: a sparse one of a tar may be so in a small archive."""
    name, size = (
        (member.name, member.size) if isinstance(member, tarfile.TarInfo) else (member.filename, member.file_size)
    )
    with file:
        if size > min(files.MOST_BYTES, most_bytes(path)):
            raise UserError(f"{path} holds {name} of {size:,} bytes, more than is read of one file: take it out.")
        return file.read()
