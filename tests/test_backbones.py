"""Backbones: features of every image once, and everything that learns and queries on them."""

import copy
import os

import h5py
import numpy as np
import pytest
import torch
from conftest import SMALL, Workflow, edited, written
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from torch.nn.functional import interpolate

from dagal import artifacts
from dagal.config import load
from dagal.config.checks import FEATURE_ARCHITECTURES
from dagal.errors import UserError
from dagal.learners import IMAGE_NETWORKS, NETWORKS, backbones, inference
from dagal.plan import Study, graph
from dagal.report import registry
from dagal.tasks.classification import CLASSIFIERS

CPU = torch.device("cpu")
SIMSIAM = {"kind": "simsiam", "weights": None, "statistics": "imagenet"}
TRIPLET = {"kind": "triplet", "weights": None, "statistics": "imagenet", "source": {"name": "mnist"}}
FILE = {"image_size": None, "statistics": "imagenet"}


def images(n, shape, seed=0):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def study(**changes):
    """The small study on the features of a LeNet."""
    config = copy.deepcopy(SMALL) | {"study": "frozen"}
    config["backbones"] = {
        "net": {"kind": "file", "architecture": "lenet", "weights": "net.safetensors", "statistics": "dataset"}
    }
    config["learners"]["mlp"] |= {"backbone": "net"}
    return config | changes


def save_lenet(path, seed=0):
    torch.manual_seed(seed)
    network, _ = NETWORKS.find("lenet")((1, 8, 8), {})
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return network


def test_weights_of_torchvision_without_their_last_layer(tmp_path):
    """MobileNet of torchvision on gray digits: against the network itself, with its last layer left out by hand."""
    from torchvision import models

    torch.manual_seed(0)
    whole = models.mobilenet_v3_small(weights=None)
    torch.save(whole.state_dict(), tmp_path / "net.pth")
    settings = FILE | {"architecture": "mobilenet_v3_small", "image_size": 64}
    backbone = backbones.from_file(settings, str(tmp_path / "net.pth"), (1, 8, 8), None, None)
    batch = images(5, (1, 8, 8))
    (found,) = backbones.features(backbone, [batch], "float32")
    whole.classifier[3] = torch.nn.Identity()
    resized = interpolate(batch.float(), (64, 64), mode="bilinear", antialias=True).repeat(1, 3, 1, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = whole.eval()((resized - mean) / std)
    assert found.shape == (5, 1024)
    torch.testing.assert_close(found, expected)


def test_weights_of_a_network_of_ours_with_the_statistics_of_the_data_set(tmp_path):
    network = save_lenet(tmp_path / "net.safetensors")
    settings = FILE | {"architecture": "lenet", "statistics": "dataset"}
    backbone = backbones.from_file(settings, str(tmp_path / "net.safetensors"), (1, 8, 8), [0.25], [0.5])
    batch = images(4, (1, 8, 8))
    (found,) = backbones.features(backbone, [batch], "float32")
    torch.testing.assert_close(found, network((batch / 255 - 0.25) / 0.5).detach())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"architecture": "resnet19"}, ["'resnet19' is unknown", "resnet18_cifar", "alexnet"]),
        ({"architecture": "squeezenet1_0"}, ["no linear layer"]),
        ({"architecture": "lenet"}, ["1 channel", "statistics: dataset"]),
        ({"architecture": "resnet18"}, ["net.safetensors", "cannot be loaded", "correct the path"]),
        ({"architecture": "lenet", "statistics": "dataset", "image_size": 64}, ["net.safetensors", "cannot be loaded"]),
        ({"architecture": "vit_b_16", "image_size": 64}, ["net.safetensors", "cannot be loaded"]),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(tmp_path, settings, words):
    save_lenet(tmp_path / "net.safetensors")
    with pytest.raises(UserError) as caught:
        backbones.from_file(FILE | settings, str(tmp_path / "net.safetensors"), (1, 8, 8), [0.0], [1.0])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_images_of_a_size_that_the_architecture_cannot_see_are_one_sentence(tmp_path):
    from torchvision import models

    torch.save(models.vit_b_16(weights=None).state_dict(), tmp_path / "vit.pth")
    with pytest.raises(UserError, match="vit_b_16.*8 x 8 pixels.*'image_size', 224"):
        backbones.from_file(FILE | {"architecture": "vit_b_16"}, str(tmp_path / "vit.pth"), (3, 8, 8), None, None)


