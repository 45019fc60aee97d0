"""Break-even against random: by hand, per study, and over studies."""

import json

import numpy as np
import pandas as pd
import pytest

from dagal.__main__ import main
from dagal.report.break_even import correlations
from dagal.report.figures.break_even import break_even as draw_break_even
from dagal.report.statistics import break_even
from dagal.report.tables.break_even import of_study

LABELS = [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("method", "reference", "expected"),
    [
        ([0.2, 0.4, 0.7, 0.9], [0.1, 0.3, 0.6, 0.8], 10),  # ahead from the start
        ([0.1, 0.4, 0.7, 0.9], [0.1, 0.3, 0.6, 0.8], 10),  # from the shared first model on
        ([0.1, 0.2, 0.7, 0.9], [0.1, 0.3, 0.6, 0.8], 25),  # -.1 at 20, +.1 at 30
        ([0.1, 0.27, 0.61, 0.9], [0.1, 0.3, 0.6, 0.8], 27.5),  # -.03 and +.01: three quarters of the way
        ([0.2, 0.2, 0.7, 0.9], [0.1, 0.3, 0.6, 0.8], 25),  # ahead, behind, ahead for good
        ([0.1, 0.4, 0.6, 0.9], [0.1, 0.3, 0.6, 0.8], 30),  # equal in between
        ([0.2, 0.4, 0.7, 0.8], [0.1, 0.3, 0.6, 0.8], np.nan),  # caught up at the end
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.6, 0.8], np.nan),  # never
    ],
)
def test_break_even_by_hand(method, reference, expected):
    assert break_even(LABELS, method, reference) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ([0.1, 0.4, 0.7, 0.9], 20),  # ahead as soon as the models differ
        ([0.1, 0.2, 0.7, 0.9], 25),
        ([0.1, 0.3, 0.7, 0.9], 20),  # equal there, ahead from there on
        ([0.1, 0.4, 0.7, 0.7], np.nan),
    ],
)
def test_the_shared_first_model_is_not_compared(method, expected):
    """What ties by construction beats nothing: 50 labels with which all begin are not those from which one is better."""
    assert break_even(LABELS, method, [0.1, 0.3, 0.6, 0.8], shared=1) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(break_even(LABELS[:1], method[:1], [0.1], shared=1))


def test_one_point():
    assert break_even([10], [0.5], [0.4]) == 10
    assert np.isnan(break_even([10], [0.5], [0.5]))


def test_bad_curves_are_refused():
    with pytest.raises(ValueError, match="strictly increasing"):
        break_even([10, 10], [0.5, 0.6], [0.4, 0.5])
    with pytest.raises(ValueError, match="shapes"):
        break_even([10, 20], [0.5, 0.6], [0.4])


