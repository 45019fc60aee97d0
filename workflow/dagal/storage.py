"""Files on the disk: complete under their name or not there, and found out when a byte of them has changed.

What is written goes to a temporary name beside its own, is synced, and takes its name only then. There are three kinds of checksums,
all CRC-32, by what a format has room for: a table of those of all blocks behind the content (HDF5, which takes no notice of it: any
part can be read and checked by itself), a field within the content (JSON, safetensors), and a file beside it (tables, which are for
everybody's programs).
"""

import errno
import io
import os
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from dagal.errors import UserError
from dagal.files import regular

BLOCK = (
    16 << 10
)  # bytes that share a checksum: what is read at least, so a multiple would slow down the reading of single rows
FOOTER = struct.Struct("<8sQII")  # MAGIC, bytes of content, BLOCK, CRC-32 of the checksums and of these three
MAGIC = b"dagalcrc"
FIELD = "crc32:--------"  # stands in the content until its checksum is known, and while it is computed
FOREIGN_SECONDS = 24 * 3600  # a temporary of another machine, whose processes cannot be asked for, is left after a day
ADVICE = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "give it a folder that can be written",
    errno.EACCES: "give yourself the permission to write there",
    errno.EPERM: "give yourself the permission to write there",
}


class NoChecksums(UserError):
    """A file has none: it is damaged, or was made by a version that wrote none."""

    def __init__(self, path: str | Path):
        super().__init__(
            f"{path} has no checksum: it is damaged or of an earlier version of dagal; delete it and run again."
        )


def damaged(path: str | Path) -> UserError:
    """What is said of a file that is not what was written."""
    return UserError(f"{path} is damaged, as its checksums tell; delete it and run again.")


def unwritable(path: str | Path, error: OSError) -> UserError:
    """What is said of a file that the system could not write."""
    advice = ADVICE.get(error.errno, "see that its disk works")
    return UserError(f"{path} cannot be written ({error.strerror or error}): {advice}, then run again.")