def refused(config, words):
    """The config is a mistake, and what is said of it has all the words."""
    with pytest.raises(UserError) as caught:
        load(config)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "other"}, ["'learners.mlp.backbone' is 'other'", "allowed: net"]),
        ({"architecture": "lenet"}, ["'learners.mlp.architecture' is 'lenet'", "linear", "no images"]),
        ({"augmentation": {"flip": True}}, ["'learners.mlp.augmentation'", "delete it"]),
        ({"finetune_every": 10}, ["'learners.mlp.finetune_every' is set", "triplet or cross_entropy"]),
    ],
)
def test_mistakes_of_learners_are_one_sentence(change, words):
    config = study()
    config["learners"]["mlp"] |= change
    refused(config, words)


def test_a_learner_that_starts_from_a_backbone_of_the_study_sees_images():
    config = study(methods={"random": {"learner": "whole"}})
    config["backbones"] = {"own": {"architecture": "resnet18", **SIMSIAM}}
    whole = SMALL["learners"]["mlp"] | {"architecture": "resnet18", "starts_from": "own", "freeze": True}
    del whole["hidden_units"]
    config["learners"] = {"whole": whole}
    plan = Study(load(config))
    node, file = plan.nodes()[0], "results/datasets/digits/backbones/own-seed0/backbone.safetensors"
    reads = plan.stage("train").reads(plan, plan.at({"seed": "0", "branch": node.branch.name, "cycle": "0"}))
    assert reads["weights"] == file and reads["inputs"] == plan.images(0)
    assert plan.training_settings(node)["weights"] == file
    assert graph.counts(graph.jobs(plan, registry.targets(plan)))["pretrain"] == 1
    config["backbones"]["own"]["architecture"] = "resnet18_cifar"
    refused(config, ["'learners.whole.starts_from' is 'own', whose architecture is 'resnet18_cifar'"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": None}, ["'backbones.net.weights' is missing"]),
        ({"kind": "simclr"}, ["'backbones.net.kind' is 'simclr'", "file"]),
        ({"hidden_units": [3]}, ["'backbones.net.hidden_units' is for mlp only", "lenet"]),
        ({"crop_scale": [0.5, 1]}, ["'backbones.net.crop_scale' is for simsiam only", "file"]),
        ({"kind": "simsiam"}, ["'backbones.net.", "is for file"]),
        ({"architecture": "vgg11", **SIMSIAM}, ["'backbones.net.architecture' is 'vgg11'", "resnet18_cifar"]),
        ({"blur_sigma": [2, 1], **SIMSIAM}, ["'backbones.net.blur_sigma' is [2, 1]", "smaller number first"]),
        ({"crop_scale": [0.2], **SIMSIAM}, ["'backbones.net.crop_scale'"]),
        (TRIPLET | {"source": None}, ["'backbones.net.source' is missing"]),
        (TRIPLET | {"source": {"name": "digits"}}, ["'backbones.net.source' is the data set of the study", "hidden"]),
        (TRIPLET | {"source": {"name": "camvid"}}, ["'backbones.net.source' is 'camvid'", "labeled images"]),
        (TRIPLET | {"source": {"nam": "x"}}, ["'backbones.net.source.nam' is unknown", "'name'"]),
        (TRIPLET | {"source": {"name": "mnist", "scale": 2}}, ["'backbones.net.source.scale' is for synthia_al only"]),
        (TRIPLET | {"source": {"name": "nothing"}}, ["'nothing'", "no built-in data set"]),
        (TRIPLET | {"weights": "x.pth"}, ["'backbones.net.weights' is set, but only ResNets read weights"]),
        (TRIPLET | {"kind": "cross_entropy", "margin": 1.0}, ["'backbones.net.margin' is for triplet only"]),
    ],
)
def test_mistakes_of_backbones_are_one_sentence(change, words):
    config = study()
    config["backbones"]["net"] |= change
    refused(config, words)


