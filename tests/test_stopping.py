"""When a chain stops, and that it then trains and scores nothing further."""

import copy
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, Workflow
from sklearn.metrics import cohen_kappa_score

from dagal import artifacts
from dagal.errors import UserError
from dagal.stopping import cohen_kappa, last_cycles, reason_to_stop

KAPPA = {"threshold": 0.9, "cycles": 2}


def test_kappa_by_hand():
    """Agree on 3 of 5; shares (2/5, 3/5) and (2/5, 3/5) agree by chance with 4/25 + 9/25 = 13/25: (15 - 13) / (25 - 13)."""
    assert cohen_kappa(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1])) == pytest.approx(2 / 12)


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 10, 200):
        first, second = rng.integers(n_classes, size=(2, 400))
        second = np.where(rng.random(400) < 0.6, first, second)
        expected = cohen_kappa_score(first, second)
        assert 0.3 < expected < 0.9 and cohen_kappa(first, second) == pytest.approx(expected)
    assert cohen_kappa(np.array([0, 1, 2]), np.array([0, 1, 2])) == 1
    assert cohen_kappa(np.array([0, 1]), np.array([1, 0])) == -1


def test_kappa_of_models_that_cannot_disagree_is_undefined():
    constant = np.full(5, 3)
    assert np.isnan(cohen_kappa(constant, constant))
    assert cohen_kappa(constant, np.full(5, 1)) == 0
    assert cohen_kappa(constant, np.array([3, 3, 3, 3, 1])) == 0  # no better than chance
    with pytest.raises(ValueError, match="shapes"):
        cohen_kappa(constant, constant[:3])
    with pytest.raises(ValueError, match="shapes"):
        cohen_kappa(constant[:0], constant[:0])


@pytest.mark.parametrize(
    ("accuracy", "kappas", "target", "kappa", "words"),
    [
        (0.7, [], 0.7, None, "validation accuracy 0.7000 has reached the target 0.7"),
        (0.69, [], 0.7, None, None),
        (None, [0.95, 0.91], None, KAPPA, "kappa 0.9500, 0.9100 is above 0.9 in 2 cycles"),
        (None, [0.95], None, KAPPA, None),  # not yet for two cycles
        (None, [0.99, 0.9], None, KAPPA, None),  # 0.9 is not above 0.9
        (None, [0.99, None], None, KAPPA, None),  # undefined stops nothing
        (None, [0.1, 0.95, 0.95], None, KAPPA, "0.9500, 0.9500"),
        (0.5, [0.95, 0.95], 0.7, KAPPA, "stabilized"),
        (0.5, [0.5, 0.5], 0.7, KAPPA, None),
    ],
)
def test_reason_to_stop(accuracy, kappas, target, kappa, words):
    reason = reason_to_stop([0.2, accuracy], kappas, target, kappa, None)
    assert reason is None if words is None else words in reason


@pytest.mark.parametrize(
    ("accuracies", "cycles", "stops"),
    [
        ([0.5, 0.509], 1, True),
        ([0.5, 0.491], 1, True),  # a fall is a change, too
        ([0.5, 0.512], 1, False),
        ([0.5], 1, False),  # nothing to compare with
        ([0.5, 0.505], 2, False),  # not yet for two cycles
        ([0.5, 0.505, 0.508], 2, True),
        ([0.5, 0.525, 0.53], 2, False),
        ([0.1, 0.5, 0.505, 0.508], 2, True),
    ],
)
def test_a_chain_whose_accuracy_hardly_changes_stops(accuracies, cycles, stops):
    reason = reason_to_stop(accuracies, [], None, None, {"threshold": 0.01, "cycles": cycles})
    assert (reason is not None) == stops
    if stops:
        assert f"{accuracies[-1]:.4f} has changed by less than 0.01 in {cycles} cycles" in reason


def test_where_chains_stopped(tmp_path):
    paths = []
    for name, stopped, cycle in (("start-mlp/cycle0", True, 0), ("a/cycle1", True, 0), ("b/cycle2", False, 2)):
        path = tmp_path / "seed3" / name / "stopping.json"
        artifacts.write_json(path, {"stopped": stopped, "cycle": cycle})
        paths.append(str(path))
    assert last_cycles(paths) == {(3, "start-mlp"): 0, (3, "a"): 0}


