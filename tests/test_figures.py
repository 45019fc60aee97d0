"""What the figures show, read from the returned Figure, and that equal data gives equal bytes."""

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.stats import spearmanr

from dagal import artifacts
from dagal.report import drawing, palette, tables
from dagal.report.figures.adversary_losses import adversary_losses
from dagal.report.figures.class_distribution import class_distribution
from dagal.report.figures.class_entropy import class_entropy
from dagal.report.figures.counting import counting
from dagal.report.figures.discriminator_histogram import discriminator_histogram
from dagal.report.figures.dispersion_histogram import dispersion_histogram
from dagal.report.figures.informativeness import informativeness
from dagal.report.figures.learning_curves import learning_curves
from dagal.report.figures.loss_against_discriminator import loss_against_discriminator
from dagal.report.figures.prediction_loss import prediction_loss
from dagal.report.figures.pseudo_labels import pseudo_labels
from dagal.report.figures.selection_costs import selection_costs
from dagal.report.figures.stopping import stopping
from dagal.report.tables.counting import count_accuracy, presence

METHODS = ["random", "entropy", "margin", "oracle"]


def made_up_metrics(methods=METHODS, seeds=3, cycles=4, studies=("digits",)):
    rows = [
        (study, method, seed, cycle, 20 + 10 * cycle, 0.5 + 0.1 * cycle + 0.01 * rank + 0.02 * seed)
        for study in studies
        for rank, method in enumerate(methods)
        for seed in range(seeds)
        for cycle in range(cycles)
    ]
    frame = pd.DataFrame(rows, columns=["study", "method", "seed", "cycle", "labels", "accuracy"])
    return frame.assign(deployable=frame["method"] != "oracle")


def made_up_counts(n_classes, methods=METHODS, cycles=3, seeds=2):
    rng = np.random.default_rng(0)
    rows = [
        (method, cycle, seed, f"class {k}", int(rng.integers(1, 50)))
        for method in methods
        for cycle in range(cycles)
        for seed in range(seeds)
        for k in range(n_classes)
    ]
    return pd.DataFrame(rows, columns=["method", "cycle", "seed", "class_name", "count"])


def made_up_curves(seeds=3):
    shares = np.linspace(0, 1, 21)
    rows = [
        (method, seed, share, 0.6 * share ** (0.2 * rank) + 0.01 * seed)
        for rank, method in enumerate(METHODS)
        for seed in range(seeds)
        for share in shares
    ]
    return pd.DataFrame(rows, columns=["method", "seed", "share", "accuracy"])


def made_up_samples(n_epochs, n=500, cycles=2):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "cycle": np.repeat(range(cycles), n),
            "dispersion": rng.integers(0, n_epochs, n * cycles) / n_epochs,
            "correct": rng.random(n * cycles) < 0.7,
        }
    )


DRAWN = {
    "learning_curves": lambda path: learning_curves(made_up_metrics(), path, 50),
    "informativeness": lambda path: informativeness(made_up_curves(), path, 50),
    "heat_maps": lambda path: class_distribution(made_up_counts(10), path, 50),
    "profiles": lambda path: class_distribution(made_up_counts(30), path, 50),
    "dispersion_histogram": lambda path: dispersion_histogram(made_up_samples(100), path, 50),
}


def made_up_adversaries():
    step = np.arange(10, 101, 10)
    rows = [
        (method, seed, cycle, k, 40 / k + seed, 0.1 * k, 1.4, 2.0 if method == "sraal" else np.nan, 1.2 / cycle)
        for method in ("vaal", "sraal")
        for seed in (0, 1)
        for cycle in (1, 2, 3)
        for k in step
    ]
    terms = ["reconstruction", "kl", "adversarial", "supervised", "discriminator_loss"]
    return pd.DataFrame(rows, columns=["method", "seed", "cycle", "step", *terms])


