"""What the rooms of the library may import, and what is loaded only when it is asked for."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from dagal.registry import Registry

WORKFLOW = Path(__file__).parents[1] / "workflow"


def name_of(path):
    return ".".join(path.relative_to(WORKFLOW).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports():
    """Module of the library -> those that it imports anywhere in its text, in functions too."""
    paths = {name_of(path): path for path in (WORKFLOW / "dagal").rglob("*.py")}
    found = {}
    for name, path in paths.items():
        imported = set()
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.Import):
                imported |= {alias.name for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                members = {f"{statement.module}.{alias.name}" for alias in statement.names}
                imported |= {member if member in paths else statement.module for member in members}
        found[name] = imported & paths.keys()
    return found


def reached(name):
    found, waiting = set(), [name]
    while waiting:
        new = imports()[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_module_imports_itself_in_a_circle():
    assert [name for name in imports() if name in reached(name)] == []


def test_acquisition_knows_no_learner_task_or_data_set():
    rooms = {
        other.split(".")[1] for name in imports() if name.startswith("dagal.acquisition") for other in imports()[name]
    }
    assert rooms & {"learners", "tasks", "datasets", "config", "plan", "report", "inspect"} == set()


def test_registry_loads_what_is_asked_for():
    registry = Registry({"join": "posixpath:join", "missing": "no_such_module:name"})
    assert registry.find("join")("a", "b") == "a/b"
    with pytest.raises(KeyError, match="split"):
        registry.find("split")


def test_networks_are_listed_without_torch_and_found_without_their_siblings():
    code = (
        "import sys; from dagal.learners import NETWORKS; assert 'torch' not in sys.modules; "
        "NETWORKS.find('mlp'); print([name for name in sys.modules if name.startswith('dagal.learners.networks.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=WORKFLOW, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['dagal.learners.networks.mlp']"
