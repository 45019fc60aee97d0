"""Taking the results of a study as they are, where a change of code or settings is known not to matter."""

import subprocess
import sys

from dagal.errors import UserError
from dagal.plan.code import WORKFLOW


def add_command(commands) -> None:
    parser = commands.add_parser(
        "accept",
        help="take the results of a study as they are",
        description="Marks all results of a study that are there as made with its present settings and code, so that none of them "
        "is made again. For whoever knows that a change does not matter; what is missing is still made by the next run.",
    )
    parser.add_argument("study", help="file of the study, as given to --configfile")
    parser.set_defaults(run=lambda options: accept(options.study))


def accept(study: str) -> None:
    """Have Snakemake touch the files of a study in the order in which they were made. Raises UserError if it cannot."""
    snakefile = str(WORKFLOW.parent / "Snakefile")
    command = [sys.executable, "-m", "snakemake", "--touch", "--snakefile", snakefile, "--cores", "1", "--quiet", "all"]
    done = subprocess.run([*command, "--configfile", study], capture_output=True, text=True)
    if done.returncode:
        sentences = [line for line in done.stderr.splitlines() if line.startswith("dagal: ")]
        raise UserError(sentences[-1].removeprefix("dagal: ") if sentences else " ".join(done.stderr.split())[-500:])
    print(f"The results of {study} are taken as they are.")
