"""Every batch selector in a real study on digits, the lambda study, and what class balance does to the L1 score."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, Workflow
from scipy.special import softmax

from dagal import artifacts
from dagal.acquisition import methods
from dagal.acquisition.distances import nearest_squared_distance
from dagal.acquisition.lambda_study import choose_weight
from dagal.balance import required_per_class
from dagal.pool import thumbnails
from dagal.tasks.classification import TASK

pytestmark = pytest.mark.slow

PLAIN = ["random", "entropy", "bald", "kcenter_greedy"]
BALANCED = {
    "entropy_cb": {"select_options": {"weight": "auto"}},
    "bald_cb": {"select_options": {"weight": 0.6}},
    "kcenter_cb": {"select_options": {"weight": 2.0}},
    "entropy_pseudo_label": {},
}
BATCH = ["core_set", "typiclust", "probcover", "dal", "badge", "batch_bald", "diverse_mini_batch", "dfal"]
ENSEMBLE = {
    "ensemble_bald": {"score": "bald", "draws": "ensemble"},
    "ensemble_variation_ratio": {"score": "variation_ratio", "draws": "ensemble"},
    "debal": {},
}
OF_WEIGHTS = ["alfa_mix", "noise_stability"]
TRANSFER = {"entropy_again": {"transfer": "entropy"}}  # with the same learner, so that all is as before
STUDY = SMALL | {
    "study": "selection",
    "pool": {"initial": {"size": 50, "kind": "balanced"}, "imbalance": {"kind": "step", "factor": 0.1}},
    "budget": 50,
    "cycles": 1,
    "learners": {"mlp": SMALL["learners"]["mlp"] | {"hidden_units": [128], "epochs": 50}},
    "methods": dict.fromkeys(PLAIN + BATCH + OF_WEIGHTS, {}) | BALANCED | ENSEMBLE | TRANSFER,
    "signals": {"members": 3, "noises": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("selection"))
    workflow.write(STUDY)
    # test_study.py and others have the whole report made
    tables = [f"results/selection/{name}.csv" for name in ("summary", "metrics", "lambda/entropy_cb")]
    workflow.snakemake(*tables, "results/selection/figures/lambda_entropy_cb.png")
    return workflow


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results/selection"


def test_every_method_asks_for_its_budget(results):
    for method in STUDY["methods"]:
        (ids,) = artifacts.read(results / f"seed0/{method}/cycle1/query.h5", "query", "ids")
        assert len(set(ids)) == 50, method
    table = pd.read_csv(results / "summary.csv")
    assert table["method"].tolist() == list(STUDY["methods"])


def test_class_balance_lowers_the_l1_score(results):
    metrics = pd.read_csv(results / "metrics.csv").query("cycle == 1").set_index("method")["l1_score"]
    print(metrics.to_string())
    assert metrics["entropy_cb"] < metrics["entropy"]
    assert metrics["kcenter_cb"] < metrics["kcenter_greedy"]
    assert metrics["bald_cb"] < metrics["bald"]


def test_certificates_are_stored(results):
    for method, names in {
        "entropy_cb": {"weight", "objective", "lower_bound", "relative_gap"},
        "core_set": {"radius", "greedy_radius", "lower_bound"},
    }.items():
        with h5py.File(results / f"seed0/{method}/cycle1/query.h5") as file:
            assert names <= set(file.attrs)
            certificate = dict(file.attrs)
    assert certificate["lower_bound"] <= certificate["radius"] <= certificate["greedy_radius"]
    with h5py.File(results / "seed0/entropy_cb/cycle1/query.h5") as file:
        ids, score_B, about = file["ids"][()], file["score"][()], dict(file.attrs)
    candidates, probs_N_C = artifacts.read(
        results / "seed0/start-mlp/cycle0/signals.h5", "signals", "ids", "probabilities"
    )
    labels = artifacts.read(results / "seed0/start-mlp/cycle0/labeled.h5", "labeled", "labels")[0]
    required_C = required_per_class(np.bincount(labels, minlength=10), 50, 50, 1)
    loss = np.abs(required_C - probs_N_C[np.searchsorted(candidates, ids)].sum(0, dtype=float)).sum()
    assert about["objective"] == pytest.approx(-score_B.sum() + about["weight"] * loss)
    assert about["lower_bound"] <= about["objective"] and about["relative_gap"] < 0.01


def test_weight_is_chosen_by_the_lambda_study(results):
    weights, l1_loss, queries = artifacts.read(
        results / "lambda/entropy_cb.h5", "sweep", "weights", "l1_loss", "queries"
    )
    chosen = json.loads((results / "lambda/entropy_cb.json").read_text())["weight"]
    assert chosen == choose_weight(weights, l1_loss[: len(weights)], 0.02)
    assert l1_loss[len(weights) - 1] < l1_loss[0]
    with h5py.File(results / "seed0/entropy_cb/cycle1/query.h5") as file:
        assert file.attrs["weight"] == chosen
        assert set(file["ids"][()]) == set(queries[list(weights).index(chosen)])
    ids = artifacts.read(results / "seed0/entropy/cycle1/query.h5", "query", "ids")[0]
    assert set(queries[0]) == set(ids)  # weight 0 is the plain method
    table = pd.read_csv(results / "lambda/entropy_cb.csv")
    assert table["weight"].tolist()[-2:] == ["top_k", "pseudo_label"]
    assert (results / "figures/lambda_entropy_cb.png").stat().st_size > 10_000
    assert not (results / "lambda/bald_cb.json").exists()


def test_ensemble_members_are_different_models(results):
    folder = results / "seed0/start-mlp/cycle0"
    (draws_K_N_C,) = artifacts.read(folder / "ensemble.h5", "draws", "draws")
    (probs_N_C,) = artifacts.read(folder / "signals.h5", "signals", "probabilities")
    assert draws_K_N_C.shape == (3, *probs_N_C.shape)
    assert np.array_equal(draws_K_N_C[0], probs_N_C)  # the node's own model is the first member
    assert not np.allclose(draws_K_N_C[1], draws_K_N_C[2], atol=0.01)


def test_dropout_in_an_ensemble_is_that_of_every_member(results):
    folder = results / "seed0/start-mlp/cycle0"
    (both,) = artifacts.read(folder / "ensemble_dropout.h5", "draws", "draws")
    (draws,) = artifacts.read(folder / "draws.h5", "draws", "draws")
    (members,) = artifacts.read(folder / "ensemble.h5", "draws", "draws")
    assert np.array_equal(both[:20], draws)  # the first member is the node's own model
    means = both.reshape(3, 20, *draws.shape[1:]).mean(1)
    away = np.abs(means[:, None] - members[None]).mean((2, 3))  # of the passes of each member from every member
    assert (away.argmin(1) == [0, 1, 2]).all()


def test_a_transferred_query_gives_the_same_labels_and_so_the_same_model(results):
    one, other = (results / f"seed0/{method}/cycle1" for method in ("entropy", "entropy_again"))
    for kind, names in {"query": ["ids"], "labeled": ["ids", "labels", "cycle"]}.items():
        found = [artifacts.read(folder / f"{kind}.h5", kind, *names) for folder in (one, other)]
        assert all(map(np.array_equal, *found))
    assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()


def test_head_makes_the_probabilities_of_the_embeddings(results):
    folder = results / "seed0/start-mlp/cycle0"
    weights_C_D, biases_C = artifacts.read(folder / "head.h5", "head", "weights", "biases")
    embeddings_N_D, probs_N_C = artifacts.read(folder / "signals.h5", "signals", "embeddings", "probabilities")
    np.testing.assert_allclose(softmax(embeddings_N_D @ weights_C_D.T + biases_C, axis=1), probs_N_C, atol=1e-5)


def test_changes_under_noise_are_small_and_of_probabilities(results):
    (changes_K_N_C,) = artifacts.read(results / "seed0/start-mlp/cycle0/noise.h5", "noise", "changes")
    assert len(changes_K_N_C) == 2 and not np.array_equal(*changes_K_N_C)
    assert 0 < np.abs(changes_K_N_C).max() < 0.1
    np.testing.assert_allclose(changes_K_N_C.sum(2), 0, atol=1e-5)


def test_kcenter_initial_set_covers_better_than_random(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.write(STUDY | {"pool": {"initial": {"size": 50, "kind": "kcenter"}}})
    workflow.snakemake("results/selection/seed0/split.h5")
    pool, initial = artifacts.read(tmp_path / "results/selection/seed0/split.h5", "split", "pool", "initial")
    with artifacts.opened(tmp_path / "results/datasets/digits/images.h5", "images") as file:
        pool, initial = thumbnails(file["images"], pool), thumbnails(file["images"], initial)
    everything = np.concatenate([pool, initial])
    random = np.random.default_rng(0).choice(len(everything), 50, replace=False)
    assert (
        nearest_squared_distance(pool, initial).max() < nearest_squared_distance(everything, everything[random]).max()
    )


def test_boundary_distances(results):
    (distance_N,) = artifacts.read(results / "seed0/start-mlp/cycle0/boundary.h5", "boundary", "distance")
    assert np.isfinite(distance_N).all() and (distance_N > 0).mean() > 0.99


def test_table_names_existing_parts():
    for name in TASK.methods:
        settings = methods.compose(name, {}, TASK)
        for part in methods.HOMES:
            assert callable(methods.find(part, settings[part], TASK))
