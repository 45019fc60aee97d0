"""The tables of what seeds can tell, from measurements made by hand, against other computations."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dagal.report.registry import ITEMS
from dagal.report.tables import comparison, gains, summary

LABELS = np.array([10, 20, 40])
LEARNERS = {"random": "a", "entropy": "a", "random_b": "b", "other": "b"}


def measured(n_seeds, seed=0):
    """Methods of two learners, a row per method, seed and cycle; methods of a learner share cycle 0."""
    rng, rows = np.random.default_rng(seed), []
    starts = {(learner, k): 0.5 + rng.normal(0, 0.02) for learner in "ab" for k in range(n_seeds)}
    for method, learner in LEARNERS.items():
        better = 0.05 * (method in ("entropy", "other"))
        for k in range(n_seeds):
            values = [
                starts[learner, k],
                *(starts[learner, k] + better + np.array([0.1, 0.2]) + rng.normal(0, 0.01, 2)),
            ]
            rows += [
                ["s", method, learner, method != "other", k, cycle, labels, value]
                for cycle, (labels, value) in enumerate(zip(LABELS, values, strict=True))
            ]
    return pd.DataFrame(
        rows, columns=["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"]
    )


def areas(metrics):
    """Method -> area under each seed's curve: two trapezoids over 30 labels."""
    wide = metrics.pivot(index=["method", "seed"], columns="cycle", values="accuracy")
    area = (10 * (wide[0] + wide[1]) / 2 + 20 * (wide[1] + wide[2]) / 2) / 30
    return {method: part.to_numpy() for method, part in area.groupby(level=0)}


def frame(rows, columns, *keys):
    return pd.DataFrame(rows, columns=columns).set_index(list(keys))


def test_estimates_of_every_quantity():
    metrics = measured(3)
    found = frame(comparison.estimates(metrics, "accuracy", "t", {"a": 0.8}), comparison.ESTIMATE, "method", "quantity")
    final = metrics[(metrics["method"] == "entropy") & (metrics["cycle"] == 2)]["accuracy"]
    for quantity, values in {
        "accuracy": final,
        "percent_of_full": final / 0.008,
        "aubc": areas(metrics)["entropy"],
    }.items():
        row = found.loc["entropy", quantity]
        expected = [np.mean(values), *stats.ttest_1samp(values, 0).confidence_interval(0.95), np.std(values, ddof=1)]
        assert row[["mean", "low", "high", "sd"]].tolist() == pytest.approx([*expected])
        assert row["se"] == pytest.approx(stats.sem(values)) and row["seeds"] == 3
    assert ("other", "percent_of_full") not in found.index and not found.loc[("other", "aubc"), "deployable"]


@pytest.mark.parametrize("n_seeds", [3, 7])
def test_pairs_of_methods(n_seeds):
    metrics = measured(n_seeds)
    found = frame(comparison.pairwise(metrics, "accuracy", "t"), comparison.PAIR, "method", "other")
    assert len(found) == 12 and set(found["cycles"]) == {2} and set(found["seeds"]) == {n_seeds}
    wide, area = metrics.pivot(index=["method", "seed"], columns="cycle", values="accuracy"), areas(metrics)
    for method, other in itertools.permutations(LEARNERS, 2):
        row, difference = found.loc[(method, other)], area[method] - area[other]
        ends = stats.ttest_rel(area[method], area[other]).confidence_interval(0.95)
        assert row[["difference", "low", "high"]].tolist() == pytest.approx([difference.mean(), *ends])
        assert row["better"] == pytest.approx(stats.t.sf(0.01, n_seeds - 1, difference.mean(), stats.sem(difference)))
        assert row[["better", "equivalent", "worse"]].sum() == pytest.approx(1)
        assert row["worse"] == pytest.approx(found.loc[(other, method), "better"])
        assert row["effect"] == pytest.approx(-found.loc[(other, method), "effect"])
        tested = ["ppm", "ppm_holm", "p_wilcoxon", "p_wilcoxon_holm"]
        if n_seeds < 6:
            assert row[tested].isna().all()
            continue
        wins = [stats.ttest_rel(wide.loc[method][cycle], wide.loc[other][cycle]) for cycle in (1, 2)]
        assert row["ppm"] == np.mean([one.pvalue < 0.05 and one.statistic > 0 for one in wins])
        assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(area[method], area[other]).pvalue)
    if n_seeds == 7:
        assert found.loc[("entropy", "random"), "ppm"] == 1 and found.loc[("random", "entropy"), "ppm"] == 0
        assert (found["p_wilcoxon_holm"] >= found["p_wilcoxon"]).all() and (found["ppm_holm"] <= found["ppm"]).all()


