"""``--use-conda``: every rule in an environment of its own, with the packages of its file in envs/ and no others.

By conda where there is one, else by a stand-in (`stand_in_conda`). Jobs start cold, so a study with all its tables and figures is for
``make check-conda``; here it is a model and its accuracy, which take all three environments.
"""

import importlib.util
import json
import os
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, SMALL, Workflow, copied_project

pytestmark = pytest.mark.slow
NAMES = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
WHOLE = "DAGAL_WHOLE" in os.environ
STUDY = SMALL | {"cycles": int(WHOLE), "methods": {"entropy": {}}}
TARGETS = [] if WHOLE else ["results/small/summary.csv"]


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """What to put at the front of PATH, so that there is a conda."""
    if found := shutil.which("conda"):
        return os.path.dirname(found)  # noqa: PTH120
    path = ROOT / "tests/stand_in_conda/conda.py"
    spec = importlib.util.spec_from_file_location("stand_in_conda", path)
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    return str(stand_in.install(tmp_path_factory.mktemp("conda")))


def run(folder, conda, environments, *arguments, root=ROOT, **options):
    """A workflow of a small study that is run with environments of its own, and how that ended."""
    workflow = Workflow(folder, root)
    workflow.environment |= {"PATH": f"{conda}:{os.environ['PATH']}"}
    workflow.write(STUDY)
    return workflow, workflow.snakemake(
        "--use-conda", "--conda-prefix", str(environments), "--cores", "2", *arguments, **options
    )


def packages(environments) -> dict[str, dict[str, str]]:
    """Name of a file in envs/ -> package -> version in the environment that was made of it."""
    found = {}
    for file in environments.glob("*.yaml"):
        names = [name for name in NAMES if (ROOT / f"envs/{name}.yaml").read_bytes() == file.read_bytes()]
        listing = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
        python = file.with_suffix("") / "bin/python"
        told = subprocess.run([python, "-I", "-c", listing], capture_output=True, text=True, check=True).stdout
        found |= {name: json.loads(told) for name in names}
    return found


def pins(name: str) -> dict[str, str]:
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    (packages,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return dict(pin.split("==") for pin in packages)


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """Where the tests keep their environments."""
    return tmp_path_factory.mktemp("environments")


def test_a_study_runs_in_the_environments_of_its_rules(tmp_path, conda, environments):
    workflow, _ = run(tmp_path, conda, environments, *TARGETS)
    assert (tmp_path / "results/small/summary.csv").exists()
    found = packages(environments)
    assert sorted(found) == NAMES
    every = {package for name in NAMES for package in pins(name)}
    for name, installed in found.items():
        assert pins(name).items() <= installed.items(), name
        needed_by_others = {"jinja2", "numpy", "pillow", "scipy"}  # what the packages need themselves is there, too
        foreign = every - pins(name).keys() - needed_by_others
        assert not {"snakemake", "pydantic", *foreign} & installed.keys(), name


def test_what_is_missing_in_an_environment_fails(tmp_path, conda, environments):
    project = copied_project(tmp_path / "project")
    file = project / "envs/light.yaml"
    file.write_text(file.read_text().replace("      - h5py==", "      # - h5py=="))
    (tmp_path / "run").mkdir()
    target = "results/small/seed0/split.h5"
    workflow, done = run(tmp_path / "run", conda, environments, target, root=project, check=False)
    assert done.returncode and not (workflow.folder / target).exists()
    assert "No module named 'h5py'" in done.stdout + done.stderr
