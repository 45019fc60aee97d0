"""Jobs that a warm process forks: as if their script had been started itself, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Workflow

WARM = ROOT / "workflow/scripts/warm.py"
SCRIPT = """
import os, sys, time
print("out", sys.argv[1:], os.getcwd(), os.environ["WORD"], __name__, "dagal.acquisition.scores" in sys.modules)
print("err", file=sys.stderr)
if sys.argv[1] == "wait":
    open("started", "w").write(str(os.getpid()))
    time.sleep(100)
if sys.argv[1] == "fail":
    raise ValueError("in the job")
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def place(tmp_path):
    """A folder with a script, and a process that stands for Snakemake."""
    (tmp_path / "script.py").write_text(SCRIPT)
    owner = subprocess.Popen(["sleep", "300"])
    yield tmp_path, owner
    owner.kill()
    owner.wait()


def client(place, *arguments, python=sys.executable, **options):
    folder, owner = place
    command = [python, "-IS", str(WARM), f"warm-{owner.pid}", "light", str(folder / "script.py"), *arguments]
    environment = os.environ | {"WORD": "a b"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes, **options)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def servers(owner) -> list[int]:
    found = subprocess.run(["pgrep", "-f", rf"warm.py warm-{owner.pid} [0-9]+$"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def test_a_job_is_as_if_its_script_had_been_started(place):
    for code in (0, 7):
        job = client(place, "go", str(code))
        out, err = job.communicate(timeout=60)
        assert job.returncode == code
        assert out == f"out ['go', '{code}'] {place[0]} a b __main__ True\n"  # the library was loaded before
        assert err == "err\n"
    job = client(place, "fail", "0")
    _, err = job.communicate(timeout=60)
    assert job.returncode == 1 and err.splitlines()[-1] == "ValueError: in the job"
    assert len(servers(place[1])) == 1


def test_many_jobs_at_once_share_one_server(place):
    jobs = [client(place, "go", str(code)) for code in range(12)]
    assert [job.wait(60) for job in jobs] == list(range(12))
    assert len(servers(place[1])) == 1


@pytest.mark.parametrize("killed", ["client", "snakemake", "server"])
def test_no_job_outlives_its_client_its_server_or_snakemake(place, killed):
    folder, owner = place
    job = client(place, "wait", "0")
    until(lambda: (folder / "started").exists() and (folder / "started").read_text())
    pid = int((folder / "started").read_text())
    (server,) = (one for one in servers(owner) if one != pid)
    assert alive(pid) and os.getpgid(pid) != os.getpgid(job.pid)
    if killed == "snakemake":
        owner.kill()
        owner.wait()
    else:
        os.kill(job.pid if killed == "client" else server, signal.SIGKILL)
    until(lambda: not alive(pid))
    assert job.wait(20) != 0
    if killed == "client":
        assert client(place, "go", "3").wait(60) == 3  # the server goes on
    else:
        until(lambda: not alive(server))
    if killed == "snakemake":
        assert not list(folder.glob("warm-*"))


def test_where_no_server_can_be_had_the_script_is_run_cold(place):
    (place[0] / f"warm-{place[1].pid}.lock").mkdir()
    job = client(place, "go", "5")
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 5 and out.endswith("__main__ False\n")


@pytest.mark.slow
def test_warm_and_cold_jobs_write_the_same_bytes(tmp_path):
    found = []
    for name in ("warm", "cold"):
        (tmp_path / name).mkdir()
        workflow = Workflow(tmp_path / name)
        workflow.write(SMALL | {"methods": {"bald": {}}, "cycles": 1})
        workflow.environment["DAGAL_WARM"] = {"warm": "", "cold": "0"}[name]
        workflow.snakemake("results/small/seed0/bald/cycle1/metrics.json", "results/small/figures/learning_curves.png")
        found.append(
            {
                path: data
                for path, data in workflow.files("**/*").items()
                if path.endswith((".h5", ".safetensors", ".png", "metrics.csv"))
            }
        )
    differ = [path for path in found[0] if found[0][path] != found[1].get(path)]
    assert found[0].keys() == found[1].keys() and len(found[0]) > 10 and differ == []
