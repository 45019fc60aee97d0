"""``python -m dagal verify STUDY``: every file of a study against its checksums."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from dagal import storage
from dagal.errors import UserError
from dagal.inspect.results import Results, opened
from dagal.pace import Reporter
from dagal.plan import record

READ_BYTES = 64 * storage.BLOCK
OTHERS = (
    ".png",
    ".svg",
    ".pdf",
    ".html",
    ".log",
    ".txt",
    ".tex",
)  # kinds of files that no job reads, without checksums


def add_command(commands) -> None:
    parser = commands.add_parser(
        "verify",
        help="compare every file of a study with its checksums",
        description="Read every artifact of a study and of the data sets that it uses, compare it with its checksums, and name the "
        "damaged ones. Exit code 1 if there is any.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of its results, as results/digits")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what is damaged; returns the exit code."""
    paths = list(checked(opened(options.study)))
    damage, without, report = [], 0, Reporter(len(paths), "files")
    for place, path in enumerate(paths, 1):
        try:
            verify(path)
        except storage.NoChecksums as error:
            if path.suffix in (".csv", ".json"):  # a table or a record that somebody put there
                without += 1
            else:
                damage.append(str(error))
        except UserError as error:
            damage.append(str(error))
        report(place)
    print(*damage, sep="\n", end="\n" if damage else "")
    apart = f", {without:,} without checksums" if without else ""
    print(f"{len(paths):,} files, {len(damage):,} damaged{apart}")
    return 1 if damage else 0


def checked(results: Results) -> Iterator[Path]:
    """The artifacts of a study and of its data sets: all that jobs read, and what they cost."""
    for folder in (results.folder, *map(results.path, record.datasets(results.study))):
        for place, _, names in sorted(os.walk(folder)):
            for path in (Path(place, name) for name in sorted(names)):
                hidden = path.name.startswith(".")
                if not hidden and path.suffix not in OTHERS and path.is_file() and not path.is_symlink():
                    yield path


def verify(path: Path) -> None:
    """Read a whole file and compare it with its checksums. Raises UserError if it is damaged or has none."""
    if path.suffix == ".h5":
        verify_blocks(path)
    elif path.suffix == ".csv":
        if not storage.beside(path).exists():
            raise storage.NoChecksums(path)
        storage.verified_table(path)
    else:
        storage.verified_bytes(path)


def verify_blocks(path: Path) -> None:
    try:
        with storage.Verified(path) as blocks:
            buffer = bytearray(READ_BYTES)
            while blocks.readinto(buffer):
                pass
    except OSError as error:
        raise storage.unreadable(path, error) from None
