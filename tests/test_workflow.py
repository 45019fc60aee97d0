"""What the DAG plans, what reruns and what does not. Dry runs, and one finished small study changed in many ways."""

import copy
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SMALL, Workflow, written

DRAWN = ("learning_curves", "class_distribution", "informativeness", "class_entropy", "selection_costs")
FIGURES = {f"figure_{name}": 1 for name in DRAWN}
TABLES = dict.fromkeys(("metrics", "summary", "costs", "informativeness", "class_entropy", "selection_costs"), 1)
PER_QUERY = ("score", "select", "oracle")


def study(**changes):
    return copy.deepcopy(SMALL) | changes


def test_default_study_shares_the_start(workflow):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    workflow.write(config)
    planned = workflow.planned()
    assert planned["train"] == 3 * (1 + 8 * 4) == 99
    assert planned["evaluate"] == 99
    assert all(planned[rule] == 3 * 8 * 4 for rule in PER_QUERY)
    assert planned["draws"] == 3 * 4  # bald alone reads them
    # random reads no signals, bald only draws; the last model of a chain answers no query
    assert planned["signals"] == 3 * (1 + 6 * 3)
    assert planned["split"] == planned["initial"] == 3
    assert planned["dataset"] == 1


def test_learner_of_its_own_gets_a_start_of_its_own(workflow):
    config = study()
    config["learners"]["wide"] = config["learners"]["mlp"] | {"hidden_units": [32]}
    config["methods"] = {"random": {"learner": "mlp"}, "entropy": {"learner": "mlp"}, "margin": {"learner": "wide"}}
    workflow.write(config)
    assert workflow.planned()["train"] == 2 + 3 * 2


def test_costs_of_true_errors_are_those_of_the_detections_too(workflow):
    config = written("experiments/video_small.yaml")
    workflow.write(config | {"methods": {"random": {}, "oracle_fp": {}}, "cycles": 2, "supervised": [30]})
    output = workflow.snakemake("--dry-run").stdout
    (costs,) = [
        line for line in output.splitlines() if line.strip().startswith("input:") and "/select.benchmark" in line
    ]
    for seed in config["seeds"]:
        for job in ("errors", "detections"):
            assert f"seed{seed}/oracle_fp/cycle1/{job}.benchmark.tsv" in costs
        assert f"seed{seed}/supervised30-" in costs


def test_zero_cycles_train_the_initial_model_only(workflow):
    workflow.write(study(cycles=0))
    planned = workflow.planned()
    assert planned["train"] == 1
    assert "score" not in planned and "informativeness" not in planned


def test_hundred_cycles_plan(workflow):
    workflow.write(study(cycles=70, budget=10, methods={"random": {}, "entropy": {}}))
    assert workflow.planned()["train"] == 1 + 2 * 70


@pytest.mark.slow
def test_planning_1800_nodes_is_quick(workflow):
    """At most 4 s were asked for; measured against the same interpreter's own start-up, since machines differ."""
    methods = ["random", "least_confidence", "margin", "entropy", "kcenter_greedy", "oracle"]
    config = study(cycles=14, seeds=list(range(5)), methods=dict.fromkeys(methods, {}))
    config["pool"]["imbalance"] = {"kind": "none"}
    workflow.write(config)
    started = time.monotonic()
    planned = workflow.planned()
    seconds = time.monotonic() - started
    assert sum(planned.values()) > 1800
    workflow.write(study(cycles=0))
    started = time.monotonic()
    workflow.planned()
    print(f"{sum(planned.values())} jobs planned in {seconds:.1f} s")
    assert seconds < 6 * (time.monotonic() - started)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budgets": 3}, "config key 'budgets' is unknown (did you mean 'budget'?)"),
        ({"cycles": 1000}, "config key 'cycles' is 1000: 1000 x 10 queries exceed the pool"),
        ({"methods": {"entropi": {}}}, "config key 'methods.entropi' is no method or score of classification"),
    ],
)
def test_mistakes_end_before_any_job_with_one_sentence(workflow, changes, sentence):
    workflow.write(study(**changes))
    done = workflow.snakemake(check=False)
    assert done.returncode
    output = done.stdout + done.stderr
    assert sentence in output
    assert "Traceback" not in output
    assert not (workflow.folder / "results").exists()


def test_missing_raw_data_is_one_sentence(workflow):
    workflow.write(study(dataset={"name": "cifar10"}))
    done = workflow.snakemake("results/datasets/cifar10/images.h5", check=False)
    output = done.stdout + done.stderr
    assert done.returncode
    assert "data/raw/cifar10" in output and "dataset.download" in output
    assert "Traceback" not in output
    assert not list((workflow.folder / "results").glob("**/*.h5"))


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.write(study())
    workflow.snakemake()
    return workflow


@pytest.fixture
def finished(finished_once, tmp_path):
    """A finished small study; symbolic links apart, nothing a test does reaches the next one."""
    shutil.copytree(finished_once.folder, tmp_path, dirs_exist_ok=True)  # copy2 keeps modification times
    return Workflow(tmp_path)


@pytest.mark.slow
def test_nothing_to_do(finished):
    assert finished.planned() == {}