def test_pairs_are_of_the_same_seed_whatever_the_order_of_the_rows():
    metrics = measured(4)
    shuffled = pd.concat([metrics[metrics["method"] != "random"], metrics[metrics["method"] == "random"].iloc[::-1]])
    for table in (comparison.pairwise, comparison.saved):
        tables = [frame(table(one.sort_values("cycle", kind="stable"), "accuracy", "t"), getattr(comparison, columns), "method", other)
                  for one in (metrics, shuffled)
                  for columns, other in [("PAIR", "other") if table is comparison.pairwise else ("SAVED", "reference")]]  # fmt: skip
        pd.testing.assert_frame_equal(tables[0].sort_index(), tables[1].sort_index())


def test_a_seed_that_only_one_method_has_is_left_out():
    metrics = measured(4)
    metrics = metrics[~((metrics["method"] == "entropy") & (metrics["seed"] == 1))]
    found = frame(comparison.pairwise(metrics, "accuracy", "t"), comparison.PAIR, "method", "other")
    area = areas(metrics)
    expected = (area["entropy"] - area["random"][[0, 2, 3]]).mean()
    assert found.loc[("entropy", "random"), "difference"] == pytest.approx(expected)
    assert found.loc[("entropy", "random"), "seeds"] == 3 and found.loc[("random", "other"), "seeds"] == 4


def by_hand(curves):
    rows = [
        ["s", method, "a", True, seed, cycle, labels, value]
        for method, seeds in curves.items()
        for seed, values in enumerate(seeds)
        for cycle, (labels, value) in enumerate(zip(LABELS, values, strict=True))
    ]
    return pd.DataFrame(
        rows, columns=["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"]
    )


def test_labels_saved_by_hand():
    """Random ends at .8 with 40 labels; the methods pass .8 at 20 and 30 labels, 20 and 10 fewer; one never does."""
    random = [[0.5, 0.6, 0.8]] * 2
    metrics = by_hand(
        {"random": random, "better": [[0.5, 0.8, 0.9], [0.5, 0.7, 0.9]], "worse": [[0.5, 0.8, 0.9], [0.5, 0.6, 0.7]]}
    )
    found = frame(comparison.saved(metrics, "accuracy", "t"), comparison.SAVED, "method")
    half = 12.7062 * 5  # t(.975, 1), standard error of 20 and 10
    assert found.loc["better", ["saved", "low", "high"]].tolist() == pytest.approx([15, 15 - half, 15 + half], rel=1e-5)
    assert found.loc["better", "speed_up"] == pytest.approx((40 / 20 + 40 / 30) / 2)
    assert found["reached"].tolist() == [2, 1] and np.isnan(found.loc["worse", "saved"]) and "random" not in found.index


def test_what_is_saved_of_each_cost_by_hand():
    """Labels of the method cost 3 boxes, those of random 2; its second query found no box and counts for nothing."""
    metrics = by_hand({"random": [[0.5, 0.6, 0.8]], "better": [[0.5, 0.8, 0.9]]})
    metrics["boxes"] = metrics["labels"] * metrics["method"].map({"random": 2, "better": 3})
    metrics.loc[(metrics["method"] == "better") & (metrics["cycle"] == 2), "boxes"] = 60
    (row,) = comparison.saved_in(metrics, "accuracy", "t", ["boxes"]).to_dict("records")
    assert row["saved"] == 20 and row["boxes_saved"] == 80 - 60


def test_power_says_what_the_seeds_can_show():
    metrics = measured(5)
    found = frame(comparison.power(metrics, "accuracy"), comparison.NEEDED, "method", "quantity")
    difference = areas(metrics)["entropy"] - areas(metrics)["random"]
    row = found.loc[("entropy", "aubc")]
    assert row["sd"] == pytest.approx(difference.std(ddof=1)) and row["reference"] == "random"
    edge = stats.t.ppf(0.975, 4)
    assert stats.nct.sf(edge, 4, row["detectable"] / row["sd"] * 5**0.5) == pytest.approx(0.8, abs=1e-4)
    assert (
        set(found.index.get_level_values(0)) == {"entropy", "other"}
        and found.loc[("other", "accuracy"), "reference"] == "random_b"
    )


