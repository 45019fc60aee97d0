"""The registry of tables and figures: what each declares, what a study has of them, and tables from files made by hand."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docutils.core import publish_doctree
from test_envs import ENVIRONMENTS, IMPORTED_AS, pins

from dagal import artifacts
from dagal.plan import code
from dagal.report import tables
from dagal.report.registry import ITEMS, items, targets, write_captions
from dagal.report.tables import costs, metrics

CLASSIFICATION = SimpleNamespace(
    name="classification", measures=("accuracy", "l1_score"), per_class="accuracy_per_class"
)
DETECTION = SimpleNamespace(name="detection", measures=("mean_ap", "boxes"), per_class="ap_per_class")


class Study:
    """What items ask of a study: two seeds, two query cycles, methods with the kinds of signals that they read."""

    name, results, dataset, truth = "small", "results/small", "results/datasets/d", "results/datasets/d/truth.h5"
    seeds, cycles = [3, 4], range(3)

    def __init__(self, task, kinds, stopping=False, auto_weight=(), supervised=(), **settings):
        self.task, self.kinds, self.stopping, self.auto_weight = task, kinds, stopping, list(auto_weight)
        self.settings = {
            "plots": {"dpi": 50}, "cycles": 2, "budget": 5, "supervised": list(supervised), "signals": {"members": 3},
            "stopping": {"kappa": None, "target_accuracy": 0.9}, "dataset": {"loader": "digits"}, "video": {"flow": "dis", "shards": 1},
        } | settings  # fmt: skip
        learner = {"backbone": "simsiam", "loss_prediction": {"loss": "margin"}, "pseudo_labels": {"kind": "ceal"}}
        self.rendered, self.clean_images = task is DETECTION, f"{self.dataset}/images.h5"
        self.methods = {name: {"learner": "net", "tracker": "flow"} for name in kinds}
        self.learners = {"net": learner}
        self.backbones = {"simsiam": {"kind": "simsiam"}} if task is CLASSIFICATION else {}

    def node(self, seed, method, cycle):
        name = method if cycle else "start-net"
        branch = SimpleNamespace(
            kind="method" if cycle else "start", name=name, method=method, learner="net", size=None
        )
        return SimpleNamespace(seed=seed, branch=branch, cycle=cycle)

    def parent(self, node):
        return self.node(node.seed, node.branch.method, node.cycle - 1)

    def nodes(self):
        return [self.node(s, m, c) for s in self.seeds for m in self.methods for c in self.cycles]

    def supervised(self):
        branches = [(size, f"supervised{size}-net") for size in self.settings["supervised"]]
        return [
            SimpleNamespace(seed=seed, cycle=0, branch=SimpleNamespace(kind="supervised", name=name, learner="net", size=size))
            for size, name in branches
            for seed in self.seeds
        ]  # fmt: skip

    def file(self, node, name):
        return f"{self.results}/seed{node.seed}/{node.branch.name}/cycle{node.cycle}/{name}"

    def path(self, node, kind):
        return self.file(node, f"{kind}.json" if kind in ("metrics", "stopping") else f"{kind}.h5")

    def stop_records(self):
        return [self.path(node, "stopping") for node in self.nodes()] if self.stopping else []

    def signal_kinds(self, method):
        return set(self.kinds[method])

    def signals(self, method):
        return [(kind, "values") for kind in self.kinds[method]]

    def signal_file(self, method, kind):
        return {"draws": "ensemble", "adversary": "adversary_vaal", "coherence": "coherence_flow"}.get(kind, kind)

    def overview(self):
        return {method: {"learner": "net", "deployable": True} for method in self.methods}

    def images(self, seed):
        return f"{self.dataset}/images.h5"

    def split(self, seed):
        return f"{self.results}/seed{seed}/split.h5"

    def table(self, name):
        return f"{self.results}/{name}.csv"

    def pattern(self, pattern, **wildcards):
        places = {"results": self.results, "dataset": self.dataset, "flow": f"{self.dataset}/{{flow}}/{{shard}}of1"}
        for name, value in (places | wildcards).items():
            pattern = pattern.replace(f"{{{name}}}", str(value))
        return pattern

    def backbone(self, at):
        return f"{self.dataset}/backbones/{at.backbone}"

    def is_finetuned(self, node):
        return False

    def has_pseudo_labels(self, node):
        return self.task is CLASSIFICATION and node.branch.kind == "method"

    def is_two_model(self, branch):
        return False


SIGNALS = {"random": [], "entropy": ["signals"], "label_dispersion": ["signals"], "vaal": ["adversary", "signals"]}
STUDIES = {
    "all analyses of images": Study(CLASSIFICATION, SIGNALS, True, ["entropy"], [9, "all"]),
    "points in a plane": Study(CLASSIFICATION, {"random": []}, dataset={"loader": "two_moons"}),
    "camera traps": Study(CLASSIFICATION, {"random": []}, dataset={"loader": "camera_trap"}),
    "rendered videos": Study(DETECTION, {"random": [], "both": ["coherence"]}, dataset={"loader": "synthia_al"}),
}


def jobs(study):
    """(name, item, inputs, outputs, settings) of every table and figure of a study."""
    for name, item in items(study).items():
        for variant in item.variants(study):
            at = SimpleNamespace(**{"seed": study.seeds[0]} | variant)
            patterns = {**item.writes, **item.writes_besides(study)}
            outputs = {key: study.pattern(pattern, **variant) for key, pattern in patterns.items()}
            yield name, item, item.reads(study, at), outputs, item.settings(study, at)


def flat(paths):
    return [path for value in paths.values() for path in ([value] if isinstance(value, str) else value)]


# ---- the registry


def test_every_item_is_in_some_study():
    assert set().union(*map(items, STUDIES.values())) == set(ITEMS)


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_every_output_is_shown_under_a_name_or_read_by_another_item(study):
    read = {path for _, _, inputs, _, _ in jobs(study) for path in flat(inputs)}
    for name, item, _, outputs, settings in jobs(study):
        assert set(item.labels) <= set(outputs) and not any("{" in path for path in outputs.values())
        for key, path in outputs.items():
            if key in item.labels:
                assert item.caption and item.category and item.labels[key], name
            else:  # of the dispersion there is a figure where a method samples by it
                assert path in read or path.endswith("dispersion.csv"), f"nobody sees {path}"
        assert json.loads(json.dumps(settings)) is not None


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_each_file_is_made_once_and_tables_that_are_read_are_made(study):
    written = [path for _, _, _, outputs, _ in jobs(study) for path in outputs.values()]
    assert len(set(written)) == len(written) and written == targets(study)
    assert {path for _, _, inputs, _, _ in jobs(study) for path in flat(inputs) if path.endswith(".csv")} <= set(
        written
    )


def test_items_of_many_variants():
    images, videos = STUDIES["all analyses of images"], STUDIES["rendered videos"]
    assert "results/small/figures/lambda_entropy.png" in targets(images)
    assert "results/small/lambda/entropy.csv" in targets(images)
    pictures = [path for path in targets(videos) if "pictures" in path]
    stems = [f"results/small/pictures/net_seed3_{tracker}" for tracker in ("flow", "true_flow")]
    assert pictures == [f"{stem}.{ending}" for stem in stems for ending in ("png", "gif")]


def test_captions_are_valid_and_written_once(tmp_path):
    paths = write_captions(tmp_path)
    assert set(paths) == {name for name in ITEMS if ITEMS.find(name).labels}
    for path in map(Path, paths.values()):
        publish_doctree(path.read_text(), settings_overrides={"halt_level": 2, "report_level": 5})
    before = {path: Path(path).stat().st_mtime_ns for path in paths.values()}
    edited = Path(paths["summary"])
    text = edited.read_text()
    edited.write_text("another")
    write_captions(tmp_path)
    assert edited.read_text() == text
    assert all(Path(path).stat().st_mtime_ns == time for path, time in before.items() if path != str(edited))


def test_planning_imports_nothing_heavy():
    heavy = {"pandas", "seaborn", "matplotlib", "torch", "sklearn", "cv2", "scipy"}
    program = (
        "import sys; from dagal.report.registry import ITEMS; [ITEMS.find(name) for name in ITEMS]; "
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(Path(tables.__file__).parents[3])}
    )


@pytest.mark.parametrize("name", ITEMS)
def test_environment_of_an_item_holds_what_its_function_reaches(name, tmp_path):
    (tmp_path / "nothing.py").touch()
    item = ITEMS.find(name)
    home = (item.make.__module__, item.make.__name__)
    needed = set()
    for module, text in code.reached(str(tmp_path / "nothing.py"), [home], str(code.WORKFLOW)):
        of_module = code.parse(str(code.file_of(module, str(code.WORKFLOW), tmp_path))).imports.values()
        within = re.findall(r"Import\(names=\[alias\(name='(\w+)|ImportFrom\(module='(\w+)", text)
        needed |= {target.split(".")[0] for target, _ in of_module} | {"".join(names) for names in within}
    packages = {IMPORTED_AS.get(name, name) for name in needed - sys.stdlib_module_names - {"dagal"}}
    assert "numpy" in packages and packages <= set(pins(ENVIRONMENTS[f"{item.environment}.yaml"]))


# ---- tables


def run(function, inputs, outputs, **params):
    """A job as `make` of an item sees it; files by their names."""

    class Named(SimpleNamespace):
        def __getitem__(self, name):
            return vars(self)[name]

        def get(self, name, default=None):
            return vars(self).get(name, default)

    function(SimpleNamespace(input=Named(**inputs), output=Named(**outputs), params=Named(**params)))


def nodes(folder, measured, methods, cycles=2):
    """metrics.json of a seed's nodes: the accuracy of the start is .5, of the k-th method .6 + k / 10."""
    places = [("start-net", 0, 0.5)]
    places += [(name, cycle, 0.6 + k / 10) for k, name in enumerate(methods) for cycle in range(1, cycles)]
    for branch, cycle, performance in places:
        path = folder / f"seed0/{branch}/cycle{cycle}/metrics.json"
        path.parent.mkdir(parents=True)
        found = {"labels": 10 + 10 * cycle, measured: performance}
        found |= {"class_names": ["null", "7"], "labels_per_class": [5, 5], f"{measured}_per_class": [performance] * 2}
        artifacts.write_json(path, found)
        yield str(path)


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "1", "True"])
def test_methods_and_classes_of_any_name_stay_in_tables_and_figures(name, tmp_path):
    files = {key: str(tmp_path / f"{key}.csv") for key in ("metrics", "classes", "summary")}
    about = {"learner": "net", "deployable": True}
    inputs = {"nodes": list(nodes(tmp_path, "accuracy", ["random", name])), "stops": []}
    settings = {"study": "s", "methods": {"random": about, name: about}, "measured": ["accuracy"]} | {
        "per_class": "accuracy_per_class"
    }
    run(metrics.make, inputs, files, **settings)
    run(ITEMS.find("summary").make, {"metrics": files["metrics"]}, {"summary": files["summary"]}, measure="accuracy")
    summary = tables.read(files["summary"]).set_index("method")
    assert summary.loc[name, "accuracy_mean"] == pytest.approx(0.7)
    assert summary.loc[name, "aubc_gain_over_random"] == pytest.approx(0.05)
    assert tables.read(files["classes"])["class_name"].unique().tolist() == ["null", "7"]
    for figure, table in (("learning_curves", "metrics"), ("class_distribution", "classes")):
        output = {"figure": str(tmp_path / "a.png")}
        run(ITEMS.find(f"figure_{figure}").make, {"table": files[table]}, output, dpi=50, measure="accuracy")
        assert Path(output["figure"]).read_bytes()[:4] == b"\x89PNG"


