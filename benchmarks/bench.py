"""What dagal costs on this machine, beside what a user would pick instead: one table, in bench.csv and docs/performance.md.

    make bench                                                  all of it, a quarter of an hour
    .venv/bin/python benchmarks/bench.py SECTION [SECTION ...]  some of it, printed only

A section is a function that yields rows: what was measured, its value, its unit, and the most that it may be where there is such a bar.
Each runs in a process of its own. Ratios compare what was measured one after the other in the same run: other work on the machine
spoils them, so the load is in the table.
"""

import argparse
import contextlib
import csv
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "workflow"), str(HERE)]
TABLE, PAGE = HERE / "bench.csv", ROOT / "docs" / "performance.md"
PEERS = ROOT / ".peers"  # where `make bench` puts peers.txt
MARKS = "<!-- written by make bench -->\n", "<!-- end -->\n"

CONSTRAINED = "constrained_mnist"
SIZES = (10_000, 100_000)
# selector -> the largest pool; benchmarks/selection.csv has all of them, at all sizes
SELECTORS = {
    "top_k": 100_000, "class_balanced": 100_000, "kcenter_greedy": 100_000, "kcenter_class_balanced": 100_000, "badge": 100_000,
    "batch_bald": 100_000, "typiclust": 100_000, "probcover": 10_000, "CoreSet": 10_000,
}  # fmt: skip
LEARNER_UNITS = {
    "training_images_s": "images/s in training", "inference_images_s": "images/s in inference",
    "training_ratio": "times the plain loop in training", "inference_ratio": "times the plain loop in inference",
    "share_of_limit": "share of the limit of matrix products",
}  # fmt: skip
# as the table calls it -> function in peers.py, a package that may be missing
TOOLS = {"plain loop": ("plain", "torch"), "scikit-activeml": ("scikit_activeml", "skorch"), "baal": ("baal", "baal")}
CIFAR10 = {
    "dataset": {"name": "cifar10_jpeg", "loader": "image_folder"},
    "pool": {"initial": {"size": 500}},
    "budget": 500,
    "cycles": 2,
    "seeds": [0],
    "learners": {
        "lenet": {"architecture": "lenet", "epochs": 20, "batch_size": 32, "optimizer": {"name": "adam", "lr": 0.001}}
    },
}


class Row(NamedTuple):
    section: str
    what: str
    value: float | int | str
    unit: str
    bar: float | None = None


Section = Callable[[argparse.Namespace], Iterator[Row]]


def this_run(options) -> Iterator[Row]:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    about = {
        "processor": found[1] if found else platform.machine(), "cores": len(os.sched_getaffinity(0)), "GiB": round(memory),
        "load before": round(os.getloadavg()[0], 1), "Python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "scipy", "snakemake")}, "date": date.today().isoformat(),
    }  # fmt: skip
    yield from (Row("this run", "machine", value, unit) for unit, value in about.items())


def default_study(options) -> Iterator[Row]:
    from in_process import differing, measured, run_in_process, run_snakemake

    name, study = "default study", ROOT / "config.yaml"
    with tempfile.TemporaryDirectory() as folder:
        one, dag = Path(folder, "in_process"), Path(folder, "snakemake")
        wall, processor = measured(run_in_process, study, one)
        yield from (Row(name, "one process", wall, "s"), Row(name, "one process", processor, "processor s"))
        dag_wall, dag_processor = measured(run_snakemake, study, dag)
        yield from (Row(name, "snakemake", dag_wall, "s"), Row(name, "snakemake", dag_processor, "processor s"))
        yield Row(name, "snakemake", dag_wall / wall, "times one process", 2.5)
        yield Row(name, "snakemake", dag_processor / processor, "times its processor time", 4)
        yield Row(name, "snakemake", len(differing(one / "results", dag / "results")[1]), "files that differ", 0)
        yield from by_stage(f"{name}, by stage", costs(study, dag), dag_processor)


def frozen_features(options) -> Iterator[Row]:
    """One of its seeds: its bar is for a node."""
    settings = as_written("benchmarks/frozen_features.yaml") | {"seeds": [0]}
    with tempfile.TemporaryDirectory() as folder:
        yield from study("frozen features", written(folder, settings), 1)