def made_up_pool(n=400):
    """``blind`` gives every sample about 1/2; ``seeing`` gives a small D where the loss is large."""
    rng = np.random.default_rng(0)
    loss = rng.exponential(size=n)
    seeing = pd.DataFrame({"method": "seeing", "discriminator": 1 / (1 + loss), "loss": loss})
    blind = pd.DataFrame({"method": "blind", "discriminator": 0.505 + 0.001 * rng.random(n), "loss": loss})
    pool = pd.concat([blind, seeing])
    return pool.assign(queried=pool.groupby("method")["discriminator"].rank() <= 20)


def made_up_prediction_losses():
    rows = [
        (learner, kind, seed, cycle, epoch, np.nan if kind == "ranking" and epoch > 8 else 1 / epoch + seed, joint)
        for learner, kind, last in (("ll", "margin", 6), ("ranker", "ranking", 8))
        for seed in (0, 1)
        for cycle in (0, 4)
        for epoch in range(1, 11)
        for joint in [int(epoch <= last)]
    ]
    columns = ["learner", "kind", "seed", "cycle", "epoch", "prediction_loss", "joint"]
    return pd.DataFrame(rows, columns=columns)


def made_up_pseudo_labels():
    """Labels and the accuracies of both models, of CEAL one; its first pseudo-labels are none."""
    rows = [
        (method, seed, 100 * cycle, 0.5 + cycle / 10 + seed / 100, alone, error)
        for method in ("two_model", "ceal")
        for seed in (0, 1)
        for cycle in (1, 2, 3)
        for alone in [0.4 + cycle / 10 if method == "two_model" else np.nan]
        for error in [np.nan if (method, cycle) == ("ceal", 1) else 0.3 / cycle]
    ]
    columns = ["method", "seed", "labels", "accuracy", "labeled_only_accuracy", "pseudo_label_error"]
    return pd.DataFrame(rows, columns=columns)


def made_up_entropies():
    rows = [
        (method, method != "oracle", seed, cycle, 2 - 0.1 * rank + 0.02 * seed, 10)
        for rank, method in enumerate(METHODS)
        for seed in (0, 1)
        for cycle in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["method", "deployable", "seed", "cycle", "entropy", "n_classes"])


