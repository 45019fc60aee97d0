"""A real study of rendered videos with every acquisition method, and a look into its artifacts."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Workflow, edited, until

from dagal import artifacts
from dagal.tasks import detection
from dagal.tasks.detection import detections
from dagal.tasks.detection.coherence import build_graph, energy, label_nodes
from dagal.tasks.detection.evaluation import frame_errors

pytestmark = pytest.mark.slow

STUDY = {
    "study": "video",
    "dataset": {
        "name": "roads", "loader": "synthia_al", "height": 96, "width": 128, "scale": 0.01, "seconds": [1.2, 1.6],
        "quiet": 0,
    },
    "pool": {"initial": {"size": 24}},
    "budget": 6,
    "cycles": 1,
    "seeds": [0],
    "learners": {
        "detector": {
            "architecture": "faster_rcnn_small", "epochs": 1, "initial_epochs": 16, "warm_start": True, "batch_size": 4,
            "optimizer": {"name": "adam", "lr": 0.002}, "score_threshold": 0.3, "device": "cpu",
        }
    },
    "methods": dict.fromkeys(detection.TASK.methods, {})
    | {
        "tc_siamfc": {"score": "estimated_false_positives", "tracker": "siamfc"},
        "tc_features": {"score": "estimated_false_positives", "tracker": "feature_correlation"},
        "tc_true": {"score": "estimated_false_positives", "tracker": "true_flow"},
    },
    "video": {"shards": 6, "siamfc": {"clips": 1, "epochs": 1}},  # more shards than the 5 training videos
}  # fmt: skip
START = "video/seed0/start-detector/cycle0"
# the others differ from one of them in their scores alone: they are followed up to their queries and answers
FOLLOWED = ["random", "random_r", "temporal_coherence", "tc_siamfc", "tc_true", "oracle_fp"]


def answers(methods) -> list[str]:
    return [f"results/video/seed0/{method}/cycle1/labeled.h5" for method in methods]


def with_methods(names) -> dict:
    return STUDY | {"methods": {name: STUDY["methods"][name] for name in names}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("video"))
    workflow.write(STUDY)
    workflow.snakemake(*answers(STUDY["methods"]))
    workflow.write(with_methods(FOLLOWED))
    workflow.snakemake()
    return workflow


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results"


def test_tables(results):
    metrics = pd.read_csv(results / "video/metrics.csv")
    assert list(metrics["method"].unique()) == FOLLOWED
    assert metrics["labels"].tolist() == [24, 30] * len(FOLLOWED)
    assert metrics["mean_ap"].between(0, 1).all()
    assert metrics.groupby("method")["deployable"].first()[lambda d: ~d].index.tolist() == ["oracle_fp"]
    summary = pd.read_csv(results / "video/summary.csv")
    assert {"mean_ap_mean", "aubc_mean"} <= set(summary)
    for name in ("figures/learning_curves.png", "figures/class_distribution.png", "pictures/detector_seed0_flow.gif"):
        assert (results / "video" / name).stat().st_size > 1000
    costs = pd.read_csv(results / "video/video_costs.csv")
    assert {"rendering", "optical flow", "detections", "tracks_flow", "coherence_flow"} <= set(costs["stage"])
    assert (costs["seconds_per_1000_frames"] > 0).all()


def test_every_method_asks_for_its_budget_and_keeps_apart(results):
    video_N, frame_N = artifacts.read(results / "datasets/roads/images.h5", "images", "video", "frame")
    (initial,) = artifacts.read(results / "video/seed0/split.h5", "split", "initial")
    for method in STUDY["methods"]:
        path = results / f"video/seed0/{method}/cycle1/query.h5"
        (ids,) = artifacts.read(path, "query", "ids")
        assert len(set(ids)) == 6, method
        if method != "random":
            assert artifacts.attributes(path, "query")["too_close"] == 0
            taken = [*initial, *ids]
            for i in ids:
                near = [j for j in taken if j != i and video_N[i] == video_N[j] and abs(frame_N[i] - frame_N[j]) <= 1]
                assert not near, method


def test_oracle_answers_are_the_boxes_of_the_frames(results):
    with (
        h5py.File(results / "datasets/roads/truth.h5") as truth,
        h5py.File(results / "video/seed0/entropy/cycle1/labeled.h5") as labeled,
    ):
        assert len(labeled["ids"]) == 30
        for row, image in enumerate(labeled["ids"][()]):
            mine, theirs = (
                slice(*offsets[k : k + 2]) for offsets, k in ((labeled["offsets"], row), (truth["offsets"], image))
            )
            np.testing.assert_array_equal(labeled["boxes"][mine], truth["boxes"][theirs])
            np.testing.assert_array_equal(labeled["box_labels"][mine], truth["box_labels"][theirs])


@pytest.mark.parametrize("tracker", ["flow", "true_flow", "siamfc", "feature_correlation"])
def test_coherence_can_be_recomputed_from_its_file(results, tracker):
    names = ("ids", "false_positives", "false_negatives", "node_frame", "is_candidate", "cost", "real", "edges")
    ids, wrong_N, missed_N, frame_V, is_candidate_V, cost_V, real_V, edges = artifacts.read(
        results / START / f"coherence_{tracker}.h5", "coherence", *names
    )
    n_detections = np.count_nonzero(~is_candidate_V)
    assert n_detections > 20 and is_candidate_V.any() and len(edges)
    assert not is_candidate_V[:n_detections].any()
    np.testing.assert_array_equal(label_nodes(is_candidate_V, cost_V, edges), real_V)
    assert energy(real_V, is_candidate_V, cost_V, edges) <= min(
        cost_V[:n_detections].sum(), is_candidate_V.sum() + len(edges)
    )
    for i, wrong, missed in zip(ids, wrong_N, missed_N, strict=True):
        here = frame_V == i
        assert wrong == np.sum(here & ~is_candidate_V & ~real_V)
        assert missed == np.sum(here & is_candidate_V & real_V)
    frames, videos = artifacts.read(results / "datasets/roads/images.h5", "images", "frame", "video")
    ends = frame_V[edges]
    assert (videos[ends[:, 0]] == videos[ends[:, 1]]).all()
    assert np.abs(frames[ends[:, 0]] - frames[ends[:, 1]]).max() <= 3


def test_graph_of_one_video_by_itself(results):
    ids, (offsets, boxes, labels, _) = detections.read(results / START / "detections.h5")
    (tracks,) = artifacts.read(results / START / "tracks_flow.h5", "tracks", "boxes")
    video_N, frame_N = (
        values[ids] for values in artifacts.read(results / "datasets/roads/images.h5", "images", "video", "frame")
    )
    first, last = next(run for run in detections.by_video(video_N, frame_N) if np.ptp(offsets[list(run)]) > 3)
    rows = slice(offsets[first], offsets[last])
    graph = build_graph(offsets[first : last + 1] - offsets[first], boxes[rows], labels[rows], tracks[rows])
    edges, frame_V = artifacts.read(results / START / "coherence_flow.h5", "coherence", "edges", "node_frame")
    inside = np.isin(frame_V[edges[:, 0]], ids[first:last])
    assert len(graph.edges_E_2) == inside.sum()


def test_true_errors_and_metrics(results):
    ids, found = detections.read(results / START / "detections.h5")
    truth = detections.read_truth(results / "datasets/roads/truth.h5", ids)
    wrong_N, missed_N, correct_M, _ = frame_errors(found, truth)
    stored = artifacts.read(results / START / "errors.h5", "errors", "ids", "false_positives", "false_negatives")
    for mine, theirs in zip((ids, wrong_N, missed_N), stored, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert correct_M.any()  # the detector has learned something
    quality = pd.read_csv(results / "video/coherence_quality.csv")
    actual = quality.query("error == 'false_positives'")["actual"]
    assert (actual == wrong_N.sum()).all()
    metrics = json.loads((results / START / "metrics.json").read_text())
    assert metrics["class_names"] == ["pedestrian", "cyclist", "car", "wheelchair"]


def test_warm_start_goes_on_from_the_parent(results):
    loss = {
        name: artifacts.read(results / f"video/seed0/{name}/history.h5", "history", "loss")[0]
        for name in ("start-detector/cycle0", "random_r/cycle1")
    }
    assert (
        len(loss["start-detector/cycle0"]) == STUDY["learners"]["detector"]["initial_epochs"]
        and len(loss["random_r/cycle1"]) == 1
    )
    assert loss["random_r/cycle1"][0] < loss["start-detector/cycle0"][0] / 1.5


def test_flow_is_near_the_true_one(results):
    table = pd.read_csv(results / "video/flow_error.csv")
    split_N, video_N = artifacts.read(results / "datasets/roads/images.h5", "images", "split", "video")
    assert table["video"].tolist() == np.unique(video_N[split_N == 0]).tolist()
    assert table["mean_error"].mean() < table["mean_motion"].mean()


def test_hidden_boxes_reach_nothing_before_the_oracle(finished, results, tmp_path):
    """Move every box that no method of cycle 1 asked for: no artifact up to cycle 1's answers changes."""
    other, kept = Workflow(tmp_path), [name for name in STUDY["methods"] if not name.startswith("oracle")]
    other.write(with_methods(kept))
    known = set(artifacts.read(results / "video/seed0/split.h5", "split", "initial")[0])
    for method in kept:
        known |= set(artifacts.read(results / f"video/seed0/{method}/cycle1/query.h5", "query", "ids")[0])
    shutil.copytree(results / "datasets", tmp_path / "results/datasets")
    with edited(tmp_path / "results/datasets/roads/truth.h5") as file:
        owner = np.repeat(np.arange(len(file["offsets"]) - 1), np.diff(file["offsets"][()]))
        hidden = ~np.isin(owner, list(known))
        file["boxes"][...] = np.where(hidden[:, None], file["boxes"][()] / 2, file["boxes"][()])
        file["box_labels"][...] = np.where(hidden, (file["box_labels"][()] + 1) % 4, file["box_labels"][()])
    # the answers of all methods, and the models that two of them train on these
    asked = answers(kept)
    asked += [f"results/video/seed0/{method}/cycle1/metrics.json" for method in ("random", "temporal_coherence")]
    other.snakemake(*asked, "results/video/coherence_quality.csv", "--rerun-triggers", "mtime")
    compared = 0
    for name, content in other.files("video/seed0/**/*").items():
        if name.endswith((".h5", ".safetensors")):
            assert content == (results / name).read_bytes(), name
            compared += 1
    assert compared > 3 * len(kept) + 2 * 3 + 10
    quality = [
        pd.read_csv(folder / "video/coherence_quality.csv")["actual"] for folder in (results, tmp_path / "results")
    ]
    assert not quality[0].equals(quality[1])  # what is told after the fact does change


