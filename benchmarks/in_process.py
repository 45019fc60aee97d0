"""What the DAG costs: a study by one Python process, without Snakemake, against `snakemake`. Also how to use the library without it.

    .venv/bin/python benchmarks/in_process.py [STUDY.yaml] [--against-snakemake] [--folder DIR]

The plan (`dagal.plan`) knows every job and what each one needs; here they are run one after the other in this process, by the same
scripts, so that the files are the same. Seconds of wall and of processor time are printed, and whether any file differs.
"""

import argparse
import contextlib
import io
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "workflow" / "scripts")]


def in_order(study) -> list:
    """The jobs of a study, each after those whose files it reads."""
    from dagal.plan import graph
    from dagal.report import registry

    jobs = graph.jobs(study, registry.targets(study))
    ordered, done = [], set()

    def add(one):
        if one in done or one is None:
            return
        done.add(one)
        for path in jobs[one]:
            maker = graph.made_by(study, path)
            if maker in jobs:
                add(maker)
        ordered.append(one)

    for one in jobs:
        add(one)
    return ordered


def run_in_process(file: Path) -> None:
    """Do all jobs of a study, in the present folder."""
    import job

    from dagal import config
    from dagal.plan import Study
    from dagal.plan import job as plan

    sys.setrecursionlimit(10_000)
    study = Study(config.load(file))
    settings = plan.store(study.settings)
    at_end = []
    job.to_log = lambda path: Path(path).parent.mkdir(parents=True, exist_ok=True)  # this process's output is the log
    job.atexit = SimpleNamespace(register=lambda *call: at_end.append(call))
    for stage, wildcards in in_order(study):
        place = [f"{name}={value}" for name, value in wildcards]
        sys.argv = [stage, str(settings), stage, "threads=1", "gpu=0", *place]
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(plan.script(study, stage)), run_name="__main__")
        function, *arguments = at_end.pop()
        function(*arguments)


def run_snakemake(file: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--quiet", "all"]
    profile = ["--profile", str(ROOT / "profiles" / "default")]
    subprocess.run([*command, *profile, "--configfile", str(file)], check=True, capture_output=True)


def measured(function, file: Path, folder: Path) -> tuple[float, float]:
    """Seconds of wall and of processor time of a function, in a folder of its own and a process of its own."""
    folder.mkdir(parents=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            function(file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        sys.exit(f"{function.__name__} failed")
    seconds, processor = time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if function is run_snakemake:  # jobs that a warm process forked are not this process's children
        processor += sum(job_costs(path)[1] for path in folder.rglob("*.benchmark.tsv"))
    return seconds, processor


def job_costs(path: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MiB of a job, from the file that it leaves."""
    from dagal import artifacts

    costs = artifacts.read_costs(path)
    return tuple(float(costs[name]) for name in artifacts.COSTS[:3])


def differing(one: Path, other: Path) -> tuple[int, list[str]]:
    """Number of result files of a kind that holds no times, and which of them differ."""
    names = [
        path.relative_to(one)
        for path in one.rglob("*")
        if path.suffix in (".h5", ".safetensors") or path.name == "metrics.csv"
    ]
    return len(names), [str(name) for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default=str(ROOT / "config.yaml"))
    parser.add_argument("--against-snakemake", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the results go; a temporary one by default")
    options = parser.parse_args()
    study = Path(options.study).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        wall, processor = measured(run_in_process, study, folder / "in_process")
        print(f"in one process    {wall:7.1f} s wall  {processor:7.1f} s processor time", flush=True)
        if options.against_snakemake:
            dag_wall, dag_processor = measured(run_snakemake, study, folder / "snakemake")
            print(f"snakemake         {dag_wall:7.1f} s wall  {dag_processor:7.1f} s processor time")
            print(f"ratio             {dag_wall / wall:7.2f}         {dag_processor / processor:7.2f}")
            files, differ = differing(folder / "in_process" / "results", folder / "snakemake" / "results")
            print(f"{files} files compared, {len(differ)} differ {', '.join(differ[:5])}")


if __name__ == "__main__":
    main()
