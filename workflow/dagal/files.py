"""Files that users bring: special files are never opened, no file is read that is larger than memory takes, no link leads out of one."""

import json
import os
import stat
from pathlib import Path

import h5py

from dagal.errors import UserError

MOST_BYTES = 1 << 30  # of a file that is read as a whole
MOST_PATH_BYTES, MOST_NAME_BYTES = 4000, 255  # a little below what Linux takes, and what it takes


def regular(path: str | Path) -> Path:
    """The path, which is no device, pipe or socket: reading one may never end.

    Raises UserError if it is, OSError if nothing is there.
    """
    path = Path(path)
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path} is a device, pipe or socket, which is never read: put a file there or delete it.")
    return path


def possible(name: str) -> str:
    """The path, if a file may have it. Raises ValueError for others, which functions of the system refuse in many ways."""
    encoded = os.fsencode(name)
    if (
        b"\0" in encoded
        or len(encoded) > MOST_PATH_BYTES
        or any(len(part) > MOST_NAME_BYTES for part in encoded.split(b"/"))
    ):
        raise ValueError(
            f"no path has more than {MOST_PATH_BYTES} bytes, {MOST_NAME_BYTES} between two slashes, or one that is 0."
        )
    return name


def contents(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Bytes of a file. Raises UserError if it is special or larger than ``most``, OSError if it cannot be read."""
    size = regular(path).stat().st_size
    if size > most:
        raise UserError(
            f"{path} has {size:,} bytes, and at most {most:,} are read of such a file: put a smaller one there."
        )
    return Path(path).read_bytes()


def read_json(path: str | Path) -> object:
    """What a JSON file holds. Raises UserError if it cannot be read, is no JSON, or has a key twice in one object."""
    try:
        return parsed(contents(path), path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): put it there.") from None


def parsed(data: bytes, name: str | Path) -> object:
    """What the bytes of a JSON file of this name hold. Raises UserError as `read_json` does."""
    try:
        return json.loads(data, object_pairs_hook=_once)
    except RecursionError:
        raise UserError(f"{name} is not JSON of records (it is nested too deeply): export it again.") from None
    except (ValueError, MemoryError) as error:
        raise UserError(f"{name} is not JSON ({error}): it may be cut off, export it again.") from None


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def check_closed(file: h5py.File, path: str | Path) -> None:
    """Raise UserError if an HDF5 file has links to others, or data sets whose values lie in others: it must hold all that is read of it."""

    # what is returned ends the visit
    def leads_out(name, link):
        return name if isinstance(link, h5py.ExternalLink) else None

    def is_outside(name, node):
        return name if isinstance(node, h5py.Dataset) and (node.is_virtual or node.external) else None

    name = file.visititems_links(leads_out) or file.visititems(is_outside)
    if name is not None:
        raise UserError(f"{path} has {name} in another file, which is not read: write it into one file, or delete it.")
