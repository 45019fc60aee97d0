"""Two models, CEAL and FixMatch in a real study on digits: pseudo-labels, queries, tables, and the sealed truth."""

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, Workflow, with_flipped_labels

from dagal import artifacts
from dagal.acquisition.scores import entropy, label_dispersion

pytestmark = pytest.mark.slow

MLP = SMALL["learners"]["mlp"] | {
    "hidden_units": [32],
    "dropout": 0,
    "epochs": 20,
    "optimizer": {"name": "adam", "lr": 0.01},
}
SHARE, N_PSEUDO = 0.2, 287  # of 1,437 training images
STUDY = SMALL | {
    "study": "semi",
    "pool": {"initial": {"size": 60}},
    "cycles": 1,
    "learners": {
        "entropy": MLP | {"pseudo_labels": {"kind": "two_model", "certainty": "entropy", "share": SHARE}},
        "dispersion": MLP | {"pseudo_labels": {"kind": "two_model", "share": SHARE}, "warm_start": True},
        "threshold": MLP | {"pseudo_labels": {"kind": "ceal", "threshold": 0.5}, "warm_start": True},
        "consistent": MLP | {"fixmatch": {"threshold": 0.5, "ratio": 2}},
    },
    "methods": {
        "by_entropy": {"learner": "entropy", "score": "entropy"},
        "by_dispersion": {"learner": "dispersion", "score": "entropy"},
        "ceal": {"learner": "threshold", "score": "entropy"},
        "fixmatch": {"learner": "consistent", "score": "entropy"},
    },
}
TWO_MODEL = {"by_entropy": "entropy", "by_dispersion": "dispersion"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("semi"))
    workflow.write(STUDY)
    workflow.snakemake()
    return workflow


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results/semi"


def unlabeled(results, folder):
    pool, labeled = (
        artifacts.read(path, kind, name)[0]
        for path, kind, name in (
            (results / "seed0/split.h5", "split", "pool"),
            (folder / "labeled.h5", "labeled", "ids"),
        )
    )
    return np.setdiff1d(pool, labeled)


def pseudo_labels(folder):
    return artifacts.read(folder / "pseudo_labels.h5", "pseudo_labels", "ids", "labels", "uncertainty")


@pytest.mark.parametrize(("method", "learner"), TWO_MODEL.items())
def test_the_surest_share_of_the_pool_gets_a_pseudo_label(results, method, learner):
    for folder in (results / f"seed0/start-{learner}/cycle0", results / f"seed0/{method}/cycle1"):
        ids, labels, uncertainty = pseudo_labels(folder)
        pool = unlabeled(results, folder)
        assert len(ids) == N_PSEUDO and np.isin(ids, pool).all() and np.all(np.diff(ids) > 0)
        if learner == "dispersion":
            (trajectory,) = artifacts.read(folder / "labeled_only_history.h5", "history", "trajectory")
            every, predicted = label_dispersion(trajectory, 10), trajectory[-1]
            rows = np.searchsorted(pool, ids)
            assert np.array_equal(predicted[rows], labels) and np.array_equal(every[rows], uncertainty)
            assert uncertainty.max() <= np.delete(every, rows).min()
        else:
            assert uncertainty.min() >= 0 and 0 < uncertainty.max() < np.log(10)


@pytest.mark.parametrize(("method", "learner"), TWO_MODEL.items())
def test_two_models_ask_among_the_rest_which_then_goes_back(results, method, learner):
    start, after = results / f"seed0/start-{learner}/cycle0", results / f"seed0/{method}/cycle1"
    pseudo = pseudo_labels(start)[0]
    (candidates,) = artifacts.read(after / "scores.h5", "scores", "ids")
    assert np.array_equal(candidates, np.setdiff1d(unlabeled(results, start), pseudo))
    (query,) = artifacts.read(after / "query.h5", "query", "ids")
    assert not np.isin(query, pseudo).any()
    assert 0 < len(np.intersect1d(pseudo_labels(after)[0], pseudo)) < N_PSEUDO
    (probabilities,) = artifacts.read(start / "signals.h5", "signals", "probabilities")
    assert len(probabilities) == len(unlabeled(results, start))  # signals are of the whole pool


