"""What every script shares: the library on the path, the rule's log, and one sentence for a user's mistake."""

import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dagal import artifacts  # noqa: E402
from dagal.errors import UserError  # noqa: E402


def start(snakemake) -> dict:
    """Send all output to the rule's log and return the provenance of the files it writes."""
    log = os.open(snakemake.log[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
        stream.reconfigure(line_buffering=True)
    sys.excepthook = _explain
    seed = int(snakemake.wildcards.get("seed", -1))
    return artifacts.provenance(snakemake.rule, dict(snakemake.params.items()), seed)


def _explain(kind, error, trace):
    if issubclass(kind, UserError):
        print(f"dagal: {error}", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)
