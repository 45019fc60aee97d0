"""The two moons: points stored as images, the study of paper 004, sec. 4.1, and the measurement of its picks."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, Workflow
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from scipy.interpolate import LinearNDInterpolator
from sklearn.datasets import make_moons

from dagal import artifacts, datasets
from dagal.config import load
from dagal.datasets.two_moons import grid, to_pixels, to_points
from dagal.learners import architectures, inference
from dagal.report.figures.decision_boundary import decision_boundary

sys.path.insert(0, str(ROOT / "benchmarks"))
EXPERIMENT = ROOT / "experiments/two_moons.yaml"


# ---- the points


def prepared(folder):
    settings = {"name": "two_moons", "loader": "two_moons", "path": "none"}
    files = folder / "images.h5", folder / "truth.h5"
    datasets.prepare(settings, *files, artifacts.provenance("dataset", settings))
    with artifacts.opened(files[1], "truth") as truth:
        names = list(truth.attrs["class_names"])
    return (
        *artifacts.read(files[0], "images", "images", "split"),
        *artifacts.read(files[1], "truth", "labels"),
        names,
        files,
    )


def test_points_are_those_of_scikit_learn(tmp_path):
    images, split, labels, names, files = prepared(tmp_path)
    assert images.shape == (1550, 1, 1, 2) and images.dtype == np.uint8 and names == ["outer", "inner"]
    assert np.bincount(labels[split == 0]).tolist() == [500, 50] == datasets.PUBLISHED_COUNTS["two_moons"]
    assert np.bincount(labels[split == 1]).tolist() == [500, 500]
    for part, (sizes, seed) in enumerate((((500, 50), 0), ((500, 500), 1))):
        points, expected = make_moons(sizes, noise=0.2, random_state=seed)
        assert np.array_equal(labels[split == part], expected)
        error = np.abs(to_points(images[split == part].reshape(-1, 2)) - points)
        assert (error.max(0) <= np.array([5, 3.5]) / 255 / 2 + 1e-9).all()  # half a step: none lies outside
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in prepared(tmp_path)[-1]] == before


def test_steps_of_the_plane():
    corners = np.array([[-2, -1.5], [3, 2], [0.5, 0.25]])
    assert to_pixels(corners).tolist() == [[0, 0], [255, 255], [128, 128]]
    assert to_pixels(np.array([[-9.0, 9.0]])).tolist() == [[0, 255]]
    every = np.stack([np.arange(256)] * 2, 1).astype(np.uint8)
    assert np.array_equal(to_pixels(to_points(every)), every)
    places = grid(4)
    assert places.shape == (64 * 64, 2) and places[:3].tolist() == [[0, 0], [4, 0], [8, 0]]
    assert len(np.unique(places, axis=0)) == len(places)


# ---- the study


def test_settings_of_the_paper():
    config = load(yaml.safe_load(EXPERIMENT.read_text()))
    assert (config["pool"]["initial"]["size"], config["budget"], config["cycles"]) == (20, 10, 5)
    assert config["pool"]["imbalance"]["kind"] == "none"  # the points are unbalanced as they are drawn
    learners = config["learners"]
    for settings in learners.values():
        assert (
            settings["epochs"] == 100 and len(settings["hidden_units"]) == 2 and settings["optimizer"]["name"] == "adam"
        )
    heads = {name: settings.pop("loss_prediction") for name, settings in learners.items()}
    assert learners["mlp"] == learners["mlp_ll"] == learners["mlp_ranker"]  # only the heads differ
    assert (heads["mlp"], heads["mlp_ll"]["loss"]) == (None, "margin")
    assert (heads["mlp_ranker"]["loss"], heads["mlp_ranker"]["share"]) == ("ranking", 0.8)
    for name in ("vaal", "ta_vaal"):
        adversary = config["adversaries"][name]
        assert (adversary["lr"], adversary["latent"], adversary["discriminator_layers"]) == (0.01, 2, 2)
    assert {config["methods"][name]["subset"] for name in ("learning_loss", "vaal", "ta_vaal")} == {10}
    assert config["methods"]["ta_vaal"]["learner"] == "mlp_ranker"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study of the experiment, with two cycles and two of its methods."""
    workflow = Workflow(tmp_path_factory.mktemp("moons"))
    config = yaml.safe_load(EXPERIMENT.read_text()) | {"cycles": 2}
    config["methods"] = {name: config["methods"][name] for name in ("random", "ta_vaal")}
    workflow.write(config)
    drawn = [
        f"results/two_moons/figures/{name}.png"
        for name in ("decision_boundary", "learning_curves", "class_distribution")
    ]
    workflow.snakemake("results/two_moons/metrics.csv", "results/two_moons/decision_boundary.csv", *drawn)
    return workflow, config


