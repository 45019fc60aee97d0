"""Lines that a user should read: what was left out of an artifact, or taken otherwise than it was written.

A job tells them while it writes an artifact. They are then in its log and in the artifact's attribute ``notes``; the run prints those
of its data sets when it ends, and ``python -m dagal show`` those of any file.
"""

from pathlib import Path

from dagal import artifacts
from dagal.artifacts import Writer

ATTRIBUTE = "notes"


def tell(writer: Writer, *lines: str) -> None:
    """Print the lines and keep them in the artifact that is being written."""
    if lines:
        print(*lines, sep="\n")
        writer.file.attrs[ATTRIBUTE] = [*writer.file.attrs.get(ATTRIBUTE, []), *lines]


def of(path: str | Path) -> list[str]:
    """The lines kept in an artifact; none where it is not there."""
    if not Path(path).exists():
        return []
    with artifacts.open_hdf5(path) as file:
        return list(file.attrs.get(ATTRIBUTE, []))
