"""A GPU for each job of a machine, whoever started it. Without torch: planning counts the cards, too."""

import fcntl
import os
import re
import shutil
import subprocess
import time
from itertools import takewhile
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held = []  # a lease lives as long as the process


def folder() -> Path:
    """Where the leases of a machine lie: for all its users, and for its containers if DAGAL_LEASES names a folder that they share."""
    return Path(os.environ.get("DAGAL_LEASES") or "/dev/shm")


def cards() -> list[str]:
    """The GPUs or MIG instances that a process may use, as CUDA_VISIBLE_DEVICES names them, else by their UUIDs; none if there are none."""
    listed = os.environ.get(VISIBLE)
    if listed is not None:  # CUDA sees what stands before the first name that is none
        return list(takewhile(re.compile(r"\d+$|GPU-|MIG-").match, map(str.strip, listed.split(","))))
    if not shutil.which("nvidia-smi"):
        return []
    return parsed(subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout)


def parsed(listing: str) -> list[str]:
    """UUIDs in the output of ``nvidia-smi -L``; of a GPU that is cut into MIG instances, those of the instances."""
    found = []
    for line in listing.splitlines():
        if match := re.search(r"\(UUID: ((GPU|MIG)-[^)]+)\)", line):
            if match[2] == "MIG" and found[-1].startswith("GPU-"):
                found.pop()
            found.append(match[1])
    return found


def lease(names: list[str], folder: Path, share: int = 1, poll_seconds: float = 5.0) -> int:
    """Position of a GPU in ``names`` that fewer than ``share`` other jobs on this machine hold; waits for one.

    A name means the same GPU to all jobs. Idle GPUs come first. Released when the process ends, however.
    """
    told = False
    while True:
        for place in range(share):
            for position, name in enumerate(names):
                label = name.removeprefix("GPU-").replace("/", "-")
                if hold(folder / f"dagal-{label}-{place}.lock"):
                    return position
        if not told:
            print(f"waiting for one of {len(names)} GPUs", flush=True)
        told = True
        time.sleep(poll_seconds)


def hold(path: Path) -> bool:
    """Lock a file for the rest of the process, unless another process has it.

    Opened for reading, and made only if it is missing: in a folder of all users, Linux lets nobody open another one's file for
    making it.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            os.fchmod(file, 0o644)  # whatever the user's umask
        except FileExistsError:
            return hold(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _held.append(file)
    return True
