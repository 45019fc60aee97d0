"""Studies as files: lines of mistakes, `extends`, files that must be there, and what is written from the model."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, SMALL, written

from dagal.__main__ import main
from dagal.config import check_files, check_pool, load
from dagal.config.publish import json_schema, settings_page
from dagal.errors import UserError

STUDY = yaml.safe_dump(SMALL, sort_keys=False)


def refusal(path, *above, **options) -> str:
    """The sentence that loading ends with."""
    with pytest.raises(UserError) as caught:
        load([path, *above] if above else path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("cycles: 2", "cycles: .nan", "study.yaml:11: config key 'cycles' is not a number (.nan)"),
        ("cycles: 2", "cycles: 1.5", "study.yaml:11: config key 'cycles' is 1.5: must be a whole number of at least 0 and of at most"),
        ("- 0", "- 9223372036854775808", "study.yaml:12: config key 'seeds' is [9223372036854775808]: must be a list of"),
        ("budget: 10", "", "study.yaml: config key 'budget' is missing."),
        ("    size: 20\n", "    kind: random\n", "study.yaml:5: config key 'pool.initial.size' is missing."),
        ("budget: 10", "budget: 10\ncycles: 3", "study.yaml:12: 'cycles' stands twice, first in line 11; delete one."),
        ("  entropy:", "  random: {}\n  entropy:", "study.yaml:28: 'random' stands twice, first in line 27"),
        ("budget: 10", "budget: [10", "study.yaml:11: this is no YAML: did not find expected ',' or ']'."),
        ("budget: 10", "\tbudget: 10", "study.yaml:10: this is no YAML: found a tab character that violates indentation."),
        ("budget: 10", "budgets: 10", "study.yaml:10: config key 'budgets' is unknown (did you mean 'budget'?)"),
        ("budget: 10", "budget: !!python/name:os.system", "study.yaml:10: tag:yaml.org,2002:python/name:os.system '' cannot be"),
        ("learners:", "learners: &a\n  b: *a", "study.yaml:14: this part contains itself; write it out."),
        ("entropy: {}", "entropi: {}", "study.yaml:28: config key 'methods.entropi' is no method or score"),
        ("entropy: {}", "entropy_cb: {select_options: {weight: heavy}}", "study.yaml:28: config key 'methods.entropy_cb.sel"),
        ("lr: 0.001", "lr: 1e-3", "study.yaml:24: config key 'learners.mlp.optimizer.lr' is '1e-3': must be a number above 0"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_file_and_line(folder, old, new, sentence):
    assert old in STUDY
    (folder / "study.yaml").write_text(STUDY.replace(old, new, 1))
    assert refusal("study.yaml").startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "study.yaml: there is no such file"),
        ("", "study.yaml is empty"),
        ("# only a comment\n", "study.yaml is empty"),
        ("- study\n", "study.yaml:1: a study is a mapping of keys, not a list."),
        ("digits", "study.yaml:1: a study is a mapping of keys, not one value."),
        (b"study: \xff\xfe", "study.yaml is no text in UTF-8"),
    ],
)
def test_what_is_no_study(folder, content, sentence):
    if content is not None:
        (folder / "study.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    assert refusal("study.yaml").startswith(sentence)


def test_a_folder_is_no_study(folder):
    (folder / "study.yaml").mkdir()
    assert refusal("study.yaml") == "study.yaml is a folder; give the YAML file of a study."


def test_extends_merges_mappings_and_replaces_the_rest(folder):
    (folder / "base").mkdir()
    (folder / "base/one.yaml").write_text(STUDY)
    (folder / "base/two.yaml").write_text("extends: one.yaml\nseeds: [3, 4]\npool: {imbalance: {factor: 0.2}}\n")
    (folder / "study.yaml").write_text(
        "extends: base/two.yaml\nstudy: mine\nmethods:\n  entropy: {subset: 3}\n  margin:\n"
    )
    config = load("study.yaml")
    expected = json.loads(json.dumps(SMALL)) | {"study": "mine", "seeds": [3, 4]}
    expected["pool"]["imbalance"]["factor"] = 0.2
    expected["methods"] = {"random": {}, "entropy": {"subset": 3}, "margin": {}}
    assert json.dumps(config) == json.dumps(load(expected))
    assert {key: config.places[key] for key in ("seeds", "budget", "methods.margin", "pool.imbalance.factor")} == {
        "seeds": "base/two.yaml:2", "budget": "base/one.yaml:10", "methods.margin": "study.yaml:5",
        "pool.imbalance.factor": "base/two.yaml:3",
    }  # fmt: skip


def test_mistake_in_a_base_names_the_base(folder):
    (folder / "base.yaml").write_text(STUDY.replace("budget: 10", "budget: 0"))
    (folder / "study.yaml").write_text("extends: base.yaml\nstudy: mine\n")
    assert refusal("study.yaml").startswith("base.yaml:10: config key 'budget' is 0")
    (folder / "other.yaml").write_text("budget: -1\n")
    assert refusal("study.yaml", "other.yaml").startswith("other.yaml:1: config key 'budget' is -1")
    (folder / "other.yaml").write_text("budget: 5\n")
    assert refusal("study.yaml", "other.yaml", overrides={"cycles": -2}).startswith(
        "--config: config key 'cycles' is -2"
    )
    assert load(["study.yaml", "other.yaml"], {"cycles": 1})["cycles"] == 1


def test_extends_that_leads_nowhere(folder):
    (folder / "one.yaml").write_text("extends: two.yaml\n")
    (folder / "two.yaml").write_text("study: two\nextends: one.yaml\n")
    assert "one.yaml extends itself" in refusal("one.yaml")
    (folder / "one.yaml").write_text("study: one\nextends: three.yaml\n")
    assert (
        refusal("one.yaml")
        == "one.yaml:2: config key 'extends' is 'three.yaml', and there is no such file beside one.yaml."
    )
    (folder / "one.yaml").write_text("extends: [two.yaml]\n")
    assert refusal("one.yaml").startswith("one.yaml:1: config key 'extends' must be the path of one file")
    assert "is for files only" in refusal({"extends": "two.yaml"})


def test_anchors_and_merged_keys(folder):
    text = STUDY.replace("  mlp:", "  mlp: &mlp").replace("methods:", "  other: {<<: *mlp, dropout: 2}\nmethods:")
    (folder / "study.yaml").write_text(text)
    assert refusal("study.yaml").startswith("study.yaml:26: config key 'learners.other.dropout' is 2")
    (folder / "study.yaml").write_text(text.replace("dropout: 2}", "dropout: 0.5}").replace("{}", "{learner: other}"))
    learners = load("study.yaml")["learners"]
    assert learners["other"] == learners["mlp"] | {"dropout": 0.5}


def test_raw_data_and_weights_must_be_there(folder):
    def refused(settings):
        (folder / "study.yaml").write_text(yaml.safe_dump(SMALL | settings, sort_keys=False))
        with pytest.raises(UserError) as caught:
            check_files(load("study.yaml"))
        return str(caught.value)

    sentence = refused({"dataset": {"name": "leaves", "loader": "image_folder", "path": "leaves"}})
    assert sentence.startswith("study.yaml:5: config key 'dataset.path' is 'leaves', and there is nothing")
    assert refused({"dataset": {"name": "mnist"}}).startswith(
        "study.yaml:2: config key 'dataset.path' is 'data/raw/mnist'"
    )
    learner = SMALL["learners"]["mlp"] | {"architecture": "resnet18", "weights": "net.pth"}
    assert "'learners.net.weights' is 'net.pth', and there is no such file" in refused({"learners": {"net": learner}})
    for dataset in ({"name": "mnist", "download": True}, {"name": "digits"}):
        check_files(load(SMALL | {"dataset": dataset}))
    (folder / "leaves").mkdir()
    check_files(load(SMALL | {"dataset": {"name": "leaves", "loader": "image_folder", "path": "leaves"}}))


def test_pool_checks_know_the_line_too(folder):
    (folder / "study.yaml").write_text(STUDY)
    with pytest.raises(
        UserError, match="^study.yaml:11: config key 'cycles' is 2: 2 x 10 queries exceed the pool of 15"
    ):
        check_pool(load("study.yaml"), 15)


def test_generated_files_are_those_of_the_model():
    """`make docs` writes them."""
    assert json.loads((ROOT / "config/study.schema.json").read_text()) == json.loads(json.dumps(json_schema()))
    assert (ROOT / "docs/settings.md").read_text() == settings_page()


def test_every_key_is_explained_once_in_the_tables():
    rows = [line.strip("| ").split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    keys = [row[0].strip("`") for row in rows]
    assert len(keys) == len(set(keys)) > 170
    assert all(len(row) >= 4 and row[3].strip() for row in rows)
    row = next(row for row in rows if row[0] == "`learners.<name>.C`")
    assert row[1:3] == ["a number above 0", "`5`"] and row[3].startswith("*svm*: ") and row[4].startswith("003")


def test_schema_completes_what_the_loader_takes():
    """Every study of the repository, as it is written, holds only keys that the schema has where it has them."""
    schema = json_schema()

    def unknown(value, part, key=""):
        if not isinstance(value, dict) or not (
            "properties" in part or isinstance(part.get("additionalProperties"), dict)
        ):
            return []
        found = []
        for name, entry in value.items():
            inner = part.get("properties", {}).get(name, part.get("additionalProperties"))
            inner = inner["anyOf"][0] if inner and "anyOf" in inner else inner
            found += unknown(entry, inner, f"{key}.{name}") if inner else [f"{key}.{name}"]
        return found

    for path in [ROOT / "config.yaml", *(ROOT / "experiments").rglob("*.yaml")]:
        assert unknown(yaml.safe_load(path.read_text()), schema) == []
        names = {rule["if"]["properties"]["architecture"]["enum"][0] for rule in learner_rules(schema)}
    assert {"svm", "linear", "faster_rcnn_small"} <= names
    assert schema["properties"]["seeds"]["items"]["minimum"] == 0
    assert unknown({"learners": {"a": {"architektur": 1}}}, schema) == [".learners.a.architektur"]


def learner_rules(schema):
    return schema["properties"]["learners"]["additionalProperties"]["allOf"]


def test_the_resolved_study_says_where_values_are_from(folder, capsys):
    (folder / "base.yaml").write_text(STUDY)
    (folder / "study.yaml").write_text("extends: base.yaml\nstudy: mine\n")
    assert main(["config", "study.yaml"]) == 0
    output = capsys.readouterr().out
    places = {line.split(":")[0]: line.rsplit("# ", 1)[-1] for line in output.splitlines() if "#" in line}
    assert (places["study"], places["budget"], places["supervised"]) == ("study.yaml:2", "base.yaml:10", "default")
    assert load(yaml.safe_load(output)) == load("study.yaml")
    assert main(["config", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err.startswith("dagal: nowhere.yaml: there is no such file")


def test_methods_are_listed_with_their_options(capsys):
    assert main(["methods", "entropy_cb"]) == 0
    output = capsys.readouterr().out
    assert "score: entropy, select: class_balanced" in output and "probabilities (signals)" in output
    assert "select_options.weight: a number of at least 0 or auto; by default 0.6" in output
    assert "thesis" in output
    assert main(["methods", "--task", "detection"]) == 0
    output = capsys.readouterr().out
    assert "temporal_coherence:" in output and "bald" not in output
    assert main(["methods", "kcenter_gredy"]) == 2
    assert "did you mean 'kcenter_greedy'" in capsys.readouterr().err


def test_a_new_study_loads_and_nothing_is_overwritten(folder, capsys):
    assert main(["new", "leaves"]) == 0
    config = load("leaves.yaml")
    assert config["study"] == "leaves" and list(config["methods"]) == ["random", "entropy", "diverse"]
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)\n", (folder / "leaves.yaml").read_text())[1]
    assert (folder / schema).resolve() == ROOT / "config/study.schema.json"
    (folder / "leaves.yaml").write_text("mine")
    assert main(["new", "leaves"]) == 2
    assert (folder / "leaves.yaml").read_text() == "mine"
    assert main(["new", "my leaves"]) == 2
    assert "only letters, digits and _" in capsys.readouterr().err


def test_loading_imports_nothing_heavy():
    code = (
        "import sys; from dagal.config import load; load('experiments/ta_vaal_cifar10.yaml'); "
        "print({'torch', 'pandas', 'sklearn', 'matplotlib', 'scipy', 'cv2'} & set(sys.modules))"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_first_line_of_the_default_study_names_the_schema():
    first = (ROOT / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=config/study.schema.json"
    assert written("config.yaml")["study"] == "digits"
