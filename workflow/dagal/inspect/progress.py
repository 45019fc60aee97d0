"""What a study shows on the screen while it runs: finished and running models, and when it will be done."""

import atexit
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from dagal.pace import duration

PLAIN_SECONDS = 30  # between two lines where the screen is no terminal
SHOWN = 3  # running jobs that are named
# what Snakemake says of each job
EVENTS, SELECTING = ("job_started", "job_finished", "progress"), "Select jobs to execute..."


class Progress(logging.Handler):
    """A handler of Snakemake's logger: in a terminal two lines that stay below all others, else a line now and then.

    ``models`` are the metrics files of the study's nodes: a node is finished once its file is written.
    """

    def __init__(self, models: Iterable[str], console: Console | None = None):
        super().__init__()
        self.models = set(models)
        self.console = console or Console(stderr=True)
        self.left = Counter()  # jobs by rule
        self.running = {}  # job id -> (rule, words that say where it stands, outputs, start)
        self.spent = {}  # rule -> seconds of each finished job
        self.failed = 0
        self.done, self.done_now = set(), 0
        self.started = self.printed = 0.0
        self.live, self.others = None, []

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event; anything else that is logged is no concern of this handler."""
        take = getattr(self, f"_{getattr(record, 'event', None)}", None)
        if take:
            take(record)

    def _run_info(self, record) -> None:
        self.left = Counter({rule: jobs for rule, jobs in record.stats.items() if rule not in ("total", "all")})

    def _job_started(self, record) -> None:  # a dry run starts none
        if self.started:
            return
        self.started = self.printed = time.monotonic()
        self.done = {path for path in self.models if Path(path).exists()}
        if self.console.is_terminal:
            self.live = Live(get_renderable=self.render, console=self.console, transient=True, refresh_per_second=2)
            self.live.start()
            for handler in self.others:  # what Snakemake writes goes above the line, which would be torn otherwise
                handler.setStream(sys.stderr)  # `Live` has put itself in its place

    def _job_info(self, record) -> None:
        if self.started and record.rule_name != "all":
            self.done -= set(record.output)  # made anew
            where = place(record.wildcards)
            self.running[record.jobid] = (record.rule_name, where, record.output, time.monotonic())

    def _job_finished(self, record) -> None:
        if record.job_id not in self.running:
            return
        rule, _, outputs, started = self.running.pop(record.job_id)
        now = time.monotonic()
        self.spent.setdefault(rule, []).append(now - started)
        self.left[rule] -= 1
        made = self.models.intersection(outputs)
        self.done |= made
        self.done_now += len(made)
        if not self.live and now - self.printed >= PLAIN_SECONDS:
            self.printed = now
            self.console.print(self.line(now), soft_wrap=True, highlight=False)

    def _job_error(self, record) -> None:
        if self.running.pop(record.jobid, None):
            self.failed += 1

    def line(self, now: float) -> str:
        """ "12 of 63 models, about 4 min left (14:32); now: train entropy seed 0 cycle 3"."""
        parts = [f"{len(self.done)} of {len(self.models)} models"]
        if self.failed:
            parts.append(f"{self.failed} job{'s' if self.failed > 1 else ''} failed")
        missing = self.models - self.done
        if self.done_now or not missing:  # every kind of job of a model has been timed
            seconds = seconds_left(self.left, self.spent, now - self.started)
            end = time.strftime("%H:%M" if seconds < 86400 else "%a %H:%M", time.localtime(time.time() + seconds))
            parts.append(f"about {duration(seconds)} left ({end})")
        return ", ".join(parts) + self.named()

    def named(self) -> str:
        """The jobs that run, the oldest first."""
        names = [f"{rule} {where}".strip() for rule, where, _, _ in self.running.values()]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"; now: {', '.join(names[:SHOWN])}{more}" if names else ""

    def render(self) -> Table:
        """The line with a bar before it."""
        with self.lock:
            line = self.line(time.monotonic())
        table = Table.grid(padding=(0, 1))
        table.add_row(ProgressBar(len(self.models), len(self.done), width=20), line)
        return table

    def listen(self, logger: logging.Logger, instead: bool) -> None:
        """Join the handlers of Snakemake's logger; ``instead`` of what they say of each job on the screen."""
        self.others = [one for one in logger.handlers if getattr(one, "stream", None) in (sys.stderr, sys.stdout)]
        for handler in self.others if instead else ():
            handler.addFilter(lambda record: getattr(record, "event", None) not in EVENTS and record.msg != SELECTING)
        logger.addHandler(self)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Take the line off the screen and say how it ended."""
        if not self.started:
            return
        if self.live:
            self.live.stop()
            self.live = None
        now, self.running = time.monotonic(), {}
        self.console.print(
            f"{len(self.done)} of {len(self.models)} models after {duration(now - self.started)}", highlight=False
        )
        self.started = 0.0


def place(wildcards: Mapping[str, str] | None) -> str:
    """ "entropy seed 0 cycle 3" of the wildcards of a job."""
    values = dict(wildcards or {})
    branch = [values.pop("branch")] if "branch" in values else []
    return " ".join([*branch, *(f"{name} {value}" for name, value in sorted(values.items(), reverse=True))])


def seconds_left(left: Mapping[str, int], spent: Mapping[str, list[float]], elapsed: float) -> float:
    """Seconds until the jobs that are left (rule -> number) are done, if they take what jobs of their rule took so far.

    ``spent``: rule -> seconds of each finished job; a rule that none finished of takes the mean of all. As many jobs run at a
    time as did on average in the ``elapsed`` seconds.
    """
    finished = [seconds for each in spent.values() for seconds in each]
    if not finished:
        return 0.0
    mean = sum(finished) / len(finished)
    work = sum(jobs * (sum(spent[rule]) / len(spent[rule]) if rule in spent else mean) for rule, jobs in left.items())
    at_a_time = max(sum(finished) / max(elapsed, 1e-9), 1e-9)
    return work / at_a_time
