"""``python -m dagal clean STUDY``: remove models and signals of old cycles, which no later job needs and which can be made again."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from dagal.inspect.results import Results, described, opened, read
from dagal.inspect.usage import seconds_of
from dagal.pace import duration
from dagal.plan.graph import Job

MODELS = (".safetensors",)


@dataclass(frozen=True)
class Removable:
    """Files of one job that can go, and the seconds that it took to make them, if they are known."""

    job: Job
    paths: list[Path]
    seconds: float | None


def add_command(commands) -> None:
    parser = commands.add_parser(
        "clean",
        help="remove models and signals of old cycles",
        description="List the models and signals of the cycles between the first and the last one, and what it would take to make them "
        "again; with --yes remove them. Labels, queries, scores, measures, tables and figures stay, and so do the files of the "
        "first cycle, which further methods begin with, and those of the last one, which further cycles begin with.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of its results, as results/digits")
    parser.add_argument("--yes", action="store_true", help="remove them; without it nothing is touched")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    found = list(removable(opened(options.study)))
    paths = [path for one in found for path in one.paths]
    size = sum(path.stat().st_size for path in paths)
    if not paths:
        print(f"{options.study} holds no model and no signal of an old cycle that is not needed any more.")
        return
    known = [one.seconds for one in found if one.seconds is not None]
    cost = f"{duration(sum(known))} of jobs, one after the other" if known else "an unknown time"
    unknown = f" and {len(found) - len(known)} jobs of unknown length" if known and len(known) < len(found) else ""
    what = f"{len(paths):,} files of {len(found):,} jobs, {decimal(size)}; to make them again takes {cost}{unknown}"
    if options.yes:
        for path in paths:
            path.unlink()
        print(f"removed {what}")
    else:
        print(*paths, sep="\n")
        print(f"can be removed: {what}")
        print(f"nothing is removed yet: python -m dagal clean {options.study} --yes")


def removable(results: Results) -> Iterator[Removable]:
    """Models and signals of cycles that are neither the first nor the last, all of whose readers are finished."""
    study, jobs = results.study, described(results.study)
    read_by = {(method, kind) for method in study.methods for kind, _ in study.signals(method)}
    names = {f"{study.signal_file(*one)}.h5" for one in read_by if one[1] not in ("images", "truth", "query")}
    names |= {"features.h5"}  # what a node's fine-tuned backbone tells of all images
    last = {str(study.cycles[-1]), "0"}
    needed, linked = set(), set()  # by jobs that are still to run; by the later cycles of a chain that had stopped
    for about in jobs.values():
        outputs = [results.path(path) for path in about["output"].values()]
        linked |= {path.resolve() for path in outputs if path.is_symlink()}
        if not all(path.exists() for path in outputs):
            needed |= set(read(about))
    for one, about in jobs.items():
        if dict(one[1]).get("cycle", "0") in last:
            continue
        own = [path for path in about["output"].values() if path.endswith(MODELS) or path.rpartition("/")[2] in names]
        own = [results.path(path) for path in own if path not in needed]
        own = [path for path in own if path.is_file() and not path.is_symlink() and path not in linked]
        if own:
            yield Removable(one, own, seconds_of(results.path(about["output"]["benchmark"])))
