"""Snakemake for the tests, in processes that are forked from one that has imported it: the imports are most of a dry run's time.

``python forked.py`` reads a request from each line, runs Snakemake as ``python -m snakemake ARGUMENT...`` would, and answers with
its exit status.
"""

import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what Snakemake's command and the Snakefile import
PRELOADED = (
    "snakemake.cli", "dagal.plan.check", "dagal.plan.rules", "dagal.inspect.failures", "dagal.inspect.labels",
    "dagal.inspect.progress", "dagal.report.registry",
)  # fmt: skip


class Server:
    """The process that forks, started at its first command; it ends with the one that has started it."""

    process = None

    def run(self, arguments: list[str], folder: Path, environment: dict) -> subprocess.CompletedProcess:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=environment | {"PYTHONPATH": str(ROOT / "workflow")},
            )  # fmt: skip
        with tempfile.TemporaryDirectory() as outputs:
            paths = [Path(outputs, name) for name in ("stdout", "stderr")]
            request = [arguments, str(folder), environment, list(map(str, paths))]
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(arguments, status, *(path.read_text() for path in paths))


def be_snakemake(arguments: list[str], folder: str, environment: dict, outputs: list[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv[1:] = arguments
    sys.path[0] = ""  # as `python -m` has it
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


def serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    sys.modules["snakemake.cli"].get_argument_parser()  # imports the plug-ins
    for path in (ROOT / "workflow").rglob("*.py"):  # for the digests of the code
        sys.modules["dagal.plan.code"].parse(str(path))
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            be_snakemake(*json.loads(line))  # ends with SystemExit
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