def videos(options) -> Iterator[Row]:
    """The small study of videos, cut to one cycle and method, which has all of its stages, two epochs, and videos of a second or two."""
    settings = as_written("experiments/video_small.yaml") | {"cycles": 1, "methods": {"temporal_coherence": None}}
    settings["dataset"] |= {"scale": 0.01, "seconds": [1, 2]}
    settings["pool"]["initial"]["size"], settings["budget"] = 24, 6
    settings["learners"]["detector"] |= {"epochs": 2, "initial_epochs": 20}
    with tempfile.TemporaryDirectory() as folder:
        yield from study("videos", written(folder, settings))


def study(name: str, file: Path, bar: float | None = None) -> Iterator[Row]:
    """A study by Snakemake: seconds in all and for each node, which is a model, its measures and its query."""
    from in_process import measured, run_snakemake

    with tempfile.TemporaryDirectory() as folder:
        wall, processor = measured(run_snakemake, file, Path(folder, "study"))
        nodes = len(plan(file).nodes())
        yield from (Row(name, "snakemake", wall, "s"), Row(name, "snakemake", processor, "processor s"))
        yield from (Row(name, "snakemake", nodes, "nodes"), Row(name, "snakemake", wall / nodes, "s a node", bar))
        yield from by_stage(f"{name}, by stage", costs(file, Path(folder, "study")), processor)


def plan(file: Path):
    from dagal import config
    from dagal.plan import Study

    return Study(config.load(file))


def costs(file: Path, folder: Path) -> dict[str, list]:
    """(seconds, processor s, MiB) of the jobs of each stage of a study that was run in ``folder``, from the files that they leave."""
    from in_process import job_costs

    from dagal.plan import graph, job
    from dagal.report import registry

    planned, found = plan(file), defaultdict(list)
    for stage, wildcards in graph.jobs(planned, registry.targets(planned)):
        path = folder / job.describe(planned, stage, dict(wildcards))["output"]["benchmark"]
        if path.exists():  # the parts of a signal are deleted once they are put together
            found[stage].append(job_costs(path))
    return found


def by_stage(section: str, jobs: dict[str, list], processor: float) -> Iterator[Row]:
    """What the jobs of each stage cost; the rest of the processor time of the run is Snakemake's."""
    total = {stage: sum(processor for _, processor, _ in found) for stage, found in jobs.items()}
    for stage in sorted(jobs, key=total.get, reverse=True):
        if total[stage] >= processor / 100:
            seconds, _, memory = zip(*jobs[stage], strict=True)
            yield Row(section, stage, len(seconds), "jobs")
            yield Row(section, stage, sum(seconds) / len(seconds), "s a job")
            yield Row(section, stage, total[stage], "processor s in all")
            yield Row(section, stage, max(memory), "peak MiB")
    others = [stage for stage in jobs if total[stage] < processor / 100]
    yield Row(section, "other stages", sum(len(jobs[stage]) for stage in others), "jobs")
    yield Row(section, "other stages", sum(total[stage] for stage in others), "processor s in all")
    yield Row(section, "Snakemake, and starting jobs", processor - sum(total.values()), "processor s in all")


def planning(options) -> Iterator[Row]:
    """A dry run of the 18,000 jobs that the bars are for."""
    from in_process import measured

    changes = {"seeds": [0, 1, 2, 3, 4], "cycles": 106}
    name = ", ".join([CONSTRAINED, *(f"{key}: {value}" for key, value in changes.items())])
    with tempfile.TemporaryDirectory() as folder:
        file = written(folder, as_written(f"experiments/{CONSTRAINED}.yaml") | changes)
        wall, _ = measured(dry_run, file, Path(folder, "run"))
        jobs = re.search(r"^total +(\d+)$", Path(folder, "run", "plan.txt").read_text(), re.M)[1]
    yield Row("planning", name, int(jobs), "jobs")
    yield Row("planning", name, wall, "s", 20)
    yield Row("planning", name, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, "peak MiB", 600)


def dry_run(file: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--dry-run",
        "--quiet",
        "rules",
    ]
    profile = ["--profile", str(ROOT / "profiles" / "default"), "--configfile", str(file)]
    with Path("plan.txt").open("w") as out:
        subprocess.run([*command, *profile], check=True, stdout=out, stderr=subprocess.STDOUT)


