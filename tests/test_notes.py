"""Lines for the user: in the log, in the artifact, on the screen when a run ends, and in what `show` prints."""

import numpy as np
import pytest
from conftest import SMALL

from dagal import artifacts, config, notes
from dagal.__main__ import main
from dagal.plan import Study, record

ORIGIN = artifacts.provenance("dataset", {})


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results/datasets/digits/images.h5"
    with artifacts.create(path, "images", ORIGIN) as writer:
        writer.dataset("split", (2,), np.uint8)[...] = 0
        notes.tell(writer, "left out 3 boxes", "left out 1 file")
        notes.tell(writer, "scaled the boxes of 2 frames")
        notes.tell(writer)
    return path


def test_lines_are_kept_in_order(images):
    expected = ["left out 3 boxes", "left out 1 file", "scaled the boxes of 2 frames"]
    assert notes.of(images) == expected
    assert notes.of(images.with_name("nothing.h5")) == []


def test_show_prints_each_on_a_line_of_its_own(images, capsys):
    main(["show", str(images)])
    lines = capsys.readouterr().out.splitlines()
    assert "note: left out 3 boxes" in lines and "note: scaled the boxes of 2 frames" in lines


def test_a_run_tells_those_of_its_data_sets(images, capsys):
    capsys.readouterr()
    record.tell(Study(config.load(SMALL)))
    path = "results/datasets/digits/images.h5"
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: left out 3 boxes", f"{path}: left out 1 file", f"{path}: scaled the boxes of 2 frames",
    ]  # fmt: skip


def test_lines_are_in_the_log_and_a_file_without_any_has_no_attribute(tmp_path, capsys):
    for name in ("a", "b"):
        with artifacts.create(tmp_path / name, "images", ORIGIN) as writer:
            notes.tell(writer, *([] if name == "a" else ["one"]))
    assert capsys.readouterr().out == "one\n"
    assert notes.ATTRIBUTE not in artifacts.attributes(tmp_path / "a", "images")
    assert list(artifacts.attributes(tmp_path / "b", "images")[notes.ATTRIBUTE]) == ["one"]
