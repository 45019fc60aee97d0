"""The conda environments: same pins as the lock, one for every rule, and holding what its script imports."""

import ast
import re
import sys

import pytest
import yaml
from conftest import ROOT

LOCK = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M))
ENVIRONMENTS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")}
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
BLOCKS = [block for block in re.split(r"^ *rule\b", RULES, flags=re.M)[1:]]
IMPORTED_AS = {
    "annotated_types": "annotated-types",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "maxflow": "pymaxflow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


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


def test_every_rule_has_log_environment_and_script():
    assert len(BLOCKS) >= 13
    for block in BLOCKS:
        assert re.search(r"\bconda:\s+\"\.\./envs/(\w+\.yaml)\"", block), block
        assert "log:" in block and "code=code(" in block
    used = set(re.findall(r"\.\./envs/(\w+\.yaml)", RULES))
    assert used == set(ENVIRONMENTS)


def imports(*paths: str) -> set[str]:
    """Top-level third-party packages that files of workflow/ and the library modules behind them import.

    Entries of a registry count as imports of whoever imports its module.
    """
    found, seen, waiting = set(), set(), [ROOT / "workflow" / path for path in ("scripts/job.py", *paths)]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Constant) and re.fullmatch(r"dagal(\.\w+)+:\w+", str(node.value)):
                names = [node.value.partition(":")[0]]
            for name in names:
                if name.split(".")[0] == "dagal":
                    target = ROOT.joinpath("workflow", *name.split("."))
                    waiting += [target.with_suffix(".py"), target / "__init__.py"]
                elif name.split(".")[0] not in sys.stdlib_module_names | {"job"}:
                    found.add(IMPORTED_AS.get(name.split(".")[0], name.split(".")[0]))
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"scripts/(\w+)", block)[1])
def test_environment_holds_what_the_script_imports(block):
    environment = pins(ENVIRONMENTS[re.search(r"envs/(\w+\.yaml)", block)[1]])
    needed = imports(re.search(r"scripts/\w+\.py", block)[0])
    assert needed <= set(environment), needed - set(environment)


def test_light_stages_do_not_import_torch():
    for script in (
        "split",
        "initial",
        "score",
        "query",
        "oracle",
        "evaluate",
        "metrics",
        "costs",
        "informativeness",
        "lambda_sweep",
        "lambda_table",
        "adversary_tables",
        "class_entropy",
        "prediction_loss",
        "pseudo_label_table",
        "selection_costs",
    ):
        assert not {"torch", "torchvision"} & imports(f"scripts/{script}.py"), script


def test_light_environment_holds_what_selectors_and_light_stages_need_and_no_more():
    selectors = [
        str(path.relative_to(ROOT / "workflow")) for path in (ROOT / "workflow/dagal/acquisition").glob("*.py")
    ]
    scripts = [re.search(r"scripts/\w+\.py", block)[0] for block in BLOCKS if "envs/light.yaml" in block]
    assert imports(*selectors) <= set(pins(ENVIRONMENTS["light.yaml"]))
    assert imports(*selectors, *scripts) == set(pins(ENVIRONMENTS["light.yaml"]))
