"""Studies on a real Slurm, started for them: whatever dies there, their results are those of a local run.

Job states come from the file in which Slurm writes what it has done. With CHECK_SLURM=1 (`make check-slurm`) the study is a whole
one, a job runs out of time and a node dies; without, a training and a query go to the cluster.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Workflow

PLUG_IN = ROOT / ".slurm"
THOROUGH = os.environ.get("CHECK_SLURM") == "1"
MISSING = {
    "root": os.geteuid() == 0,
    "the packages slurm-wlm and munge": shutil.which("slurmctld") and shutil.which("munged"),
    "the plug-in of `make slurm`": (PLUG_IN / "snakemake_executor_plugin_slurm").exists(),
    "a machine without a Slurm of its own": not Path("/etc/slurm/slurm.conf").exists(),
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(MISSING.values()), reason=f"needs {', '.join(k for k, v in MISSING.items() if not v)}"),
]

METHOD = "entropy" if THOROUGH else "random"
STUDY = SMALL | {"cycles": 1, "methods": {METHOD: {}}}
STUDY = STUDY | {"learners": {"mlp": SMALL["learners"]["mlp"] | {"device": "auto"}}}  # so that it asks for a GPU
START, QUERY = "results/small/seed0/start-mlp/cycle0", f"results/small/seed0/{METHOD}/cycle1"
TARGETS = [] if THOROUGH else [f"{START}/metrics.json", f"{QUERY}/labeled.h5"]
QUICK = [
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "11",
    "--seconds-between-status-checks",
    "1",
]
LIMITS = ["--resources", "mem_mb=3000", "runtime=45"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The folder of a Slurm that is up."""
    folder, script = tmp_path_factory.mktemp("slurm"), ROOT / "tests/slurm/cluster.sh"
    try:
        subprocess.run([script, "up", folder], check=True, timeout=60)
        yield folder
    finally:
        subprocess.run([script, "down", folder], timeout=60)


def until(found, seconds=120):
    """The first true value of a function."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return value


def running(rule: str, *others: str) -> str | None:
    """Id of a job of a rule that runs, none of the others."""
    command = ["squeue", "--noheader", "--states=RUNNING", "--format=%i %k"]
    jobs = [line.split(None, 1) for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()]
    return next((one for one, comment in jobs if f"rule_{rule}_" in comment and one not in others), None)


def processes(job: str) -> list[int]:
    """What runs for a job."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SLURM_JOB_ID={job}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def recorded(cluster: Path) -> dict[str, list[dict]]:
    """Id of each job that has ended -> what Slurm wrote of it; more than once of one that was requeued."""
    found = {}
    for line in (cluster / "log/jobs").read_text().splitlines():
        about = dict(re.findall(r"(\w+)=(\S*)", line))
        found.setdefault(about["JobId"], []).append(about)
    return found


def contents(workflow: Workflow) -> dict[str, bytes]:
    """Everything but how long it took."""
    costs = (".tsv", ".log", "costs.csv", "selection_costs.png")
    return {name: data for name, data in workflow.files("**/*").items() if not name.endswith(costs)}


def disturb(cluster: Path) -> dict[str, str]:
    """What is done to running jobs: state in which they shall end -> id."""
    done = {"CANCELLED": until(lambda: running("train"))}
    subprocess.run(["scancel", done["CANCELLED"]], check=True)
    if THOROUGH:
        done["TIMEOUT"] = until(lambda: running("signals"))
        for pid in until(lambda: processes(done["TIMEOUT"])):
            os.kill(pid, signal.SIGSTOP)  # it never ends by itself
        done["NODE_FAIL"] = until(lambda: running("train", done["CANCELLED"]), 300)  # of the query's node
        os.kill(int((cluster / "run/slurmd-g1.pid").read_text()), signal.SIGKILL)
        until(
            lambda: (
                "down"
                in subprocess.run(
                    ["sinfo", "--noheader", "--nodes=g1", "--format=%T"], capture_output=True, text=True
                ).stdout
            )
        )
        subprocess.run([ROOT / "tests/slurm/cluster.sh", "node", cluster, "g1"], check=True, timeout=30)
    return done


def test_results_are_those_of_a_local_run_whatever_dies(cluster, tmp_path):
    local, submitted, allocated = (
        Workflow(tmp_path / "local"),
        Workflow(tmp_path / "submitted", profile="slurm"),
        Workflow(tmp_path / "allocated"),
    )
    local.folder.mkdir()
    local.write(STUDY)
    local.snakemake(f"{START}/labeled.h5")
    for other in (submitted, allocated):
        shutil.copytree(local.folder, other.folder, symlinks=True, ignore=shutil.ignore_patterns("warm-*"))
    submitted.environment["PYTHONPATH"] = str(PLUG_IN)
    limits = [*LIMITS, *(["--set-resources", "signals:runtime=1"] if THOROUGH else [])]
    allocation = [
        "sbatch", "--wait", "--partition=cpu", "--gpus=0", "--cpus-per-task=2", "--mem=3000", "--time=30", ROOT / "profiles/slurm/allocation.sh",
        *TARGETS, "--snakefile", ROOT / "Snakefile", "--configfile", allocated.config,
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with ThreadPoolExecutor() as pool:
        by_jobs = pool.submit(submitted.snakemake, *TARGETS, *QUICK, *limits)
        in_one = pool.submit(
            subprocess.run, allocation, cwd=allocated.folder, env=allocated.environment | {"PATH": path}, timeout=300
        )
        disturbed = disturb(cluster)
        local.snakemake(*TARGETS)
        assert in_one.result().returncode == 0
        output = by_jobs.result()

    expected = contents(local)
    assert len(expected) > 10 and contents(submitted) == expected and contents(allocated) == expected
    ended = recorded(cluster)
    assert {state: ended[job][0]["JobState"] for state, job in disturbed.items()} == {
        state: state for state in disturbed
    }
    jobs = [
        (name, ended[job][-1])
        for job, name in re.findall(
            r"SLURM jobid (\d+) \(log: \S*?/((?:rule|group)_[a-z]+)", output.stdout + output.stderr
        )
    ]
    asked = {(name, job["Partition"], job["TimeLimit"]) for name, job in jobs}
    assert {("rule_train", "gpu", "10"), ("rule_train", "gpu", "20"), ("group_query", "cpu", "35")} <= asked
    assert {name for name, partition, _ in asked if partition == "gpu"} <= {"rule_train", "rule_signals"}
    assert all("mem=" in job["Tres"] for _, job in jobs)
