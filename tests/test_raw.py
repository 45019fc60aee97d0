"""What was brought is on record, and told when it changes."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from dagal.datasets import raw


@pytest.fixture
def brought(tmp_path):
    """A folder with three files and a hidden one; and the function that compares it with what it was."""
    folder = tmp_path / "raw"
    (folder / "a").mkdir(parents=True)
    for name, content in (("a/1.png", b"one"), ("a/2.png", b"two"), ("b.csv", b"x,y"), (".hidden", b"?")):
        (folder / name).write_bytes(content)
    settings = {"path": str(folder)}
    files = raw.raw_files(settings)
    lists = (
        np.array([os.fsencode(name) for name in files]),
        np.array([Path(path).stat().st_size for path in files.values()]),
        np.array([digest.encode() for digest in raw.hashes(files)]),
    )
    made = max(Path(path).stat().st_mtime for path in files.values())
    return folder, lists, lambda: raw.compare(raw.raw_files(settings), *lists, made, tmp_path / "seen.txt")


def test_names_sizes_and_hashes(brought):
    _, (names, sizes, sha), _ = brought
    assert names.tolist() == [b"a/1.png", b"a/2.png", b"b.csv"] and sizes.tolist() == [3, 3, 3]
    assert sha.tolist() == [hashlib.sha256(content).hexdigest().encode() for content in (b"one", b"two", b"x,y")]


def test_what_changed_is_told_until_it_is_as_it_was(brought):
    folder, _, compare = brought
    assert compare() == ""
    (folder / "a/3.png").write_bytes(b"three")
    (folder / "b.csv").unlink()
    (folder / "a/2.png").write_bytes(b"TWO!")
    told = "1 new (a/3.png), 1 missing (b.csv), 1 changed (a/2.png)"
    assert compare() == compare() == told
    (folder / "a/3.png").unlink()
    (folder / "b.csv").write_bytes(b"x,y")
    (folder / "a/2.png").write_bytes(b"two")
    assert compare() == ""


@pytest.mark.parametrize("later", [100, -100])
def test_content_of_the_same_size_is_compared_by_its_hash(brought, later):
    """Also where a copy brought an older time along."""
    folder, _, compare = brought
    assert compare() == ""
    file = folder / "a/1.png"
    time = file.stat().st_mtime + later
    os.utime(file, (time, time))  # touched alone
    assert compare() == ""
    file.write_bytes(b"ONE")
    os.utime(file, (time + later, time + later))
    assert compare() == "1 changed (a/1.png)"


def test_nothing_is_hashed_where_nothing_was_touched(brought, monkeypatch):
    _, _, compare = brought
    monkeypatch.setattr(raw, "sha256", lambda path: pytest.fail(f"{path} was read"))
    assert compare() == compare() == ""


def test_nothing_has_to_be_brought(tmp_path):
    assert raw.raw_files({"path": str(tmp_path / "nowhere")}) == raw.raw_files({}) == {}
