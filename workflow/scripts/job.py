"""What every script shares: what its job reads, writes and is set to; the log; one sentence for a user's mistake; nothing to do after a stop.

A job is started with its script, the settings of its study, the stage, and where it stands, so each can be run by hand: ``python
workflow/scripts/job.py workflow/scripts/score.py .snakemake/dagal/digits-....json score threads=1 gpu=0 branch=entropy cycle=1 seed=0``.
"""

import atexit
import errno
import os
import resource
import runpy
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dagal import artifacts, hardware, storage  # noqa: E402
from dagal.errors import UserError  # noqa: E402
from dagal.plan import job as plan  # noqa: E402


class Named(SimpleNamespace):
    """Files or settings by name, as attributes."""

    def __getitem__(self, name: str):
        return vars(self)[name]

    def get(self, name: str, default=None):
        return vars(self).get(name, default)


def start() -> SimpleNamespace:
    """The job: ``input``, ``output``, ``params``, ``wildcards`` by name, ``threads``, ``gpu`` (how many jobs may share the GPU that it
    was granted, 0 if it was not), ``stage``, ``study``, ``task``, ``code()``, the digest of its code, ``made_of()``, all that its
    results follow from, ``origin``, the provenance of the files it writes, and ``ready()``, which says that all costs from here on
    grow with the data: what came before is the start of the job.

    All output goes to the job's log from here on. A job of a chain that has stopped (its input ``stop_record`` says so) ends here.
    """
    settings, stage, *place = sys.argv[1:]
    wildcards = dict(pair.split("=", 1) for pair in place)
    threads, gpu = int(wildcards.pop("threads")), int(wildcards.pop("gpu"))
    study = plan.stored(settings)
    gpu *= study.settings["jobs_per_gpu"]
    described = plan.describe(study, stage, wildcards)
    to_log(described["log"])
    started, startup = time.monotonic(), []
    atexit.register(write_costs, described["output"].pop("benchmark"), started, startup)
    origin = artifacts.provenance(stage, described["params"], int(wildcards.get("seed", -1)))
    job = SimpleNamespace(stage=stage, study=study, task=study.task, threads=threads, gpu=gpu, origin=origin)
    for part in ("input", "output", "params"):
        setattr(job, part, Named(**described[part]))
    job.wildcards = Named(**wildcards)
    job.ready = lambda: startup.extend(costs(started)[::2])
    job.code = lambda: plan.code(study, stage, study.at(wildcards))
    job.made_of = lambda: [described["params"], wildcards, job.code(), fingerprints(described["input"])]
    if job.input.get("stop_record"):
        pass_through(job, described["goes_on"])
    return job


def fingerprints(inputs: dict) -> dict[str, list[str]]:
    """What tells the content of each input from any other."""
    lists = {name: [value] if isinstance(value, str) else value or [] for name, value in inputs.items()}
    return {name: [artifacts.fingerprint(path) for path in paths] for name, paths in lists.items()}


def to_log(path: str) -> None:
    """Send all further output to the rule's log, a user's mistake as one sentence."""
    try:
        storage.make_folder(path)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    except (UserError, OSError) as error:
        sys.exit(f"dagal: {error if isinstance(error, UserError) else storage.unwritable(path, error)}")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
        stream.reconfigure(line_buffering=True)
    os.close(log)
    sys.excepthook = explain


def costs(started: float) -> tuple[float, float, float]:
    """Seconds, processor time and peak memory (MiB) of the job so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def write_costs(path: str, started: float, startup: list[float]) -> None:
    """Write `costs` of the job, seconds and memory of its start, "NA" if not told, its processor and GPU; a job that cannot write them has failed.

    Snakemake samples the processes below its shell, too coarsely for short jobs, and never sees one that a warm server forked.
    """
    seconds, cpu_seconds, memory = costs(started)
    start = [f"{startup[0]:.4f}", f"{startup[1]:.2f}"] if startup else ["NA", "NA"]
    try:
        values = [f"{seconds:.4f}", f"{cpu_seconds:.4f}", f"{memory:.2f}", *start]
        used = hardware.gpu()
        artifacts.write_costs(path, values, hardware.processor(), (used[0], f"{used[1]:.2f}") if used else ("NA", "NA"))
    except UserError as error:  # which would change no exit status here
        explain(UserError, error, None)
        sys.stderr.flush()
        os._exit(1)


def pass_through(job: SimpleNamespace, goes_on: bool) -> None:
    """If the chain has stopped, make links of the outputs and end the job.

    They lead to the files of the cycle before, or to its stopping.json, which says why there are none. Links and no hard
    links: these would have the age of the file, and look older than the inputs.
    """
    stopping = Path(job.input.stop_record)
    record = artifacts.read_json(stopping)
    if not record["stopped"]:
        return
    for output in map(Path, vars(job.output).values()):
        source = stopping.with_name(output.name) if goes_on else stopping
        output.unlink(missing_ok=True)
        output.symlink_to(os.path.relpath(source.resolve(), output.parent.resolve()))
    print(f"nothing to do: the chain stopped at cycle {record['cycle']}, as {record['reason']}")
    sys.exit()


def explain(kind, error, trace):
    """A user's mistake as one sentence, and so a disk that is full, whoever met it; anything else as a traceback."""
    if issubclass(kind, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = storage.unwritable(error.filename or Path.cwd(), error)
    if isinstance(error, UserError):
        print(f"dagal: {error}", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)


if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