def made_up_costs():
    rows = [
        ("random", "score", 0.25, 0.5, np.nan, np.nan, np.nan),
        ("random", "select", 0.25, 0.25, 10, 20, 40),
        ("vaal", "adversary", 3, 8, 100, 300, 600),
        ("vaal", "select", 0.25, 0.5, 10, 20, 40),
    ]
    columns = [
        "method", "stage", "startup_seconds", "seconds_per_1000", "startup_memory_mb", "peak_memory_mb_per_1000", "peak_memory_mb",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def made_up_chains():
    """Two methods, two seeds; only the first stops, in cycle 1 and 2."""
    rows = [
        (
            method,
            seed,
            cycle,
            0.5 + 0.1 * cycle,
            0.9 + 0.03 * cycle if cycle else np.nan,
            0.7,
            0.95,
            method == "entropy" and cycle == last,
        )
        for method in ("random", "entropy")
        for seed in (0, 1)
        for last in [1 + seed if method == "entropy" else 3]
        for cycle in range(last + 1)
    ]
    columns = ["method", "seed", "cycle", "validation_accuracy", "kappa", "target_accuracy", "threshold", "stopped"]
    return pd.DataFrame(rows, columns=columns).astype({"stopped": int})


LEARNED = {
    "stopping": made_up_chains,
    "adversary_losses": made_up_adversaries,
    "discriminator_histogram": made_up_pool,
    "loss_against_discriminator": made_up_pool,
    "prediction_loss": made_up_prediction_losses,
    "pseudo_labels": made_up_pseudo_labels,
    "class_entropy": made_up_entropies,
    "selection_costs": made_up_costs,
}


def function_of(figure):
    return getattr(importlib.import_module(f"dagal.report.figures.{figure}"), figure)


DRAWN |= {
    name: lambda path, name=name, table=table: function_of(name)(table(), path, 50) for name, table in LEARNED.items()
}


def legend(figure):
    return figure.legends[0].get_title().get_text(), [text.get_text() for text in figure.legends[0].get_texts()]


def line_of(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


@pytest.mark.parametrize("name", DRAWN)
def test_equal_data_gives_equal_bytes_at_the_size_asked_for(name, tmp_path):
    first = DRAWN[name](tmp_path / "a.png")
    DRAWN[name](tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert content[:4] == b"\x89PNG" and b"Software" not in content and b"Date" not in content
    assert [int.from_bytes(content[i : i + 4]) for i in (16, 20)] == [int(v * 50) for v in first.get_size_inches()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_bytes_do_not_depend_on_the_users_settings_and_these_stay(tmp_path):
    code = (
        "import matplotlib; matplotlib.rcParams.update({'font.size': 30, 'savefig.dpi': 10}); import pandas, sys; "
        "from dagal.report.figures.learning_curves import learning_curves; learning_curves(pandas.read_json(sys.argv[1]), sys.argv[2], 50); "
        "assert matplotlib.rcParams['font.size'] == 30"
    )
    metrics = made_up_metrics(seeds=1)
    metrics.to_json(tmp_path / "metrics.json")
    workflow = str(Path(drawing.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "metrics.json", tmp_path / "other.png"],
        env=os.environ | {"PYTHONPATH": workflow, "PYTHONHASHSEED": "7"},
        check=True,
    )
    learning_curves(metrics, tmp_path / "here.png", 50)
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_an_older_figure_survives_a_failure(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("older")
    with pytest.raises(ValueError, match="lacks accuracy"):
        learning_curves(made_up_metrics().drop(columns="accuracy"), path, 50)
    with pytest.raises(ValueError, match="no rows"):
        learning_curves(made_up_metrics().iloc[:0], path, 50)
    assert path.read_text() == "older" and len(list(tmp_path.iterdir())) == 1


def test_learning_curves_legend_and_means(tmp_path):
    metrics = made_up_metrics().sample(frac=1, random_state=0).sort_values("method", key=lambda m: m.map(METHODS.index))
    figure = learning_curves(metrics, tmp_path / "a.png", 50)
    (ax,) = figure.axes
    assert legend(figure) == (
        "mean and s.d. of 3 seeds",
        ["random", "entropy", "margin", "oracle (not deployable)"],
    )
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("digits", "labeled samples", "test accuracy")
    # entropy in cycle c: .5 + .1 c + .01 + .02 * mean(0, 1, 2)
    assert line_of(ax, "entropy").get_xdata() == pytest.approx([20, 30, 40, 50])
    assert line_of(ax, "entropy").get_ydata() == pytest.approx([0.53, 0.63, 0.73, 0.83])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]  # random: .52 -+ .02, the deviation of 0, .02 and .04
    assert band.min() == pytest.approx(0.5) and band.max() == pytest.approx(0.84)
    assert line_of(ax, "oracle (not deployable)").is_dashed() and not line_of(ax, "margin").is_dashed()
    assert to_hex(line_of(ax, "random").get_color()) == drawing.GREY
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_learning_curves_show_baselines_and_where_chains_stopped(tmp_path):
    metrics = made_up_metrics(["random", "entropy"], seeds=2)
    columns = ["study", "learner", "size", "seed", "labels", "accuracy"]
    rows = [
        ("digits", "mlp", size, seed, labels, 0.6 + 0.1 * seed)
        for size, labels in ((30, 30), ("all", 99))
        for seed in (0, 1)
    ]
    stops = [("digits", "entropy", 0, 3, 1), ("digits", "entropy", 1, 2, 1), ("digits", "random", 0, 3, 0)]
    figure = learning_curves(
        metrics,
        tmp_path / "a.png",
        50,
        supervised=pd.DataFrame(rows, columns=columns),
        stopping=pd.DataFrame(stops, columns=["study", "method", "seed", "cycle", "stopped"]),
    )
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["supervised, 30 labels", "supervised, all 99 labels"]
    assert [list(line.get_ydata()) for line in ax.lines if line.get_linestyle() == ":"] == [
        pytest.approx([0.65] * 2)
    ] * 2
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
    ends = metrics.query("method == 'entropy' and cycle == 3 - seed")
    assert (
        crosses.get_xdata().tolist() == ends["labels"].tolist()
        and crosses.get_ydata().tolist() == ends["accuracy"].tolist()
    )
    assert legend(figure)[1] == ["random", "entropy", "chain stopped"]


def test_stopping_shows_threshold_target_and_ends(tmp_path):
    kappa, accuracy = stopping(made_up_chains(), tmp_path / "a.png", 50).axes
    for ax, limit, ends in ((kappa, 0.95, [0.93, 0.96]), (accuracy, 0.7, [0.6, 0.7])):
        crosses = [line for line in ax.lines if line.get_marker() == "x"]
        assert [y for line in crosses for y in line.get_ydata()] == pytest.approx(ends)
        assert [line.get_ydata()[0] for line in ax.lines if line.is_dashed()] == [limit]
    only = made_up_chains().assign(target_accuracy=np.nan)
    assert len(stopping(only, tmp_path / "b.png", 50).axes) == 1


def test_an_empty_table_is_said_to_be_empty(tmp_path):
    figure = drawing.nothing(made_up_metrics().iloc[:0], tmp_path / "a.png", 50)
    assert "all chains stopped" in figure.texts[0].get_text()


def test_learning_curves_with_one_seed_have_no_band(tmp_path):
    figure = learning_curves(made_up_metrics(seeds=1), tmp_path / "a.png", 50)
    assert legend(figure)[0] == "1 seed"
    heights = [np.ptp(path.vertices[:, 1]) for c in figure.axes[0].collections for path in c.get_paths() if len(path)]
    assert not np.nansum(heights) or not figure.axes[0].collections
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(0.5)


def test_unfinished_studies_are_drawn(tmp_path):
    metrics = made_up_metrics()
    metrics = metrics[~((metrics["method"] == "margin") & ((metrics["cycle"] > 1) | (metrics["seed"] > 0)))]
    figure = learning_curves(metrics, tmp_path / "a.png", 50)
    assert legend(figure)[0] == "mean and s.d. of 1 to 3 seeds"
    assert len(line_of(figure.axes[0], "margin").get_xdata()) == 2


def test_chains_that_stopped_early_count_at_the_mean_number_of_labels(tmp_path):
    metrics = made_up_metrics(["random"], seeds=2, cycles=2)
    metrics.loc[(metrics["seed"] == 1) & (metrics["cycle"] == 1), ["labels", "accuracy"]] = [20, 0.5]
    (line,) = learning_curves(metrics, tmp_path / "a.png", 50).axes[0].lines
    assert line.get_xdata() == pytest.approx([20, 25]) and line.get_ydata()[1] == pytest.approx((0.6 + 0.5) / 2)


def test_a_panel_per_study_and_any_index(tmp_path):
    metrics = pd.concat([made_up_metrics(studies=[study]) for study in "abcde"])  # index values come five times
    before = metrics.copy()
    figure = learning_curves(metrics, tmp_path / "a.png", 50)
    assert [ax.get_title() for ax in figure.axes if ax.axison] == list("abcde")
    pd.testing.assert_frame_equal(metrics, before)


def test_twenty_methods_can_be_told_apart_and_keep_their_look(tmp_path):
    methods = ["random", *(f"method {i}" for i in range(20))]
    figure = learning_curves(made_up_metrics(methods, seeds=1), tmp_path / "a.png", 50)
    looks = [(line.get_color(), line.get_marker()) for line in figure.legends[0].get_lines()]
    assert len(set(looks)) == 21 and len({colour for colour, _ in looks[:11]}) == 11
    pairs = [(a.get_color(), a.get_markerfacecolor()) for a in figure.legends[0].get_lines()]
    assert len(set(pairs)) == 21  # filled in the first round of colours, hollow in the second
    curves = made_up_curves().replace({"entropy": "method 0", "margin": "method 1", "oracle": "method 2"})
    other = informativeness(curves, tmp_path / "b.png", 50)
    assert [(line.get_color(), line.get_marker()) for line in other.legends[0].get_lines()] == looks[:4]


@pytest.mark.parametrize(
    "colours",
    [[palette.GREY, *palette.COLOURS], [palette.GREY_ON_DARK, *palette.ON_DARK]],
    ids=["paper", "dark screen"],
)
def test_colours_differ_to_colour_blind_eyes(colours):
    to_eye = {  # Machado et al. 2009, severity 1, on linear RGB
        "normal": np.eye(3),
        "deuteranope": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        "protanope": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    }

    def lab(colour, matrix):
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        xyz = to_xyz @ np.clip(matrix @ linear, 0, 1) / [0.9505, 1, 1.089]
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    for a, b in itertools.combinations(colours, 2):
        for matrix in map(np.array, to_eye.values()):
            assert np.linalg.norm(lab(a, matrix) - lab(b, matrix)) > 15, (a, b)


def test_informativeness_in_percent(tmp_path):
    curves = made_up_curves()
    curves.loc[(curves["share"] == 0) & (curves["seed"] == 0), "accuracy"] = 0  # noise of the first few samples
    figure = informativeness(curves, tmp_path / "a.png", 50)
    (ax,) = figure.axes
    assert ax.get_xlim() == (0, 100) and ax.get_ylim()[0] < 0 < 0.62 < ax.get_ylim()[1] < 0.7
    assert line_of(ax, "margin").get_xdata() == pytest.approx(np.linspace(0, 100, 21))
    assert line_of(ax, "margin").get_ydata()[-1] == pytest.approx(0.61)
    assert legend(figure)[1] == METHODS


def test_heat_map_shows_the_mean_share_over_the_balanced_share(tmp_path):
    rows = [("random", 0, s, "cat", 8) for s in (0, 1)] + [("random", 0, s, "dog", 8) for s in (0, 1)]
    rows += [("random", 1, 0, "cat", 12), ("random", 1, 0, "dog", 4), ("random", 1, 1, "cat", 16)]
    counts = pd.DataFrame(rows, columns=["method", "cycle", "seed", "class_name", "count"])
    figure = class_distribution(counts.assign(deployable=False), tmp_path / "a.png", 50)
    ax, bar = figure.axes
    # cycle 1: cat 3/4 and 1, dog 1/4 and 0; times C = 2: 1.75 and .25; L1 of 12:4 is .5, of 16:0 is 1
    shown = np.asarray(ax.collections[0].get_array()).reshape(2, 2)
    assert shown == pytest.approx(np.log2([[1, 1.75], [1, 0.25]]))
    assert ax.get_title() == "random (not deployable)\nL1 0.00 \N{RIGHTWARDS ARROW} 0.75"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["cat", "dog"]
    assert "1 = balanced" in [text.get_text() for text in bar.get_yticklabels()]


def test_heat_map_with_empty_classes_and_missing_cycles(tmp_path):
    counts = made_up_counts(3, ["random", "entropy"], seeds=1).drop(columns="seed")
    counts.loc[counts["class_name"] == "class 1", "count"] = 0
    counts = counts[(counts["method"] == "random") | (counts["cycle"] < 2)]
    figure = class_distribution(counts, tmp_path / "a.png", 50)
    first, second = (ax.collections[0].get_array().reshape(3, 3) for ax in figure.axes[:2])
    assert (first[1] == first.min()).all() and np.ma.getmaskarray(second)[:, 2].all()


def test_many_classes_are_profiles(tmp_path):
    counts = made_up_counts(100, METHODS, cycles=12, seeds=1)
    figure = class_distribution(counts, tmp_path / "a.png", 50)
    ax = figure.axes[0]
    assert legend(figure)[1] == [*(f"cycle {c}" for c in (0, 3, 6, 8, 11)), "balanced, 1.00%"]
    *profiles, balanced = ax.lines
    assert len(profiles) == 5 and all((np.diff(line.get_ydata()) <= 0).all() for line in profiles)
    assert all(line.get_ydata().sum() == pytest.approx(1) for line in profiles)
    assert list(balanced.get_ydata()) == [0.01, 0.01] and ax.get_xlim() == (1, 100)


@pytest.mark.parametrize("n_classes", [1, 2, 20, 21, 200])
@pytest.mark.parametrize("n_methods", [1, 5])
def test_any_number_of_classes_and_methods(n_classes, n_methods, tmp_path):
    methods = [f"method {i}" for i in range(n_methods)]
    figure = class_distribution(made_up_counts(n_classes, methods, cycles=1), tmp_path / "a.png", 50)
    assert [ax.get_title().split("\n")[0] for ax in figure.axes if ax.get_title()] == methods


@pytest.mark.parametrize("n_epochs", [1, 7, 20, 100, 130])
@pytest.mark.parametrize("known", [True, False])
def test_dispersion_bins_hold_whole_multiples(n_epochs, known, tmp_path):
    # one sample for each possible value: bins of equal width must be equally high, the last may be narrower
    samples = pd.DataFrame({"dispersion": 1 - np.arange(1, n_epochs + 1) / n_epochs, "correct": True})
    given = n_epochs if known else None
    figure = dispersion_histogram(samples, tmp_path / "a.png", 50, given)
    assert figure.axes[0].get_title() == f"{n_epochs} samples"
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert len(heights) <= 20 and sum(heights) == pytest.approx(1)
    assert heights[:-1] == pytest.approx([heights[0]] * (len(heights) - 1)) and heights[-1] <= heights[0] + 1e-12


def test_dispersion_histogram_accuracy_per_bin(tmp_path):
    samples = pd.DataFrame(
        {
            "cycle": 3,
            "dispersion": [0, 0, 0.5, 0.5, 0.5, 0.5],
            "correct": [True, True, True, False, False, False],
        }
    )
    above, below = dispersion_histogram(samples, tmp_path / "a.png", 50, n_epochs=4).axes
    assert above.lines[0].get_xdata() == pytest.approx([0, 0.5]) and above.lines[0].get_ydata() == pytest.approx(
        [1, 0.25]
    )
    assert [bar.get_height() for bar in below.patches] == pytest.approx([2 / 6, 4 / 6])
    assert above.get_title() == "cycle 3, 6 samples" and above.texts[0].get_text() == "all: 0.50"
    # Wilson, 1 of 4 at z = 1.96: (.25 + .4802) / 1.9604 -+ 1.96 * sqrt(.1875 / 4 + 3.8416 / 64) / 1.9604
    ends = above.collections[0].get_segments()[1][:, 1]
    assert ends == pytest.approx([0.0456, 0.6994], abs=2e-4)


def test_dispersions_that_are_no_multiples_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    samples = pd.DataFrame({"dispersion": rng.random(3000), "correct": rng.random(3000) < 0.5})
    bars = dispersion_histogram(samples, tmp_path / "a.png", 50).axes[1].patches
    assert len(bars) == 20 and sum(bar.get_height() for bar in bars) == pytest.approx(1)


@pytest.mark.parametrize("name", LEARNED)
def test_columns_are_asked_for(name, tmp_path):
    table = LEARNED[name]()
    needed = {"adversary_losses": "discriminator_loss", "discriminator_histogram": "queried"}.get(
        name, table.columns[2]
    )
    with pytest.raises(ValueError, match=f"lacks {needed}"):
        function_of(name)(table.drop(columns=needed), tmp_path / "a.png", 50)
    with pytest.raises(ValueError, match="no rows"):
        function_of(name)(table.iloc[:0], tmp_path / "a.png", 50)


def test_adversary_losses_of_the_first_and_the_last_query(tmp_path):
    figure = adversary_losses(made_up_adversaries(), tmp_path / "a.png", 50)
    vaal, sraal = figure.axes
    assert (vaal.get_title(), sraal.get_title()) == ("vaal", "sraal") and vaal.get_yscale() == "log"
    labels = [line.get_label() for line in vaal.lines]
    assert labels == [f"{t} {c}" for c in (1, 3) for t in ("reconstruction", "kl", "adversarial", "discriminator_loss")]
    assert {line.get_label() for line in sraal.lines} - set(labels) == {"supervised 1", "supervised 3"}
    assert line_of(vaal, "reconstruction 1").get_xdata() == pytest.approx(np.arange(10, 101, 10))
    assert line_of(vaal, "reconstruction 1").get_ydata()[0] == pytest.approx(4.5)  # mean of 4 and 5
    assert line_of(vaal, "discriminator_loss 3").get_ydata() == pytest.approx([0.4] * 10)
    assert [line_of(vaal, f"kl {c}").get_linestyle() for c in (1, 3)] == ["-", "--"]
    assert line_of(vaal, "kl 1").get_color() == line_of(sraal, "kl 3").get_color()
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown[-2:] == ["query 1", "query 3"] and len(shown) == 7


def test_adversary_losses_of_a_single_query(tmp_path):
    table = made_up_adversaries()
    figure = adversary_losses(table[table["cycle"] == 1], tmp_path / "a.png", 50)
    assert {line.get_linestyle() for ax in figure.axes for line in ax.lines} == {"-"}


def test_discriminator_histogram_counts_the_pool_and_the_queried(tmp_path):
    pool = made_up_pool()
    figure = discriminator_histogram(pool, tmp_path / "a.png", 50)
    for ax, method in zip(figure.axes, ("blind", "seeing"), strict=True):
        mine = pool[pool["method"] == method]
        heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, 50)
        assert heights[0] == pytest.approx(np.histogram(mine["discriminator"], 50, (0, 1))[0])
        assert heights[1] == pytest.approx(np.histogram(mine.loc[mine["queried"], "discriminator"], 50, (0, 1))[0])
        assert heights.sum(1).tolist() == [400, 20] and ax.get_xlim() == (0, 1)
    assert figure.axes[0].get_title() == "blind, standard deviation 0.000"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["unlabeled", "queried"]


def test_loss_against_discriminator_has_the_rank_correlation(tmp_path):
    pool = made_up_pool()
    pool.loc[pool["method"] == "seeing", "loss"] **= 3  # a rank correlation does not see this
    blind, seeing = loss_against_discriminator(pool, tmp_path / "a.png", 50).axes
    assert seeing.get_title() == "seeing\nSpearman \N{GREEK SMALL LETTER RHO} = -1.00"
    mine = pool[pool["method"] == "blind"]
    expected = spearmanr(mine["discriminator"], mine["loss"]).statistic
    assert float(blind.get_title().split("= ")[1]) == pytest.approx(expected, abs=0.005)
    rest, queried = (np.asarray(dots.get_offsets()) for dots in seeing.collections)
    assert len(rest) == 380 and len(queried) == 20 and queried[:, 0].max() < rest[:, 0].min()
    assert sorted(queried[:, 1]) == pytest.approx(sorted(pool.loc[pool["method"] == "seeing", "loss"])[-20:])


def test_pseudo_labels_of_two_models_and_of_one(tmp_path):
    figure = pseudo_labels(made_up_pseudo_labels(), tmp_path / "a.png", 50)
    left, right = figure.axes
    shown = [(line.get_linestyle(), line.get_xdata().tolist(), line.get_ydata().tolist()) for line in left.lines]
    assert [style for style, _, _ in shown] == ["-", "-", ":"]  # both methods, and the first model of one
    assert shown[0][1:] == ([100, 200, 300], pytest.approx([0.605, 0.705, 0.805]))
    assert shown[2][1:] == ([100, 200, 300], pytest.approx([0.5, 0.6, 0.7]))
    wrong = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in right.lines]
    assert wrong == [([100, 200, 300], pytest.approx([0.3, 0.15, 0.1])), ([200, 300], pytest.approx([0.15, 0.1]))]
    assert legend(figure) == ("mean and s.d. of 2 seeds", ["two_model", "ceal"])


def test_prediction_loss_per_learner_and_cycle(tmp_path):
    figure = prediction_loss(made_up_prediction_losses(), tmp_path / "a.png", 50)
    assert [ax.get_title() for ax in figure.axes] == ["cycle 0", "cycle 4"]
    assert legend(figure) == ("mean and s.d. of 2 seeds", ["ll (margin)", "ranker (ranking)"])
    for ax in figure.axes:
        assert line_of(ax, "ll (margin)").get_ydata() == pytest.approx(1 / np.arange(1, 11) + 0.5)
        assert line_of(ax, "ranker (ranking)").get_xdata()[-1] == 8  # not trained any more
        assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [6, 8]


def test_class_entropy_beside_that_of_equal_classes(tmp_path):
    figure = class_entropy(made_up_entropies(), tmp_path / "a.png", 50)
    (ax,) = figure.axes
    assert line_of(ax, "margin").get_ydata() == pytest.approx([1.81] * 3)
    assert line_of(ax, "margin").get_xdata() == pytest.approx([1, 2, 3])
    assert legend(figure)[1][-1] == "oracle (not deployable)"
    reference = ax.lines[-1]
    assert reference.get_ydata() == pytest.approx([np.log(10)] * 2)
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > np.log(10)
    assert ax.texts[0].get_text() == "log 10 = 2.30: all classes alike"


def test_selection_costs_are_stacked_by_stage(tmp_path):
    left, right = selection_costs(made_up_costs(), tmp_path / "a.png", 50).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["random", "vaal"]
    bars = {bar.get_label(): [(patch.get_x(), patch.get_width()) for patch in bar] for bar in left.containers}
    assert list(bars) == ["adversary", "score", "select"]  # in the order in which they run
    assert bars == {
        "adversary": [(0, 0), (0, 8)],
        "score": [(0, 0.5), (8, 0)],
        "select": [(0.5, 0.25), (8, 0.5)],
    }
    assert [text.get_text() for text in left.texts] == ["0.75 + 0.5 s", "8.5 + 3.2 s"]
    assert [patch.get_width() for patch in right.patches] == [20, 300]
    assert [text.get_text() for text in right.texts] == ["40 MB", "600 MB"]


def test_counting_shows_the_confusion_and_the_bins(tmp_path):
    animals, detected = np.array([0, 0, 1, 1, 2, 12, 1]), np.array([0, 1, 1, 2, 2, 9, 0])
    table = tmp_path / "counting.csv"
    rows = presence(animals, detected) + count_accuracy(animals, detected)
    artifacts.write_csv(table, ["measure", "bin", "images", "value"], rows)
    left, right = counting(tables.read(table), tmp_path / "counting.png", 50).axes
    assert [text.get_text() for text in left.texts] == ["1\n50%", "1\n50%", "1\n20%", "4\n80%"]
    assert left.get_title() == "accuracy 71.4%\nprecision 80.0%\nrecall 80.0%"
    exact, within = (np.array([bar.get_height() for bar in bars]) for bars in right.containers)
    np.testing.assert_allclose(exact[[0, 1, 10, 11]], [1 / 3, 1, 0, 0])
    np.testing.assert_allclose(within[[0, 1, 10, 11]], [2 / 3, 1, 0, 0])
    names = [label.get_text() for label in right.get_xticklabels()]
    assert (names[0], names[-2:]) == ("1\n(3)", ["11-50\n(1)", "51+\n(0)"])
