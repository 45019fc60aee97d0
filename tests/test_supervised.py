"""Supervised baselines: what the same number of labels gives without active learning."""

import copy

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, Workflow

from dagal import artifacts
from dagal.config import load
from dagal.plan import Study


def study(**changes):
    config = copy.deepcopy(SMALL) | {"cycles": 1, "seeds": [0, 1], "supervised": [30, 60, "all"]} | changes
    config["pool"] = {"initial": {"size": 20}, "validation": 50, "noise": {"kind": "gaussian", "probability": 1}}
    config["learners"]["wide"] = config["learners"]["mlp"] | {"hidden_units": [24]}
    config["methods"] = {"random": {"learner": "mlp"}, "random_wide": {"learner": "wide", "score": "random"}}
    return config


def test_baselines_are_one_model_per_learner_size_and_seed(workflow):
    workflow.write(study(supervised=[]))
    without = workflow.counted()
    workflow.write(study())
    baselines = {"supervised": 12, "supervised_table": 1, "speed": 1}
    assert workflow.counted() == without | baselines | {rule: without[rule] + 12 for rule in ("train", "evaluate")}


def test_more_labels_than_there_are(workflow):
    workflow.write(study(supervised=[1500]))
    done = workflow.snakemake(check=False)
    assert done.returncode and not (workflow.folder / "results").exists()
    assert "config key 'supervised' asks for 1500 labels, but pool and initial set hold 1387" in done.stderr


@pytest.mark.slow
def test_baselines_of_a_noisy_study(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.write(study(seeds=[0], repeats=1))
    workflow.snakemake()
    assert workflow.planned() == {}
    results = tmp_path / "results/small"
    table = pd.read_csv(results / "supervised.csv", dtype={"size": str})
    assert table.groupby("size")["labels"].unique().str[0].to_dict() == {"30": 30, "60": 60, "all": 1387}
    assert len(table) == 6 and table["accuracy"].between(0, 1).all() and table["validation_accuracy"].notna().all()
    pool, initial, held_out = artifacts.read(results / "seed0/split.h5", "split", "pool", "initial", "validation")
    (truth,) = artifacts.read(tmp_path / "results/datasets/digits/truth.h5", "truth", "labels")
    drawn = {}
    for size in ("30", "60", "all"):
        for learner in ("mlp", "wide"):
            path = results / f"seed0/supervised{size}-{learner}/cycle0/labeled.h5"
            ids, labels, cycle = artifacts.read(path, "labeled", "ids", "labels", "cycle")
            assert np.array_equal(labels, truth[ids]) and not cycle.any()
            assert np.array_equal(drawn.setdefault(size, ids), ids)  # the same for all learners
        assert np.isin(ids, np.union1d(pool, initial)).all() and not np.isin(ids, held_out).any()
    assert np.isin(drawn["30"], drawn["60"]).all() and len(set(drawn["all"])) == 1387
    assert not np.isin(initial, drawn["60"]).all()
    # the images are those of the seed, with the noise in its pool
    plan = Study(load(study(seeds=[0])))
    assert {plan.learner_input(node) for node in plan.supervised()} == {"results/small/seed0/images.h5"}
    summary = pd.read_csv(results / "summary.csv").set_index("method")
    assert set(summary.index) == {"random", "random_wide"}
    # the last models once more, on the same labels: other models, and a table of what that moves
    spread = pd.read_csv(results / "training_spread.csv")
    assert spread["method"].tolist() == ["random", "random_wide"] and set(spread["repeats"]) == {1}
    accuracy = pd.read_csv(results / "metrics.csv").query("cycle == 1").set_index("method")["accuracy"]
    ids, probs_N_C = artifacts.read(results / "seed0/random/cycle1/repeat1.h5", "predictions", "ids", "probabilities")
    pair = [accuracy["random"], np.mean(probs_N_C.argmax(1) == truth[ids])]
    first = spread.set_index("method").loc["random", ["accuracy", "training_sd"]].tolist()
    assert first == pytest.approx([np.mean(pair), np.std(pair, ddof=1)], abs=1e-5) and pair[0] != pair[1]
    found = pd.read_csv(results / "checks.csv").set_index("check")["verdict"]
    assert found["seeds"] == "warning" and {"training", "duplicates", "chance"} <= set(found.index)
    # each learner's random is what its own methods are compared with, not one with the other learner
    assert "aubc_gain_over_random" not in summary
