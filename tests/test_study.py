"""Whole studies: sealed truth, determinism, resume after a kill, the real thing."""

import copy
import json
import os
import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL, Workflow, with_flipped_labels

from dagal import artifacts

ALL_METHODS = [
    "random", "least_confidence", "margin", "entropy", "bald", "kcenter_greedy", "label_dispersion", "oracle",
]  # fmt: skip
pytestmark = pytest.mark.slow


def full_study(**changes):
    return copy.deepcopy(SMALL) | {"methods": dict.fromkeys(ALL_METHODS, {})} | changes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("study"))
    workflow.write(full_study())
    workflow.snakemake("--cores", "2")
    return workflow


def test_artifacts_say_what_they_are(finished):
    results = finished.folder / "results"
    paths = list(results.glob("**/*.h5"))
    kinds = set()
    for path in paths:
        with h5py.File(path) as file:
            kind, version = file.attrs["schema"].split("/")
            kinds.add(kind)
            assert version == "1"
            assert {"created_by", "params_hash", "seed", "dagal_version"} <= set(file.attrs)
            assert all(dataset.attrs["description"] for dataset in file.values())
    made = {"images", "truth", "split", "labeled", "history", "predictions", "signals", "draws", "scores", "query"}
    made |= {"trajectory"}
    assert kinds == made  # the others: test_selection_study.py, test_learned_study.py, test_video_study.py
    assert not list(results.glob("**/*.tmp"))


@pytest.mark.parametrize("method", ALL_METHODS)
def test_chain_of_a_method(finished, method):
    """Every cycle queries `budget` new ids of the pool, gets their true labels, and appends them."""
    results = finished.folder / "results"
    (truth,) = artifacts.read(results / "datasets/digits/truth.h5", "truth", "labels")
    pool, initial = artifacts.read(results / "small/seed0/split.h5", "split", "pool", "initial")
    ids, labels, cycle = artifacts.read(
        results / f"small/seed0/{method}/cycle2/labeled.h5", "labeled", "ids", "labels", "cycle"
    )
    assert ids[:20].tolist() == initial.tolist()
    assert cycle.tolist() == [0] * 20 + [1] * 10 + [2] * 10
    assert len(set(ids)) == 40
    assert set(ids[20:]) <= set(pool)
    assert np.array_equal(labels, truth[ids])
    for number in (1, 2):
        folder = results / f"small/seed0/{method}/cycle{number}"
        query, query_score = artifacts.read(folder / "query.h5", "query", "ids", "score")
        candidates, score = artifacts.read(folder / "scores.h5", "scores", "ids", "score")
        known = ids[cycle < number]
        assert np.array_equal(ids[cycle == number], query)
        assert np.array_equal(candidates, np.setdiff1d(pool, known))
        assert score.dtype == np.float64
        assert np.array_equal(score[np.searchsorted(candidates, query)], query_score)
        if method != "kcenter_greedy":
            assert np.array_equal(np.sort(query_score), np.sort(score)[-10:])
            assert np.all(np.diff(query_score) <= 0)


def test_signals_are_exactly_those_declared(finished):
    folder = finished.folder / "results/small/seed0"
    expected = {
        "entropy": {"ids", "probabilities"},
        "kcenter_greedy": {"ids", "embeddings", "labeled_ids", "labeled_embeddings"},
    }
    for method, names in expected.items():
        with artifacts.opened(folder / method / "cycle1/signals.h5", "signals") as file:
            assert set(file) == names
    for method in ("random", "bald", "label_dispersion"):
        assert not (folder / method / "cycle1/signals.h5").exists()
    with artifacts.opened(folder / "bald/cycle1/draws.h5", "draws") as file:
        assert file["draws"].shape == (20, len(file["ids"]), 10)


def test_trajectory_ends_with_the_models_own_predictions(finished):
    folder = finished.folder / "results/small/seed0/start-mlp/cycle0"
    (probabilities,) = artifacts.read(folder / "signals.h5", "signals", "probabilities")
    (trajectory,) = artifacts.read(folder / "trajectory.h5", "trajectory", "trajectory")
    assert trajectory.shape == (2, len(probabilities))
    assert np.array_equal(trajectory[-1], probabilities.argmax(1))