@pytest.mark.slow
def test_study(finished):
    workflow, config = finished
    results = workflow.folder / "results/two_moons"
    metrics = pd.read_csv(results / "metrics.csv")
    assert set(metrics["method"]) == set(config["methods"]) and metrics["labels"].max() == 40
    assert (metrics["accuracy"] > 0.45).all()
    for name in ("decision_boundary", "learning_curves", "class_distribution"):
        assert (results / f"figures/{name}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_table_of_the_decision_boundary(finished):
    workflow, config = finished
    results = workflow.folder / "results"
    table = pd.read_csv(results / "two_moons/decision_boundary.csv")
    images, truth = results / "datasets/two_moons/images.h5", results / "datasets/two_moons/truth.h5"
    points_N_2 = to_points(artifacts.read(images, "images", "images")[0].reshape(-1, 2))
    (labels_N,) = artifacts.read(truth, "truth", "labels")
    for method in config["methods"]:
        parts = {kind: part for kind, part in table[table["method"] == method].groupby("kind")}
        assert {kind: len(part) for kind, part in parts.items()} == {
            "probability": 64 * 64, "pool": 510, "labeled": 30, "query": 10,
        }  # fmt: skip
        folder = results / f"two_moons/seed0/{method}"
        (query,) = artifacts.read(folder / "cycle2/query.h5", "query", "ids")
        (before,) = artifacts.read(folder / "cycle1/labeled.h5", "labeled", "ids")
        for kind, ids in (("query", query), ("labeled", before)):
            np.testing.assert_allclose(parts[kind][["x", "y"]], points_N_2[ids], atol=1e-4)
            assert parts[kind]["value"].astype(int).tolist() == labels_N[ids].tolist()


@pytest.mark.slow
def test_background_is_the_model_that_chose(finished):
    workflow, _ = finished
    results = workflow.folder / "results"
    table = pd.read_csv(results / "two_moons/decision_boundary.csv").query(
        "method == 'ta_vaal' and kind == 'probability'"
    )
    node = results / "two_moons/seed0/ta_vaal/cycle1"
    images = artifacts.read(results / "datasets/two_moons/images.h5", "images", "images")[0]
    ids = artifacts.read(node / "signals.h5", "signals", "ids")[0]
    model = architectures.load(node / "model.safetensors", torch.device("cpu"))
    batch = inference.to_tensor(images[ids], torch.device("cpu"))
    expected = next(inference.predict(model, [batch], "float32"))[0][:, 1]
    points_N_2 = to_points(images[ids].reshape(-1, 2))
    found = LinearNDInterpolator(table[["x", "y"]].to_numpy(), table["value"].to_numpy())(points_N_2)
    assert np.abs(found - expected).mean() < 0.02


@pytest.mark.slow
def test_benchmark_picks_what_the_study_picks(finished):
    import two_moons as benchmark

    workflow, raw = finished
    config = load(raw)
    data = benchmark.data()
    for method in raw["methods"]:
        *queries, _ = benchmark.chain(config, method, 0, *data)
        for cycle, (_, ids, query) in enumerate(queries, 1):
            node = workflow.folder / f"results/two_moons/seed0/{method}/cycle{cycle}"
            assert query.tolist() == artifacts.read(node / "query.h5", "query", "ids")[0].tolist()
            assert ids.tolist() == artifacts.read(node / "labeled.h5", "labeled", "ids")[0][: len(ids)].tolist()


# ---- what is measured


def test_spread_and_curve():
    import two_moons as benchmark

    square = np.array([[0.0, 0], [0, 1], [2, 0], [2, 1]])
    assert benchmark.spread(square) == 1
    assert benchmark.spread(np.array([[0.0, 0], [0, 0], [3, 4]])) == pytest.approx(5 / 3)

    class Halves(torch.nn.Module):
        """Class 1 right of x = 1/3, with a slope."""

        loss_prediction = None
        backbone = torch.nn.Identity()

        def embed(self, images):
            return images.float().flatten(1)

        def head(self, pixels):
            x = pixels[:, 0] * 5 / 255 - 2
            return torch.stack([torch.zeros_like(x), 3 * (x - 1 / 3)], 1)

    curve = benchmark.curve(Halves())
    assert curve.shape == (256, 2) and np.abs(curve[:, 0] - 1 / 3).max() < 1e-4
    assert np.ptp(curve[:, 1]) == pytest.approx(3.5)


# ---- the figure


def made_up_table():
    places = to_points(grid(16))
    rows = []
    for method, slope in (("bent", 1.0), ("one_class", 0.0)):
        rows += [(method, "probability", x, y, 0.5 + slope * 0.1 * (x - 0.5) - 0.1 * (slope == 0)) for x, y in places]
        rows += [(method, "labeled", 0.1 * k, 0.5, k % 2) for k in range(7)]
        rows += [(method, "query", 1.5, 0.1 * k, 0) for k in range(3)]
    rows += [("bent", "pool", -1.0, 0.2, -1)]
    return pd.DataFrame(rows, columns=["method", "kind", "x", "y", "value"])


def test_figure_draws_boundary_labels_and_picks(tmp_path):
    figure = decision_boundary(made_up_table(), tmp_path / "a.png", 50)
    bent, one_class = figure.axes
    assert (bent.get_title(), one_class.get_title()) == ("bent", "one_class")
    for ax, pool in ((bent, [1]), (one_class, [])):
        sizes = [len(drawn.get_offsets()) for drawn in ax.collections if type(drawn) is PathCollection]
        assert sizes == [*pool, 4, 3, 3]  # pool, labels of each class, picks
    (line,) = [drawn for drawn in bent.collections if isinstance(drawn, QuadContourSet)]
    assert np.abs(line.get_paths()[0].vertices[:, 0] - 0.5).max() < 1e-6
    assert not [drawn for drawn in one_class.collections if isinstance(drawn, QuadContourSet)]
    first = (tmp_path / "a.png").read_bytes()
    decision_boundary(made_up_table(), tmp_path / "a.png", 50)
    assert (tmp_path / "a.png").read_bytes() == first


def test_figure_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        decision_boundary(made_up_table().iloc[:0], tmp_path / "a.png", 50)
