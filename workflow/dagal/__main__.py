"""The command line of the library: ``python -m dagal COMMAND``, or ``dagal COMMAND`` where it is installed."""

import argparse
import sys

from dagal import __version__
from dagal.config import commands as study_commands
from dagal.datasets.rendering import survey
from dagal.errors import UserError
from dagal.inspect import accept, failures, sheet, show
from dagal.report import break_even


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake of the user (one sentence on stderr)."""
    parser = argparse.ArgumentParser(
        prog="dagal",
        description="Deep active learning as a DAG of files. Studies are run by `snakemake`; these commands write and check a "
        "study, look at the files that it leaves, or render files to try one on.",
        epilog="examples:\n  dagal new leaves\n  dagal config leaves.yaml\n  dagal methods entropy_cb\n"
        "  dagal show results/digits/seed0/entropy/cycle1/query.h5\n  dagal sheet results/digits/seed0/entropy/cycle1/query.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dagal {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    study_commands.add_commands(commands)
    show.add_command(commands)
    sheet.add_command(commands)
    failures.add_command(commands)
    accept.add_command(commands)
    break_even.add_command(commands)
    survey.add_command(commands)
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?", it does not crash
    try:
        options.run(options)
    except UserError as error:
        print(f"dagal: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
