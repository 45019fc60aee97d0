"""The command line of the library: ``python -m dagal COMMAND``, or ``dagal COMMAND`` where it is installed."""

import argparse
import importlib
import sys

from dagal import __version__
from dagal.errors import UserError

# command -> the module that adds it to the command line
COMMANDS = {
    "config": "dagal.config.commands",
    "methods": "dagal.config.commands",
    "new": "dagal.config.commands",
    "show": "dagal.inspect.show",
    "sheet": "dagal.inspect.sheet",
    "progress": "dagal.inspect.labels",
    "relabel": "dagal.inspect.labels",
    "failures": "dagal.inspect.failures",
    "export-query": "dagal.labeling.exchange",
    "import-answers": "dagal.labeling.exchange",
    "agreement": "dagal.inspect.agreement",
    "accept": "dagal.inspect.accept",
    "label": "dagal.labeling.label",
    "status": "dagal.inspect.status",
    "trace": "dagal.inspect.trace",
    "diff": "dagal.inspect.diff",
    "verify": "dagal.inspect.verify",
    "usage": "dagal.inspect.usage",
    "clean": "dagal.inspect.clean",
    "export": "dagal.inspect.export",
    "break-even": "dagal.report.break_even",
    "compare": "dagal.inspect.compare",
    "camera-traps": "dagal.datasets.rendering.survey",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 if what was compared differs, 2 a mistake of the user (one sentence on stderr)."""
    parser = argparse.ArgumentParser(
        prog="dagal",
        description="Deep active learning as a DAG of files. Studies are run by `snakemake`; these commands write and check a "
        "study, look at the files that it leaves, or render files to try one on.",
        epilog="examples:\n  dagal new leaves\n  dagal config leaves.yaml\n  dagal methods entropy_cb\n"
        "  dagal show results/digits/seed0/entropy/cycle1/query.h5\n  dagal sheet results/digits/seed0/entropy/cycle1/query.h5\n"
        "  dagal status config.yaml\n  dagal trace 100 results/digits",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dagal {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    arguments = sys.argv[1:] if arguments is None else arguments
    # a known command loads what it needs itself, and nothing that draws or decodes for the others
    wanted = [name for name in COMMANDS if name in arguments[:1]] or COMMANDS
    for module in dict.fromkeys(COMMANDS[name] for name in wanted):
        importlib.import_module(module).add_command(commands)
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?", it does not crash
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # who reads the output has ended, as `head` does
        sys.stdout = None  # nothing is left to be written when Python ends
        return 0
    except UserError as error:
        print(f"dagal: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