def study(**stopping):
    config = copy.deepcopy(SMALL)
    config["pool"] = {"initial": {"size": 20}, "validation": 100}
    config["learners"]["mlp"] |= {"epochs": 30, "optimizer": {"name": "adam", "lr": 0.003}}
    adversary = {"steps": 10, "batch_size": 16, "channels": 4, "latent": 4, "discriminator_units": 8}
    methods = {
        "random": {},
        "bald": {},
        "ensemble_bald": {"score": "bald", "draws": "ensemble"},
        "vaal": {},
        "entropy_cb": {"select_options": {"weight": "auto"}},
    }
    return config | {
        "study": "stop",
        "cycles": 2,
        "seeds": [0],
        "budget": 30,
        "methods": methods,
        "signals": {"members": 2, "draws": 3},
        "adversaries": {"vaal": adversary},
        "lambda_study": {"weights": [0, 1]},
        "stopping": stopping,
    }


KAPPA_AT_WORK = {"threshold": 0.99, "cycles": 2, "size": 200}


def test_without_stopping_there_is_no_job_of_it(workflow):
    workflow.write(study())
    planned = workflow.counted()
    assert not any("stop" in rule for rule in planned)
    workflow.write(study(target_accuracy=0.7))
    more = workflow.counted()
    nodes = planned["train"]
    assert more == planned | {"stopping": nodes, "stopping_tables": 1, "figure_stopping": 1}
    workflow.write(study(kappa=KAPPA_AT_WORK))
    assert workflow.counted() == more | {"stop_set": 1}


# without the figures, which earlier runs draw
TABLES = [f"results/stop/{name}.csv" for name in ("stopping", "metrics", "costs")]


class Study:
    """A study whose target is raised: what each run made and when."""

    def __init__(self, folder):
        self.workflow = Workflow(folder)
        self.results = folder / "results/stop"

    def run(self, *targets, **stopping):
        self.workflow.write(study(**stopping))
        self.workflow.snakemake(*targets)
        assert self.workflow.planned(*targets) == {}  # links are not taken for older than what they were made from
        return pd.read_csv(self.results / "stopping.csv").set_index(["method", "seed"])

    def trained(self):
        """Nodes with a model of their own -> when it was made."""
        models = {path.parent: path for path in self.results.glob("seed*/*/cycle*/model.safetensors")}
        return {node: path.stat().st_mtime_ns for node, path in models.items() if not path.is_symlink()}

    def check(self, stopping):
        """Tables and files agree about where every chain ended."""
        ends = {(seed, method): cycle for (method, seed), cycle in stopping["cycle"].items()}
        metrics = pd.read_csv(self.results / "metrics.csv")
        assert metrics.groupby(["seed", "method"])["cycle"].max().to_dict() == ends
        assert pd.read_csv(self.results / "classes.csv").groupby(["seed", "method"])["cycle"].max().to_dict() == ends
        for (method, seed), row in stopping.iterrows():
            mine = metrics[(metrics["method"] == method) & (metrics["seed"] == seed)]
            assert mine["labels"].tolist() == [20 + 30 * cycle for cycle in range(row["cycle"] + 1)]
            assert row["labels"] == mine["labels"].iloc[-1]
            assert row["validation_accuracy"] == pytest.approx(mine["validation_accuracy"].iloc[-1])
        for path in self.results.glob("seed*/*/cycle*/stopping.json"):
            record = artifacts.read_json(path)
            seed, branch, cycle = path.parts[-4:-1]
            passed = record["stopped"] and record["cycle"] < int(cycle.removeprefix("cycle"))
            # the lambda study of entropy_cb reads its first scores, whether or not its chain stops before
            read_anyway = {"start-mlp": r"signals|draws|ensemble|member|adversary", "entropy_cb": "score"}.get(
                branch, "$"
            )
            swept = int(cycle.removeprefix("cycle")) == (branch == "entropy_cb")
            for file in path.parent.glob("*"):
                if swept and re.match(read_anyway, file.name):
                    assert not file.is_symlink(), file
                elif file.suffix in (".h5", ".safetensors", ".json"):
                    after = re.match(r"signals|draws|ensemble|member|adversary", file.name)
                    assert file.is_symlink() == (record["stopped"] if after else passed), file
            for log in path.parent.glob("*.log"):
                if swept and re.match(read_anyway, log.name):
                    continue
                after = re.match(r"signals|draws|ensemble|member|adversary", log.name)
                assert ("nothing to do" in log.read_text()) == (record["stopped"] if after else passed), log
        costs = pd.read_csv(self.results / "costs.csv")
        assert len(costs[costs["rule"] == "train"]) == len(self.trained())