@pytest.mark.parametrize(
    ("loader", "source", "another"),
    [
        ("digits", {"path": "elsewhere"}, {"loader": "mnist"}),
        ("cifar10", {"image_size": 16}, {"loader": "cifar100"}),
        ("image_folder", {"path": "data/../data/raw/./mine"}, {"path": "data/raw/mine2"}),
        ("camera_trap", {"path": "x", "annotations": "data/raw/mine/annotations.json"}, {"annotations": None}),
    ],
)
def test_the_data_set_of_the_study_is_no_source_under_another_name(loader, source, another):
    config = study(dataset={"name": "mine", "loader": loader})
    config["backbones"]["net"] |= TRIPLET | {"source": {"name": "other", "loader": loader, **source}}
    with pytest.raises(UserError, match="source' is the data set of the study, whose labels are hidden"):
        load(config)
    config["backbones"]["net"]["source"] |= another
    load(config)


def test_unit_length_is_exact_where_the_network_is_not():
    with torch.autocast("cpu", torch.bfloat16):
        vectors_B_D = torch.nn.Linear(8, 64)(torch.rand(50, 8))
        found = backbones.UnitLength()(vectors_B_D)
    assert vectors_B_D.dtype == torch.bfloat16
    torch.testing.assert_close(found.norm(dim=1), torch.ones(50))


def test_points_and_videos_have_no_backbones():
    with pytest.raises(UserError, match="'backbones' is for data sets of images, not for 'two_moons'"):
        load(study(dataset={"name": "two_moons"}))
    video = written("experiments/video_small.yaml")
    with pytest.raises(UserError, match="'backbones' is for data sets of images"):
        load(video | {"backbones": study()["backbones"]})


def test_networks_of_images_are_what_classifiers_have_besides():
    assert set(CLASSIFIERS) == set(IMAGE_NETWORKS) | set(FEATURE_ARCHITECTURES)


def test_missing_weights_end_before_any_job(workflow):
    workflow.write(study())
    done = workflow.snakemake(check=False)
    output = done.stdout + done.stderr
    assert done.returncode and "Traceback" not in output and not (workflow.folder / "results").exists()
    assert "config key 'backbones.net.weights' is 'net.safetensors', and there is no such file" in output


