"""``python -m dagal status``: how far a study is, what runs, what failed, and how long the rest will take."""

import argparse
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from dagal import artifacts
from dagal.errors import UserError
from dagal.inspect.console import plain_console, plain_table, printable
from dagal.inspect.failures import TAIL_BYTES, failure
from dagal.inspect.progress import seconds_left
from dagal.inspect.results import Results, described, named, title
from dagal.inspect.usage import seconds_of
from dagal.pace import duration
from dagal.plan import record
from dagal.plan.graph import Job

STATES = ("finished", "running", "failed", "waiting")
WATCH_SECONDS = 2
SHOWN = 5  # failed jobs whose logs are printed, and running ones that are named


@dataclass
class State:
    """Jobs of a study by `STATES`; seconds that finished jobs of each stage took; ``run`` is what is on record of the run that goes on."""

    jobs: dict[str, list[Job]] = field(default_factory=lambda: {name: [] for name in STATES})
    nodes: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))  # branch -> states of its nodes
    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    spent_in_run: float = 0.0
    run: dict | None = None


def add_command(commands) -> None:
    parser = commands.add_parser(
        "status",
        help="how far a study is, what runs and what failed",
        description="List the finished, running, failed and waiting models of a study, the time that its jobs took, an estimate of the "
        "rest, and the last lines of the logs of failed jobs. A job counts as finished once all its files are there; whether one would "
        "run again, snakemake -n tells.",
    )
    parser.add_argument(
        "study",
        type=Path,
        nargs="?",
        default=Path("config.yaml"),
        metavar="STUDY",
        help="folder of its results, or its YAML file (default: config.yaml)",
    )
    parser.add_argument("--lines", type=int, default=3, metavar="N", help="last lines of each failed log (default 3)")
    parser.add_argument("--watch", action="store_true", help="show it until the run ends")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    results, console = named(options.study), plain_console()
    jobs = described(results.study)
    if not options.watch:
        console.print(rendered(results, jobs, state(results, jobs), options.lines))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            now = state(results, jobs)
            live.update(rendered(results, jobs, now, options.lines), refresh=True)
            if not now.run:
                return
            time.sleep(WATCH_SECONDS)


def state(results: Results, jobs: dict[Job, dict]) -> State:
    """Where each job and each node of a study stands, as its files tell."""
    found = State(run=going_on(results))
    of_node = defaultdict(set)
    metrics = {}
    for one, about in jobs.items():
        stage, wildcards = one
        name = state_of(results, about, found.run)
        found.jobs[name].append(one)
        place = dict(wildcards)
        if "branch" in place:
            of_node[place["seed"], place["branch"], place["cycle"]].add(name)
        if "metrics" in about["output"] and "branch" in place:
            metrics[place["seed"], place["branch"], place["cycle"]] = name == "finished"
        if name == "finished":
            benchmark = results.path(about["output"]["benchmark"])
            seconds = seconds_of(benchmark)
            if seconds is not None:
                found.spent[stage].append(seconds)
                if found.run and benchmark.stat().st_mtime >= found.run["started"]:
                    found.spent_in_run += seconds
    for (_, branch, _), names, done in ((node, of_node[node], metrics[node]) for node in metrics):
        found.nodes[branch][
            "finished" if done else next(name for name in ("failed", "running", "waiting") if name in names)
        ] += 1
    return found


def state_of(results: Results, about: dict, run: dict | None) -> str:
    """One of `STATES`. A log without a mistake, written since the run began, is that of a job that runs."""
    if all(results.path(path).exists() for path in about["output"].values()):
        return "finished"
    log = results.path(about["log"])
    if not log.is_file():
        return "waiting"
    if failure(log):
        return "failed"
    return "running" if run and log.stat().st_mtime >= run["started"] else "waiting"


def going_on(results: Results) -> dict | None:
    """What is on record of the run of a study, if one goes on; of one on another machine only the record tells."""
    path = results.home / record.running(results.study)
    try:
        about = artifacts.read_json(path) if path.is_file() else None
    except UserError:
        return None
    if not about or about["host"] != socket.gethostname():
        return about
    try:
        os.kill(about["process"], 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # another user's
        pass
    return about


def rendered(results: Results, jobs: dict[Job, dict], now: State, lines: int) -> Group:
    """The state on the screen."""
    table = plain_table("models of", *STATES, numbers=True)
    for branch in (name for name in results.study.branches if name in now.nodes):
        table.add_row(branch, *(str(now.nodes[branch][name] or "") for name in STATES))
    total = sum(now.nodes.values(), Counter())
    table.add_row("all", *(str(total[name]) for name in STATES), style="bold")
    return Group(table, "", *summary(now), *(Text(line) for line in failed(results, jobs, now, lines)))


def summary(now: State) -> Iterator[str]:
    """Sentences on jobs, on time, and on what runs."""
    counts = ", ".join(f"{len(now.jobs[name]):,} {name}" for name in STATES if now.jobs[name])
    spent = sum(map(sum, now.spent.values()))
    took = f"; the finished ones took {duration(spent)}, one after the other" if spent else ""
    yield f"jobs: {counts}{took}"
    left = Counter(stage for name in ("running", "failed", "waiting") for stage, _ in now.jobs[name])
    if left and spent:
        elapsed = time.time() - now.run["started"] if now.run else 0.0
        # as many at a time as in this run so far
        at_a_time = max(now.spent_in_run / elapsed, 1e-3) if now.spent_in_run and elapsed else 1.0
        seconds = seconds_left(left, now.spent, spent / at_a_time)
        how = f"{at_a_time:.1f} at a time, as now" if now.spent_in_run else "one after the other"
        yield f"left: about {duration(seconds)} of jobs, {how}"
    if now.run:
        running = [title(one) for one in now.jobs["running"]]
        more = f" and {len(running) - SHOWN} more" if len(running) > SHOWN else ""
        yield f"running since {time.strftime('%a %H:%M', time.localtime(now.run['started']))}: {'; '.join(running[:SHOWN]) or 'nothing yet'}{more}"
    elif left:
        yield "no run goes on: start one with snakemake"


def failed(results: Results, jobs: dict[Job, dict], now: State, lines: int) -> Iterator[str]:
    """Each failed job with the end of its log."""
    for one in now.jobs["failed"][:SHOWN]:
        log = results.path(jobs[one]["log"])
        yield from ("", f"failed: {title(one)}, {log}", *(f"  {line}" for line in tail(log, lines)))
    if len(now.jobs["failed"]) > SHOWN:
        yield f"and {len(now.jobs['failed']) - SHOWN} more failed"


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, without what could steer a terminal."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace").rstrip()
    return [printable(line) for line in text.splitlines()[-lines:]] if lines > 0 else []
