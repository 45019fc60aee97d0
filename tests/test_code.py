"""What makes a job run again: the digest of the code that it can reach, over a copy of the library that is changed in one place."""

import ast
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

from dagal import config
from dagal.plan import Study, code, job

STUDY = SMALL | {
    "methods": {
        "random": {},
        "entropy": {},
        "margin": {},
        "kcenter_greedy": {},
        "bald": {},
        "entropy_cb": {},
        "vaal": {},
    }
}


@pytest.fixture(scope="module")
def study():
    return Study(config.load(STUDY))


@pytest.fixture(scope="module")
def before(study):
    return digests(study)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of workflow/ in another place."""
    folder = tmp_path_factory.mktemp("clone") / "elsewhere"
    shutil.copytree(ROOT / "workflow", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def library(copied):
    """The copy, which is as it was again after the test."""
    texts = {path: path.read_bytes() for path in copied.rglob("*.py")}
    yield copied
    for path, text in texts.items():
        if path.read_bytes() != text:
            path.write_bytes(text)


def digests(study, workflow=code.WORKFLOW):
    """(stage, method) -> digest, of the jobs of the first seed of each method and of its start."""
    code.parse.cache_clear()
    code.file_of.cache_clear()
    code._digest.cache_clear()
    found = {}
    for stage in study.stages.keys() - {"finetune"}:  # the study has no backbone
        for branch in study.branches.values():
            cycle = 1 if branch.kind == "method" else 0
            place = {"seed": "0", "branch": branch.name, "cycle": str(cycle), "adversary": "vaal", "member": "1"}
            if {*re.findall(r"{(\w+)}", " ".join(job.writes(study, stage).values()))} - {*place} or (
                not cycle and stage in ("score", "select", "oracle")
            ):
                continue
            looked_up = study.stages[stage].looks_up(study, study.at(place))
            script = workflow / "scripts" / job.script(study, stage).name
            found[stage, branch.name] = code.digest(script, looked_up, workflow)
    return found


def changed(before, after):
    return {key for key in before if before[key] != after[key]}


def edit(path: Path, old: str, new: str):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_where_the_clone_lies_changes_nothing(study, before, library):
    assert digests(study, library) == before


def test_comments_docstrings_annotations_and_formatting_change_nothing(study, before, library):
    """Everywhere at once: the tree of each file is written anew, which drops comments and formatting, with other docstrings."""
    for path in library.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                if ast.get_docstring(node) is not None:
                    node.body[0] = ast.Expr(ast.Constant("Other words."))
                elif node.body:
                    node.body.insert(0, ast.Expr(ast.Constant("New words.")))
            if isinstance(node, ast.FunctionDef):
                node.returns = ast.Name("int")
                for argument in node.args.args:
                    argument.annotation = None if argument.annotation else ast.Name("str")
        path.write_text(f"# a comment\n{ast.unparse(ast.fix_missing_locations(tree))}\n# another one\n")
    assert digests(study, library) == before


TASK = "dagal/tasks/classification"
NOTHING = [
    ("signal", f"{TASK}/signals.py", "SIGNALS = {", 'SIGNALS = {"new_N": ("signals", "new"),'),
    ("data set of a kind", f"{TASK}/signals.py", '"signals",\n    1,\n    {', '"signals",\n    1,\n    {"new": "something",'),
    ("kind", "dagal/pool.py", "SPLIT = Kind(", 'OTHER = Kind("other", 1, {"ids": "ids"})\nSPLIT = Kind('),
    ("method", f"{TASK}/__init__.py", "METHODS = {", 'METHODS = {"new": {"score": "entropy"},'),
    ("score", "dagal/acquisition/scores.py", "def entropy(", "def new(probs_N_C):\n    return probs_N_C\n\n\ndef entropy("),
    ("selector", "dagal/acquisition/selection.py", '"badge": "badge",', '"badge": "badge", "new": "new",'),
    ("loader", "dagal/datasets/__init__.py", '"digits": "', '"new": "dagal.datasets.new:new", "digits": "'),
    ("published counts", "dagal/datasets/source.py", '"digits": [', '"new": [1], "digits": ['),
    ("architecture", "dagal/learners/__init__.py", '"mlp": "', '"new": "dagal.learners.networks:mlp", "mlp": "'),
    ("task", "dagal/tasks/__init__.py", '"detection": "', '"new": "dagal.tasks.new:TASK", "detection": "'),
    ("version of dagal", "dagal/__init__.py", "__version__ = ", '__version__ = "9" + '),
    ("import", "dagal/pool.py", "import h5py\n", "import h5py\nimport this_is_not_used\n"),
    ("plan", "dagal/plan/study.py", "class Study:", "NEW = 1\n\n\nclass Study:"),
]  # fmt: skip


def test_new_entries_change_nothing(study, before, library):
    """All of them at once: none may change a job."""
    for _, file, old, new in NOTHING:
        edit(library / file, old, new)
    assert changed(before, digests(study, library)) == set()


def test_the_body_of_a_score_changes_the_methods_that_use_it(study, before, library):
    edit(
        library / "dagal/acquisition/scores.py",
        "probs_N_C = probs_N_C.astype(np.float64)",
        "probs_N_C = probs_N_C.copy()",
    )
    found = changed(before, digests(study, library))
    assert {key for key in found if key[0] == "score"} == {
        ("score", name) for name in ("entropy", "bald", "entropy_cb")
    }
    # pseudo-labels go to the images of least entropy, and SRAAL can weight its samples by it
    assert {stage for stage, _ in found} == {"score", "pseudo_labels", "adversary", "latents"}


def test_the_body_of_training_changes_all_trainings(study, before, library):
    edit(library / "dagal/learners/training.py", "model.train()", "model.train(True)")
    found = changed(before, digests(study, library))
    assert {stage for stage, _ in found} == {"train", "train_labeled_only", "member", "trajectory", "ranks"}
    assert {name for stage, name in found if stage == "train"} == set(study.branches)


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("dagal/acquisition/kcenter.py", "def kcenter_greedy(", "def kcenter_greedy(more=0, *, ", {"select"}),
        ("scripts/oracle.py", "print(", "print('now', ", {"oracle"}),
        ("dagal/seeding.py", "[:8]", "[8:16]", None),
        (f"{TASK}/answers.py", "return {\"labels\": labels_n}", "return {\"labels\": labels_n + 0}", {"initial", "supervised", "oracle"}),
        ("dagal/pool.py", "def thin(", "def thin(more, ", {"split"}),
        ("dagal/artifacts.py", "CHUNK_BYTES = 1 << 20", "CHUNK_BYTES = 1 << 21", None),
        (f"{TASK}/signals.py", '"draws",\n    1', '"draws",\n    2', {"draws", "ensemble", "ensemble_dropout"}),
    ],
)  # fmt: skip
def test_other_bodies_change_the_stages_that_reach_them(study, before, library, file, old, new, stages):
    edit(library / file, old, new)
    found = {stage for stage, _ in changed(before, digests(study, library))}
    if stages is None:  # what every stage shares
        assert {"train", "score", "split"} <= found
    else:
        assert found == {stage for stage in stages if any(key[0] == stage for key in before)}


def test_a_selector_changes_only_the_methods_that_use_it(study, before, library):
    edit(library / "dagal/acquisition/kcenter.py", "def kcenter_greedy(", "def kcenter_greedy(more=0, *, ")
    assert changed(before, digests(study, library)) == {("select", "kcenter_greedy")}


def test_every_definition_of_a_script_that_is_called_is_reached():
    """Names followed by hand through three modules: score.py -> pool.unlabeled -> artifacts.read -> artifacts.opened."""
    found = code.reached(str(ROOT / "workflow/scripts/score.py"), (), str(code.WORKFLOW))
    names = {(module, match[1]) for module, text in found if (match := re.match(r"\w+Def\(name='(\w+)'", text))}
    expected = {("dagal.pool", "unlabeled"), ("dagal.artifacts", "read"), ("dagal.artifacts", "opened")}
    assert expected <= names
    assert ("dagal.pool", "thin") not in names and not any(module.startswith("dagal.learners") for module, _ in names)


@pytest.mark.parametrize(
    ("text", "used", "chains"),
    [
        ("def f(a):\n    b = a\n    return b + c", "f", {("c",)}),
        ("def f():\n    return [x for x in y]", "f", {("y",)}),
        ("f = lambda a: a.b + d.e.g", "f", {("d", "e", "g")}),
        ("def f():\n    global a\n    a = b", "f", {("b",)}),
        ("class F(G):\n    h = i\n    def j(self):\n        return h", "F", {("G",), ("i",), ("h",)}),
        ("f: int = g", "f", {("g",)}),
        ("def f(a=b, *, c=d) -> e:\n    pass", "f", {("b",), ("d",)}),
        ('F = Registry({"a": b})', "F", {("Registry",)}),
        ("f += g", "f", {("f",), ("g",)}),
    ],
)
def test_names_of_a_statement(text, used, chains):
    (statement,) = ast.parse(text).body
    names = code.Names(statement)
    assert names.binds == {used} and names.chains == chains