METHODS = {
    "random": {}, "entropy": {}, "bald": {}, "kcenter_greedy": {}, "badge": {}, "label_dispersion": {}, "dfal": {},
    "ensemble_bald": {"score": "bald", "draws": "ensemble"}, "vaal": {}, "sraal": {}, "learning_loss": {}, "ta_vaal": {},
    "svm_min_margin": {"learner": "svm"},
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The first query of every kind of method on features, made without pixels: images.h5 tells but the files of the queried."""
    workflow = Workflow(tmp_path_factory.mktemp("frozen"))
    workflow.network = save_lenet(workflow.folder / "net.safetensors")
    adversary = {"steps": 3, "batch_size": 16, "channels": 8, "latent": 4, "discriminator_units": 16}
    config = study(cycles=1, methods=METHODS, adversaries=dict.fromkeys(("vaal", "ta_vaal", "sraal"), adversary))
    config["learners"]["mlp"]["loss_prediction"] = {"loss": "margin"}
    config["signals"] = {"members": 2}
    config["learners"]["svm"] = {"architecture": "svm", "backbone": "net", "device": "cpu"}
    config["methods"] = {name: {"learner": "mlp"} | settings for name, settings in METHODS.items()}
    workflow.write(config)
    data, frozen = "results/datasets/digits", "results/frozen/seed0"
    workflow.snakemake(f"{data}/backbones/net/features.h5", f"{frozen}/split.h5")
    images_file = workflow.folder / data / "images.h5"
    whole, made = images_file.read_bytes(), images_file.stat().st_mtime_ns
    with edited(images_file) as file:
        del file["images"]
    os.utime(images_file, ns=(made, made))
    asked = [f"{frozen}/{method}/cycle1/query.h5" for method in METHODS]
    workflow.snakemake(*asked, f"{frozen}/entropy/cycle1/metrics.json")
    with h5py.File(images_file) as file:
        assert "images" not in file
    images_file.write_bytes(whole)
    return workflow


@pytest.mark.slow
def test_features_of_every_image(finished):
    folder = finished.folder / "results/datasets/digits"
    pixels, split_N = artifacts.read(folder / "images.h5", "images", "images", "split")
    features_N_D, same_N = artifacts.read(folder / "backbones/net/features.h5", "features", "features", "split")
    assert features_N_D.shape == (1797, 84) and features_N_D.dtype == np.float32
    np.testing.assert_array_equal(split_N, same_N)
    train = pixels[split_N == 0] / 255
    with torch.no_grad():
        expected = finished.network((inference.to_tensor(pixels, CPU) / 255 - train.mean()) / train.std())
    np.testing.assert_allclose(features_N_D, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_asks_without_a_look_at_the_images(finished, method):
    (ids,) = artifacts.read(finished.folder / f"results/frozen/seed0/{method}/cycle1/query.h5", "query", "ids")
    assert len(set(ids)) == SMALL["budget"]


@pytest.mark.slow
def test_svm_asks_for_what_is_nearest_to_its_boundaries(finished):
    node = finished.folder / "results/frozen/seed0"
    start = node / "start-svm/cycle0"
    (features_N_D,) = artifacts.read(
        finished.folder / "results/datasets/digits/backbones/net/features.h5", "features", "features"
    )
    with artifacts.opened(start / "signals.h5", "signals") as file:
        assert "trajectory" not in file
        ids, logits_N_C, norms_C = file["ids"][()], file["logits"][()], file["weight_norms"][()]
    weights = load_file(start / "model.safetensors")
    weight, bias = weights["head.weight"].double().numpy(), weights["head.bias"].double().numpy()
    np.testing.assert_allclose(logits_N_C, features_N_D[ids] @ weight.T + bias, rtol=1e-4, atol=1e-4)
    labeled = np.unique(artifacts.read(start / "labeled.h5", "labeled", "labels")[0])
    assert (norms_C > 0).nonzero()[0].tolist() == labeled.tolist()
    distance_N = (np.abs(logits_N_C[:, labeled]) / np.linalg.norm(weight[labeled], axis=1)).min(1)
    (queried,) = artifacts.read(node / "svm_min_margin/cycle1/query.h5", "query", "ids")
    assert set(queried) == set(ids[np.argsort(distance_N)[: SMALL["budget"]]])


@pytest.mark.slow
def test_embeddings_of_a_learner_are_made_of_the_features(finished):
    """The hidden layer of the stored MLP on the stored features."""
    node = finished.folder / "results/frozen/seed0/start-mlp/cycle0"
    features_N_D = artifacts.read(
        finished.folder / "results/datasets/digits/backbones/net/features.h5", "features", "features"
    )[0].astype(np.float64)
    ids, embeddings_N_D, probs_N_C = artifacts.read(
        node / "signals.h5", "signals", "ids", "embeddings", "probabilities"
    )
    weights = {name: tensor.double().numpy() for name, tensor in load_file(node / "model.safetensors").items()}
    hidden = np.maximum(features_N_D[ids] @ weights["backbone.1.weight"].T + weights["backbone.1.bias"], 0)
    np.testing.assert_allclose(embeddings_N_D, hidden, rtol=1e-4, atol=1e-5)
    logits = hidden @ weights["head.weight"].T + weights["head.bias"]
    np.testing.assert_allclose(probs_N_C, softmax(logits, 1), rtol=1e-4, atol=1e-6)