def study(folder, name, classes, curves, labels=(5, 10, 20, 30)):
    """A study's tables: method -> (learner, accuracy of each seed and cycle)."""
    folder = folder / name
    folder.mkdir()
    rows = [
        [name, method, learner, True, seed, cycle, count, accuracy]
        for method, (learner, seeds) in curves.items()
        for seed, curve in enumerate(seeds)
        for cycle, (count, accuracy) in enumerate(zip(labels, curve, strict=True))
    ]
    columns = ["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "metrics.csv", index=False)
    pd.DataFrame({"class_name": [f"c{c}" for c in range(classes)] * 2}).to_csv(folder / "classes.csv", index=False)
    return folder


def crossing(at):
    """Two seeds whose mean crosses random (.5 throughout) at ``at`` labels, 10 < at < 20."""
    gain = 0.1 * (20 - at) / (at - 10)
    return [[0.5, 0.4 + 0.05, 0.5 + gain, 0.7], [0.5, 0.4 - 0.05, 0.5 + gain, 0.7]]


FLAT = [[0.5] * 4, [0.5] * 4]  # the first model is the same for all


def test_each_method_is_compared_with_the_random_one_of_its_learner(tmp_path):
    curves = {
        "random": ("frozen", FLAT), "entropy": ("frozen", crossing(15)), "never": ("frozen", [[0.5, *[0.4] * 3]] * 2),
        "random_scratch": ("scratch", [[0.3] * 4] * 2), "entropy_scratch": ("scratch", [[0.3, 0.4, 0.4, 0.4]] * 2),
        "alone": ("other", FLAT),
    }  # fmt: skip
    table = of_study(study(tmp_path, "a", 5, curves)).set_index("method")
    assert list(table.index) == ["entropy", "never", "entropy_scratch"]
    assert table["reference"].tolist() == ["random", "random", "random_scratch"]
    assert table["labels"].tolist() == pytest.approx([15, np.nan, 10], nan_ok=True)
    assert table["labels_per_class"].tolist() == pytest.approx([3, np.nan, 2], nan_ok=True)
    assert table["final_gain"].tolist() == pytest.approx([0.2, -0.1, 0.1])


def test_chains_that_stopped_are_compared_over_the_seeds_that_go_on(tmp_path):
    """In each seed the method equals random; its better seed stops first, or its worse one."""
    for stopped in (0, 1):
        curves = {name: ("frozen", [[0.5] * 4, [0.3] * 4]) for name in ("random", "entropy")}
        folder = study(tmp_path, str(stopped), 5, curves)
        metrics = pd.read_csv(folder / "metrics.csv")
        gone = (metrics["method"] == "entropy") & (metrics["seed"] == stopped) & (metrics["cycle"] > 1)
        metrics[~gone].to_csv(folder / "metrics.csv", index=False)
        (row,) = of_study(folder).to_dict("records")
        assert row["final_gain"] == pytest.approx(0) and np.isnan(row["labels"])


def test_command_joins_studies(tmp_path, capsys):
    """Labels per class 15/5, 12/2 and 12/3 = 3, 6 and 4 at 5, 2 and 3 classes; k-center once, and never."""
    folders = [
        study(tmp_path, name, classes, {"random": ("frozen", FLAT), "entropy": ("frozen", crossing(at)), **more})
        for name, classes, at, more in (
            ("a", 5, 15, {"kcenter": ("frozen", crossing(12.5))}), ("b", 2, 12, {"kcenter": ("frozen", FLAT)}), ("c", 3, 12, {}),
        )
    ]  # fmt: skip
    files = [str(tmp_path / name) for name in ("table.csv", "figure.png")]
    assert main(["break-even", *map(str, folders), "--csv", files[0], "--png", files[1]]) == 0
    output = capsys.readouterr().out
    assert "never" in output and "correlation" in output
    table = pd.read_csv(files[0])
    assert table.loc[table["method"] == "entropy", "labels_per_class"].tolist() == pytest.approx([3, 6, 4])
    found = correlations(table).set_index("method")
    assert found.loc["entropy", "correlation"] == pytest.approx(np.corrcoef([5, 2, 3], [3, 6, 4])[0, 1])
    assert found.loc["(the first)", "correlation"] == pytest.approx(np.corrcoef([5, 2, 3], [2.5, 6, 4])[0, 1])
    assert found["studies"].tolist() == [3, 3] and "kcenter" not in found.index
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_budgets_of_a_data_set_are_joined(tmp_path, capsys):
    """Behind at 10 labels of the small budget, ahead from 20 of the small and of the large one on: half of the way from 10 to 20."""
    small = {"random": ("frozen", FLAT), "entropy": ("frozen", [[0.5, 0.45, 0.6, 0.4], [0.5, 0.35, 0.6, 0.4]])}
    large = {"random": ("frozen", FLAT), "entropy": ("frozen", [[0.9, 0.6, 0.7, 0.8]] * 2)}
    folders = [
        study(tmp_path, "small", 5, small), study(tmp_path, "large", 5, large, (10, 20, 30, 40)), study(tmp_path, "other", 2, small),
    ]  # fmt: skip
    for folder in folders:
        name = "other" if folder.name == "other" else "digits"
        (folder / "study.json").write_text(json.dumps({"settings": {"dataset": {"name": name}}}))
    command = ["break-even", *map(str, folders), "--csv", str(tmp_path / "a.csv")]
    assert main([*command, "--join"]) == 0
    table = pd.read_csv(tmp_path / "a.csv").set_index("study")
    # gains: -.1 at 10, .1 at 20 (both), (-.1 + .2) / 2 at 30, .3 at 40; of the other data set alone: never
    assert table.loc["digits", ["labels", "labels_per_class", "final_gain"]].tolist() == pytest.approx([15, 3, 0.3])
    assert np.isnan(table.loc["other", "labels"]) and len(table) == 2
    (folders[0] / "study.json").unlink()
    capsys.readouterr()
    assert main([*command, "--join"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "study.json" in error


def test_one_study_has_no_correlation_and_no_study_is_a_sentence(tmp_path, capsys):
    folder = study(tmp_path, "a", 5, {"random": ("frozen", FLAT), "entropy": ("frozen", crossing(15))})
    assert main(["break-even", str(folder)]) == 0
    assert "no correlation" in capsys.readouterr().out
    assert main(["break-even", str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dagal: ") and error.count("\n") == 1 and "no finished study" in error


def test_figure_shows_when_each_method_overtakes_and_which_never_do(tmp_path):
    curves = {
        "random": ("frozen", FLAT),
        "entropy": ("frozen", crossing(15)),
        "never": ("frozen", [[0.5, *[0.4] * 3]] * 2),
    }
    table = of_study(study(tmp_path, "a", 5, curves))
    figure = draw_break_even(table, tmp_path / "figure.png", 50)
    (ax,) = figure.axes
    places = {label.get_text(): line for label, line in zip(ax.get_yticklabels(), ax.lines, strict=True)}
    assert places["entropy"].get_xdata() == pytest.approx([3]) and places["entropy"].get_marker() != "x"
    assert places["never"].get_marker() == "x" and places["never"].get_xdata()[0] == pytest.approx(ax.get_xlim()[1])