def unreadable(path: str | Path, error: OSError) -> UserError:
    """What is said of a file that the system could not read; only a damaged one has to be made again."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path} is missing: run the study that makes it.")
    if isinstance(error, IsADirectoryError):
        return UserError(f"{path} is a folder; name a file.")
    if isinstance(error, PermissionError):
        return UserError(
            f"{path} may not be read ({os.strerror(errno.EACCES)}): give yourself the permission to read it (chmod u+r), and to "
            "enter its folders."
        )
    return UserError(f"{path} cannot be read now ({error.strerror or error}): try again when its disk can be read.")


# ------------------------------------------------------------------------------------------------------------ writing


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` for the block to write and sync, which takes its place if the block does not raise."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        yield temporary
        try:
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> None:
    """Make the folder of a file. Raises UserError."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where its file system can."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file, complete or not at all. Raises UserError if it cannot be written."""
    make_folder(path)
    with replacing(path) as temporary:
        try:
            with temporary.open("wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from None


def remove_leftovers(folder: str | Path) -> list[Path]:
    """Remove the temporaries below a folder whose processes have died; returns their paths."""
    removed = []
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if name.startswith(".") and name.endswith(".tmp")):
            if not in_use(path):
                with suppress(OSError):
                    path.unlink()
                    removed.append(path)
    return removed


def in_use(temporary: Path) -> bool:
    """Whether the process that writes a temporary may be alive; one of another machine is told by the age of the file."""
    found = re.search(r"\.(\d+)\.tmp$", temporary.name)
    try:
        if not found or not temporary.name.endswith(f".{socket.gethostname()}{found[0]}"):
            return time.time() - temporary.stat().st_mtime < FOREIGN_SECONDS
        os.kill(int(found[1]), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return True


# ------------------------------------------------------------------------------------------------- checksums of blocks


def checksums(data: memoryview) -> list[int]:
    """CRC-32 of each block of some content that begins with a block."""
    return [zlib.crc32(data[first : first + BLOCK]) for first in range(0, len(data), BLOCK)]


class Written(io.RawIOBase):
    """A new file for h5py to write, with the checksums of its blocks behind the content once it is `sealed`.

    HDF5's own driver can return normally from a full disk, and HDF5 leaves data sets open that it cannot write, with which the process
    crashes at its end. So it is told that all is well: the first error of the system is kept as ``error``, for whoever writes
    to look at, and nothing is written after it.
    """

    def __init__(self, path: str | Path):
        self.error, self.position = None, 0
        self.sums = np.full(64, -1, np.int64)  # of each block, -1 where it has to be read for it
        self.number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)

    def write(self, data) -> int:
        data = memoryview(data).cast("B")
        if not self.error:
            try:
                self._write(data)
            except OSError as error:
                self.error = error
        self.position += len(data)
        return len(data)

    def _write(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self.number, data[done:], self.position + done)
        first, last = self.position // BLOCK, -(-(self.position + len(data)) // BLOCK)
        if last > len(self.sums):
            self._grow(2 * last)
        self.sums[first:last] = -1
        whole_first, whole_last = -(-self.position // BLOCK), (self.position + len(data)) // BLOCK
        if whole_first < whole_last:
            whole = data[whole_first * BLOCK - self.position : whole_last * BLOCK - self.position]
            self.sums[whole_first:whole_last] = checksums(whole)

    def _grow(self, blocks: int) -> None:
        self.sums = np.append(self.sums, np.full(max(0, blocks - len(self.sums)), -1))

    def readinto(self, buffer) -> int:
        n = os.preadv(self.number, [buffer], self.position)
        self.position += n
        return n

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: os.fstat(self.number).st_size}[whence]
        self.position = start + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def truncate(self, size: int | None = None) -> int:
        size = self.position if size is None else size
        if not self.error:
            try:
                os.ftruncate(self.number, size)
            except OSError as error:
                self.error = error
            self.sums[size // BLOCK :] = -1
        return size

    def flush(self) -> None:  # at the end, by `seal`
        pass

    def seal(self) -> None:
        """Write the checksums and sync the file. Raises OSError."""
        size = os.fstat(self.number).st_size
        self._grow(-(-size // BLOCK))
        sums = self.sums[: -(-size // BLOCK)]
        for block in np.flatnonzero(sums < 0):
            sums[block] = zlib.crc32(os.pread(self.number, min(BLOCK, size - int(block) * BLOCK), int(block) * BLOCK))
        table = sums.astype("<u4").tobytes()
        self.position = size
        self._write(memoryview(table + FOOTER.pack(MAGIC, size, BLOCK, footer_sum(table, size))))
        os.fsync(self.number)

    def close(self) -> None:
        if not self.closed:
            os.close(self.number)
        super().close()


def footer_sum(table: bytes, size: int) -> int:
    """CRC-32 of the checksums of a file and what the footer says of it."""
    return zlib.crc32(FOOTER.pack(MAGIC, size, BLOCK, 0), zlib.crc32(table))


@contextmanager
def streamed(path: str | Path) -> Iterator[Written]:
    """A file for h5py to write, which takes its name, with its checksums, if the block ends without error.

    Raises UserError if it cannot be written, whatever has become of the error in HDF5.
    """
    make_folder(path)
    with replacing(path) as temporary:
        try:
            blocks = Written(temporary)
        except OSError as error:
            raise unwritable(path, error) from None
        with blocks:
            try:
                yield blocks
            finally:  # whatever else HDF5 has made of it
                if blocks.error:
                    raise unwritable(path, blocks.error) from None
            try:
                blocks.seal()
            except OSError as error:
                raise unwritable(path, error) from None


class Verified(io.RawIOBase):
    """The content of a file that `Written` made, for h5py to read: every block is compared with its checksum when it is read.

    HDF5 so never sees a wrong byte, with which it may hang or crash. The first error is kept as ``error``, too: HDF5 asks for some
    things only to see whether they are there. Raises `NoChecksums`, OSError, and UserError for damage.
    """

    def __init__(self, path: str | Path):
        self.path, self.position, self.error = path, 0, None
        self.number = os.open(regular(path), os.O_RDONLY)
        try:
            self._read_checksums()
        except BaseException:
            self.close()
            raise

    def _read_checksums(self) -> None:
        whole = os.fstat(self.number).st_size
        footer = os.pread(self.number, FOOTER.size, max(0, whole - FOOTER.size))
        magic, self.size, block, found = FOOTER.unpack(footer) if len(footer) == FOOTER.size else (b"", 0, 0, 0)
        length = 4 * -(-self.size // BLOCK)
        if magic != MAGIC:
            raise NoChecksums(self.path)
        table = os.pread(self.number, length, self.size) if self.size + length + FOOTER.size == whole else b""
        if block != BLOCK or footer_sum(table, self.size) != found:
            raise damaged(self.path)
        self.sums, self.fingerprint = np.frombuffer(table, "<u4"), f"{self.size:x}-{found:08x}"
        self.readinto(
            bytearray(min(BLOCK, self.size))
        )  # all that HDF5 reads when it opens the file, which must not fail there
        self.position = 0

    def readinto(self, buffer) -> int:
        n = max(0, min(len(buffer), self.size - self.position))
        first, last = self.position // BLOCK, -(-(self.position + n) // BLOCK)
        start = first * BLOCK
        try:
            data = memoryview(os.pread(self.number, min(last * BLOCK, self.size) - start, start))
        except OSError as error:
            self.error = unreadable(self.path, error)
            raise unreadable(self.path, error) from None
        if checksums(data) != self.sums[first:last].tolist():
            self.error = damaged(self.path)
            raise damaged(self.path)
        memoryview(buffer).cast("B")[:n] = data[self.position - start : self.position - start + n]
        self.position += n
        return n

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def close(self) -> None:
        if not self.closed:
            os.close(self.number)
        super().close()


# ------------------------------------------------------------------------------------------- a checksum within a file


def with_field(data: bytes) -> bytes:
    """The content with its checksum in the place of its first `FIELD`."""
    return data.replace(FIELD.encode(), f"crc32:{zlib.crc32(data):08x}".encode(), 1)


def verified_bytes(path: str | Path) -> bytes:
    """The content of a file, compared with the checksum within it. Raises UserError if it cannot be read or is damaged."""
    data = read_bytes(path)
    found = re.search(rb"crc32:([0-9a-f]{8})", data)
    if not found:
        raise NoChecksums(path)
    view = memoryview(data)
    expected = zlib.crc32(view[found.end() :], zlib.crc32(FIELD.encode(), zlib.crc32(view[: found.start()])))
    if expected != int(found[1], 16):
        raise damaged(path)
    return data


def read_bytes(path: str | Path) -> bytes:
    """The content of a file. Raises UserError if it cannot be read."""
    try:
        return regular(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


# -------------------------------------------------------------------------------------------- a checksum beside a file


def beside(path: Path) -> Path:
    """Where the checksum of a table stands."""
    return path.with_name(f".{path.name}.crc32")


def write_table(path: str | Path, data: bytes) -> None:
    """Write a file and, before it, its checksum. Raises UserError if it cannot be written."""
    write_bytes(beside(Path(path)), f"{zlib.crc32(data):08x}\n".encode())
    write_bytes(path, data)


def verified_table(path: str | Path) -> bytes:
    """The content of a file, compared with the checksum beside it, if there is one: a table may have been brought without.

    Raises UserError if it cannot be read or is damaged.
    """
    data, checksum = read_bytes(path), beside(Path(path).resolve())
    if checksum.exists() and read_bytes(checksum) != f"{zlib.crc32(data):08x}\n".encode():
        raise damaged(path)
    return data