def test_ceal_takes_what_the_previous_model_is_sure_of(results):
    start, after = results / "seed0/start-threshold/cycle0", results / "seed0/ceal/cycle1"
    assert not (start / "pseudo_labels.h5").exists() and not (start / "labeled_only.safetensors").exists()
    pool, probs_N_C = artifacts.read(start / "signals.h5", "signals", "ids", "probabilities")
    rest = np.isin(pool, unlabeled(results, after))
    sure = rest & (entropy(probs_N_C) < 0.5)
    ids, labels, uncertainty = pseudo_labels(after)
    assert len(ids) > 0 and np.array_equal(ids, pool[sure])
    assert np.array_equal(labels, probs_N_C[sure].argmax(1))
    assert uncertainty == pytest.approx(entropy(probs_N_C[sure]), abs=1e-6)
    (candidates,) = artifacts.read(after / "scores.h5", "scores", "ids")
    assert np.array_equal(candidates, pool)  # and asks among all


def test_the_first_of_the_two_models_is_the_plain_one(results):
    """Cycle 0 starts from scratch, alike for all: trained on the labels alone it is CEAL's model without pseudo-labels."""
    start = {name: results / f"seed0/start-{name}/cycle0" for name in STUDY["learners"]}
    (plain,) = artifacts.read(start["threshold"] / "predictions.h5", "predictions", "probabilities")
    for name in ("entropy", "dispersion"):
        (alone,) = artifacts.read(start[name] / "labeled_only_predictions.h5", "predictions", "probabilities")
        (second,) = artifacts.read(start[name] / "predictions.h5", "predictions", "probabilities")
        assert np.array_equal(alone, plain) and not np.array_equal(second, plain)


def test_table_of_pseudo_labels(results):
    table = pd.read_csv(results / "pseudo_labels.csv").set_index(["method", "cycle"])
    assert table.index.tolist() == [
        ("by_entropy", 0),
        ("by_entropy", 1),
        ("by_dispersion", 0),
        ("by_dispersion", 1),
        ("ceal", 1),
    ]
    (truth,) = artifacts.read(results.parent / "datasets/digits/truth.h5", "truth", "labels")
    (test,) = artifacts.read(results / "seed0/split.h5", "split", "test")
    for (method, cycle), row in table.iterrows():
        branch = method if cycle else f"start-{TWO_MODEL[method]}"
        folder = results / f"seed0/{branch}/cycle{cycle}"
        ids, labels, _ = pseudo_labels(folder)
        assert row["pseudo_labels"] == len(ids)
        assert row["pseudo_label_error"] == pytest.approx(np.mean(truth[ids] != labels))
        for name, column in (("predictions", "accuracy"), ("labeled_only_predictions", "labeled_only_accuracy")):
            if method == "ceal" and column != "accuracy":
                assert np.isnan(row[column])
                continue
            (probabilities,) = artifacts.read(folder / f"{name}.h5", "predictions", "probabilities")
            assert row[column] == pytest.approx(np.mean(probabilities.argmax(1) == truth[test]))
    assert (results / "figures/pseudo_labels.png").stat().st_size > 10_000
    rules = set(pd.read_csv(results / "costs.csv")["rule"])
    assert {"train", "train_labeled_only", "pseudo_labels"} <= rules


def test_history_of_fixmatch(results):
    for folder in ("start-consistent/cycle0", "fixmatch/cycle1"):
        history = artifacts.read(results / f"seed0/{folder}/history.h5", "history", "consistency_loss", "confident")
        assert all(values.shape == (20,) and np.isfinite(values).all() for values in history)
        assert 0 < history[1][-1] <= 1


def test_hidden_labels_reach_nothing_before_the_oracle(finished, tmp_path):
    """Flip every label that no method asked for: all but the measurements after the fact stays the same, byte for byte."""
    source, other = finished.folder / "results", Workflow(tmp_path)
    other.write(STUDY)
    known = set(artifacts.read(source / "semi/seed0/split.h5", "split", "initial")[0])
    for method in STUDY["methods"]:
        known |= set(artifacts.read(source / f"semi/seed0/{method}/cycle1/query.h5", "query", "ids")[0])
    with_flipped_labels(other, source, known)
    measured = ("pseudo_labels.csv", "seed0/fixmatch/cycle1/metrics.json")
    other.snakemake(*(f"results/semi/{name}" for name in measured), "--rerun-triggers", "mtime")
    compared = {
        name: content
        for name, content in other.files("semi/seed0/**/*").items()
        if name.endswith((".h5", ".safetensors"))
    }
    assert all(content == (source / name).read_bytes() for name, content in compared.items())
    assert sum("pseudo_labels.h5" in name or "labeled_only" in name for name in compared) > 10
    was, now = (pd.read_csv(folder / "semi/pseudo_labels.csv") for folder in (source, other.folder / "results"))
    assert (now["pseudo_label_error"] > 0.8).all() and (was["pseudo_label_error"] < 0.6).all()
    assert (now["labeled_only_accuracy"].dropna() < was["labeled_only_accuracy"].dropna()).all()
