"""``python -m dagal diff A B``: where two studies, or two artifacts, first differ, and why."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.inspect.console import plain_console, plain_table
from dagal.inspect.content import differences, flat, of_values
from dagal.inspect.results import Results, described, made, opened, read, title
from dagal.plan import record
from dagal.plan.graph import Job

SHOWN = 3  # places where studies begin to differ, and parts of the files of each, that are printed in full
GIVEN = ("initial", "supervised", "oracle")  # stages in which labels are given


@dataclass(frozen=True)
class Difference:
    """A job whose inputs are the same in both studies and whose files are not: what differs, and what may be the cause."""

    job: Job
    what: list[str]
    causes: list[str]


def add_command(commands) -> None:
    parser = commands.add_parser(
        "diff",
        help="where two studies or artifacts first differ, and why",
        description="Compare two studies in the order of their jobs: where they begin to differ, and what on record explains it (settings, "
        "code, data, labels, processor, versions); then how far apart their queries and measures are. Or compare two artifacts. "
        "Files that hold times are left out. Exit code 0 if all is equal, 1 if not.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="folder of a study, or an artifact")
    parser.add_argument("b", type=Path, metavar="B", help="another one")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the differences; returns the exit code."""
    a, b = options.a, options.b
    for path in (a, b):
        if not path.exists():
            raise UserError(f"{path} does not exist: give two folders of studies or two artifacts.")
    if a.is_dir() != b.is_dir():
        raise UserError(f"{a} and {b} are a file and a folder: give two folders of studies or two artifacts.")
    return diff_studies(opened(a), opened(b)) if a.is_dir() else diff_files(a, b)


def diff_files(a: Path, b: Path) -> int:
    lines = list(differences(a, b))
    print(*lines or ["equal"], sep="\n")
    return 1 if lines else 0


def diff_studies(a: Results, b: Results) -> int:
    """Print where two studies differ; 1 if any file does, or is there in one of them only."""
    settings = [
        line
        for line in of_values(
            dict(record.parts(a.study.settings)), dict(record.parts(b.study.settings, a.study.settings))
        )
    ]
    print(*(f"settings: {line}" for line in settings), sep="\n", end="\n" if settings else "")
    jobs_a, jobs_b = described(a.study), described(b.study)
    for own, other, which in ((jobs_a, jobs_b, "first"), (jobs_b, jobs_a, "second")):
        if apart := [one for one in own if one not in other]:
            print(f"{len(apart):,} jobs are planned in the {which} only, first {title(apart[0])}")
    roots, different, counted = compared(a, b, jobs_a, jobs_b)
    for root in roots[:SHOWN]:
        more = [f"and {len(root.what) - SHOWN} more parts"] if len(root.what) > SHOWN else []
        print(
            f"\n{title(root.job)}:", *root.what[:SHOWN], *more, *(f"because {one}" for one in root.causes), sep="\n  "
        )
    if len(roots) > SHOWN:
        print(f"\nand in {len(roots) - SHOWN:,} more jobs whose inputs are equal, last {title(roots[-1].job)}")
    if different:
        print(f"\n{len(different):,} of {counted:,} jobs differ in what they made")
        show_drift(a, b)
    else:
        print(f"all {counted:,} jobs made the same")
    return 1 if different or jobs_a.keys() != jobs_b.keys() else 0


def compared(a: Results, b: Results, jobs_a: dict, jobs_b: dict) -> tuple[list[Difference], list[Job], int]:
    """Jobs at which two studies begin to differ, all jobs whose files differ, and the number of jobs that have made anything.

    Files that are there in neither study are equal; what holds times, or is made of files that do, is not compared.
    """
    roots, different, spoiled, timed, counted = [], [], set(), set(), 0
    for one in (one for one in jobs_a if one in jobs_b):
        about_a, about_b = jobs_a[one], jobs_b[one]
        inputs = {*read(about_a), *read(about_b)}
        outputs = list(zip(made(about_a), made(about_b), strict=False))
        if any(path in timed or path.endswith(".benchmark.tsv") for path in inputs):
            timed |= {*made(about_a)}
            continue
        counted += any(a.path(own).exists() or b.path(other).exists() for own, other in outputs)
        what = [f"{Path(own).name}: {line}" for own, other in outputs for line in of_pair(a.path(own), b.path(other))]
        if what:
            different.append(one)
            if not spoiled & inputs:
                there = all(a.path(own).exists() == b.path(other).exists() for own, other in outputs)
                why = list(causes(a, b, one, about_a, about_b)) if there else ["it is finished in one of them only"]
                roots.append(Difference(one, what, why))
            spoiled |= {*made(about_a), *made(about_b)}
    return roots, different, counted


def of_pair(a: Path, b: Path) -> Iterator[str]:
    """`differences` of two files, which need not be there."""
    if a.exists() != b.exists():
        yield f"is there in the {'first' if a.exists() else 'second'} only"
    elif a.is_symlink() or b.is_symlink():  # what the links of a stopped chain lead to is compared where it was made
        if a.is_symlink() != b.is_symlink():
            yield f"is of a chain that had stopped in the {'first' if a.is_symlink() else 'second'} only"
    elif a.exists() and artifacts.fingerprint(a) != artifacts.fingerprint(b):
        yield from differences(a, b)


