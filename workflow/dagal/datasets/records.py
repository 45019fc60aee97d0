"""The records of annotation files: which cannot be used, and what is done with boxes that are marked in some way."""

from collections import Counter
from dataclasses import dataclass, field

from dagal.errors import UserError

NAMED = 20  # of a list in one line
MOST_NUMBER = 1 << 53  # of a frame, a track or a count: what JSON of all tools keeps exact

# mark of boxes, also the key that says what is done with them -> what such boxes are
MARKS = {
    "crowd": "stand for a crowd (iscrowd)",
    "ignored": "are marked as to be ignored",
    "invisible": "have visibility 0",
    "rotated": "are rotated",
}


@dataclass
class Records:
    """Counts the records of a data set: images and boxes. One that cannot be used is skipped, counted and told.

    ``settings``: those of the data set; ``bad_records`` is the share of bad records above which `notes` refuses, and each mark
    of `MARKS` says whether boxes with it are kept or left out.
    """

    settings: dict
    total: int = 0
    bad: list[str] = field(default_factory=list)  # a clause on each
    marked: Counter = field(default_factory=Counter)

    def skip(self, clause: str) -> None:
        """Count a record that cannot be used."""
        self.bad.append(clause)

    def keeps(self, mark: str) -> bool:
        """Count a box with a mark; whether it is read."""
        self.marked[mark] += 1
        return self.settings[mark] != "leave_out"

    def check(self, total: int | None = None) -> None:
        """Raise UserError if too many of all records, or of ``total``, are bad."""
        total, share = self.total if total is None else total, self.settings["bad_records"]
        if len(self.bad) > share * total:
            raise UserError(
                f"{self.bad[0]} ({len(self.bad):,} of {total:,} records cannot be used, more than the share {share:g}): correct or "
                "delete them, or raise dataset.bad_records."
            )

    def notes(self) -> list[str]:
        """Lines on what was skipped and on marked boxes. Raises UserError as `check` does."""
        self.check()
        lines = [f"left out {len(self.bad):,} of {self.total:,} records that cannot be used: {named(self.bad)}"]
        lines = lines if self.bad else []
        for mark, n in self.marked.items():
            done = {"leave_out": "left out", "keep": "kept", "enclose": "taken as the upright boxes around them"}
            lines.append(f"{n:,} boxes {MARKS[mark]}: {done[self.settings[mark]]} (dataset.{mark})")
        return lines


def named(names: list[str]) -> str:
    """Names in one line, the first `NAMED` of them."""
    more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(str, names[:NAMED])) + more