@pytest.mark.slow
def test_a_study_that_stops_at_once_then_later_then_by_kappa(tmp_path):
    stop = Study(tmp_path)
    at_once = stop.run(target_accuracy=0.1, kappa=KAPPA_AT_WORK)
    assert (at_once["cycle"] == 0).all() and at_once["reason"].str.contains("target 0.1").all()
    assert {node.name for node in stop.trained()} == {"cycle0"}
    stop.check(at_once)
    drawn = list((stop.results / "figures").glob("*.png"))
    assert len(drawn) == 13 and all(path.stat().st_size > 3000 for path in drawn)
    for table in ("informativeness", "class_entropy", "discriminator", "adversary_losses", "adversary_auc"):
        assert len((stop.results / f"{table}.csv").read_text().splitlines()) == 1, table
    with pytest.raises(UserError, match="its chain had stopped"):
        artifacts.read(stop.results / "seed0/vaal/cycle1/query.h5", "query", "ids")
    seconds = [
        float(path.read_text().split("\n")[1].split("\t")[0])
        for path in stop.results.glob("seed*/*/cycle2/train.benchmark.tsv")
    ]
    first = stop.trained()
    started = [float((node / "train.benchmark.tsv").read_text().split("\n")[1].split("\t")[0]) for node in first]
    assert len(seconds) == 5 and np.median(seconds) < np.median(started) / 2  # torch alone takes longer to import

    later = stop.run(target_accuracy=0.55, kappa=KAPPA_AT_WORK)
    assert (later["cycle"] > 0).any() and (later["stopped"] == 1).any()
    for _, row in later.iterrows():
        assert row["stopped"] == (row["validation_accuracy"] >= 0.55)
        assert row["stopped"] or row["cycle"] == 2
    second = stop.trained()
    assert {node: second[node] for node in first} == first  # only what is new was trained
    stop.check(later)
    check_kappas(stop.results)

    stop.workflow.write(study(target_accuracy=1.0, kappa=KAPPA_AT_WORK))
    assert stop.workflow.planned()["train"] == 11 - len(second) > 0
    stop.workflow.write(study(kappa=KAPPA_AT_WORK | {"threshold": 0.0, "cycles": 1}))
    assert stop.workflow.planned()["train"] == 11 - len(
        second
    )  # links only: what is there is cut short, not made again
    by_kappa = stop.run(*TABLES, kappa=KAPPA_AT_WORK | {"threshold": 0.0, "cycles": 1})
    assert (by_kappa["cycle"] == 1).all() and by_kappa["reason"].str.contains("stabilized").all()
    assert pd.read_csv(stop.results / "metrics.csv")["cycle"].max() == 1
    assert stop.trained() == second


@pytest.mark.slow
def test_an_interrupted_chain_goes_on_after_a_lower_and_a_higher_target(tmp_path):
    """What a lower target left as links behind the interruption is made when the target rises again."""
    stop = Study(tmp_path)

    def write(target):
        stop.workflow.write(study(target_accuracy=target) | {"cycles": 3, "methods": {"random": {}}, "study": "stop"})

    write(1.0)
    stop.workflow.snakemake("results/stop/seed0/random/cycle2/scores.h5")
    write(0.1)
    stop.workflow.snakemake(*TABLES)
    assert (stop.results / "seed0/random/cycle2/query.h5").is_symlink()
    write(1.0)
    stop.workflow.snakemake(*TABLES)
    assert stop.workflow.planned(*TABLES) == {}
    assert pd.read_csv(stop.results / "metrics.csv")["labels"].tolist() == [20, 50, 80, 110]
    assert not [path for path in stop.results.glob("seed0/random/cycle[123]/*") if path.is_symlink()]


def check_kappas(results: Path):
    """The stop set is fixed and of the pool; kappa is that of the models of two cycles on it."""
    (pool,) = artifacts.read(results / "seed0/split.h5", "split", "pool")
    (stop_set,) = artifacts.read(results / "seed0/stop_set.h5", "stop_set", "ids")
    assert len(stop_set) == 200 and np.isin(stop_set, pool).all() and (np.diff(stop_set) > 0).all()
    record = artifacts.read_json(results / "seed0/random/cycle1/stopping.json")
    nodes = [results / "seed0" / name for name in ("start-mlp/cycle0", "random/cycle1")]
    found = [artifacts.read(node / "stop_predictions.h5", "stop_predictions", "ids", "predicted") for node in nodes]
    assert all(np.array_equal(ids, stop_set) for ids, _ in found)
    assert record["kappa"] == pytest.approx([cohen_kappa_score(found[0][1], found[1][1])])
