"""Tables and figures that the papers print beside their curves: gains, classes of queries, dispersion per cycle, images."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dagal import artifacts
from dagal.datasets.source import TRUTH
from dagal.pool import SPLIT
from dagal.report import drawing, pictures, tables
from dagal.report.figures import dispersion_images, selected_top
from dagal.report.figures.gains import gains as draw_gains
from dagal.report.figures.learning_curves import learning_curves
from dagal.report.figures.projection import projection as draw_projection
from dagal.report.figures.query_classes import query_classes
from dagal.report.tables import class_entropy, dispersion, projection, summary
from dagal.report.tables.gains import gains, pairs
from dagal.tasks.classification.signals import TRAJECTORY

ORIGIN = artifacts.provenance("test", {})


def job(inputs, outputs, **params):
    return SimpleNamespace(
        input=SimpleNamespace(**inputs), output=SimpleNamespace(**outputs), params=SimpleNamespace(**params)
    )


def method(score, select="top_k", learner="net", **more):
    return {
        "score": score,
        "select": select,
        "learner": learner,
        "score_options": {},
        "select_options": {},
        "subset": 0,
    } | more


def metrics(curves, measure="accuracy"):
    """``curves``: method -> accuracy of each seed in each cycle."""
    rows = [
        ("s", name, "net", True, seed, cycle, 10 + 5 * cycle, value)
        for name, seeds in curves.items()
        for seed, curve in enumerate(seeds)
        for cycle, value in enumerate(curve)
    ]
    return pd.DataFrame(rows, columns=["study", "method", "learner", "deployable", "seed", "cycle", "labels", measure])


# ---- gains


def test_what_each_method_is_compared_with():
    methods = {
        "random": method("random"),
        "entropy": method("entropy"),
        "entropy_cb": method("entropy", "class_balanced", select_options={"weight": 0.6}),
        "entropy_pseudo_label": method("entropy", "pseudo_label"),
        "kcenter_cb": method("distance_to_labeled", "kcenter_class_balanced"),
        "kcenter_greedy": method("distance_to_labeled", "kcenter_greedy"),
        "some_cb": method("entropy", "class_balanced", subset=10),  # of which there is no plain one
        "other_cb": method("entropy", "class_balanced", learner="other"),
        "random_other": method("random", learner="other"),
        "vaal": method("unlike_labeled", adversary="vaal"),
        "vaal_cb": method("unlike_labeled", "class_balanced", adversary="vaal"),
        "ta_vaal_cb": method("unlike_labeled", "class_balanced", adversary="ta_vaal"),
    }
    found = pairs(methods)
    assert {one: other for one, against, other in found if against == "plain"} == {
        "entropy_cb": "entropy", "entropy_pseudo_label": "entropy", "kcenter_cb": "kcenter_greedy", "vaal_cb": "vaal",
    }  # fmt: skip
    random = {one: other for one, against, other in found if against == "random"}
    assert random == dict.fromkeys(methods.keys() - {"random", "random_other", "other_cb"}, "random") | {
        "other_cb": "random_other"
    }
    assert [against for _, against, _ in found] == ["random"] * 10 + ["plain"] * 4
    assert pairs({"entropy": method("entropy")}) == []


CURVES = {
    "random": [[0.5, 0.6, 0.7], [0.4, 0.5, 0.6]],
    "entropy": [[0.5, 0.62, 0.75], [0.4, 0.5, 0.61]],
    "entropy_cb": [[0.5, 0.65, 0.75], [0.4, 0.51, 0.65]],
}
PAIRS = [("entropy", "random", "random"), ("entropy_cb", "random", "random"), ("entropy_cb", "plain", "entropy")]


def test_gains_are_means_of_differences_seed_by_seed():
    found = gains(metrics(CURVES), PAIRS, "accuracy").set_index(["method", "against", "cycle"]).sort_index()
    by_hand = {
        ("entropy", "random"): ([0, 0.01, 0.03], [0, np.std([0.02, 0], ddof=1), np.std([0.05, 0.01], ddof=1)]),
        ("entropy_cb", "random"): ([0, 0.03, 0.05], [0, np.std([0.05, 0.01], ddof=1), 0]),
        ("entropy_cb", "plain"): ([0, 0.02, 0.02], [0, np.std([0.03, 0.01], ddof=1), np.std([0, 0.04], ddof=1)]),
    }
    for place, (mean, deviation) in by_hand.items():
        np.testing.assert_allclose(found.loc[place, "gain_mean"], mean, atol=1e-12)
        np.testing.assert_allclose(found.loc[place, "gain_std"], deviation, atol=1e-12)
        assert found.loc[place, "labels"].tolist() == [10, 15, 20] and set(found.loc[place, "seeds"]) == {2}
    assert len(found) == 9


def test_gains_stand_beside_what_the_labels_of_both_have_cost():
    table = metrics(CURVES)
    table["boxes"] = table["labels"] * table["method"].map({"random": 2, "entropy": 3, "entropy_cb": 4}) + table["seed"]
    found = gains(table, PAIRS[2:], "accuracy", costs=["boxes"])
    assert found["boxes"].tolist() == [40.5, 60.5, 80.5] and found["boxes_reference"].tolist() == [30.5, 45.5, 60.5]


def test_gain_of_a_chain_that_stopped_is_over_the_seeds_and_cycles_of_both():
    table = metrics(CURVES | {"entropy": [CURVES["entropy"][0][:2], CURVES["entropy"][1]]})
    found = gains(table, PAIRS[:1], "accuracy")
    assert found["seeds"].tolist() == [2, 2, 1]
    assert found["gain_mean"].tolist() == pytest.approx([0, 0.01, 0.01]) and np.isnan(found["gain_std"].iloc[2])


def test_figure_of_gains_is_in_points_with_a_panel_per_reference(tmp_path):
    table = gains(metrics(CURVES), PAIRS, "accuracy")
    figure = draw_gains(
        table, tmp_path / "a.png", 50, dict.fromkeys(["entropy", "other", "entropy_cb"], {"deployable": True})
    )
    over_random, over_plain = figure.axes
    shown = {line.get_label(): line.get_ydata() for line in over_random.lines[1:]}
    assert set(shown) == {"entropy", "entropy_cb"}
    np.testing.assert_allclose(shown["entropy_cb"], [0, 3, 5], atol=1e-9)
    np.testing.assert_allclose(over_plain.lines[1].get_ydata(), [0, 2, 2], atol=1e-9)
    assert over_random.lines[2].get_color() == drawing.COLOURS[2]  # the third of the study
    band = over_random.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(3 + 100 * np.std([0.05, 0.01], ddof=1))


# ---- learning curves and labels needed


def test_band_is_a_standard_deviation_a_standard_error_or_an_interval(tmp_path):
    table = metrics({"random": [[0.5, 0.5], [0.6, 0.8], [0.7, 0.5], [0.4, 0.6]]})
    last = np.array([0.5, 0.8, 0.5, 0.6])
    t = 3.182446  # its 97.5 % quantile at 3 degrees of freedom
    for band, half in (("sd", last.std(ddof=1)), ("se", last.std(ddof=1) / 2), ("t", t * last.std(ddof=1) / 2)):
        figure = learning_curves(table, tmp_path / "a.png", 50, band=band)
        drawn = figure.axes[0].collections[0].get_paths()[0].vertices
        assert drawn[drawn[:, 0] == 15, 1].max() == pytest.approx(last.mean() + half)
        assert {"sd": "s.d.", "se": "s.e.", "t": "95 % interval"}[band] in figure.legends[0].get_title().get_text()


def test_labels_needed_for_each_twentieth_by_hand():
    labels = np.array([10, 20, 40])
    curves = {
        "random": [(labels, np.array([0.52, 0.6, 0.7])), (labels, np.array([0.52, 0.7, 0.65]))],
        "better": [(labels, np.array([0.52, 0.72, 0.72]))] * 2,
    }
    found = summary.needed(curves, "accuracy").set_index(["method", "accuracy"])["labels"]
    assert found.index.get_level_values(1).unique().tolist() == [0.55, 0.6, 0.65, 0.7]
    by_hand = {
        "random": [(13.75 + 10 + 30 / 18) / 2, (20 + 10 + 80 / 18) / 2, (30 + 10 + 130 / 18) / 2, (40 + 20) / 2],
        "better": [11.5, 14, 16.5, 19],
    }
    for name, expected in by_hand.items():
        assert found[name].tolist() == pytest.approx(expected)


def test_what_a_seed_never_reaches_is_empty():
    labels = np.array([10, 20])
    found = summary.needed({"a": [(labels, np.array([0.3, 0.41])), (labels, np.array([0.3, 0.36]))]}, "accuracy")
    assert found["accuracy"].tolist() == [0.35, 0.4]  # that of the start, .3, is no news
    assert np.isnan(found["labels"].iloc[1]) and np.isfinite(found["labels"].iloc[0])


# ---- classes of queries

NAMES = ["cat", "dog", "emu"]


def study_files(folder):
    """Truth of 12 images in classes 0 1 2 0 1 2 ...; images; the pool is 4..11, and one chain queries 4, 5 and then 7, 10."""
    images = np.arange(12, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2) * 20
    truth, labeled, split = folder / "truth.h5", folder / "seed0/a/cycle2/labeled.h5", folder / "seed0/split.h5"
    labeled.parent.mkdir(parents=True)
    artifacts.write(truth, TRUTH, ORIGIN, {"labels": np.arange(12) % 3}, class_names=NAMES)
    artifacts.write(folder / "images.h5", "images", ORIGIN, {"images": images})
    artifacts.write(split, SPLIT, ORIGIN, {"pool": np.arange(4, 12)})
    known = {"ids": np.array([0, 1, 4, 5, 7, 10]), "cycle": np.array([0, 0, 1, 1, 2, 2])}
    artifacts.write(labeled, "labeled", ORIGIN, known | {"labels": known["ids"] % 3})
    return str(truth), str(labeled), str(split), str(folder / "images.h5")


def test_classes_of_each_query_and_of_the_pool(tmp_path):
    truth, labeled, split, _ = study_files(tmp_path)
    outputs = {name: str(tmp_path / f"{name}.csv") for name in ("class_entropy", "classes")}
    class_entropy.make(
        job({"truth": truth, "labeled": [labeled], "splits": [split], "stop_records": []}, outputs,
            methods={"a": {"deployable": True}}, seeds=[0])
    )  # fmt: skip
    found = tables.read(outputs["classes"])
    assert found["class_name"].tolist() == NAMES * 2 and found["cycle"].tolist() == [1] * 3 + [2] * 3
    assert found["count"].tolist() == [0, 1, 1, 0, 2, 0]  # 4 and 5 are of classes 1 and 2, 7 and 10 of class 1
    assert found["pool"].tolist() == [2, 3, 3] * 2
    assert tables.read(outputs["class_entropy"])["entropy"].tolist() == pytest.approx([np.log(2), 0])


def test_bars_of_a_query_stand_before_those_of_the_pool(tmp_path):
    rows = [
        ("a", seed, cycle, name, count + seed, pool)
        for seed in (0, 1)
        for cycle, counts in ((1, (0, 4, 2)), (2, (6, 0, 0)))
        for name, count, pool in zip(NAMES, counts, (10, 20, 60), strict=True)
    ]
    rows += [("b", 0, 1, name, 31, 1) for name in NAMES]
    table = pd.DataFrame(rows, columns=["method", "seed", "cycle", "class_name", "count", "pool"])
    figure = query_classes(table, tmp_path / "a.png", 50)
    ax, other = figure.axes
    assert ax.get_ylim() == other.get_ylim() and ax.get_ylim()[1] > 31
    (pool, _), (query, _) = ax.patches, ax.collections
    np.testing.assert_allclose([segment[1, 1] for segment in query.get_segments()], [0.5, 4.5, 2.5])
    np.testing.assert_allclose(pool.get_data().values, np.array([10, 20, 60]) / 90 * 7.5)
    # 6.5, .5 and .5 of 7.5: |6.5 - 2.5| + 2 x |.5 - 2.5| = 8, of at most 2 x 7.5 x 2/3 = 10
    assert ax.texts[1].get_text() == "L1 0.80"
    assert [label.get_text() for label in other.get_xticklabels()] == ["query 1", "query 2"]


# ---- images


def test_images_are_shown_as_rgb_of_8_bits_and_enlarged():
    images = np.array([[[[-7], [100]], [[300], [4]]]], np.int16)
    found = pictures.tiles(images, 3)
    assert found.shape == (1, 4, 4, 3) and found.dtype == np.uint8
    assert found[0, ::2, ::2, 0].tolist() == [[0, 100], [255, 4]] and (found[..., 0] == found[..., 2]).all()
    assert pictures.tiles(np.zeros((2, 5, 6, 3), np.uint8), 5).shape == (2, 5, 6, 3)


def test_grid_is_in_rows_of_ten_in_order():
    images = np.arange(13, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    found = selected_top.grid(images)
    assert found.shape == (4, 20, 3)
    assert found[0, ::2, 0].tolist() == list(range(10)) and found[2, ::2, 0].tolist() == [10, 11, 12] + [255] * 7


def test_top_of_the_first_queries_and_their_classes(tmp_path):
    truth, _, _, images = study_files(tmp_path)
    queries = []
    for cycle, ids in ((1, [5, 4, 8]), (2, [7, 10])):
        path = tmp_path / f"seed0/a/cycle{cycle}/query.h5"
        path.parent.mkdir(exist_ok=True)
        artifacts.write(path, "query", ORIGIN, {"ids": np.array(ids)})
        queries.append(str(path))
    outputs = {"figure": str(tmp_path / "a.png"), "counts": str(tmp_path / "counts.csv")}
    selected_top.make(job({"truth": truth, "images": images, "queries": queries, "stop_records": []}, outputs))
    found = tables.read(outputs["counts"])
    assert found["count"].tolist() == [0, 1, 2, 0, 2, 0] and found["cycle"].tolist() == [1] * 3 + [2] * 3
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


# ---- the plane of the features


def test_images_of_similar_features_are_near_in_the_plane():
    rng = np.random.default_rng(0)
    groups_n = np.repeat([0, 1, 2], 15)
    features = 20 * np.eye(3, 8)[groups_n] + rng.standard_normal((45, 8))
    found = projection.plane(features.astype(np.float32), 1)
    assert (found == projection.plane(features.astype(np.float32), 1)).all()
    distance = np.linalg.norm(found[:, None] - found, axis=2) + np.diag(np.full(45, np.inf))
    assert (groups_n[distance.argmin(1)] == groups_n).all()


def test_projection_holds_the_pool_and_the_first_queries(tmp_path):
    truth, _, split, _ = study_files(tmp_path)
    features = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    artifacts.write(tmp_path / "features.h5", "features", ORIGIN, {"features": features})
    (tmp_path / "seed0/a/cycle1").mkdir()
    query = str(tmp_path / "seed0/a/cycle1/query.h5")
    artifacts.write(query, "query", ORIGIN, {"ids": np.array([9, 4])})
    inputs = {"truth": truth, "split": split, "features": str(tmp_path / "features.h5"), "queries": [query]}
    output = {"projection": str(tmp_path / "projection.csv")}
    projection.make(job(inputs | {"stop_records": []}, output, seed=0))
    found = tables.read(output["projection"])
    pool, asked = (part for _, part in sorted(found.groupby("kind"), reverse=True))
    assert pool["class_name"].tolist() == [NAMES[k % 3] for k in range(4, 12)]
    assert asked["class_name"].tolist() == ["cat", "dog"]
    assert asked[["x", "y"]].to_numpy().tolist() == pool[["x", "y"]].to_numpy()[[5, 0]].tolist()
    figure = draw_projection(found, tmp_path / "a.png", 50, {"a": {"deployable": True}})
    assert [ax.get_title() for ax in figure.axes] == ["the pool, by class", "a"]
    assert len(figure.axes[1].collections[1].get_offsets()) == 2


# ---- dispersion


def test_dispersion_of_the_models_behind_the_first_queries(tmp_path):
    truth, *_ = study_files(tmp_path)
    paths = []
    # class predicted in four epochs for ids 4 (class 1) and 5 (class 2)
    for branch, cycle, trajectory in (
        ("start-net", 0, [[0, 2], [1, 2], [1, 2], [1, 2]]),
        ("d", 1, [[0, 0], [1, 1], [0, 2], [2, 1]]),
    ):
        path = tmp_path / f"seed3/{branch}/cycle{cycle}/trajectory.h5"
        path.parent.mkdir(parents=True)
        artifacts.write(path, TRAJECTORY, ORIGIN, {"ids": np.array([4, 5]), "trajectory": np.array(trajectory)})
        paths.append(str(path))
    output = {"dispersion": str(tmp_path / "dispersion.csv")}
    dispersion.make(job({"truth": truth, "trajectories": paths, "stop_records": []}, output, method="d"))
    found = tables.read(output["dispersion"])
    assert found["cycle"].tolist() == [0, 0, 1, 1] and set(found["seed"]) == {3}
    assert found["dispersion"].tolist() == [0.25, 0, 0.5, 0.5]
    assert found["correct"].astype(str).tolist() == ["True", "True", "False", "False"]


def test_examples_are_one_persistently_right_and_the_confident_that_change_and_err():
    confidence = np.array([0.99, 0.98, 0.97, 0.96, 0.7, 0.69, 0.1, 0.1, 0.1, 0.1])
    dispersed = np.array([0.1, 0.0, 0.6, 0.6, 0.7, 0.9, 0.0, 0.0, 0.0, 0.0])
    correct = np.array([1, 1, 0, 0, 0, 0, 1, 0, 0, 1], bool)
    assert dispersion_images.examples(confidence, dispersed, correct).tolist() == [1, 4, 2, 3]
    assert dispersion_images.examples(confidence, dispersed, ~correct).tolist() == [2, 0, 1]