def selection(options) -> Iterator[Row]:
    from selection import BUDGET, PEERS, run

    seconds = {}
    for name, largest in SELECTORS.items():
        label = f"{name} of scikit-activeml" if name in PEERS else name
        for n in SIZES:
            if n <= largest:
                found = run(name, n, 60)
                seconds[name, n] = found.get("seconds", float("nan"))
                yield Row(f"selecting {BUDGET}", label, found.get("note", seconds[name, n]), f"s of {n:,}")
        if name in PEERS:
            ratio = seconds[name, largest] / seconds[PEERS[name][1], largest]
            yield Row(f"selecting {BUDGET}", label, ratio, f"times {PEERS[name][1]}")
        elif "peak_mb" in found:
            yield Row(f"selecting {BUDGET}", label, found["peak_mb"], "peak MiB at the largest")


def class_balance(options) -> Iterator[Row]:
    from class_balanced import CASES, pool, solver

    for classes, n, weight, bar, limit in CASES:
        problem = *pool("step", n, classes, 0), weight
        started = time.perf_counter()
        gap = solver.class_balanced(*problem).relative_gap
        name = f"{classes} classes of {n:,}"
        yield Row("class balance", name, time.perf_counter() - started, "s", limit)
        yield Row("class balance", name, gap, "certified gap", bar)


def learners(options) -> Iterator[Row]:
    import trainer

    for found in trainer.table().to_dict("records"):
        yield from (Row("learners", found["learner"], found[key], unit) for key, unit in LEARNER_UNITS.items())
    yield Row("learners", f"matrix products, {found['device']}", found["limit_gflops"], "10^9 operations/s")


def growth(options) -> Iterator[Row]:
    """Stages of the first cycle as the pool grows, as jobs that start cold."""
    import scale

    for n in (10_000, 30_000):
        with tempfile.TemporaryDirectory() as folder:
            seconds, memory = defaultdict(float), defaultdict(float)
            for job, (wall, peak) in scale.measure(n, 32, 1, Path(folder)).items():
                for stage in (job.split()[0], "all"):
                    seconds[stage] += wall
                    memory[stage] = max(memory[stage], peak)
        for stage in seconds:
            yield Row("growth", stage, seconds[stage], f"s of {n:,}")
            yield Row("growth", stage, memory[stage], f"peak MiB of {n:,}")


def other_tools(options) -> Iterator[Row]:
    """The same study by dagal and by what a user would pick instead."""
    yield from compared("digits", yaml.safe_load((ROOT / "config.yaml").read_text()))
    if options.cifar10:
        path = {"path": str(options.cifar10.resolve())}
        yield from compared("CIFAR-10 (JPEG)", CIFAR10 | {"dataset": CIFAR10["dataset"] | path})


def compared(name: str, settings: dict) -> Iterator[Row]:
    """Nothing that a tool would have to import is imported here, as the process of each is forked from this one."""
    from in_process import measured, run_in_process, run_snakemake

    section = f"{name} by other tools"
    with tempfile.TemporaryDirectory() as folder:
        file = written(folder, settings | {"study": "compared", "methods": {"entropy": None}})
        ours = {"dagal, one process": run_in_process, "dagal, snakemake": run_snakemake}
        walls = {}
        for label, function in ours.items():
            walls[label], processor = measured(function, file, Path(folder, label))
            with Path(folder, label, "results/compared/metrics.csv").open() as table:
                rows = [row for row in csv.DictReader(table) if int(row["cycle"]) == settings["cycles"]]
            accuracy = sum(float(row["accuracy"]) for row in rows) / len(rows)
            yield from tool_rows(section, label, walls[label], processor, accuracy, {})
        for label, (function, package) in TOOLS.items():
            if package != "torch" and not (PEERS / package).exists():
                yield Row(section, label, "not installed", "s")
                continue
            command = [sys.executable, str(HERE / "peers.py"), function, str(file)]
            place = {"cwd": Path(folder, "dagal, snakemake"), "env": os.environ | {"PYTHONPATH": str(PEERS)}}

            def peer(file, command=command, place=place):
                with Path("accuracy").open("w") as out:
                    subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL, **place)

            wall, processor = measured(peer, file, Path(folder, label))
            accuracy = float(Path(folder, label, "accuracy").read_text().split()[-1])
            yield from tool_rows(section, label, wall, processor, accuracy, walls)


