"""``python -m dagal usage STUDY``: what takes the disk, by stage."""

import argparse
import os
from collections import defaultdict
from pathlib import Path

from rich.filesize import decimal

from dagal import artifacts
from dagal.errors import UserError
from dagal.inspect.console import plain_console, plain_table
from dagal.inspect.results import Results, described, made, opened
from dagal.pace import duration
from dagal.plan import record


def add_command(commands) -> None:
    parser = commands.add_parser(
        "usage",
        help="what takes the disk, by stage",
        description="List how many files each stage of a study left, what they take on the disk, and how long its jobs took. Data sets and "
        "backbones are shared with other studies.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of its results, as results/digits")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    results = opened(options.study)
    table = plain_table("stage", "files", "bytes", "time of its jobs", numbers=True)
    rows = usage(results)
    for stage, (files, size, seconds) in sorted(rows.items(), key=lambda row: -row[1][1]):
        table.add_row(stage, f"{files:,}", decimal(size), duration(seconds) if seconds else "")
    table.add_row("in all", f"{sum(row[0] for row in rows.values()):,}", decimal(sum(row[1] for row in rows.values())))
    plain_console().print(table)


def usage(results: Results) -> dict[str, list]:
    """Stage -> files, bytes and seconds of its jobs. What no job makes, logs and costs of jobs among it, is ``logs and others``."""
    found, stage_of = defaultdict(lambda: [0, 0, 0.0]), {}
    for (stage, _), about in described(results.study).items():
        stage_of |= {str(results.path(path)): stage for path in made(about)}
        found[stage][2] += seconds_of(results.path(about["output"]["benchmark"])) or 0.0
    for folder in (results.folder, *map(results.path, record.datasets(results.study))):
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                if not path.is_symlink():  # of a chain that had stopped
                    row = found[stage_of.get(str(path), "logs and others")]
                    row[0] += 1
                    row[1] += path.stat().st_size
    return {stage: row for stage, row in found.items() if row[0]}


def seconds_of(benchmark: Path) -> float | None:
    """How long a job took; None if it is not known, or if it had nothing to do."""
    if benchmark.is_symlink() or not benchmark.is_file():
        return None
    try:
        return float(artifacts.read_costs(benchmark)["s"])
    except (UserError, ValueError):  # damaged, or of an earlier version
        return None