@pytest.mark.slow
def test_a_method_more_runs_only_its_own_nodes(finished):
    finished.write(study(methods=SMALL["methods"] | {"label_dispersion": {}, "kcenter_greedy": {}, "bald": {}}))
    planned = finished.planned()
    new = {rule: 3 * 2 for rule in (*PER_QUERY, "train", "evaluate")}
    analysis = {"figure_dispersion_histogram": 1, "selected_images": 1}
    assert planned == new | {"signals": 2, "draws": 2} | TABLES | FIGURES | analysis


@pytest.mark.slow
def test_a_seed_more_runs_only_its_own_nodes(finished):
    finished.write(study(seeds=[0, 7]))
    planned = finished.planned()
    new = {rule: 2 * 2 for rule in PER_QUERY} | {rule: 1 + 2 * 2 for rule in ("train", "evaluate")}
    assert planned == new | {"split": 1, "initial": 1, "signals": 2} | TABLES | FIGURES


@pytest.mark.slow
def test_a_cycle_more_runs_only_its_own_nodes(finished):
    finished.write(study(cycles=3))
    planned = finished.planned()
    new = {rule: 2 for rule in (*PER_QUERY, "train", "evaluate")}
    analysis = {rule: 1 for rule in (TABLES | FIGURES) if "informativeness" not in rule}
    assert planned == new | {"signals": 1} | analysis


@pytest.mark.slow
def test_plots_and_methods_rerun_only_what_they_touch(finished):
    finished.write(study(plots={"dpi": 90}))
    assert finished.planned() == FIGURES
    finished.write(study(methods={"random": {}, "entropy": {"subset": 3}}))
    planned = finished.planned()
    assert planned["train"] == planned["score"] == 2
    reordered = dict(reversed(study().items()))
    reordered["learners"] = {"mlp": dict(reversed(SMALL["learners"]["mlp"].items()))}
    finished.write(reordered)
    assert finished.planned() == {}
    finished.write(study(learners={"mlp": SMALL["learners"]["mlp"] | {"epochs": 3}}))
    assert finished.planned()["train"] == 5


@pytest.mark.slow
def test_the_device_and_the_number_of_gpus_rerun_nothing(finished):
    finished.write(study(learners={"mlp": SMALL["learners"]["mlp"] | {"device": "auto"}}))
    assert finished.planned("--resources", "gpu=0") == {}


@pytest.fixture
def project(tmp_path):
    """A copy of the project whose modules a test may edit."""
    for name in ("Snakefile", "rules", "workflow", "envs", "profiles"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tmp_path / name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SMALL))
    return Project(tmp_path)


class Project(Workflow):
    def snakemake(self, *arguments, check=True):
        import subprocess
        import sys

        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=900,
        )
        assert not (check and done.returncode), done.stderr[-6000:]
        return done


@pytest.mark.slow
def test_editing_a_module_reruns_just_the_stages_that_use_it(project):
    project.snakemake()
    library = project.folder / "workflow" / "dagal"

    def planned_after(path: Path, edit: str):
        text = path.read_text()
        path.write_text(text + edit)
        future = time.time() + 5
        os.utime(path, (future, future))
        try:
            return project.planned()
        finally:
            path.write_text(text)

    assert planned_after(library / "figures.py", "") == {}  # touched, not edited
    assert planned_after(library / "figures.py", "\n# edited\n") == FIGURES
    assert planned_after(library / "statistics.py", "\n# edited\n") == {
        "summary": 1, "informativeness": 1, "figure_informativeness": 1,
    }  # fmt: skip
    edited = planned_after(library / "acquisition" / "selection.py", "\n# edited\n")
    assert edited["select"] == 4 and edited["score"] == 2  # both chains select again; the second cycle follows
    assert "split" not in edited and "dataset" not in edited
    edited = planned_after(library / "pool.py", "\n# edited\n")
    assert edited["split"] == 1 and "dataset" not in edited
    assert planned_after(library / "datasets" / "digits.py", "\n# edited\n")["dataset"] == 1
    assert planned_after(library / "show.py", "\n# edited\n") == {}


OWN_METHOD = '''
"""Rare and unsure: entropy weighted by the distance to what is labeled."""

import numpy as np


def far_and_unsure(probs_N_C, embeddings_N_D, centers_L_D, rng, weight=1.0):
    """Example."""
    distance_N_L = np.linalg.norm(embeddings_N_D[:, None] - centers_L_D[None], axis=2)
    return (1 - probs_N_C.max(1)) * distance_N_L.min(1) ** weight
'''


@pytest.mark.slow
def test_a_method_of_ones_own_is_one_file_and_one_line(project):
    (project.folder / "workflow" / "dagal" / "acquisition" / "far_and_unsure.py").write_text(OWN_METHOD)
    config = study(cycles=1, methods={"random": {}, "far_and_unsure": {"score_options": {"weight": 2.0}}})
    (project.folder / "config.yaml").write_text(yaml.safe_dump(config))
    project.snakemake()
    metrics = (project.folder / "results" / "small" / "metrics.csv").read_text()
    assert metrics.count("far_and_unsure") == 2
