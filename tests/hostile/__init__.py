"""Hostile inputs, built from scratch: each is refused in one sentence, fast, in little memory, and with nothing written; or it is harmless
and read right. For the tests and for ``make check-hostile``.

A module here has a list `CASES`. A case builds files in a folder, and says which reader gets them; ``python tests/hostile`` prints a
table. The reader runs in a process that is forked for it, with limits of processor time, of time and of memory.
"""

import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dagal.errors import MOST_LETTERS, UserError

CPU_SECONDS, MEMORY_BYTES = 5, 1_000_000_000
GRANTED_BYTES = 850_000_000  # addresses; a process that has done other work before has some that it does not use yet
WAIT_SECONDS = 30  # for a reader that waits, as for a pipe that nobody writes to; other processes may slow it down


@dataclass(frozen=True)
class Case:
    """``build(folder)`` writes an input below a folder and returns what ``read(built, out)`` gets, which may write below ``out``.

    It must be refused in a sentence with all of ``words``; or, with ``right``, be read, and ``right(what was read)`` raises if it
    was read wrongly.
    """

    name: str
    build: Callable[[Path], object]
    read: Callable[[object, Path], object]
    words: tuple[str, ...] = ()
    right: Callable[[object], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a case: the sentence of the refusal or what was read; what is wrong with that, or nothing; what it cost."""

    said: str
    wrong: str
    seconds: float
    megabytes: float


def cases() -> list[Case]:
    """Those of all modules."""
    names = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in sorted(names)]
    return [case for module in modules for case in getattr(module, "CASES", ())]


def attempt(case: Case, folder: Path) -> Outcome:
    """Build a case below a folder and have it read by a process of its own."""
    brought, out = folder / "brought", folder / "out"
    brought.mkdir()
    out.mkdir()
    built = case.build(brought)
    before = state(folder)
    told = in_child(lambda: judged(case, built, out))
    if not told["wrong"] and case.right is None and state(folder) != before:
        told["wrong"] = f"something was written: {sorted(state(folder).items() ^ before.items())[:3]}"
    return Outcome(**told)


def state(folder: Path) -> dict[str, tuple]:
    """Every file and folder below one, and its size, without opening or following any."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            about = (Path(place) / name).lstat()
            found[f"{place}/{name}"] = (about.st_mode, about.st_size if name in files else 0)
    return found


def judged(case: Case, built: object, out: Path) -> tuple[str, str]:
    """(what was said or read, what is wrong with it) of a case."""
    try:
        found = case.read(built, out)
    except UserError as error:
        said = str(error)
        if case.right is not None:
            return said, "it is harmless, and was refused"
        missing = [word for word in case.words if word not in said]
        if missing or not said.isprintable() or len(said) > MOST_LETTERS + 10:
            return said, f"the sentence is too long or lacks {missing}"
        return said, ""
    if case.right is None:
        return f"read as {found!r}"[:200], "it was not refused"
    case.right(found)
    return "harmless: read right", ""


def in_child(task: Callable[[], tuple[str, str]]) -> dict:
    """The fields of an `Outcome` for a task that a forked process does within the limits."""
    reading, writing = os.pipe()
    started, child = time.monotonic(), os.fork()
    if not child:
        try:
            os.close(reading)
            limit()
            before = memory("VmRSS")
            try:
                said, wrong = task()
            except BaseException:
                said, wrong = "", traceback.format_exc(limit=-3)
            told = {"said": said, "wrong": wrong, "megabytes": max(0.0, (memory("VmHWM") - before) / 1e6)}
            os.write(writing, json.dumps(told).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    message, late = b"", False
    while not late and not message.endswith(b"}"):
        late = not select.select([reading], [], [], max(0, started + WAIT_SECONDS - time.monotonic()))[0]
        block = b"" if late else os.read(reading, 1 << 16)
        if not block:
            break
        message += block
    if late:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    seconds = time.monotonic() - started
    if message:
        return {**json.loads(message), "seconds": seconds}
    death = f"it waited for {WAIT_SECONDS} s" if late else f"its process died of signal {os.WTERMSIG(status)}"
    return {"said": "", "wrong": death, "seconds": seconds, "megabytes": 0.0}


def limit(cpu_seconds: int = CPU_SECONDS) -> None:
    """Set the limits of this process, and send what it prints nowhere."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    sys.stdout.flush()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    most = memory("VmSize") + GRANTED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def memory(name: str) -> int:
    """Bytes, by the name in /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise KeyError(name)