def test_a_frame_is_followed_through_the_models_on_the_page(results, browser):
    browser.set_window_size(1200, 900)
    browser.get((results / "video/report/index.html").as_uri())
    thumb = "document.querySelector('.query[data-method=temporal_coherence] .thumb')"
    until(browser, thumb)
    browser.execute_script(f"{thumb}.click()")
    inside = "document.querySelector('dialog .inside')"
    drawn = f"return [...{inside}.querySelectorAll('.frame rect')].map((box) => box.getAttribute('class'))"
    (button,) = browser.execute_script(f"return [...{inside}.querySelectorAll('[aria-pressed=true]')]")
    assert (button.get_attribute("data-of"), button.get_attribute("data-at")) == ("temporal_coherence", "0")
    (gallery,) = browser.execute_script(
        "return Object.values(JSON.parse(document.getElementById('data').textContent).galleries)"
    )
    image = str(gallery["queries"]["temporal_coherence"]["1"][0][5])
    found = gallery["boxes"][image]["temporal_coherence"]["0"]
    true = gallery["pictures"][image]["boxes"]
    assert found and browser.execute_script(drawn) == [kind for kind, *_ in [*true, *found]]
    others = browser.execute_script(f"return [...{inside}.querySelectorAll('[aria-pressed=false]')]")
    places = [(one.get_attribute("data-of"), one.get_attribute("data-at")) for one in others]
    assert ("tc_siamfc", "0") in places  # by its own tracker
    others[places.index(("tc_siamfc", "0"))].click()
    kinds = [kind for kind, *_ in gallery["boxes"][image]["tc_siamfc"]["0"]]
    assert browser.execute_script(drawn) == ["truth"] * len(true) + kinds
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_show_prints_every_artifact(results):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    for kind in ("detections", "tracks_flow", "coherence_flow", "errors", "labeled", "query"):
        path = next((results / "video").glob(f"**/{kind}.h5"))
        command = [sys.executable, "-m", "dagal", "show", str(path)]
        shown = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert shown.returncode == 0, shown.stderr
        assert f"{kind.split('_')[0]}/1" in shown.stdout


def test_a_detector_that_finds_nothing(results, tmp_path):
    """No detection in any frame: every stage goes on, the scores are 0, the picks random."""
    workflow = Workflow(tmp_path)
    learner = STUDY["learners"]["detector"] | {"initial_epochs": 1, "score_threshold": 0.999}
    workflow.write(with_methods(["temporal_coherence", "tc_siamfc"]) | {"learners": {"detector": learner}})
    shutil.copytree(results / "datasets", tmp_path / "results/datasets")
    workflow.snakemake("results/video/metrics.csv", "results/video/coherence_quality.csv", "--rerun-triggers", "mtime")
    results = tmp_path / "results/video"
    assert (pd.read_csv(results / "metrics.csv")["mean_ap"] == 0).all()
    assert not len(artifacts.read(results / "seed0/start-detector/cycle0/detections.h5", "detections", "labels")[0])
    (score_N,) = artifacts.read(results / "seed0/temporal_coherence/cycle1/scores.h5", "scores", "score")
    assert not score_N.any()
