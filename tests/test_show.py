"""``python -m dagal show`` on sound, odd and broken files, at any width, on a terminal and through a pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from dagal import artifacts, storage
from dagal.__main__ import main
from dagal.datasets.source import TRUTH

WORKFLOW = Path(__file__).parents[1] / "workflow"
ORIGIN = artifacts.provenance("dataset", {"name": "made up"}, seed=3)


@pytest.fixture(autouse=True)
def wide_and_plain(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.h5"
    pixels = np.zeros((9, 8, 12, 3), np.uint8)
    pixels[:, :4] = (255, 0, 7)
    artifacts.write(path, "images", ORIGIN, {"images": pixels, "split": np.repeat([0, 1], [6, 3]).astype(np.uint8)})
    return path


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.h5"
    artifacts.write(path, TRUTH, ORIGIN, {"labels": np.array([0, 2, 2, 0, 0])}, class_names=["cat", "dog", "emu"])
    return path


def run(*arguments, **environment):
    """The command as a user runs it through a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "dagal", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)} | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )


def shown(capsys, *arguments):
    assert main(["show", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys, *arguments):
    assert main(["show", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dagal: ") and error.count("\n") == 1
    return error


def test_header_contents_and_counts(truth, capsys):
    out = shown(capsys, truth)
    assert "schema         truth/1" in out and "created_by     dataset" in out and "cat, dog, emu" in out
    assert "true class of each image" in out and "int64" in out and "40 bytes" in out
    assert "0 cat: 3   1 dog: 0   2 emu: 2" in out  # a class without an image is there
    assert "0 cat, 2 emu, 2 emu, 0 cat, 0 cat" in out


def test_equal_lengths_side_by_side_and_rows(tmp_path, capsys):
    path = tmp_path / "scores.h5"
    score = np.array([0.25, np.inf, 0.75])
    artifacts.write(path, "scores", ORIGIN, {"ids": np.array([4, 7, 9]), "score": score})
    out = shown(capsys, path, "--rows", 2)
    assert "first 2 of 3 rows" in out
    assert [line.split() for line in out.splitlines()][-2:] == [["0", "4", "0.25"], ["1", "7", "inf"]]
    assert ["score", "0.25", "0.5", "0.75", "1", "all"] in [line.split() for line in out.splitlines()]
    assert "rows" not in shown(capsys, path, "--rows", 0)


def test_matrices_are_abbreviated(tmp_path, capsys):
    with h5py.File(tmp_path / "signals.h5", "w") as file:
        file["probabilities"] = np.arange(600.0).reshape(30, 20)
        file["draws"] = np.ones((2, 30, 3), np.float32)
    out = shown(capsys, tmp_path / "signals.h5")
    assert "probabilities: first 10 x 8 of 30 x 20" in out and "draws[0]: first 10 x 3 of 30 x 3" in out


def test_only_a_part_of_a_big_data_set_is_read(tmp_path, capsys, monkeypatch):
    path = tmp_path / "big.h5"
    with h5py.File(path, "w") as file:  # 8 TB if it were read: chunks that were never written take no space
        file.create_dataset("a", (10**6, 10**6), np.float64, chunks=(1, 10**6))
        file.create_dataset("labels", (10**9,), np.int64, chunks=(1000,))
    elements = []
    read = h5py.Dataset.__getitem__

    def counted(dataset, key, *rest, **options):
        values = read(dataset, key, *rest, **options)
        elements.append(np.size(values))
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    out = shown(capsys, path)
    assert max(elements) <= 10**6 and len(elements) < 10
    assert "first 1,000,000 of 1,000,000,000,000" in out and "over the first 1,000,000" in out


def test_odd_content_does_not_crash(tmp_path, capsys):
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file.attrs["empty"] = h5py.Empty("f4")
        file.attrs["matrix"] = np.eye(5)
        file.attrs["steer\x1b[31m"] = "the [red]terminal\x1b[2J\n"
        file["scalar"] = 1.5
        file["text"] = "a scalar string"
        file["strings"] = ["a", "b\x1b[2J"]
        file["empty"] = h5py.Empty("i8")
        file["none"] = np.zeros((0, 3))
        file["bools"] = np.array([True, False])
        file["nan"] = np.full(4, np.nan)
        file["compound"] = np.zeros(2, [("a", int), ("b", float)])
        file["complex"] = np.zeros((2, 2), complex)
        file["five"] = np.zeros((1, 2, 3, 4, 5))
        file["group/[bold]inner"] = np.arange(3)
        file["link"] = h5py.SoftLink("/nowhere")
        file["labels"] = np.array([-1, 10**12])
        file["images"] = np.zeros((0, 4, 4, 3), np.uint8)
    out = shown(capsys, path)
    assert "\x1b" not in out and "group/[bold]inner" in out and "[red]terminal" in out and "scalar" in out


def test_preview_without_colour(images, capsys):
    out = shown(capsys, images, "--images", 2)
    assert "images: first 2 of 9" in out and "#1" in out and "#2" not in out
    assert "\x1b" not in out and "\N{UPPER HALF BLOCK}" not in out
    assert "#0" not in shown(capsys, images, "--images", 0)


def test_preview_in_colour(images):
    out = run("show", images, "--images", 1, FORCE_COLOR="1", COLORTERM="truecolor", TERM="xterm").stdout.decode()
    # 64 characters wide, 64 * 8 / 12 pixels high, two pixels to a line; the upper half has the colour
    lines = [line for line in out.splitlines() if "\N{UPPER HALF BLOCK}" in line]
    assert len(lines) == 21
    assert "38;2;255;0;7;48;2;255;0;7" in lines[0] and "38;2;0;0;0;48;2;0;0;0" in lines[-1]
    assert lines[0].count("\N{UPPER HALF BLOCK}") == 64


def test_contact_sheet(images, tmp_path, capsys):
    out = shown(capsys, images, "--png", tmp_path / "sheet.png", "--images", 4)
    assert f"first 4 of 9 images drawn to {tmp_path / 'sheet.png'}" in out and "#0" not in out
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[:, :, ::-1]
    # 8 x 12 pixels enlarged 8 times; sqrt(4 * 8 / 12) rounded up = 2 columns; 4 px margins and 16 px captions
    assert sheet.shape == (2 * (64 + 20) + 4, 2 * (96 + 4) + 4, 3)
    assert (sheet[4:36, 4:100] == (255, 0, 7)).all() and (sheet[36:68, 4:100] == 0).all()
    first = (tmp_path / "sheet.png").read_bytes()
    shown(capsys, images, "--png", tmp_path / "sheet.png", "--images", 4)
    assert (tmp_path / "sheet.png").read_bytes() == first


def test_large_grey_images_are_reduced(tmp_path, capsys):
    pixels = np.full((2, 300, 600, 1), 128, np.uint8)
    artifacts.write(tmp_path / "a.h5", "images", ORIGIN, {"images": pixels})
    shown(capsys, tmp_path / "a.h5", "--png", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape == (2 * (128 + 20) + 4, 256 + 4 + 4, 3)


def test_json(tmp_path, capsys):
    data = {"accuracy": 0.5, "per_class": [1, 2], "text": "x" * 300}
    artifacts.write_json(tmp_path / "metrics.json", data)
    assert json.loads(shown(capsys, tmp_path / "metrics.json")) == data


def test_safetensors(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros((3, 4), np.float32), "b": np.zeros(3)}, path, metadata={"learner": "mlp"})
    lines = [line.split() for line in shown(capsys, path).splitlines()]
    assert ["w", "3", "x", "4", "F32", "48", "bytes"] in lines and ["learner", "mlp"] in lines
    assert lines[0][-2:] == ["15", "parameters"]


@pytest.mark.parametrize("width", [0, 1, 2, 3, 7, 33, 1000])
def test_any_width(width, images, truth, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    for path in (images, truth):
        out = shown(capsys, path)
        assert width == 0 or max(map(len, out.splitlines())) <= width


def test_pipe_without_unicode_or_reader(images, truth):
    done = run("show", images, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0 and done.stderr == b"" and b"\x1b" not in done.stdout
    with h5py.File(truth, "a") as file:
        file.attrs["class_names"] = ["käse", "b", "c"]
    assert run("show", truth, PYTHONIOENCODING="ascii").returncode == 0
    command = f"'{sys.executable}' -m dagal show '{images}' | head -1"
    done = subprocess.run(command, shell=True, env=os.environ | {"PYTHONPATH": str(WORKFLOW)}, capture_output=True)
    assert done.stderr == b"" and done.stdout.count(b"\n") == 1


def test_mistakes_are_one_sentence(images, truth, tmp_path, capsys):
    assert "missing" in refused(capsys, tmp_path / "no.h5")
    assert "folder" in refused(capsys, tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty.h5").write_text("")
    assert "neither HDF5" in refused(capsys, tmp_path / "text.h5")
    assert "neither HDF5" in refused(capsys, tmp_path / "empty.h5")
    assert "no images" in refused(capsys, truth, "--png", tmp_path / "a.png")
    assert "cannot be written" in refused(capsys, images, "--png", tmp_path / "none" / "a.png")
    assert "at least one" in refused(capsys, images, "--png", tmp_path / "a.png", "--images", 0)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["a.h5", "a.json", "a.safetensors"])
def test_truncated_files_are_one_sentence(name, tmp_path, capsys):
    path = tmp_path / name
    if name == "a.h5":
        artifacts.write(path, "truth", ORIGIN, {"labels": np.arange(500)})
    elif name == "a.json":
        artifacts.write_json(path, {"a": [1, 2, 3]})
    else:
        save_file({"w": np.zeros((30, 4))}, path)
    whole = path.read_bytes()
    if name == "a.h5":  # without its checksums it is like that of any other program
        with storage.Verified(path) as blocks:
            whole = whole[: blocks.size]
    for length in (*range(0, len(whole) - 2, max(1, len(whole) // 20)), len(whole) - 2):
        path.write_bytes(whole[:length])
        assert "Traceback" not in refused(capsys, path)


def test_damage_inside_is_one_sentence(truth, capsys):
    content = truth.read_bytes()
    start = content.index(b"OHDR") if b"OHDR" in content else content.index(b"HEAP")
    truth.write_bytes(content[:start] + b"\0" * 8 + content[start + 8 :])
    refused(capsys, truth)


def test_command_line():
    bare, full = run(), run("--help")
    assert bare.returncode == full.returncode == 0
    assert bare.stdout == full.stdout and b"show" in bare.stdout and b"snakemake" in bare.stdout
    for arguments in (
        ["show"],
        ["nonsense"],
        ["show", "a.h5", "--rows", "-1"],
        ["show", "a.h5", "--images", "x"],
    ):
        done = run(*arguments)
        assert done.returncode == 2 and b"usage" in done.stderr and b"Traceback" not in done.stderr


def test_noisy_images_beyond_8_bits_are_drawn_cut(tmp_path, capsys):
    sheets = []
    for name, pixels in (("wide", np.int16([[-40, 100], [300, 255]])), ("cut", np.uint8([[0, 100], [255, 255]]))):
        artifacts.write(tmp_path / f"{name}.h5", "images", ORIGIN, {"images": pixels[None, :, :, None]})
        shown(capsys, tmp_path / f"{name}.h5", "--png", tmp_path / f"{name}.png")
        sheets.append((tmp_path / f"{name}.png").read_bytes())
    assert sheets[0] == sheets[1]
