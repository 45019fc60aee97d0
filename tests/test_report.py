"""The registry of tables and figures: what each declares, what a study has of them, and tables from files made by hand."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, written
from docutils.core import publish_doctree

from dagal import artifacts
from dagal.config import load
from dagal.plan import Study
from dagal.report import tables
from dagal.report.registry import ITEMS, items, targets, write_captions
from dagal.report.tables import costs, metrics, selection_costs

NET = SMALL["learners"]["mlp"]
FROZEN = {key: value for key, value in NET.items() if key not in ("hidden_units", "dropout")}
IMAGES = {
    "learners": {
        "net": NET | {"pseudo_labels": {"kind": "ceal", "threshold": 0.5}},
        "frozen": FROZEN | {"architecture": "linear", "backbone": "simsiam"},
        "own": NET | {"loss_prediction": {"loss": "margin"}},
    },
    "backbones": {"simsiam": {"kind": "simsiam", "architecture": "resnet18_cifar", "epochs": 1}},
    "methods": {
        "random": {"learner": "net"},
        "label_dispersion": {"learner": "net"},
        "vaal": {"learner": "net"},
        "sraal": {"learner": "own"},
        "random_frozen": {"learner": "frozen", "score": "random"},
        "entropy": {"learner": "frozen"},
        "entropy_cb": {"learner": "net", "select_options": {"weight": "auto"}},
        "ensemble": {"learner": "net", "score": "bald", "draws": "ensemble"},
    },
    "signals": {"members": 3},
}
LIMITS = {"supervised": [30, "all"], "repeats": 1, "stopping": {"target_accuracy": 0.9}, "seeds": [3, 4], "budget": 100}
LIMITS |= {"published": [{"source": "a paper", "measure": "error", "labels": [50], "methods": {"random": [0.2]}}]}
POINTS = {"dataset": {"name": "two_moons"}, "pool": {"initial": {"size": 20}}}
SURVEY = {"dataset": {"name": "survey", "loader": "camera_trap", "path": "survey"}, "pool": {"initial": {"size": 20}}}
VIDEOS = written("experiments/video_small.yaml")
STUDIES = {
    "images": Study(load(SMALL | IMAGES)),
    "chains that may stop": Study(load(SMALL | LIMITS | {"pool": SMALL["pool"] | {"validation": 20}})),
    "points in a plane": Study(load(SMALL | POINTS)),
    "camera traps": Study(load(SMALL | SURVEY)),
    "rendered videos": Study(load(VIDEOS)),
    "masks": Study(load(written("experiments/segmentation_small.yaml"))),
    "regions of masks": Study(load(written("experiments/segmentation_regions.yaml"))),
}


def jobs(study):
    """(name, item, inputs, outputs, settings) of every table and figure of a study."""
    for name, item in items(study).items():
        for variant in item.variants(study):
            at = study.at(variant)
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
            else:
                assert path in read, f"nobody sees {path}"
        assert json.loads(json.dumps(settings)) is not None


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_each_file_is_made_once_and_tables_that_are_read_are_made(study):
    written = [path for _, _, _, outputs, _ in jobs(study) for path in outputs.values()]
    assert len(set(written)) == len(written) and written == targets(study)
    assert {path for _, _, inputs, _, _ in jobs(study) for path in flat(inputs) if path.endswith(".csv")} <= set(
        written
    )


def test_items_of_many_variants():
    assert "results/small/figures/lambda_entropy_cb.png" in targets(STUDIES["images"])
    assert "results/small/lambda/entropy_cb.csv" in targets(STUDIES["images"])
    pictures = [path for path in targets(STUDIES["rendered videos"]) if "pictures" in path]
    stems = [f"results/video_small/pictures/detector_seed0_{tracker}" for tracker in ("flow", "true_flow")]
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
    files = {key: str(tmp_path / f"{key}.csv") for key in ("metrics", "classes", "summary", "labels_needed")}
    about = {"learner": "net", "deployable": True}
    inputs = {"nodes": list(nodes(tmp_path, "accuracy", ["random", name])), "stop_records": []}
    settings = {"study": "s", "methods": {"random": about, name: about}, "measured": ["accuracy"]} | {
        "per_class": "accuracy_per_class"
    }
    run(metrics.make, inputs, files, **settings)
    run(ITEMS.find("summary").make, {"metrics": files["metrics"]}, files, measure="accuracy", interval="t")
    summary = tables.read(files["summary"]).set_index("method")
    assert summary.loc[name, "accuracy_mean"] == pytest.approx(0.7)
    assert summary.loc[name, "aubc_gain_over_random"] == pytest.approx(0.05)
    assert tables.read(files["classes"])["class_name"].unique().tolist() == ["null", "7"]
    for figure, table in (("learning_curves", "metrics"), ("class_distribution", "classes")):
        output = {"figure": str(tmp_path / "a.png")}
        run(ITEMS.find(f"figure_{figure}").make, {"table": files[table]}, output, dpi=50, measure="accuracy", band="sd")
        assert Path(output["figure"]).read_bytes()[:4] == b"\x89PNG"


def test_summary_tells_how_near_a_method_comes_to_all_data(tmp_path):
    """As "Rel." of paper 000, table 1: 90.74 of 93.61 is 96.93 %; of the method's own learner, means over the seeds."""
    measured = pd.DataFrame(
        [(method, learner, True, seed, cycle, 10 * cycle + 10, accuracy + spread)
         for method, learner, accuracy in (("random", "a", 0.8765), ("other", "a", 0.9074), ("third", "b", 0.5))
         for seed, spread in ((0, -0.01), (1, 0.01)) for cycle in (0, 1)],
        columns=["method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"],
    )  # fmt: skip
    supervised = pd.DataFrame(
        [("a", "all", 0.9361), ("a", "20", 0.1), ("b", "all", 0.4), ("b", "all", 0.6)],
        columns=["learner", "size", "accuracy"],
    )
    for name, table in (("metrics", measured), ("supervised", supervised)):
        tables.write(tmp_path / f"{name}.csv", table, "%.6f")
    files = {name: str(tmp_path / f"{name}.csv") for name in ("metrics", "supervised", "summary", "labels_needed")}
    run(ITEMS.find("summary").make, files, files, measure="accuracy", interval="t")
    found = tables.read(files["summary"]).set_index("method")["relative_to_all"]
    assert found.to_dict() == {"random": 0.9363, "other": 0.9693, "third": 1.0}


