"""The spread that training alone causes: its table by hand and by simulation, and what is said of it."""

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, written

from dagal.config import load
from dagal.errors import UserError
from dagal.plan import Study, graph, job
from dagal.report import checks, registry
from dagal.report.tables import costs
from dagal.report.tables.training_spread import COLUMNS, spread

LAST = 2


def metrics(finals):
    """(Method, seed) -> accuracy of the last model."""
    rows = [(method, "mlp", True, seed, cycle, accuracy if cycle == LAST else 0.1)
            for (method, seed), accuracy in finals.items() for cycle in (0, LAST)]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "learner", "deployable", "seed", "cycle", "accuracy"])


def table(finals, repeats):
    return pd.DataFrame(spread(metrics(finals), repeats), columns=COLUMNS).set_index("method")


def test_spread_by_hand():
    finals = {("random", 0): 0.7, ("random", 1): 0.8, ("entropy", 0): 0.8, ("entropy", 1): 0.9}
    repeats = {("random", 0): [0.72], ("random", 1): [0.76], ("entropy", 0): [0.8], ("entropy", 1): [0.84]}
    found = table(finals, repeats)
    # variances of two numbers: half their squared difference
    within = {"random": (0.0002 + 0.0008) / 2, "entropy": (0 + 0.0018) / 2}
    assert (found["training_sd"] ** 2).to_dict() == pytest.approx(within)
    assert found["seed_sd"].tolist() == pytest.approx([0.005**0.5] * 2)
    assert found["accuracy"].tolist() == pytest.approx([0.745, 0.835]) and found["repeats"].tolist() == [1, 1]
    assert found.loc["entropy", "difference"] == pytest.approx(0.1)
    assert found.loc["entropy", "difference_sd"] == pytest.approx(((0.0005 + 0.0009) / 2) ** 0.5)
    assert np.isnan(found.loc["random", "difference"])


def test_spread_of_a_difference_by_simulation():
    """Trainings of standard deviation .02: the mean difference over 4 seeds moves by .02 sqrt(2 / 4)."""
    rng = np.random.default_rng(0)
    names = [(method, seed) for method in ("random", "entropy") for seed in range(4)]
    found = [
        table({name: 0.8 + rng.normal(0, 0.02) for name in names}, {name: list(0.8 + rng.normal(0, 0.02, 4)) for name in names})
        for _ in range(60)
    ]  # fmt: skip
    moved = np.std([one.loc["entropy", "difference"] for one in found])
    assert np.mean([one.loc["entropy", "difference_sd"] for one in found]) == pytest.approx(
        0.02 * (2 / 4) ** 0.5, rel=0.05
    )
    assert moved == pytest.approx(0.02 * (2 / 4) ** 0.5, rel=0.2)


def test_a_chain_that_stopped_before_is_left_out():
    finals = {("random", 0): 0.7, ("random", 1): 0.8, ("entropy", 1): 0.9}
    found = table(finals, {("random", 0): [0.7], ("random", 1): [0.8], ("entropy", 1): [0.9]})
    assert found["seeds"].tolist() == [2, 1] and found.loc["entropy", "difference"] == pytest.approx(0.1)


def test_a_difference_that_training_alone_explains_is_a_warning():
    row = {"method": "entropy", "reference": "random", "difference": "0.01", "difference_sd": "0.02"}
    random = dict.fromkeys(row, "") | {"method": "random"}
    (found,) = checks.training([random, row])
    assert found.verdict == "warning" and "entropy ends +0.010 from random" in found.sentence
    assert [one.verdict for one in checks.training([random, row | {"difference": "-0.03"}])] == ["ok"]


def test_repeats_are_trainings_on_the_labels_of_the_last_nodes():
    study, without = Study(load(SMALL | {"repeats": 2, "seeds": [0, 1]})), Study(load(SMALL | {"seeds": [0, 1]}))
    jobs, before = (graph.counts(graph.jobs(one, registry.targets(one))) for one in (study, without))
    assert jobs == before | {"repeat": 2 * 2 * 2, "training_spread": 1}
    place = {"seed": "1", "branch": "entropy", "cycle": "2"}
    again, first = job.describe(study, "repeat", place | {"repeat": "2"}), job.describe(study, "train", place)
    assert again["input"] == {name: path for name, path in first["input"].items() if name != "stop_set"}
    assert again["params"] == first["params"] and again["output"]["predictions"].endswith("entropy/cycle2/repeat2.h5")
    assert "results/small/seed1/entropy/cycle2/repeat2.benchmark.tsv" in costs.benchmarks(study)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SMALL | {"cycles": 0, "repeats": 1}, "no cycles"),
        (written("experiments/video_small.yaml") | {"repeats": 1}, "one class each, not for detection"),
    ],
)
def test_studies_without_last_models_of_classes_have_none(config, words):
    with pytest.raises(UserError, match=f"'repeats'.*{words}"):
        load(config)
