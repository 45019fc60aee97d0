"""What was brought: the files below the path of a data set, with size and hash, and whether they are still the same."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dagal import storage
from dagal.datasets import archives
from dagal.datasets.decoding import readable
from dagal.files import regular
from dagal.pace import Reporter

BLOCK_BYTES = 1 << 20
BESIDES = ("detections", "annotations")  # settings that name a file of the data set, wherever it lies


def raw_files(settings: dict, listed: Iterable[str] = ()) -> dict[str, str]:
    """Name -> path of every file of a data set, hidden ones left out; empty where nothing has to be brought.

    ``listed``: the files that a table lists, for one that lies beside them.
    """
    path = Path(settings.get("path") or "")
    found = {}  # plain texts: a path of pathlib for each of a million files takes longer than the file system
    if settings.get("path") and path.is_dir():
        for parts, kind in archives.walk(path):
            name = "/".join(parts)
            if (
                kind != "loop"
                and parts[-1]
                and not archives.hidden(parts)
                and (kind == "own" or (path / name).exists())
            ):
                found[name] = f"{path}/{name}"
    elif settings.get("path") and path.is_file():
        found[path.name] = str(path)
        if settings.get("loader") == "image_table":
            found |= {name: str(path.parent / name) for name in listed if (path.parent / name).is_file()}
    for key in BESIDES:
        place = Path(settings.get(key) or "")
        if settings.get(key) and place.is_file() and str(place) not in found.values():
            found[str(place)] = str(place)
    return found


def sha256(path: str) -> str:
    found = hashlib.sha256()
    with regular(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def hashes(files: dict[str, str]) -> list[str]:
    """SHA-256 of each file; prints progress."""
    found, report = [], Reporter(len(files), "files to hash")
    for path in files.values():
        found.append(sha256(path))
        report(len(found))
    return found


def state(files: dict[str, str]) -> str:
    """A digest of names, sizes and times of change: whoever has seen one knows cheaply that nothing has changed since."""
    found = hashlib.sha256()
    for name, path in files.items():
        about = os.stat(path)  # noqa: PTH116
        found.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def changes(files: dict[str, str], names: np.ndarray, sizes: np.ndarray, sha: np.ndarray, since: float | None) -> str:
    """How files differ from a list of (name, size, hash), in words; empty if they do not.

    Files of the same size are hashed if they changed after ``since`` (seconds since the epoch), or if it is None.
    """
    before = {
        name.decode("utf-8", "surrogateescape"): (int(size), digest.decode())
        for name, size, digest in zip(names, sizes, sha, strict=True)
    }
    new, missing = sorted(files.keys() - before.keys()), sorted(before.keys() - files.keys())
    differ: list[str] = []
    for name in sorted(files.keys() & before.keys()):
        about = os.stat(files[name])  # noqa: PTH116
        size, digest = before[name]
        suspect = since is None or about.st_mtime > since
        if about.st_size != size or (suspect and sha256(files[name]) != digest):
            differ.append(name)
    kinds = (("new", new), ("missing", missing), ("changed", differ))
    return ", ".join(
        f"{len(found):,} {kind} ({readable(found[0])}{' ...' if len(found) > 1 else ''})"
        for kind, found in kinds
        if found
    )


def compare(found: dict[str, str], names, sizes, sha, made: float, seen: Path) -> str:
    """`changes` of files since they were read at ``made``, cheap where nothing changed since the last look, which ``seen`` records."""
    now = state(found)
    known = seen.read_text() if seen.exists() else None
    if known == now:
        return ""
    since = max(made, seen.stat().st_mtime) if known else made
    newer = any(os.stat(path).st_mtime > since for path in found.values())  # noqa: PTH116
    told = changes(found, names, sizes, sha, since if newer or known is None else None)
    if not told:
        storage.write_bytes(seen, now.encode())
    return told
