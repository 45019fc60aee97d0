"""The rules declare their own stages, and the conda environments hold what these import, with the pins of the lock."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from dagal import datasets, learners, tasks
from dagal.acquisition import methods
from dagal.plan import code, stages
from dagal.plan.study import report_stage
from dagal.report.registry import ITEMS
from dagal.tasks import Stage

LOCK = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M))
ENVIRONMENTS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")}
IMPORTED_AS = {
    "annotated_types": "annotated-types",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "maxflow": "pymaxflow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}
SCRIPTS = ROOT / "workflow/scripts"
TASKS = {name: tasks.find(name) for name in tasks.TASKS}
# (task or None, name of a stage) -> stage: all that a study can have
STAGES = {
    **{(None, name): stage for name, stage in stages.STAGES.items()},
    **{(task.name, name): stage for task in TASKS.values() for name, stage in task.stages.items()},
    **{("person", name): stage for name, stage in stages.BY_PERSON.items()},
    **{(f"{task.name}, person", name): stage for task in TASKS.values() for name, stage in task.by_person.items()},
    **{(None, name): report_stage(ITEMS.find(name)) for name in ITEMS},
}
# (file, name, text) of every rule; the one of the report has the names of all items
RULES = [
    (path.name, name or None, text)
    for path in sorted((ROOT / "rules").glob("*.smk"))
    for name, text in re.findall(r"^ *rule *(\w*):\n(.*?)(?=^ *rule\b|\Z)", path.read_text(), re.M | re.S)
]


def pins(environment: dict) -> dict[str, str]:
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return dict(pin.split("==") for pin in pip)


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_pins_equal_the_lock(name):
    for package, version in pins(ENVIRONMENTS[name]).items():
        assert LOCK[package] == version, package
    assert ENVIRONMENTS[name]["channels"] == ["conda-forge", "nodefaults"]
    assert "python=3.11" in ENVIRONMENTS[name]["dependencies"]


def test_lock_is_hashed_names_no_host_and_has_one_version_of_what_we_pin():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and not re.search(r"^--(index|extra|find)", text, re.M)
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries) and len(entries) > 50
    names = re.findall(r"^([a-z0-9-]+)==", text, re.M)
    for environment in ENVIRONMENTS.values():
        assert all(names.count(package) == 1 for package in pins(environment))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule[0]}-{rule[1]}")
def test_a_rule_declares_its_own_stage_and_all_of_it(rule):
    _, name, text = rule
    named = re.findall(r"\bplan\.(\w+)\(([^)]*)\)", text)
    assert {argument for _, argument in named} == {f'"{name}"' if name else "name"}
    lines = [" ".join(line.split()).rstrip(",") for line in text.splitlines()]
    own = f'"{name}"' if name else "name"
    for needed in (
        f"unpack(plan.reads({own}))",
        f"plan.log({own})",
        f"plan.conda({own})",
        f"settings=plan.settings({own})",
        f"code=plan.code({own})",
        f"command=plan.command({own})",
        '"{params.command}"',
    ):
        assert lines.count(needed) == 1, needed
    assert f"plan.writes({own})" in text
    for section in ("input", "output", "log", "conda", "resources", "params", "shell"):
        assert lines.count(f"{section}:") == 1, section
    assert sum(line.startswith("gpu=") for line in lines) == 1
    for resource, function in (("mem_mb", "memory"), ("runtime", "runtime")):
        assert lines.count(f"{resource}=plan.{function}({own})") == 1, resource


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_stage_of_a_task_has_one_rule_that_asks_for_what_it_declares(task):
    files = ("data.smk", "cycle.smk", *task.rules)
    rules = [(name, text) for file, name, text in RULES if file in files]
    declared = stages.STAGES | dict(task.stages)
    assert sorted(name for name, _ in rules) == sorted(declared)
    for name, text in rules:
        for setting, line in (
            ("threads", f'threads: plan.threads("{name}")'),
            ("gpu", f'gpu=plan.gpu("{name}")'),
            ("where", f'**plan.where("{name}")'),
        ):
            default = Stage.__dataclass_fields__[setting].default
            assert line in text or getattr(declared[name], setting) is default, (name, setting)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_stage_that_only_a_person_has_has_a_rule(task):
    declared, every = {**stages.BY_PERSON, **task.by_person}, {**stages.STAGES, **task.stages}
    files = ("person.smk", *task.rules_by_person)
    assert sorted(name for file, name, _ in RULES if file in files) == sorted(declared.keys() - every.keys())


def test_every_rule_file_belongs_to_all_studies_or_a_task():
    every = {"data.smk", "cycle.smk", "report.smk", "person.smk"}.union(
        *((*task.rules, *task.rules_by_person) for task in TASKS.values())
    )
    assert {path.name for path in (ROOT / "rules").glob("*.smk")} == every == {file for file, _, _ in RULES}


def test_every_environment_is_used():
    assert {stage.environment for stage in STAGES.values()} == set(ENVIRONMENTS)


def script(stage: Stage) -> Path:
    return ROOT / "workflow" / (stage.script if "/" in stage.script else f"scripts/{stage.script}.py")


def found_by_name(name: str, stage: Stage) -> list[tuple[str, str]]:
    """(module, definition) of all that jobs of a stage may find in catalogues by a name in their settings."""
    parts = {"score": ["score"], "select": ["select"], "select_shard": ["select"], "lambda_sweep": ["select"]}
    if stage.looks_up is tasks.nothing:
        found = []
    elif name in ITEMS:
        found = [ITEMS.find(name).make]
    elif name == "split":
        found = ["dagal.acquisition.kcenter:kcenter_initial"]
    elif name in ("dataset", "source_dataset"):
        found = list(datasets.LOADERS.values())
    elif name in ("initial", "supervised", "oracle", "told"):
        asked = [function for one in TASKS.values() for function in (one.ask, one.append, one.told)]
        found = [function for function in asked if function]
    elif name in parts:
        found = [
            methods.find(part, function, one)
            for one in TASKS.values()
            for part in parts[name]
            for function in methods.available(part, one)
        ]
    else:
        found = [*learners.NETWORKS.values(), *learners.SOLVERS.values()]
    return [tuple(one.split(":")) if isinstance(one, str) else (one.__module__, one.__qualname__) for one in found]


def imported(tree: ast.AST, inside: bool) -> set[str]:
    """Names that the statements of a module import, with those inside its functions or without."""
    found, waiting = set(), list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        if inside or not isinstance(node, ast.FunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def imports(paths: list[Path], roots=(), home: Path | None = None) -> set[str]:
    """Third-party packages that are imported when these files run, and when ``home`` can reach what it can.

    Modules run as a whole, functions only where `dagal.plan.code` finds that the script, or one of ``roots``, can reach them.
    """
    workflow = str(ROOT / "workflow")
    names = {module for module, _ in roots}
    for path in paths:
        names |= imported(ast.parse(path.read_text()), inside=False)
    if home:
        for module, text in code.reached(str(home), roots, workflow):
            path = home if module == home.stem else code.file_of(module, workflow)
            for statement in code.parse(str(path)).statements:
                if statement.text == text:
                    names |= {target for _, target, _ in statement.imports}
                    names |= {f"{target}.{attribute}" for _, target, attribute in statement.imports if attribute}
    found, seen = set(), set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.split(".")[0]
        if top == "dagal":
            names |= {name.rpartition(".")[0]} - {""}  # the package of a module runs before it
            if path := code.file_of(name, workflow):
                names |= imported(ast.parse(path.read_text()), inside=False)
        elif top == "job":
            names |= imported(ast.parse((SCRIPTS / "job.py").read_text()), inside=False)
        elif top not in sys.stdlib_module_names:
            found.add(IMPORTED_AS.get(top, top))
    return found


# every job plans: it looks for the signals of its method, and so may load any score or selector
PLAN = [SCRIPTS / "job.py", *(ROOT / "workflow/dagal/acquisition").glob("*.py")]


def needed(task: str | None, name: str) -> set[str]:
    stage = STAGES[task, name]
    return imports([*PLAN, script(stage)], found_by_name(name, stage), script(stage))


@pytest.mark.parametrize(("task", "name"), STAGES, ids=lambda value: value or "all")
def test_environment_holds_what_a_stage_imports(task, name):
    environment = set(pins(ENVIRONMENTS[STAGES[task, name].environment]))
    assert needed(task, name) <= environment, needed(task, name) - environment


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_environment_holds_no_more_than_its_stages_import(name):
    wanted = set().union(*(needed(*key) for key, stage in STAGES.items() if stage.environment == name))
    assert wanted == set(pins(ENVIRONMENTS[name]))


PLANNING = {"annotated-types", "h5py", "numpy", "scipy"}


def test_planning_imports_neither_torch_nor_what_draws():
    assert imports(PLAN) == PLANNING
    items = [(ITEMS[name].split(":")[0], "ITEM") for name in ITEMS]
    assert imports(PLAN, items) == PLANNING
