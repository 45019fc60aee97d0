"""What `python -m dagal failures` prints, and what ends `make run`."""

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from dagal.__main__ import main

ROOT = Path(__file__).parents[1]
STARTED = datetime(2026, 3, 1, 12, 30, 5).timestamp()
SENTENCE = "dagal: weights net.safetensors cannot be loaded into this architecture; correct the path."
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\nKeyError: 3\n'


@pytest.fixture
def folder(tmp_path):
    """A folder whose last run started at STARTED."""
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    for name in ("2026-03-01T123005.192668", "2026-02-27T235959.000001"):
        (logs / f"{name}.snakemake.log").touch()
    return tmp_path


def write_log(folder, name, text, seconds):
    path = folder / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (STARTED + seconds,) * 2)


def printed(folder, capsys):
    assert main(["failures", str(folder)]) == 0
    return capsys.readouterr().out.replace(f"{folder}/", "").split("\n\n")


def test_reasons_come_once_in_the_order_of_time_with_their_logs(folder, capsys):
    write_log(folder, "a/train.log", f"device: cpu\n{TRACEBACK}", 9)
    write_log(folder, "a/features.log", f"device: cpu\n{SENTENCE}\n", 3)
    write_log(folder, "b/features.log", f"{SENTENCE}\n", 5)
    write_log(folder, "a/score.log", "1,747 candidates\n", 4)  # went well
    write_log(folder, "a/empty.log", "", 4)
    write_log(folder, "a/query.log", "dagal: of the run before.\n", -1)
    first, second = printed(folder, capsys)
    assert first.strip() == f"{SENTENCE}\n  results/a/features.log\n  results/b/features.log"
    assert second.strip() == "KeyError: 3\n  results/a/train.log"


def test_a_run_that_no_log_explains(folder, capsys):
    """Such as one whose job was killed."""
    write_log(folder, "a/train.log", "epoch 1/2\n", 1)
    record = folder / ".snakemake/log/2026-03-01T123005.192668.snakemake.log"
    record.write_text("WorkflowError:\nAt least one job did not complete successfully.\n")
    assert "2026-03-01T123005.192668.snakemake.log" in printed(folder, capsys)[0]


def test_last_words_of_the_interpreter_hide_no_sentence(folder, capsys):
    write_log(folder, "a/train.log", f"{SENTENCE}\nException ignored in: <function>\n", 1)
    assert printed(folder, capsys)[0].strip().startswith(SENTENCE)


def test_silent_where_no_job_failed(folder, tmp_path_factory, capsys):
    """So that the sentence about a mistake in the config stays the last one."""
    write_log(folder, "a/train.log", "epoch 1/2\n", 1)
    assert printed(folder, capsys) == printed(tmp_path_factory.mktemp("empty"), capsys) == [""]


def interpreter(path, version):
    """A made-up interpreter that claims a version, and fails to make an environment."""
    claim = f"import sys; sys.version_info = {version}; "
    path.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "{claim}$2"\necho {path.name} makes it; exit 1\n'
    )
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"python3": (3, 10)}, "dagal needs Python 3.11 or newer"),
        ({}, "dagal needs Python 3.11 or newer"),
        ({"python3": (3, 12)}, "python3 makes it"),
        ({"python3": (3, 9), "python3.13": (3, 13), "python3.12": (3, 12)}, "python3.12 makes it"),
    ],
)
def test_make_takes_any_python_that_is_new_enough(tmp_path, versions, expected):
    for name, version in versions.items():
        interpreter(tmp_path / name, version)
    for tool in ("make", "sh"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    ready = tmp_path / "venv/.ready"
    done = subprocess.run(
        ["make", "--no-print-directory", f"VENV={tmp_path}/venv", str(ready)],
        cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0 and expected in done.stdout
    assert not ready.exists()