def test_a_task_without_classes_has_no_table_of_them(tmp_path):
    study = Study(SimpleNamespace(name="regression", measures=("squared_error",), per_class=""), {"random": []})
    assert targets(study)[0] == "results/small/metrics.csv" and not any("classes" in path for path in targets(study))
    assert list(items(study)) == ["metrics", "summary", "costs", "figure_learning_curves"]
    files = {"metrics": str(tmp_path / "metrics.csv")}
    inputs = {"nodes": list(nodes(tmp_path, "squared_error", ["random"])), "stops": []}
    about = {"random": {"learner": "net", "deployable": True}}
    run(metrics.make, inputs, files, study="s", methods=about, measured=["squared_error"], per_class="")
    assert tables.read(files["metrics"])["squared_error"].tolist() == [0.5, 0.6]


def test_empty_cells_of_numbers_are_nan_and_an_empty_table_is_drawn(tmp_path):
    artifacts.write_csv(tmp_path / "a.csv", ["method", "kappa"], [["NA", None], ["b", 0.5]])
    table = tables.read(tmp_path / "a.csv")
    assert table["method"].tolist() == ["NA", "b"] and np.isnan(table["kappa"][0]) and table["kappa"][1] == 0.5
    artifacts.write_csv(tmp_path / "a.csv", ["method", "seed", "cycle", "entropy", "n_classes"], [])
    output = {"figure": str(tmp_path / "a.png")}
    run(ITEMS.find("figure_class_entropy").make, {"table": tmp_path / "a.csv"}, output, dpi=50)
    assert Path(output["figure"]).stat().st_size > 1000