def test_a_method_that_is_added_later_has_its_start_followed_once_more(finished, tmp_path):
    """The start itself and all other jobs stay as they are; what is recorded is what a study with the method recorded at once."""
    workflow = Workflow(tmp_path)
    workflow.write(full_study(methods={"random": {}, "entropy": {}}, cycles=1))
    workflow.snakemake("--cores", "2", "results/small/metrics.csv")
    start = tmp_path / "results/small/seed0/start-mlp/cycle0"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results/small/seed0").rglob("*.h5")}
    with artifacts.opened(start / "history.h5", "history") as history:
        assert "trajectory" not in history
    workflow.write(full_study(methods={"random": {}, "entropy": {}, "label_dispersion": {}}, cycles=1))
    workflow.snakemake("--cores", "2", str(start.relative_to(tmp_path) / "trajectory.h5"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found = artifacts.read(start / "trajectory.h5", "trajectory", "ids", "trajectory")
    at_once = finished.folder / start.relative_to(tmp_path) / "trajectory.h5"
    for values, expected in zip(found, artifacts.read(at_once, "trajectory", "ids", "trajectory"), strict=True):
        assert np.array_equal(values, expected)


def test_tables(finished):
    metrics = pd.read_csv(finished.folder / "results/small/metrics.csv")
    assert list(metrics["method"].unique()) == ALL_METHODS
    assert len(metrics) == 8 * 3
    assert metrics["labels"].tolist() == [20, 30, 40] * 8
    assert metrics[metrics["cycle"] == 0]["accuracy"].nunique() == 1
    assert set(metrics[~metrics["deployable"]]["method"]) == {"oracle"}
    (probabilities,) = artifacts.read(
        finished.folder / "results/small/seed0/margin/cycle2/predictions.h5", "predictions", "probabilities"
    )
    (test,) = artifacts.read(finished.folder / "results/small/seed0/split.h5", "split", "test")
    (truth,) = artifacts.read(finished.folder / "results/datasets/digits/truth.h5", "truth", "labels")
    row = metrics[(metrics["method"] == "margin") & (metrics["cycle"] == 2)].iloc[0]
    assert row["accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == truth[test]))
    classes = pd.read_csv(finished.folder / "results/small/classes.csv")
    totals = classes.groupby(["method", "cycle"])["count"].sum().unstack()
    assert (totals == [20, 30, 40]).all().all()
    summary = pd.read_csv(finished.folder / "results/small/summary.csv")
    assert summary["method"].tolist() == ALL_METHODS
    assert summary["p_value_aubc"].isna().all()  # never a p value below six seeds
    costs = pd.read_csv(finished.folder / "results/small/costs.csv")
    assert set(costs["rule"]) == {"train", "signals", "trajectory", "draws", "score", "select"}
    assert (costs["seconds"] > 0).all()


def test_number_of_cores_changes_no_byte(finished, tmp_path):
    """Nor do the methods and cycles that a study has besides."""
    other = Workflow(tmp_path)
    other.write(full_study(methods={"bald": {}, "kcenter_greedy": {}, "label_dispersion": {}}, cycles=1))
    other.snakemake("--cores", "1", "results/small/metrics.csv")
    first, second = (
        {name: data for name, data in workflow.files("**/*").items() if name.endswith((".h5", ".safetensors"))}
        for workflow in (finished, other)
    )
    assert len(second) > 25 and second.keys() <= first.keys()
    assert [name for name in second if first[name] != second[name]] == []


def test_hidden_labels_reach_nothing_before_the_oracle(finished, tmp_path):
    """Flip every label that no method of cycle 1 asked for: nothing before cycle 1's answers changes, nor after them."""
    other = Workflow(tmp_path)
    methods = {name: {} for name in ALL_METHODS if name != "oracle"}
    other.write(full_study(methods=methods, cycles=1))
    source = finished.folder / "results"
    known = set(artifacts.read(source / "small/seed0/split.h5", "split", "initial")[0])
    for method in methods:
        known |= set(artifacts.read(source / f"small/seed0/{method}/cycle1/query.h5", "query", "ids")[0])
    with_flipped_labels(other, source, known)
    # the split simulates imbalance from the truth, so it is taken over
    (other.folder / "results/small/seed0").mkdir(parents=True)
    (other.folder / "results/small/seed0/split.h5").write_bytes((source / "small/seed0/split.h5").read_bytes())
    other.snakemake("--rerun-triggers", "mtime", "--touch", "results/small/seed0/split.h5", check=False)
    other.snakemake("results/small/metrics.csv", "--rerun-triggers", "mtime")
    compared = 0
    for name, content in other.files("small/seed0/**/*").items():
        if name.endswith((".h5", ".safetensors")):
            assert content == (source / name).read_bytes(), name
            compared += 1
    assert compared > 40
    accuracy = pd.read_csv(other.folder / "results/small/metrics.csv")["accuracy"]
    assert not np.allclose(
        accuracy, pd.read_csv(source / "small/metrics.csv").query("cycle < 2 and method != 'oracle'")["accuracy"]
    )


def test_subset_limits_the_candidates(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.write(full_study(methods={"entropy": {"subset": 3}}, cycles=1))
    workflow.snakemake("results/small/seed0/entropy/cycle1/labeled.h5")
    folder = tmp_path / "results/small/seed0/entropy/cycle1"
    (candidates,) = artifacts.read(folder / "scores.h5", "scores", "ids")
    assert len(candidates) == 30
    assert set(artifacts.read(folder / "query.h5", "query", "ids")[0]) <= set(candidates)


def test_report_has_captions_and_figures(finished):
    report = finished.folder / "report.html"
    finished.snakemake("--report", str(report))
    html = report.read_text()
    for words in ("Learning", "learning curves", "Tables", "metrics.csv", "not deployable"):
        assert words.lower() in html.lower()


def test_a_study_ends_in_its_page(finished):
    folder = finished.folder / "results/small/report"
    html = (folder / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    first = artifacts.read(finished.folder / "results/small/seed0/entropy/cycle1/query.h5", "query", "ids")[0][0]
    assert data["galleries"]["small"]["queries"]["entropy"]["1"][0][0] == first
    assert {"small-curve", "small-costs", "small-times", "small-overlap"} <= set(data["charts"])
    assert r"\begin{tabular}" in (folder / "summary.tex").read_text()


def test_show_prints_every_artifact(finished):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    for kind in ("split", "labeled", "history", "signals", "scores", "query", "draws", "predictions"):
        path = next((finished.folder / "results/small").glob(f"**/{kind}.h5"))
        shown = subprocess.run(
            [sys.executable, "-m", "dagal", "show", str(path)], capture_output=True, text=True, env=environment
        )
        assert shown.returncode == 0, shown.stderr
        assert f"{kind}/1" in shown.stdout
