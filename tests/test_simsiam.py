"""SimSiam: its loss, its networks, collapse, neighbours, and a killed pre-training that goes on bit for bit."""

import copy
import os
import signal
import subprocess
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, SMALL, Workflow
from safetensors.torch import load_file
from sklearn.neighbors import NearestNeighbors

from dagal import artifacts
from dagal.config import load
from dagal.datasets.digits import digits
from dagal.learners import architectures, backbones, checkpoints, inference, simsiam, training
from dagal.plan import Study, job
from dagal.report.statistics import knn_accuracy

CPU = torch.device("cpu")
TINY = {
    "kind": "simsiam", "architecture": "mlp", "hidden_units": [32], "epochs": 4, "batch_size": 64, "projection": [32, 16],
    "prediction": 8, "lr": 0.1, "flip": False, "knn_every": 2, "knn_neighbours": 5, "knn_queries": 30, "device": "cpu",
    "per_seed": False,
}  # fmt: skip


def settings(**changes):
    config = copy.deepcopy(SMALL) | {"backbones": {"own": TINY | changes}}
    return load(config)["backbones"]["own"]


def clusters(n=256, seed=0):
    """uint8 images (n,1,8,8) of four patterns, with noise."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randint(0, 200, (4, 1, 8, 8), generator=generator)
    return (patterns[torch.arange(n) % 4] + torch.randint(0, 50, (n, 1, 8, 8), generator=generator)).to(torch.uint8)


def train(epochs=4, **changes):
    arguments = {name: changes.pop(name) for name in ("stop_gradient", "checkpoint", "after_epoch") if name in changes}
    return simsiam.train(clusters(), settings(epochs=epochs) | changes, [0.4], [0.2], **arguments)


def checkpoint(path, key="a"):
    found = checkpoints.Checkpoint(path, lambda: key)
    found.seconds = 0  # after each epoch
    return found


def test_loss_by_hand():
    """p_1 = (1,0), z_2 = (1,1): cosine 1/sqrt(2); p_2 = (0,2), z_1 = (0,-3): cosine -1."""
    z_1, z_2 = torch.tensor([[0.0, -3.0]]), torch.tensor([[1.0, 1.0]])
    p_1, p_2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert simsiam.loss(z_1, p_1, z_2, p_2).item() == pytest.approx(-(0.5**0.5 - 1) / 2)


def test_no_gradient_flows_through_z():
    z_1, z_2, p_1, p_2 = (torch.randn(4, 3, requires_grad=True) for _ in range(4))
    simsiam.loss(z_1, p_1, z_2, p_2).backward()
    assert z_1.grad is None and z_2.grad is None and p_1.grad.abs().sum() > 0 and p_2.grad.abs().sum() > 0


def test_output_std():
    """By hand: a constant output 0; directions (1,0) and (0,1) alike: each channel has standard deviation 1/2."""
    assert simsiam.output_std(torch.ones(8, 5)).item() == 0
    assert simsiam.output_std(torch.tensor([[3.0, 0.0], [0.0, 0.1]])).item() == pytest.approx(0.5)
    even = torch.randn((20_000, 64), generator=torch.Generator().manual_seed(0))
    assert simsiam.output_std(even).item() == pytest.approx(1 / 8, rel=0.01)


def test_networks_are_those_of_the_paper_on_cifar():
    """Projection of two layers of 2048 with batch norm on both; prediction 2048-512-2048, batch norm in the middle."""
    config = copy.deepcopy(SMALL) | {"backbones": {"own": {"kind": "simsiam", "architecture": "resnet18_cifar"}}}
    default = load(config)["backbones"]["own"]
    model = simsiam.SimSiam(torch.nn.Identity(), 512, default["projection"], default["prediction"])
    names = [type(layer).__name__ for layer in (*model.projection, *model.prediction)]
    assert names == [
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Linear",
        "BatchNorm1d",
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Linear",
    ]
    widths = [
        (layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, torch.nn.Linear)
    ]
    assert widths == [(512, 2048), (2048, 2048), (2048, 512), (512, 2048)]
    published = {
        "epochs": 800, "batch_size": 512, "lr": 0.03, "momentum": 0.9, "weight_decay": 0.0001, "crop_scale": [0.2, 1],
        "flip": True, "jitter": [0.4, 0.4, 0.4, 0.1], "jitter_probability": 0.8, "grayscale_probability": 0.2,
        "blur_sigma": [0.1, 2], "blur_probability": 0.5,
    }  # fmt: skip
    assert {name: default[name] for name in published} == published  # thesis 003, sec. 5.4


def test_learning_rate_grows_with_the_batch_and_falls_as_a_cosine():
    _, history = train(epochs=4)
    expected = 0.1 * 64 / 256 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    np.testing.assert_allclose(history["learning_rate"], expected)


def test_nearest_neighbours_against_scikit_learn():
    features = torch.randn((50, 7), generator=torch.Generator().manual_seed(1))
    queries = np.array([3, 10, 49])
    positions, similarities = simsiam.nearest(features, queries, 6)
    distances, expected = NearestNeighbors(n_neighbors=7, metric="cosine").fit(features).kneighbors(features[queries])
    np.testing.assert_array_equal(positions, expected[:, 1:])  # the first is the query itself
    np.testing.assert_allclose(similarities, 1 - distances[:, 1:], atol=1e-5)


def test_knn_accuracy_by_hand():
    """Weights exp((s - 1) / .1): in the first row .9 and .89 outvote 1.0 (.368 + .333 < 1: they do not), in the second they tie-break."""
    labels, similarities = np.array([[0, 1, 1], [2, 2, 0]]), np.array([[1.0, 0.9, 0.89], [0.5, 0.5, 0.5]])
    assert knn_accuracy(labels, similarities, np.array([0, 2])) == 1
    assert knn_accuracy(labels, similarities, np.array([1, 2])) == 0.5
    similarities[0, 0] = 0.95  # .607 < .701
    assert knn_accuracy(labels, similarities, np.array([1, 0])) == 0.5


def test_neighbours_are_looked_at_before_now_and_then_and_at_the_end():
    backbone, history = train(epochs=5)
    assert history["knn_epochs"].tolist() == [0, 2, 4, 5]
    assert history["neighbours"].shape == history["similarities"].shape == (4, 30, 5)
    assert len(set(history["queries"])) == 30
    (features,) = backbones.features(backbone, [clusters()], "float32")
    positions, similarities = simsiam.nearest(features, history["queries"], 5)
    np.testing.assert_array_equal(history["neighbours"][-1], positions)
    np.testing.assert_allclose(history["similarities"][-1], similarities, atol=1e-5)


def test_training_learns_and_its_outputs_stay_spread(capsys):
    _, history = train(epochs=30)
    assert history["loss"][-1] < history["loss"][0] - 0.1
    assert history["output_std"][-1] > 0.3 / 4
    assert "warning" not in capsys.readouterr().out


def test_without_stop_gradient_it_collapses_and_says_so(capsys):
    """Chen & He 2021, sec. 4.1 and fig. 2: the loss reaches -1 and the outputs one point."""
    _, history = train(epochs=30, stop_gradient=False, lr=1.0)
    output = capsys.readouterr().out
    print(history["loss"], history["output_std"] * 4)
    assert history["loss"][-1] < -0.98 and history["output_std"][-1] < 0.1 / 4
    assert output.count("warning: the outputs have collapsed") == 1


def test_collapse_is_said_again_after_a_kill(tmp_path, capsys):
    """The log of a job begins anew."""
    collapsing = {"epochs": 30, "stop_gradient": False, "lr": 1.0, "checkpoint": checkpoint(tmp_path / "x.safetensors")}

    class Stop(Exception):
        pass

    def stop(epoch):
        if epoch == 29:
            raise Stop

    with pytest.raises(Stop):
        train(**collapsing, after_epoch=stop)
    assert "warning" in capsys.readouterr().out
    train(**collapsing)
    output = capsys.readouterr().out
    assert "going on after epoch 29" in output and "warning: the outputs have collapsed" in output


def test_last_incomplete_batch_is_left_out_and_few_images_are_one_batch():
    seen = []
    model_forward = simsiam.SimSiam.forward

    def counted(self, standardised):
        seen.append(len(standardised))
        return model_forward(self, standardised)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simsiam.SimSiam, "forward", counted)
        simsiam.train(clusters(100), settings(epochs=1), [0.4], [0.2])
        assert seen == [64, 64]
        simsiam.train(clusters(20), settings(epochs=1), [0.4], [0.2])
    assert seen[2:] == [20, 20]


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, capsys):
    class Stop(Exception):
        pass

    def stop(epoch):
        if epoch == 3:
            raise Stop

    whole, expected = train(epochs=6)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stop):
        train(epochs=6, checkpoint=checkpoint(path), after_epoch=stop)
    resumed, history = train(epochs=6, checkpoint=checkpoint(path))
    assert "going on after epoch 3" in capsys.readouterr().out
    for name, values in expected.items():
        np.testing.assert_array_equal(history[name], values)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_stored_images_give_the_same_bytes(tmp_path):
    whole, expected = train()
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = clusters().permute(0, 2, 3, 1).numpy()
        images = inference.Stored(file["images"], np.arange(256), CPU)
        backbone, history = simsiam.train(images, settings(), [0.4], [0.2])
    for name, values in expected.items():
        np.testing.assert_array_equal(history[name], values)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, backbone.state_dict()[name]), name


@pytest.mark.parametrize("content", ["other key", "cut off", "nothing"])
def test_foreign_or_broken_checkpoint_is_ignored(tmp_path, content, capsys):
    path = tmp_path / "checkpoint.safetensors"
    train(epochs=2, checkpoint=checkpoint(path, "theirs"))
    if content == "cut off":
        path.write_bytes(path.read_bytes()[:1000])
    elif content == "nothing":
        path.unlink()
    _, history = train(epochs=2, checkpoint=checkpoint(path, "mine" if content == "other key" else "theirs"))
    assert "going on" not in capsys.readouterr().out and len(history["loss"]) == 2


@pytest.mark.slow
def test_frozen_features_beat_training_from_scratch_with_one_percent_of_the_labels():
    """experiments/digits_simsiam.yaml with a fifth of its epochs: test accuracy with 14 random labels, 10 draws."""
    config = load(yaml.safe_load((ROOT / "experiments/digits_simsiam.yaml").read_text()))
    source = digits(config["dataset"])
    images, labels_N, n_train = np.stack([image for _, image in source.images]), source.labels, source.n_train
    mean_C, std_C = [images[:n_train].mean() / 255], [images[:n_train].std() / 255]
    pixels = torch.from_numpy(images)[:, None]
    backbone, _ = simsiam.train(pixels[:n_train], config["backbones"]["simsiam"] | {"epochs": 60}, mean_C, std_C)
    (features_N_D,) = backbones.features(backbone, [pixels], "float32")

    def accuracy(inputs, learner, statistics, draw):
        settings = config["learners"][learner]
        chosen = np.random.default_rng(draw).permutation(n_train)[: config["pool"]["initial"]["size"]]
        torch.manual_seed(draw)
        model = architectures.build(settings, tuple(inputs.shape[1:]), 10, *statistics)
        training.fit(model, inputs[chosen], torch.from_numpy(labels_N[chosen]), settings, draw)
        with torch.no_grad():
            predicted = model.eval()(inputs[n_train:]).argmax(1).numpy()
        return (predicted == labels_N[n_train:]).mean()

    unscaled = torch.zeros(features_N_D.shape[1]), torch.ones(features_N_D.shape[1])
    frozen = np.array([accuracy(features_N_D[:, :, None, None], "frozen", unscaled, draw) for draw in range(10)])
    scratch = np.array([accuracy(pixels, "scratch", (mean_C, std_C), draw) for draw in range(10)])
    print(frozen, scratch)
    assert frozen.mean() > scratch.mean() + 0.03


STUDY = copy.deepcopy(SMALL) | {
    "study": "self_supervised",
    "backbones": {"own": TINY | {"epochs": 100, "batch_size": 256, "knn_every": 40, "knn_queries": 200}},
    "cycles": 1,
}
STUDY["learners"] = {
    "frozen": {"architecture": "linear", "backbone": "own", "epochs": 5, "device": "cpu"},
    "scratch": SMALL["learners"]["mlp"],
}
STUDY["methods"] = {"random": {"learner": "frozen"}, "random_scratch": {"score": "random", "learner": "scratch"}}
PRETRAINED = "results/datasets/digits/backbones/own"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study whose pre-training is killed in the middle, and then run to its end."""
    workflow = Workflow(tmp_path_factory.mktemp("simsiam"))
    workflow.write(STUDY)
    folder = workflow.folder / PRETRAINED
    running = subprocess.Popen(
        workflow.command(f"{PRETRAINED}/backbone.safetensors"),
        cwd=workflow.folder,
        env=os.environ | {checkpoints.ENVIRONMENT: "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while (
        not (folder / "backbone.checkpoint.safetensors").exists()
        and running.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    workflow.killed_with = sorted(path.name for path in folder.iterdir() if path.name != "pretrain.log")
    workflow.snakemake("--unlock")
    results = "results/self_supervised"
    workflow.snakemake(f"{PRETRAINED}/features.h5", f"{results}/knn.csv", f"{results}/figures/pretraining.png")
    return workflow


@pytest.mark.slow
def test_killed_pretraining_goes_on_to_the_same_bytes(finished, tmp_path):
    assert "backbone.checkpoint.safetensors" in finished.killed_with and "pretraining.h5" not in finished.killed_with
    folder = finished.folder / PRETRAINED
    assert "going on after epoch" in (folder / "pretrain.log").read_text()
    names = {path.name for path in folder.iterdir()}
    assert not any("checkpoint" in name or name.endswith(".tmp") for name in names)
    whole = Workflow(tmp_path)
    whole.write(STUDY)
    whole.snakemake(f"{PRETRAINED}/features.h5")
    assert "going on" not in (tmp_path / PRETRAINED / "pretrain.log").read_text()
    for name in ("backbone.safetensors", "pretraining.h5", "features.h5"):
        assert (tmp_path / PRETRAINED / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.slow
def test_features_are_those_of_the_pretrained_backbone(finished):
    folder = finished.folder / PRETRAINED
    (pixels,) = artifacts.read(folder.parents[1] / "images.h5", "images", "images")
    (features_N_D,) = artifacts.read(folder / "features.h5", "features", "features")
    backbone = backbones.load(str(folder / "backbone.safetensors"), (1, 8, 8))
    (expected,) = backbones.features(backbone, [inference.to_tensor(pixels, CPU)], "float32")
    np.testing.assert_allclose(features_N_D, expected, rtol=1e-4, atol=1e-5)
    weights = load_file(folder / "backbone.safetensors")["network.1.weight"].numpy()
    assert features_N_D.shape == (1797, len(weights)) and features_N_D.std() > 0


@pytest.mark.slow
def test_accuracy_of_the_neighbours_after_the_fact(finished):
    results, data = finished.folder / "results/self_supervised", finished.folder / "results/datasets/digits"
    table = pd.read_csv(results / "knn.csv")
    assert table["epoch"].tolist() == list(range(101))
    looked = table.dropna(subset="knn_accuracy").set_index("epoch")["knn_accuracy"]
    print(looked.to_string())
    assert looked.index.tolist() == [0, 40, 80, 100] and looked.between(0.3, 1).all()
    (labels_N,), (split_N,) = (
        artifacts.read(data / f"{kind}.h5", kind, name) for kind, name in (("truth", "labels"), ("images", "split"))
    )
    queries, neighbours = artifacts.read(data / "backbones/own/pretraining.h5", "pretraining", "queries", "neighbours")
    assert (split_N[queries] == 0).all() and (split_N[neighbours] == 0).all()
    majority = np.mean([np.bincount(labels_N[row]).argmax() for row in neighbours[-1]] == labels_N[queries])
    assert abs(looked[100] - majority) < 0.15
    assert (results / "figures/pretraining.png").stat().st_size > 10_000


@pytest.mark.slow
def test_another_study_finds_the_features(finished):
    finished.write(STUDY | {"study": "other", "seeds": [3], "budget": 5})
    planned = finished.planned()
    finished.write(STUDY)
    assert planned["train"] == 4 and planned["knn"] == 1 and not {"pretrain", "features", "dataset"} & set(planned)


def test_plan_of_a_study_that_learns_on_images_has_no_backbones(workflow):
    config = copy.deepcopy(STUDY)
    config["methods"] = {"random": {"learner": "scratch"}}
    workflow.write(config)
    assert not {"pretrain", "features", "knn", "figure_pretraining"} & set(workflow.counted())


def test_a_backbone_for_each_seed(workflow):
    """The default: shared by studies, trained as one with that seed would be."""
    config = copy.deepcopy(STUDY) | {"seeds": [0, 7]}
    shared = Study(load(copy.deepcopy(config)))
    del config["backbones"]["own"]["per_seed"]
    config["backbones"]["own"] |= {"seed": 2}
    workflow.write(config)
    planned, study = workflow.counted(), Study(load(config))
    assert planned["pretrain"] == planned["features"] == 2 and planned["knn"] == 1
    assert study.learner_input(study.node(7, "random", 1)) == f"{PRETRAINED}-seed7/features.h5"
    assert shared.learner_input(shared.node(7, "random", 1)) == f"{PRETRAINED}/features.h5"
    described = job.describe(study, "pretrain", {"backbone": "own-seed7"})
    assert described["output"]["backbone"] == f"{PRETRAINED}-seed7/backbone.safetensors"
    read = job.describe(study, "features", {"backbone": "own-seed7"})["input"]
    assert read["backbone"] == described["output"]["backbone"]
    (settings,) = described["params"].values()
    (before,) = job.describe(shared, "pretrain", {"backbone": "own"})["params"].values()
    assert settings == before | {"seed": 9} and "per_seed" not in before


def test_noisy_pools_have_backbones_of_their_own(workflow):
    config = copy.deepcopy(STUDY)
    config["pool"]["noise"] = {"kind": "gaussian"}
    workflow.write(config | {"seeds": [0, 1]})
    planned = workflow.counted()
    assert planned["pretrain"] == planned["features"] == 2 and planned["knn"] == 1
    assert yaml.safe_load(workflow.config.read_text())["seeds"] == [0, 1]
