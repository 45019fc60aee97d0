"""Running the real workflow on small studies."""

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import forked
import h5py
import numpy as np
import pytest
import yaml

import dagal
from dagal import config, storage, tasks
from dagal.artifacts import Kind
from dagal.config.loader import read
from dagal.plan import Study, graph
from dagal.report import registry

ROOT = Path(__file__).parents[1]
FORKED = forked.Server()
SMALL = {
    "study": "small",
    "dataset": {"name": "digits"},
    "pool": {"initial": {"size": 20}, "imbalance": {"kind": "step", "factor": 0.1}},
    "budget": 10,
    "cycles": 2,
    "seeds": [0],
    "learners": {
        "mlp": {
            "architecture": "mlp",
            "hidden_units": [16],
            "dropout": 0.2,
            "epochs": 2,
            "batch_size": 32,
            "optimizer": {"name": "adam", "lr": 0.001},
            "device": "cpu",
        }
    },
    "methods": {"random": {}, "entropy": {}},
}


def kinds() -> list[Kind]:
    """Every kind of file that a module of the library or a task declares, each once."""
    names = [module.name for module in pkgutil.walk_packages(dagal.__path__, "dagal.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    declared = [found for module in modules for found in vars(module).values() if isinstance(found, Kind)]
    declared += [tasks.find(name).labeled for name in tasks.TASKS]
    return [kind for place, kind in enumerate(declared) if kind not in declared[:place]]


def written(name: str) -> dict:
    """The settings of a study of the repository as they are written, with what it extends."""
    return read(ROOT / name)[0]


class Workflow:
    """The project's Snakefile, or that of another copy of the project, run in a folder of its own on a config of its own."""

    def __init__(self, folder: Path, root: Path = ROOT, profile: str = "default"):
        self.folder, self.root, self.profile = folder, root, root / "profiles" / profile
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if root == ROOT:  # all studies of a test process have their jobs forked by one server
            self.environment.setdefault("DAGAL_WARM", f"{tempfile.gettempdir()}/dagal-tests-{os.getpid()}")
        self.config = folder / "study.yaml"

    def write(self, config: dict) -> None:
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))

    def options(self, *arguments: str) -> list[str]:
        return [
            "--snakefile", str(self.root / "Snakefile"), "--directory", str(self.folder),
            "--workflow-profile", str(self.profile), *arguments, "--configfile", str(self.config),
        ]  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.options(*arguments)]

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        if self.root == ROOT and "PYTHONPATH" not in self.environment:
            done = FORKED.run(self.options(*arguments), self.folder, self.environment)
        else:  # another copy of the library than the server has imported, or a plug-in besides
            done = subprocess.run(
                self.command(*arguments), capture_output=True, text=True, cwd=self.folder, env=self.environment
            )
        if check and done.returncode:
            raise AssertionError(f"snakemake failed:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
        return done

    def dagal(self, *arguments: str) -> str:
        """What a command of the library prints, run in the folder."""
        environment = os.environ | {"PYTHONPATH": str(self.root / "workflow")}
        command = [sys.executable, "-m", "dagal", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs per rule of a dry run, `all` left out."""
        done = self.snakemake(*arguments, "--dry-run", "--quiet", "rules")
        table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", done.stdout + done.stderr, re.M | re.S)
        if not table:
            assert "Nothing to be done" in done.stdout + done.stderr
            return {}
        rows = [line.split() for line in table[1].splitlines()]
        return {rule: int(count) for rule, count in rows if rule != "all"}

    def counted(self) -> dict[str, int]:
        """Jobs per rule by the plan, as Snakemake finds them where nothing is finished (test_plan.py compares the two)."""
        study = Study(config.load(self.config))
        return graph.counts(graph.jobs(study, registry.targets(study)))

    def files(self, pattern: str) -> dict[str, bytes]:
        """Contents of the result files that match."""
        results = self.folder / "results"
        return {
            str(path.relative_to(results)): path.read_bytes()
            for path in sorted(results.glob(pattern))
            if path.is_file()
        }


def copied_project(folder: Path) -> Path:
    """A copy of what the workflow runs from, for a test to edit."""
    for name in ("rules", "workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", folder)
    return folder


def pytest_collection_modifyitems(items):
    """Files that run whole studies come first, so that no core waits for the other one's last study."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def workflow(tmp_path):
    return Workflow(tmp_path)


@pytest.fixture(scope="module")
def one_thread():
    """For small networks, whose threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file of an artifact to be changed in place, as no job does it; its checksums are then those of what it holds."""
    with storage.Verified(path) as blocks:
        size = blocks.size
    os.truncate(path, size)
    with h5py.File(path, "r+") as file:
        yield file
    content = path.read_bytes()
    with storage.Written(path) as blocks:
        blocks.write(content)
        blocks.seal()


def with_flipped_labels(workflow: Workflow, source: Path, known: set) -> int:
    """Give a workflow the prepared digits of the results ``source``, with all labels but the known ids' changed; how many."""
    digits = workflow.folder / "results/datasets/digits"
    digits.mkdir(parents=True)
    for name in ("images.h5", "truth.h5"):
        (digits / name).write_bytes((source / "datasets/digits" / name).read_bytes())
    with edited(digits / "truth.h5") as file:
        labels = file["labels"][()]
        hidden = np.setdiff1d(np.arange(len(labels)), list(known))
        labels[hidden] = (labels[hidden] + 3) % 10
        file["labels"][...] = labels
    return len(hidden)


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def until(browser, condition, seconds=20):
    """Wait until an expression of JavaScript is true in the page."""
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({condition})"):
        assert time.monotonic() < end, f"{condition} did not come true"
        time.sleep(0.02)
