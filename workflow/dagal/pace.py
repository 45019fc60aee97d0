"""How long work takes: what logs and the screen say of rate and remaining time."""

import time
from collections.abc import Callable

SECONDS = 10  # between two lines in a log


def duration(seconds: float) -> str:
    """Two units at most: "40 s", "4 min", "2 h 10 min", "3 d 4 h"."""
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // smaller} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def told(done: int, total: int, seconds: float, items: int = 0, unit: str = "images") -> str:
    """ "12.3 s, 5,300 images/s, about 4 min left" after ``done`` of ``total`` equal rounds, which had ``items`` in all."""
    parts = [f"{seconds:.1f} s"]
    if items:
        parts.append(f"{items / max(seconds, 1e-9):,.0f} {unit}/s")
    if done < total:
        parts.append(f"about {duration(seconds / done * (total - done))} left")
    return ", ".join(parts)


def of_epochs(epoch: int, epochs: int, started: float, images: int, first: int = 0) -> str:
    """`told` after ``epoch`` epochs of ``images`` each, in a loop that went on after ``first`` epochs at ``started`` (monotonic)."""
    return told(epoch - first, epochs - first, time.monotonic() - started, (epoch - first) * images)


class Reporter:
    """Prints how far a long loop is, at most once in `SECONDS`."""

    def __init__(self, total: int, unit: str = "images"):
        self.total, self.unit = total, unit
        self.started = self.reported = time.monotonic()

    def __call__(self, done: int, besides: Callable[[], str] = str) -> None:
        """``done`` of all items are; what ``besides`` returns is put behind."""
        now = time.monotonic()
        if now - self.reported >= SECONDS:
            self.reported = now
            pace = told(done, self.total, now - self.started, done, self.unit)
            print(f"{done:,} of {self.total:,} {self.unit}, {pace}{besides()}", flush=True)
