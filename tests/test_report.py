"""The registry of tables and figures: what each declares, what a study has of them, and tables from files made by hand."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docutils.core import publish_doctree
from test_envs import ENVIRONMENTS, imports, pins

from dagal import artifacts
from dagal.report import tables
from dagal.report.item import Item, planned
from dagal.report.registry import ITEMS, items, write_captions
from dagal.report.tables import costs, metrics

CLASSIFICATION = SimpleNamespace(name="classification", measures=("accuracy", "l1_score"))
DETECTION = SimpleNamespace(name="detection", measures=("mean_ap", "boxes"))


class Study:
    """What items ask of a study: two seeds, two query cycles, methods with the kinds of signals that they read."""

    name, results, dataset, truth = "small", "results/small", "results/datasets/d", "results/datasets/d/truth.h5"
    seeds, cycles = [3, 4], range(3)

    def __init__(self, task, kinds, stopping=False, auto_weight=(), supervised=(), **settings):
        self.task, self.kinds, self.stopping, self.auto_weight = task, kinds, stopping, list(auto_weight)
        self.settings = {
            "plots": {"dpi": 50}, "cycles": 2, "budget": 5, "supervised": list(supervised), "signals": {"members": 3},
            "stopping": {"kappa": None, "target_accuracy": 0.9}, "dataset": {"loader": "digits"}, "video": {"flow": "dis"},
        } | settings  # fmt: skip
        learner = {"backbone": "simsiam", "loss_prediction": {"loss": "margin"}, "pseudo_labels": {"kind": "ceal"}}
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

    def figure(self, name):
        return f"{self.results}/figures/{name}.png"

    def backbone_file(self, name, seed, file):
        return f"{self.dataset}/backbones/{name}/{file}"

    def sweep(self, method):
        return f"{self.results}/lambda/{method}.h5"

    def flow(self, kind, ending="h5"):
        return [f"{self.dataset}/flow_{kind}/0of1.{ending}"]

    def finetunes(self, node):
        return False

    def has_pseudo_labels(self, node):
        return self.task is CLASSIFICATION and node.branch.kind == "method"

    def two_model(self, node):
        return False


SIGNALS = {"random": [], "entropy": ["signals"], "label_dispersion": ["signals"], "vaal": ["adversary", "signals"]}
STUDIES = {
    "all analyses of images": Study(CLASSIFICATION, SIGNALS, True, ["entropy"], [9, "all"]),
    "points in a plane": Study(CLASSIFICATION, {"random": []}, dataset={"loader": "two_moons"}),
    "camera traps": Study(CLASSIFICATION, {"random": []}, dataset={"loader": "camera_trap"}),
    "rendered videos": Study(DETECTION, {"random": [], "both": ["coherence"]}, dataset={"loader": "synthia_al"}),
}


def flat(paths):
    return [path for value in paths.values() for path in ([value] if isinstance(value, str) else value)]


# ---- the registry


def test_every_item_is_in_some_study():
    assert {job.item for study in STUDIES.values() for job in items(study)} == set(ITEMS)


@pytest.mark.parametrize("name", STUDIES)
def test_every_output_is_shown_under_a_name_or_read_by_a_figure(name):
    jobs = items(STUDIES[name])
    read = {path for job in jobs for path in flat(job.inputs)}
    for job in jobs:
        assert set(job.labels) <= set(job.outputs)
        for key, path in job.outputs.items():
            if key in job.labels:
                assert job.caption and job.category and all(job.labels[key].values()), job.name
            else:
                assert path in read or path.endswith("dispersion.csv"), f"nobody sees {path}"
    written = [path for job in jobs for path in flat(job.outputs)]
    assert len(set(written)) == len(written) and len({job.name for job in jobs}) == len(jobs)
    assert all(json.loads(json.dumps(job.settings)) is not None for job in jobs)


def test_tables_that_figures_read_are_made_by_the_study():
    for study in STUDIES.values():
        jobs = items(study)
        written = {path for job in jobs for path in flat(job.outputs)}
        tables_read = {path for job in jobs for path in flat(job.inputs) if path.endswith(".csv")}
        assert tables_read <= written


def test_captions_are_valid_and_written_once(tmp_path):
    for study in STUDIES.values():
        paths = write_captions(items(study), tmp_path)
        assert set(paths) == {job.item for job in items(study) if job.labels}
    for path in tmp_path.iterdir():
        publish_doctree(path.read_text(), settings_overrides={"halt_level": 2, "report_level": 5})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    path = next(iter(before))
    path.write_text("another")
    for study in STUDIES.values():
        write_captions(items(study), tmp_path)
    assert path.read_text() != "another"
    assert all(other.stat().st_mtime_ns == before[other] for other in before if other != path)


def test_one_job_for_each_variant():
    item = Item(
        make=costs.make,
        reads=lambda study, method: {"a": method},
        outputs=lambda study, method: {"b": f"{method}.csv"},
        caption="\n    One\n    line.\n",
        labels={"b": "of {method}"},
    )
    job = planned(None, "x", item, {"method": "entropy"})
    assert (job.name, job.item, job.caption, job.settings) == ("x_entropy", "x", "One\nline.", {})
    assert job.labels == {"b": {"table": "of entropy"}} and job.code == "dagal.report.tables.costs:make"
    names = [job.name for job in items(STUDIES["rendered videos"]) if job.item == "pictures"]
    assert names == ["pictures_net_flow", "pictures_net_true_flow"]


def test_planning_imports_nothing_heavy():
    heavy = {"pandas", "seaborn", "matplotlib", "torch", "sklearn", "cv2", "scipy"}
    code = (
        "import sys; from dagal.report.registry import ITEMS; [ITEMS.find(name) for name in ITEMS]; "
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(tables.__file__).parents[3])})


@pytest.mark.parametrize("name", ITEMS)
def test_environment_of_an_item_holds_what_its_file_imports(name):
    """Of the tables behind a figure, its job imports none."""
    item = ITEMS.find(name)
    path = Path(*item.make.__module__.split(".")).with_suffix(".py")
    behind = "dagal/report/tables/" if "figures" in path.parts else "nothing"
    needed = imports(str(path), without=behind)
    assert needed <= set(pins(ENVIRONMENTS[f"{item.environment}.yaml"])), needed


# ---- tables


def run(function, inputs, outputs, **params):
    """A job as `make` of an item sees it; files by their names."""

    class Files(dict):
        __getattr__ = dict.__getitem__

        def __getitem__(self, key):
            return list(self.values())[key] if isinstance(key, int) else dict.__getitem__(self, key)

    function(SimpleNamespace(input=Files(inputs), output=Files(outputs), params=SimpleNamespace(**params)))


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
    settings = {"study": "s", "methods": {"random": about, name: about}, "measured": ["accuracy"]}
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
    study = Study(SimpleNamespace(name="regression", measures=("squared_error",)), {"random": []})
    jobs = {job.item: job for job in items(study)}
    assert list(jobs["metrics"].outputs) == ["metrics"]
    assert list(jobs) == ["metrics", "summary", "costs", "figure_learning_curves"]
    files = {"metrics": str(tmp_path / "metrics.csv")}
    inputs = {"nodes": list(nodes(tmp_path, "squared_error", ["random"])), "stops": []}
    about = {"random": {"learner": "net", "deployable": True}}
    run(metrics.make, inputs, files, study="s", methods=about, measured=["squared_error"])
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
    ("kinds", "jobs"),
    [
        ({"truth", "signals"}, ["signals"]),
        ({"draws"}, ["ensemble", "member1", "member2"]),
        ({"adversary", "signals"}, ["adversary_vaal", "signals"]),
        ({"errors"}, ["errors", "detections"]),  # the inference pass, with or without temporal coherence
        ({"coherence", "images"}, ["coherence_flow", "detections", "tracks_flow"]),
        ({"detections"}, ["detections"]),
    ],
)
def test_jobs_behind_a_query(kinds, jobs):
    assert costs.query_jobs(Study(DETECTION, {"m": kinds}), "m") == jobs


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