def tool_rows(section: str, tool: str, wall: float, processor: float, accuracy: float, ours: dict) -> Iterator[Row]:
    yield from (Row(section, tool, wall, "s"), Row(section, tool, processor, "processor s"))
    yield Row(section, tool, accuracy, "final accuracy")
    yield from (Row(section, tool, wall / seconds, f"times {label}") for label, seconds in ours.items())


def as_written(name: str) -> dict:
    """The settings of a study of the repository, with what it extends."""
    from dagal.config.loader import read

    return read(ROOT / name)[0]


def written(folder: str, settings: dict) -> Path:
    file = Path(folder, "study.yaml")
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


SECTIONS: dict[str, Section] = {
    function.__name__: function
    for function in (
        this_run, default_study, frozen_features, planning, selection, class_balance, videos, learners, growth, other_tools,
    )
}  # fmt: skip


def rows_of(name: str, options: argparse.Namespace) -> list[Row]:
    return list(SECTIONS[name](options))


def text(row: Row) -> str:
    """A value as it is printed, with its bar."""

    def number(value):
        if isinstance(value, float):
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    return number(row.value) + (f" (at most {number(row.bar)})" if row.bar is not None else "")


def tables(rows: list[Row]) -> Iterator[tuple[str, list[list[str]]]]:
    """Name and lines of each section, a column for each unit."""
    for section in dict.fromkeys(row.section for row in rows):
        cells = {(row.what, row.unit): text(row) for row in rows if row.section == section}
        units = dict.fromkeys(unit for _, unit in cells)
        lines = [
            [what, *(cells.get((what, unit), "") for unit in units)]
            for what in dict.fromkeys(what for what, _ in cells)
        ]
        yield section, [["", *units], *lines]


def markdown(rows: list[Row]) -> str:
    parts = []
    for section, (header, *lines) in tables(rows):
        rule = ["---", *["---:"] * (len(header) - 1)]
        parts.append(f"**{section[0].upper()}{section[1:]}**\n\n")
        parts += [f"| {' | '.join(line)} |\n" for line in (header, rule, *lines)]
        parts.append("\n")
    return "\n" + "".join(parts)


def published(page: str, rows: list[Row]) -> str:
    """The page with the tables between its marks."""
    before, rest = page.split(MARKS[0])
    return before + MARKS[0] + markdown(rows) + MARKS[1] + rest.split(MARKS[1])[1]


def stored() -> list[Row]:
    """The rows of bench.csv."""

    def value(word):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(word)
        return word

    with TABLE.open() as file:
        return [
            Row(
                row["section"], row["what"], value(row["value"]), row["unit"], value(row["bar"]) if row["bar"] else None
            )
            for row in csv.DictReader(file)
        ]


def store(rows: list[Row]) -> None:
    """Write bench.csv and its page."""
    cells = [[f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    with TABLE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Row._fields, *cells])
    PAGE.write_text(published(PAGE.read_text(), stored()))


def missed(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.bar is not None and not row.value <= row.bar]


def show(rows: list[Row]) -> None:
    for section, lines in tables(rows):
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(f"\n{section}")
        for first, *cells in lines:
            padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            print("  ".join([first.ljust(widths[0]), *padded]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument(
        "--cifar10", type=Path, help="CIFAR-10 as an image folder or its archive, for the other tools too"
    )
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}")
    rows, started = [], time.monotonic()

    def seconds() -> Row:
        return Row("this run", "machine", time.monotonic() - started, "s of this benchmark", 900)

    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        for name in options.sections or SECTIONS:
            print(f"[{time.monotonic() - started:4.0f} s] {name} ...", file=sys.stderr, flush=True)
            try:
                rows += processes.submit(rows_of, name, options).result()
            except (Exception, SystemExit):
                traceback.print_exc()
                rows.append(Row(name, "failed", "yes", ""))
            if not options.sections:
                store([*rows, seconds()])  # what is cut leaves what it has
    rows.append(seconds())
    show(rows)
    for row in missed(rows):
        print(f"over its bar: {row.section}, {row.what}: {text(row)} {row.unit}")
    sys.exit(any(row.what == "failed" for row in rows))


if __name__ == "__main__":
    main()
