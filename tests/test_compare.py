"""Several studies side by side, from results made by hand, against brute force."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dagal.__main__ import main
from dagal.inspect import compare


@pytest.fixture(autouse=True)
def pages(monkeypatch):
    """What the page is asked to show; test_page.py has it shown."""
    asked = []
    monkeypatch.setattr(compare.page, "write", lambda folders, out: asked.append((folders, out)))
    return asked


LABELS = np.array([10, 20, 40])
METHODS = {"random": 0.0, "entropy": 0.05, "margin": 0.04, "oracle": 0.2}


def results(folder, dataset, seed, gains=METHODS, labels=LABELS, **settings):
    """Folder of a study: a metrics.csv of three seeds with these gains over random, classes.csv and study.json."""
    rng, rows = np.random.default_rng(seed), []
    for method, gain in gains.items():
        for k, (cycle, number) in itertools.product(range(3), enumerate(labels)):
            value = 0.5 + 0.1 * cycle + gain * (cycle > 0) + rng.normal(0, 0.02)
            rows.append([folder.name, method, "mlp", method != "oracle", k, cycle, number, value])
    folder.mkdir()
    columns = ["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "metrics.csv", index=False)
    pd.DataFrame({"class_name": list("abcde")}).to_csv(folder / "classes.csv", index=False)
    settings = {
        "study": folder.name,
        "task": "classification",
        "dataset": {"name": dataset},
        "supervised": [],
        "plots": {},
    } | settings
    (folder / "study.json").write_text(json.dumps({"settings": settings}))
    return folder


def compared(tmp_path, *folders):
    out = tmp_path / "out"
    assert main(["compare", *map(str, folders), "--out", str(out)]) == 0
    return {path.stem: pd.read_csv(path) for path in out.glob("*.csv")}


def area(folder):
    """Mean over seeds of the area of each method: two trapezoids over 30 labels."""
    metrics = pd.read_csv(folder / "metrics.csv")
    wide = metrics.groupby(["method", "cycle"], sort=False)["accuracy"].mean().unstack()
    return (10 * (wide[0] + wide[1]) / 2 + 20 * (wide[1] + wide[2]) / 2) / 30


def test_ranks_over_data_sets(tmp_path):
    """Four data sets, one of them in two studies, which count as one; the upper bound has no rank."""
    places = [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four"), ("e", "four")]
    folders = [results(tmp_path / name, dataset, seed) for seed, (name, dataset) in enumerate(places)]
    found = compared(tmp_path, *folders)
    values = pd.DataFrame({folder.name: area(folder) for folder in folders}).drop(index="oracle")
    by_dataset = values.T.groupby(dict(places)).mean()
    ranks = by_dataset.rank(axis=1, ascending=False).mean()
    table = found["ranks"].set_index("method")
    assert table["rank"].to_dict() == pytest.approx(ranks.to_dict()) and table["rank"].is_monotonic_increasing
    assert set(table["datasets"]) == {4} and table["critical_difference"].iloc[0] == pytest.approx(
        2.343 * (12 / 24) ** 0.5, rel=1e-3
    )
    expected = stats.friedmanchisquare(*by_dataset.to_numpy().T)
    assert table[["friedman_statistic", "friedman_p"]].iloc[0].tolist() == pytest.approx(
        [expected.statistic, expected.pvalue], rel=1e-5
    )


def test_curves_and_results_of_all_studies(tmp_path, pages):
    folders = [results(tmp_path / name, name, seed) for seed, name in enumerate("ab")]
    found = compared(tmp_path, *folders)
    assert pages == [(folders, tmp_path / "out/index.html")]
    assert found["curves"].columns.tolist() == compare.CURVE and len(found["curves"]) == 2 * 4 * 3
    metrics = pd.read_csv(folders[1] / "metrics.csv")
    values = metrics[(metrics["method"] == "margin") & (metrics["cycle"] == 2)]["accuracy"]
    row = found["curves"].set_index(["study", "method", "cycle"]).loc[("b", "margin", 2)]
    ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (
        row[["mean", "low", "high"]].tolist() == pytest.approx([values.mean(), *ends], rel=1e-5) and row["labels"] == 40
    )
    results_of_b = found["results"].set_index(["study", "method", "quantity"])
    assert results_of_b.loc[("b", "margin", "aubc"), "mean"] == pytest.approx(area(folders[1])["margin"], rel=1e-5)
    assert set(found["break_even"]["study"]) == {"a", "b"} and set(found["break_even"]["classes"]) == {5}
    assert "transfer" not in found  # two data sets have nothing to carry over


def test_gains_that_do_not_carry_over_to_another_budget(tmp_path):
    folders = [
        results(tmp_path / "small", "digits", 0, {"random": 0.0, "entropy": -0.2, "margin": 0.2}),
        results(tmp_path / "large", "digits", 1, {"random": 0.0, "entropy": 0.2, "margin": 0.2}, 10 * LABELS),
    ]
    found = compared(tmp_path, *folders)
    table = found["transfer"].set_index("method")
    assert table["same_sign"].to_dict() == {"entropy": False, "margin": True} and "ranks" not in found
    gains = [area(folder) - area(folder)["random"] for folder in folders]
    assert table.loc["entropy", ["difference_study", "difference_other"]].tolist() == pytest.approx(
        [one["entropy"] for one in gains], rel=1e-5
    )


def test_what_is_no_study_is_one_sentence(tmp_path, capsys):
    a, other = results(tmp_path / "a", "digits", 0), results(tmp_path / "b", "digits", 1, study="a")
    for folders, words in (
        ([a, tmp_path / "c"], "c is missing: give a folder as results/digits"),
        ([a, other], "two of the studies are called 'a'"),
    ):
        assert main(["compare", *map(str, folders), "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    (a / "metrics.csv").write_text("study,method\na,random\n")
    assert main(["compare", str(a), "--out", str(tmp_path / "out")]) == 2 and not (tmp_path / "out").exists()
