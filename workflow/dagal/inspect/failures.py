"""``python -m dagal failures``: why jobs of the last run failed, and where their logs are."""

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

FAILED = "At least one job did not complete successfully."  # Snakemake's words
SHOWN = 20  # logs of one reason
TAIL_BYTES = 1 << 16  # of a log: what ended the job is told last


def add_command(commands) -> None:
    """Add ``failures`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "failures",
        help="why jobs of the last run failed",
        description="Print what ended the jobs that failed since the last start of Snakemake, and the paths of their logs.",
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="where Snakemake ran (default: here)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    tell(options.folder, sys.stdout)


def tell(folder: Path, screen: TextIO) -> None:
    """Print why jobs of the last run in a folder failed; nothing if none did."""
    for line in lines(folder):
        print(line, file=screen)


def lines(folder: Path) -> Iterator[str]:
    """Each reason once, with the logs that name it, of which the path says the node; nothing if no job failed."""
    started, record = last_run(folder)
    reasons = {}
    for path in logs_since(folder / "results", started):
        if reason := failure(path):
            reasons.setdefault(reason, []).append(path)
    if not reasons and record and FAILED in record.read_text(errors="replace"):  # as when a job was killed
        yield f"No log of a job says why it failed; Snakemake's own messages are in {record}."
    for reason, paths in reasons.items():
        yield from ("", reason, *(f"  {path}" for path in paths[:SHOWN]))
        if len(paths) > SHOWN:
            yield f"  and {len(paths) - SHOWN} more"


def last_run(folder: Path) -> tuple[float, Path | None]:
    """When Snakemake was last started in a folder, seconds since the epoch, and its record of that run; 0 and None if never.

    Its record has the time in its name: under ``--quiet rules`` the record itself names no failed job.
    """
    records = sorted((folder / ".snakemake/log").glob("*.snakemake.log"))
    if not records:
        return 0.0, None
    return datetime.strptime(records[-1].name.split(".")[0], "%Y-%m-%dT%H%M%S").timestamp(), records[-1]


def logs_since(folder: Path, started: float) -> list[Path]:
    """Logs below a folder that were written at or after a time, oldest first."""
    written = [(path.stat().st_mtime, path) for path in folder.rglob("*.log") if path.is_file()]
    return [path for time, path in sorted(written) if time >= started]


def failure(log: Path) -> str | None:
    """The sentence of a user's mistake in a log, or the last line after a traceback; None if the job went well."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").rstrip().splitlines()
    sentences = [line for line in lines if line.startswith("dagal: ")]
    if not sentences and "Traceback (most recent call last):" in lines:
        return lines[-1]
    return sentences[-1] if sentences else None