# ---- what a query costs


@pytest.mark.parametrize(
    ("kinds", "behind"),
    [
        ({"truth", "signals"}, ["signals"]),
        ({"draws"}, ["ensemble", "member1", "member2"]),
        ({"adversary", "signals"}, ["adversary_vaal", "signals"]),
        ({"errors"}, ["errors", "detections"]),  # the inference pass, with or without temporal coherence
        ({"coherence", "images"}, ["coherence_flow", "detections", "tracks_flow"]),
        ({"detections"}, ["detections"]),
    ],
)
def test_jobs_behind_a_query(kinds, behind):
    assert costs.query_jobs(Study(DETECTION, {"m": kinds}), "m") == behind


def test_costs_are_those_of_all_trainings_and_queries():
    study = Study(CLASSIFICATION, {"entropy": ["signals"]}, supervised=[9])
    paths = costs.benchmarks(study)
    of_seed = [path.removeprefix("results/small/seed3/") for path in paths if "seed3/" in path]
    assert of_seed == [
        *(f"entropy/cycle1/{job}.benchmark.tsv" for job in ("pseudo_labels", "score", "select", "signals", "train")),
        *(f"entropy/cycle2/{job}.benchmark.tsv" for job in ("pseudo_labels", "score", "select", "train")),
        *(f"start-net/cycle0/{job}.benchmark.tsv" for job in ("signals", "train")),
        "supervised9-net/cycle0/train.benchmark.tsv",
    ]
    shared = [Path(path).name for path in paths if "backbones" in path]
    assert shared == ["features.benchmark.tsv", "pretrain.benchmark.tsv"]
