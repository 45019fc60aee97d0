"""GPUs that are leased to jobs: counted and named without torch, and never given to more jobs than the setting allows."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from dagal.learners import leases

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-4)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-eeee-5)
"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("3", ["3"]),
        (" GPU-aaaa-1, GPU-eeee ", ["GPU-aaaa-1", "GPU-eeee"]),
        ("MIG-cccc-3,MIG-GPU-bbbb-2/1/0", ["MIG-cccc-3", "MIG-GPU-bbbb-2/1/0"]),
        ("0,-1,1", ["0"]),  # CUDA looks no further
        ("", []),
        ("NoDevFiles", []),
        (None, ["GPU-aaaa-1", "MIG-cccc-3", "MIG-dddd-4", "GPU-eeee-5"]),
    ],
)
def test_cards_are_those_of_the_variable_or_of_the_machine(tmp_path, monkeypatch, visible, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n[ $1 = -L ] && cat <<'END'\n{LISTING}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv(leases.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(leases.VISIBLE, visible)
    assert leases.cards() == expected


def test_a_machine_without_the_tool_has_no_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(leases.VISIBLE, raising=False)
    assert leases.cards() == []


def forked(function) -> int:
    """A process that does something and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return pid


def crowd(folder: Path, share: int) -> None:
    """200 jobs on three cards, a third of them killed while they hold one; each tells when it has a card and when it gives it back."""
    names, rng = ["0", "GPU-a", "MIG-GPU-c/1/0"], random.Random(share)
    reader, writer = os.pipe()

    def job(seconds):
        position = leases.lease(names, folder, share, poll_seconds=0.01)
        os.write(writer, f"{os.getpid()} {position}\n".encode())
        time.sleep(seconds)
        os.write(writer, f"{os.getpid()} -1\n".encode())

    left, running, holders, done, killed, seen = 200, set(), {}, 0, 0, Counter()
    lines = os.fdopen(reader)
    while left or running:
        while left and len(running) < 12:
            running.add(forked(partial(job, rng.random() / 50)))
            left -= 1
        pid, position = map(int, lines.readline().split())
        if position >= 0:
            holders[pid] = position
            counts = Counter(holders.values())
            assert max(counts.values()) <= share
            seen[position] += 1
            if rng.random() < 1 / 3:
                os.kill(pid, signal.SIGKILL)
                position, killed = -1, killed + 1
        if position < 0 and pid in running:  # a job that was killed too late has told of its end, too
            os.waitpid(pid, 0)
            running.discard(pid)
            holders.pop(pid, None)
            done += 1
    os.close(writer)
    assert done == 200 and killed > 40 and len(seen) == 3 and min(seen.values()) > 20


@pytest.mark.parametrize("share", [1, 2])
def test_no_card_has_more_jobs_than_the_setting_whoever_is_killed(tmp_path, share):
    """In a process of its own, which forks faster than one that has loaded torch."""
    subprocess.run([sys.executable, __file__, tmp_path, str(share)], check=True, timeout=120)


def test_idle_cards_come_first(tmp_path):
    """Four jobs of two cards are two on each, and a fifth one has to wait."""
    reader, writer = os.pipe()

    def job():
        os.write(writer, b"%d" % leases.lease(["a", "b"], tmp_path, 2, poll_seconds=0.01))
        time.sleep(60)

    jobs = []
    try:
        for expected in (b"0", b"1", b"0", b"1"):
            jobs.append(forked(job))
            assert os.read(reader, 1) == expected
        jobs.append(forked(job))
        os.set_blocking(reader, False)
        time.sleep(0.1)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        for pid in jobs:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, which can become two users")
def test_users_share_the_cards_of_a_machine(tmp_path, monkeypatch):
    """Whatever the umask of the first, the second neither fails nor gets the same card."""
    monkeypatch.setenv("DAGAL_LEASES", str(tmp_path))
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o777)
    reader, writer = os.pipe()

    def job(user, mask, seconds):
        os.umask(mask)
        os.setuid(user)
        os.write(writer, b"%d" % leases.lease(["a", "b"], leases.folder(), poll_seconds=0.01))
        time.sleep(seconds)

    first = forked(lambda: job(12345, 0o077, 60))
    assert os.read(reader, 1) == b"0"
    second = forked(lambda: job(54321, 0o022, 0))
    assert os.read(reader, 1) == b"1"
    os.waitpid(second, 0)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    os.waitpid(forked(lambda: job(54321, 0o022, 0)), 0)
    assert os.read(reader, 1) == b"0"  # the lock of a user that is gone


if __name__ == "__main__":
    crowd(Path(sys.argv[1]), int(sys.argv[2]))