def test_labels_needed_and_gains_have_intervals():
    metrics = measured(3)
    curves = {
        "entropy": [
            (LABELS, part["accuracy"].to_numpy()) for _, part in metrics[metrics["method"] == "entropy"].groupby("seed")
        ]
    }
    needed = summary.needed(curves, "accuracy").set_index("accuracy")
    by_seed = [np.interp(0.6, values, LABELS) for _, values in curves["entropy"]]  # these curves rise
    assert needed.loc[0.6, ["labels", "low", "high"]].tolist() == pytest.approx(
        [np.mean(by_seed), *stats.t.interval(0.95, 2, np.mean(by_seed), stats.sem(by_seed))]
    )
    assert needed.loc[0.6, ["seeds", "reached"]].tolist() == [3, 3] and needed["reached"].iloc[-1] < 3
    found = gains.gains(metrics, [("entropy", "random", "random")], "accuracy").set_index("cycle")
    last = [
        metrics[(metrics["method"] == name) & (metrics["cycle"] == 2)]["accuracy"].to_numpy()
        for name in ("entropy", "random")
    ]
    ends = stats.ttest_rel(*last).confidence_interval(0.95)
    assert found.loc[2, ["gain_low", "gain_high"]].tolist() == pytest.approx([*ends])
    assert found.loc[0, ["gain_low", "gain_high"]].tolist() == [0, 0]


def run(name, folder, **inputs):
    """`make` of an item on tables in a folder -> its tables."""
    for given, table in inputs.items():
        table.to_csv(folder / f"{given}.csv", index=False)
    item, paths = ITEMS.find(name), {given: str(folder / f"{given}.csv") for given in inputs}

    class Files(SimpleNamespace):
        __getitem__ = SimpleNamespace.__getattribute__

    output = Files(**{one: str(folder / f"{one}.csv") for one in item.writes})
    params = SimpleNamespace(measure="accuracy", interval="t", get=lambda key, default: default)
    item.make(SimpleNamespace(input=SimpleNamespace(get=paths.get, **paths), output=output, params=params))
    return {one: pd.read_csv(path) for one, path in vars(output).items()}


def test_all_tables_are_written_with_a_ceiling_too(tmp_path):
    tables = {"metrics": measured(3)}
    tables["supervised"] = pd.DataFrame([["a", "all", 0.9], ["b", "20", 0.3]], columns=["learner", "size", "accuracy"])
    (found,) = run("speed", tmp_path, **tables).values()
    assert found["method"].tolist() == ["random", "entropy"] and (found["ceiling"] == 0.9).all()
    assert found["points"].tolist() == [9, 9] and (found["beta"] > 0).all()
    found = run("comparison", tmp_path, **tables)
    assert {name: list(table.columns) for name, table in found.items()} == {
        "estimates": comparison.ESTIMATE, "pairwise": comparison.PAIR, "labels_saved": comparison.SAVED, "power": comparison.NEEDED,
    }  # fmt: skip
    assert (found["estimates"]["quantity"] == "percent_of_full").sum() == 2


def test_one_seed_one_method_or_no_cycle_leave_cells_or_tables_empty(tmp_path):
    found = run("comparison", tmp_path, metrics=measured(1))
    assert (
        found["pairwise"][["low", "better", "effect", "ppm"]].isna().all().all()
        and found["power"]["detectable"].isna().all()
    )
    alone = measured(2)
    found = run("comparison", tmp_path, metrics=alone[(alone["method"] == "random") & (alone["cycle"] == 0)])
    assert len(found["estimates"]) == 2 and [len(found[name]) for name in ("pairwise", "labels_saved", "power")] == [
        0,
        0,
        0,
    ]
    found = run("comparison", tmp_path, metrics=alone[alone["cycle"] == 0])
    assert found["pairwise"]["ppm"].isna().all() and len(found["pairwise"]) == 12
