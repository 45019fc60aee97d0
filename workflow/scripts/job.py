"""What every script shares: the library on the path, the rule's log, one sentence for a user's mistake, nothing to do after a stop."""

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dagal import artifacts  # noqa: E402
from dagal.errors import UserError  # noqa: E402

# rules whose files a chain that has stopped takes over from the cycle before; the other rules have nothing to write then
TAKEN_OVER = ("oracle", "train", "evaluate", "stopping")


def start(snakemake) -> dict:
    """Send all output to the rule's log and return the provenance of the files it writes.

    A job of a chain that has stopped (its input ``stopping`` says so) ends here.
    """
    log = os.open(snakemake.log[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
        stream.reconfigure(line_buffering=True)
    sys.excepthook = _explain
    if snakemake.input.get("stopping"):
        pass_through(snakemake, snakemake.input.stopping)
    seed = int(snakemake.wildcards.get("seed", -1))
    return artifacts.provenance(snakemake.rule, dict(snakemake.params.items()), seed)


def pass_through(snakemake, stopping: str) -> None:
    """If the chain has stopped, make links of the outputs and end the job.

    They lead to the files of the cycle before, or to its stopping.json, which says why there are none. Links and no hard
    links: these would have the age of the file, and look older than the inputs.
    """
    stopping = Path(stopping)
    record = json.loads(stopping.read_text())
    if not record["stopped"]:
        return
    for output in map(Path, snakemake.output):
        source = stopping.with_name(output.name) if snakemake.rule in TAKEN_OVER else stopping
        output.unlink(missing_ok=True)
        output.symlink_to(os.path.relpath(source.resolve(), output.parent.resolve()))
    print(f"nothing to do: the chain stopped at cycle {record['cycle']}, as {record['reason']}")
    sys.exit()


def _explain(kind, error, trace):
    if issubclass(kind, UserError):
        print(f"dagal: {error}", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)
