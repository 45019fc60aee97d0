"""What logs and the screen say of rate and remaining time."""

import io
import logging
import time

import pytest
from rich.console import Console

from dagal import pace
from dagal.inspect import progress
from dagal.inspect.progress import Progress, place, seconds_left


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"), (119.4, "119 s"), (120, "2 min"), (3569, "59 min"), (3600, "1 h 0 min"), (3 * 3600 + 620, "3 h 10 min"),
        (86399, "23 h 59 min"), (90000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations(seconds, said):
    assert pace.duration(seconds) == said


def test_rate_and_remaining_time():
    assert pace.told(3, 9, 12.0, items=600) == "12.0 s, 50 images/s, about 24 s left"
    assert pace.told(9, 9, 36.0) == "36.0 s"


def test_epochs_of_a_training_that_went_on_where_it_was_stored(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 130.0)
    assert pace.of_epochs(8, 10, 100.0, 60, first=2) == "30.0 s, 12 images/s, about 10 s left"


def test_a_long_loop_reports_now_and_then(monkeypatch, capsys):
    now = iter([100.0, 101.0, 120.0, 125.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    report = pace.Reporter(40, "frames")
    for done in (1, 10, 20):
        report(done, lambda: "  loss 2")
    assert capsys.readouterr().out == "10 of 40 frames, 20.0 s, 0 frames/s, about 60 s left  loss 2\n"


def test_time_that_is_left():
    # two at a time so far; 3 more of 10 s, and 2 of an unknown kind, which takes the mean of 4, 10 and 10 s
    spent = {"train": [10.0, 10.0], "score": [4.0]}
    assert seconds_left({"train": 3, "new": 2}, spent, elapsed=12) == pytest.approx((30 + 16) / 2)
    assert seconds_left({"train": 3}, {}, elapsed=5) == 0


def test_place_of_a_job():
    assert place({"cycle": "3", "branch": "entropy", "seed": "0"}) == "entropy seed 0 cycle 3"
    assert place({}) == place(None) == ""


class Events:
    """A logger that a study is run on, with a clock."""

    def __init__(self, models, monkeypatch, terminal=False):
        self.text, self.now = io.StringIO(), 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        console = Console(file=self.text, force_terminal=terminal, width=200)
        self.handler = Progress(models, console)
        self.logger = logging.Logger("snakemake")
        self.other = logging.StreamHandler(io.StringIO())

    def say(self, event, message=None, **about):
        self.logger.info(message, extra={"event": event, **about})

    def run(self, job, rule, seconds, wildcards=None, output=()):
        about = {"rule_name": rule, "wildcards": wildcards or {}, "output": list(output)}
        self.say("job_info", jobid=job, **about)
        self.now += seconds
        self.say("job_finished", job_id=job)


def test_lines_of_a_study(tmp_path, monkeypatch):
    models = [str(tmp_path / f"{name}.json") for name in "abc"]
    (tmp_path / "a.json").touch()
    events = Events(models, monkeypatch)
    events.handler.listen(events.logger, instead=True)
    events.say("run_info", stats={"train": 2, "evaluate": 2, "plot": 1, "all": 1, "total": 6})
    events.say("job_started", jobs=[1])
    events.run(1, "train", 40, {"branch": "entropy", "seed": "0", "cycle": "1"})
    first = events.text.getvalue()
    assert first == "1 of 3 models\n"  # no estimate before a whole model has been timed
    events.say(
        "job_info", jobid=9, rule_name="train", wildcards={"branch": "margin", "seed": "0", "cycle": "1"}, output=[]
    )
    events.run(2, "evaluate", 40, output=[models[1]])
    # left: 1 training of 40 s, 1 evaluation of 40 s, 1 plot of a mean job's 40 s; one job at a time
    line = events.text.getvalue().removeprefix(first)
    assert line.startswith("2 of 3 models, about 2 min left (") and line.endswith(
        "; now: train margin seed 0 cycle 1\n"
    )
    events.say("job_error", jobid=9)
    assert ", 1 job failed" in events.handler.line(events.now)
    events.handler.stop()
    events.handler.stop()
    assert events.text.getvalue().endswith("2 of 3 models after 80 s\n")


def test_a_dry_run_says_nothing(monkeypatch):
    events = Events([], monkeypatch)
    events.handler.listen(events.logger, instead=True)
    events.say("run_info", stats={"train": 1, "total": 1})
    events.run(1, "train", 99)
    events.handler.stop()
    assert events.text.getvalue() == ""


def test_a_model_that_is_made_anew_is_not_finished(tmp_path, monkeypatch):
    model = tmp_path / "a.json"
    model.touch()
    events = Events([str(model)], monkeypatch)
    events.handler.listen(events.logger, instead=False)
    events.say("run_info", stats={"evaluate": 1, "total": 1})
    events.say("job_started", jobs=[1])
    events.say("job_info", jobid=1, rule_name="evaluate", wildcards={}, output=[str(model)])
    assert events.handler.line(events.now).startswith("0 of 1 models; now: evaluate")


@pytest.mark.parametrize("instead", [True, False])
def test_it_stands_for_what_snakemake_says_of_each_job(monkeypatch, instead):
    events = Events([], monkeypatch)
    events.other.stream = screen = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    events.logger.addHandler(events.other)
    events.handler.listen(events.logger, instead)
    events.say("job_started", "Execute 1 jobs...", jobs=[])
    events.logger.info("Select jobs to execute...")
    events.logger.info("a warning")
    events.handler.stop()
    assert screen.getvalue().splitlines() == (
        ["a warning"] if instead else ["Execute 1 jobs...", "Select jobs to execute...", "a warning"]
    )


def test_in_a_terminal_the_line_stays_below_the_others(monkeypatch):
    events = Events(["a"], monkeypatch, terminal=True)
    events.handler.listen(events.logger, instead=True)
    events.say("job_started", jobs=[])
    assert events.handler.live and "0 of 1 models" in events.handler.render().columns[1]._cells[0]
    events.handler.stop()
    assert events.handler.live is None and events.text.getvalue().rstrip().endswith("0 of 1 models after 0 s")