def causes(a: Results, b: Results, one: Job, about_a: dict, about_b: dict) -> Iterator[str]:
    """What on record may have made a job with equal inputs make different files, the surest first."""
    stage, wildcards = one
    found = [f"its settings differ: {line}" for line in of_values(flat(about_a["params"]), flat(about_b["params"]))]
    name = f"{stage} of {dict(wildcards).get('branch')}"
    codes = [results.record.get("code", {}).get(name) for results in (a, b)]
    if None not in codes and codes[0] != codes[1]:
        found.append(f"the code of {name} differs ({codes[0]} against {codes[1]})")
    found += [f"what it began with differs: {path}" for path in brought(a, b, about_a)]
    if stage in GIVEN:
        found.append("other labels were given, as by people")
    processors = [processor(results, about) for results, about in ((a, about_a), (b, about_b))]
    if None not in processors and processors[0] != processors[1]:
        found.append(f"it ran on another processor: {processors[0]} against {processors[1]}")
    found += environments(a, b)
    others = "the processor of one, which is not known, " if None in processors else ""
    yield from found or [
        f"of nothing that is on record: {others}a GPU without deterministic algorithms, or a file that was changed by hand"
    ]


def brought(a: Results, b: Results, about: dict) -> Iterator[str]:
    """Files that a job reads and no job makes, and raw data of a data set that it makes, whose content on record differs."""
    inputs = [results.record.get("inputs", {}) for results in (a, b)]
    folders = {str(Path(path).parent) for path in made(about)}
    for path in inputs[0]:
        concerned = path in read(about) or (path.endswith("/raw") and path.removesuffix("/raw") in folders)
        if concerned and inputs[0][path] != inputs[1].get(path, inputs[0][path]):
            yield path


def processor(results: Results, about: dict) -> str | None:
    """The processor that a job ran on, if it is on record."""
    path = results.path(about["output"]["benchmark"])
    return artifacts.read_costs(path).get("processor") if path.is_file() and not path.is_symlink() else None


def environments(a: Results, b: Results) -> Iterator[str]:
    """The versions of the libraries and the commits that the runs of only one of two studies had."""
    known = [results.record.get("environments", []) for results in (a, b)]
    if all(known):
        versions = [
            {f"{name} {version}" for one in each for name, version in one["versions"].items()} for each in known
        ]
        if versions[0] != versions[1]:
            only = [", ".join(sorted(own - other)) or "none besides" for own, other in (versions, versions[::-1])]
            yield f"versions of libraries differ: {only[0]} against {only[1]}"
        commits = [{str(one["commit"]) for one in each} for each in known]
        if commits[0] != commits[1]:
            yield f"commits differ: {', '.join(sorted(commits[0]))} against {', '.join(sorted(commits[1]))}"


# ------------------------------------------------------------------------------------------------------ how far apart


def show_drift(a: Results, b: Results) -> None:
    """Print, for each method of both studies, the share of equal queries and the measures at the end."""
    measure = a.study.task.measures[0]
    header = ["method", "same queries: first", "all", f"{measure}: A", "B", "farthest"]
    table = plain_table(*header, numbers=True)
    for row in drift(a, b, measure):
        table.add_row(row[0], *("" if value is None else f"{value:.3f}" for value in row[1:]))
    if table.row_count:
        print()
        plain_console().print(table)


def drift(a: Results, b: Results, measure: str) -> Iterator[list]:
    """Of each method: share of the ids of the first study's queries, in the first cycle and in all together, that the second study's
    chain of the same seed asked for, too; the last measure in each study, and the largest difference of two models. Means over seeds.
    """
    seeds = [seed for seed in a.study.seeds if seed in b.study.seeds]
    last = min(a.study.cycles[-1], b.study.cycles[-1])
    for method in (method for method in a.study.methods if method in b.study.methods):
        shared, ends, gaps = [], [], []
        for seed in seeds:
            queries = [asked(results, seed, method, last) for results in (a, b)]
            if queries[0] and queries[1]:
                every = [np.concatenate(query) for query in queries]
                shared.append([np.isin(queries[0][0], queries[1][0]).mean(), np.isin(*every).mean()])
            measured = [measures(results, seed, method, last, measure) for results in (a, b)]
            both = sorted(measured[0].keys() & measured[1].keys())
            if both:
                ends.append([measured[0][both[-1]], measured[1][both[-1]]])
                gaps.append(max(abs(measured[0][cycle] - measured[1][cycle]) for cycle in both))
        if ends:
            yield [method, *(np.mean(shared, 0) if shared else [None, None]), *np.mean(ends, 0), max(gaps)]


def asked(results: Results, seed: int, method: str, last: int) -> list[np.ndarray]:
    """The ids of each query of a chain up to a cycle, as far as they are there."""
    nodes = [results.study.node(seed, method, cycle) for cycle in range(1, last + 1)]
    paths = [results.path(results.study.path(node, "query")) for node in nodes]
    return [artifacts.read(path, "query", "ids")[0] for path in paths if path.is_file() and not path.is_symlink()]


def measures(results: Results, seed: int, method: str, last: int, measure: str) -> dict[int, float]:
    """The measure of each model of a chain up to a cycle, as far as it is there."""
    nodes = {cycle: results.study.node(seed, method, cycle) for cycle in range(last + 1)}
    paths = {cycle: results.path(results.study.path(node, "metrics")) for cycle, node in nodes.items()}
    found = {cycle: artifacts.read_json(path).get(measure) for cycle, path in paths.items() if path.is_file()}
    return {cycle: value for cycle, value in found.items() if value is not None}