def test_a_task_without_classes_has_no_table_of_them(tmp_path):
    study = Study(load(SMALL))
    study.task = dataclasses.replace(study.task, name="regression", measures=("squared_error",), per_class="")
    assert targets(study)[0] == "results/small/metrics.csv" and not any("classes" in path for path in targets(study))
    of_all = [
        "metrics",
        "summary",
        "comparison",
        "checks",
        "gains",
        "costs",
        "figure_learning_curves",
        "figure_gains",
        "publication",
        "page",
    ]
    assert list(items(study)) == of_all
    files = {"metrics": str(tmp_path / "metrics.csv")}
    inputs = {"nodes": list(nodes(tmp_path, "squared_error", ["random"])), "stop_records": []}
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
    ("study", "method", "behind"),
    [
        ("images", "random", []),
        ("images", "entropy", ["signals"]),
        ("images", "ensemble", ["ensemble", "member1", "member2"]),
        ("images", "vaal", ["adversary_vaal"]),
        ("images", "sraal", ["adversary_sraal", "signals"]),  # the training of its adversary reads them
        ("rendered videos", "entropy", ["detections"]),
        ("rendered videos", "temporal_coherence", ["coherence_flow", "detections", "tracks_flow"]),
        ("rendered videos", "oracle_fp", ["errors", "detections"]),  # the inference pass, whatever other methods read
    ],
)
def test_jobs_behind_a_query(study, method, behind):
    assert costs.query_jobs(STUDIES[study], method) == behind


def test_the_start_of_jobs_is_apart_from_what_samples_cost():
    """Two jobs of 3 s before they begin and 2 s and 1 s over 50 samples: 60 s per 1,000, where all together would be 180."""
    jobs = [
        {"seconds": "5", "startup_seconds": "3", "peak_memory_mb": "400", "startup_memory_mb": "300"},
        {"seconds": "4", "startup_seconds": "3", "peak_memory_mb": "310", "startup_memory_mb": "305"},
    ]
    assert selection_costs.cost(jobs, 50) == [6, 60, 305, 2000, 400]
    unknown = [{"seconds": "5", "startup_seconds": "", "peak_memory_mb": "0", "startup_memory_mb": ""}]
    values = [selection_costs.cost(jobs, 50), selection_costs.cost(unknown, 50)]
    assert selection_costs.means(values) == [6, 60, 305, 2000, 400]  # what a file does not tell counts for nothing
    assert selection_costs.means(values[1:]) == [None] * 5


def test_costs_are_those_of_all_trainings_and_queries():
    settings = {"methods": {"entropy": {"learner": "net"}, "margin": {"learner": "frozen"}}, "supervised": [30]}
    paths = costs.benchmarks(Study(load(SMALL | IMAGES | settings)))
    of_seed = [
        path.removeprefix("results/small/seed0/").removesuffix(".benchmark.tsv")
        for path in paths
        if "small/seed0/" in path
    ]
    assert of_seed == [
        *(f"entropy/cycle1/{job}" for job in ("pseudo_labels", "score", "select", "signals", "train")),
        *(f"entropy/cycle2/{job}" for job in ("pseudo_labels", "score", "select", "train")),
        *(f"margin/cycle1/{job}" for job in ("score", "select", "signals", "train")),
        *(f"margin/cycle2/{job}" for job in ("score", "select", "train")),
        *(f"start-{learner}/cycle0/{job}" for learner in ("frozen", "net") for job in ("signals", "train")),
        *(f"supervised30-{learner}/cycle0/train" for learner in ("frozen", "net")),
    ]
    shared = [Path(path).name for path in paths if "backbones" in path]
    assert shared == ["features.benchmark.tsv", "pretrain.benchmark.tsv"]
