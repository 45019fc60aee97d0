"""Embeddings learnt with labels: the triplet loss and its mining by hand and by brute force, batches, training."""

import copy
import itertools
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL, Workflow, with_flipped_labels
from sklearn.datasets import load_digits

from dagal import artifacts
from dagal.config import load
from dagal.errors import UserError
from dagal.learners import architectures, backbones, embedding, inference, weights
from dagal.plan import Study, job

SETTINGS = {
    "kind": "triplet", "architecture": "mlp", "hidden_units": [32], "embedding": 8, "margin": 0.2, "batch_size": 32,
    "images_per_class": 4, "momentum": 0.9, "weight_decay": 0.0, "flip": False, "precision": "float32",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def on_circle(*degrees):
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], 1)


def test_loss_by_hand():
    """Anchor and positive 60 degrees apart: d = 2 - 2 cos 60 = 1. From either side the one negative at 90 and 150 degrees."""
    points, labels = on_circle(0, 60, 90), torch.tensor([0, 0, 1])
    # (0, 60, 90): d(a,n) = 2, inside of 1 + 1.5: loss 1 - 2 + 1.5; (60, 0, 90): d(a,n) = 2 - sqrt 3 < 1 is hard, left out
    loss = embedding.triplet_loss(points, labels, 1.5, generator())
    np.testing.assert_allclose(loss, 0.5, rtol=1e-9)


def test_easy_and_hard_triplets_teach_nothing():
    labels = torch.tensor([0, 0, 1])
    assert embedding.triplet_loss(on_circle(0, 10, 180), labels, 0.2, generator()) == 0  # easy
    assert embedding.triplet_loss(on_circle(0, 90, 45), labels, 0.2, generator()) == 0  # hard
    assert embedding.triplet_loss(on_circle(0, 10, 20), torch.arange(3), 0.2, generator()) == 0  # no pair


@pytest.mark.parametrize("seed", range(10))
def test_mining_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 20)
    points = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(20, 3))))
    distances = embedding.squared_distances(points)
    for (a, b), squared in np.ndenumerate(distances):
        np.testing.assert_allclose(squared, ((points[a] - points[b]) ** 2).sum(), atol=1e-12)
    allowed = {}
    for a, p, n in itertools.permutations(range(20), 3):
        if labels[a] == labels[p] != labels[n] and distances[a, p] < distances[a, n] < distances[a, p] + 0.3:
            allowed.setdefault((a, p), set()).add(n)
    seen = {pair: set() for pair in allowed}
    for draw in range(200):
        found = embedding.semi_hard_triplets(distances, torch.from_numpy(labels), 0.3, generator(draw))
        triplets = np.stack(found, 1).tolist()
        assert {(a, p) for a, p, _ in triplets} == set(allowed)
        assert len(triplets) == len(allowed)
        for a, p, n in triplets:
            seen[a, p].add(n)
    assert seen == allowed  # each of them is drawn some time


def test_gradient_pulls_the_positive_and_pushes_the_negative():
    points = on_circle(0, 30, 40).requires_grad_()
    embedding.triplet_loss(points, torch.tensor([0, 0, 1]), 0.5, generator()).backward()
    moved = points - 0.01 * points.grad
    before, after = (embedding.squared_distances(p).detach() for p in (points, moved))
    assert after[0, 1] < before[0, 1] and after[0, 2] > before[0, 2]


def test_batches_of_triplets_hold_several_images_of_several_classes():
    labels = np.repeat([0, 1, 2, 3, 4], [50, 20, 10, 2, 1])
    found = list(embedding.batches(labels, SETTINGS | {"batch_size": 12}, generator()))
    passed = np.cumsum([len(batch) for batch in found])
    assert passed[-2] < 83 <= passed[-1]  # an epoch
    for batch in found:
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert len(classes) == 3 and len(set(batch.tolist())) == len(batch)
        assert all(count == min(4, (labels == c).sum()) for c, count in zip(classes, counts, strict=True))


@pytest.mark.parametrize(("n_classes", "each"), [(2, 64), (10, 12), (32, 4), (100, 4)])
def test_batches_of_few_classes_are_full(n_classes, each):
    labels = np.repeat(np.arange(n_classes), 200)
    found = list(embedding.batches(labels, SETTINGS | {"batch_size": 128}, generator()))
    for batch in found:
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert set(counts) == {each} and len(classes) == 128 // each
    assert len(found) == -(-len(labels) // len(found[0]))


def test_batches_of_cross_entropy_are_a_shuffle():
    found = list(embedding.batches(np.zeros(33), SETTINGS | {"kind": "cross_entropy"}, generator()))
    assert [len(batch) for batch in found] == [32]  # a single image is left out
    assert len(set(found[0].tolist())) == 32


def some_data(n=200, classes=4, seed=0):
    """Images of 1 x 4 x 4 whose class is where they are bright, under noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.integers(0, 120, (n, 1, 4, 4))
    images.reshape(n, 16)[np.arange(n), 3 * labels] += 100
    return torch.from_numpy(images.astype(np.uint8)), labels


def fresh(settings, seed=0):
    torch.manual_seed(seed)
    return backbones.fresh(settings, (1, 4, 4), [0.25], [0.2])


def trained(settings, images, labels, seed=0, epochs=30):
    backbone = fresh(settings, seed)
    history = embedding.train(backbone, images, labels, settings, epochs, 0.5, seed, torch.device("cpu"))
    return backbone, history


def neighbour_accuracy(backbone, images, labels):
    """Share of images whose nearest other one is of their class."""
    with torch.no_grad():
        found = backbone.eval()(images)
    distances = torch.cdist(found, found).fill_diagonal_(torch.inf)
    return np.mean(labels[distances.argmin(1)] == labels)


@pytest.mark.parametrize("kind", backbones.HEADS)
def test_training_brings_the_classes_of_new_images_together(kind):
    settings, (images, labels) = SETTINGS | {"kind": kind}, some_data()
    new_images, new_labels = some_data(seed=1)
    backbone, _ = trained(settings, images, labels)
    before = neighbour_accuracy(fresh(settings), new_images, new_labels)
    after = neighbour_accuracy(backbone, new_images, new_labels)
    assert after > before + 0.1 and after > 0.9
    with torch.no_grad():
        found = backbone(new_images)
    assert found.shape == (200, 8)
    if kind == "triplet":
        np.testing.assert_allclose(found.norm(dim=1), 1, rtol=1e-5)
    else:
        assert found.min() == 0  # after the ReLU


def test_training_depends_on_the_seed_alone():
    images, labels = some_data(60)
    one, other, another = (trained(SETTINGS, images, labels, seed, 2)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], another[name]) for name in one)


def test_names_of_the_classes_do_not_matter():
    """Classes without an image, as in a labeled set, are no classes of the training."""
    images, labels = some_data(60)
    settings = SETTINGS | {"kind": "cross_entropy"}
    (one, first), (other, second) = (trained(settings, images, x, epochs=2) for x in (labels, 7 * labels + 2))
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_one_class_is_a_mistake_of_the_user():
    with pytest.raises(UserError, match="of several classes, these are of one"):
        trained(SETTINGS, some_data(10)[0], np.zeros(10, np.int64))


def test_images_of_another_size_are_a_mistake_of_the_user(tmp_path):
    backbone = fresh(SETTINGS)
    weights.write(tmp_path / "x.safetensors", backbone, {"backbone": SETTINGS, "shape": (1, 4, 4)})
    loaded = backbones.load(str(tmp_path / "x.safetensors"), (1, 4, 4))
    images, _ = some_data(5)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), backbone.eval()(images))
    with pytest.raises(UserError, match="4 x 4 x 1, these have 8 x 8 x 3: give both one image_size"):
        backbones.load(str(tmp_path / "x.safetensors"), (3, 8, 8))


# whole studies: the embedding is learnt on some digits in a folder, the study is on all of them


STUDY = copy.deepcopy(SMALL) | {"study": "embedded", "cycles": 2, "methods": {"random": {}, "kcenter_greedy": {}}}
STUDY["pool"]["imbalance"] = {"kind": "none"}
STUDY["backbones"] = {
    "own": {
        "kind": "triplet", "architecture": "mlp", "hidden_units": [32], "embedding": 8, "epochs": 5, "batch_size": 64, "lr": 0.2,
        "source": {"name": "folder", "loader": "image_folder", "path": "folder", "grayscale": True}, "flip": False, "device": "cpu",
        "finetune_epochs": 2,
    }
}  # fmt: skip
STUDY["learners"]["mlp"] |= {"backbone": "own", "finetune_every": 20}


def changed(backbone=None, learner=None, **changes):
    config = copy.deepcopy(STUDY) | changes
    config["backbones"]["own"] |= backbone or {}
    config["learners"]["mlp"] |= learner or {}
    return config


@pytest.mark.parametrize(
    ("every", "cycles", "finetuned"),
    [(None, 4, 0), (20, 2, 1 + 2), (25, 4, 2 + 2), (30, 2, 2), (7, 3, 1 + 6), (1000, 3, 0)],
)
def test_nodes_that_reach_a_multiple_are_finetuned(workflow, every, cycles, finetuned):
    """20 labels, then 10 more each: at 20 and 40; 30 and 50; 30; all; none. The shared start is shared."""
    workflow.write(changed(learner={"finetune_every": every}, cycles=cycles))
    planned = workflow.counted()
    assert planned.get("finetune", 0) == finetuned
    assert planned["source_dataset"] == planned["embedding"] == planned["dataset"] == 1
    # the first features are not needed where the start is fine-tuned
    assert planned.get("features", 0) == (every not in (20, 7))
    assert planned["train"] == 1 + 2 * cycles


def test_images_of_a_source_lie_where_their_size_is_in_the_name():
    """A study on the source itself, in another size, has the name for itself."""
    source = STUDY["backbones"]["own"]["source"] | {"grayscale": False}
    for size, folder in ((None, "folder"), (16, "folder_16px")):
        study = Study(load(changed({"source": source}, dataset={"name": "digits", "image_size": size})))
        reads = job.reads(study, "embedding", study.at({"backbone": "own-seed0"}))
        assert reads["images"] == f"results/datasets/{folder}/images.h5"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("embedded"))
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images[:600], digits.target, strict=False)):
        folder = workflow.folder / "folder" / f"digit{label}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number:03}.png"), (image * 15).astype(np.uint8))
    workflow.write(STUDY)
    workflow.snakemake("--cores", "2")
    return workflow


@pytest.mark.slow
def test_every_node_sees_the_newest_backbone_of_its_branch(finished):
    results = finished.folder / "results"
    seeds = results / "embedded/seed0"
    with artifacts.opened(results / "datasets/digits/images.h5", "images") as file:
        images = inference.to_tensor(file["images"][()], torch.device("cpu"))
    features = {}
    for folder in (seeds / "start-mlp/cycle0", seeds / "random/cycle2", seeds / "kcenter_greedy/cycle2"):
        found, split_N = artifacts.read(folder / "features.h5", "features", "features", "split")
        backbone = backbones.load(str(folder / "backbone.safetensors"), tuple(images.shape[1:]))
        (expected,) = backbones.features(backbone, [images], "float32")
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.shape == (len(images), 8) and split_N.sum() == 360
        features[folder.parent.name] = found
    assert np.abs(features["random"] - features["kcenter_greedy"]).max() > 1e-3
    assert np.abs(features["random"] - features["start-mlp"]).max() > 1e-3
    for branch, cycle, sees in (
        ("start-mlp", 0, "start-mlp"), ("random", 1, "start-mlp"), ("kcenter_greedy", 1, "start-mlp"), ("random", 2, "random"),
        ("kcenter_greedy", 2, "kcenter_greedy"),
    ):  # fmt: skip
        folder = seeds / branch / f"cycle{cycle}"
        ids, probs = artifacts.read(folder / "predictions.h5", "predictions", "ids", "probabilities")
        model = architectures.load(folder / "model.safetensors", torch.device("cpu"))
        with torch.no_grad():
            expected = torch.softmax(model(torch.from_numpy(features[sees][ids])[:, :, None, None]), 1)
        np.testing.assert_allclose(probs, expected, atol=1e-5)


@pytest.mark.slow
def test_embedding_is_learnt_on_the_source_alone_and_is_no_chance(finished):
    folder = finished.folder / "results/datasets/digits/backbones/own-seed0"
    assert (folder / "embedding.log").read_text().count("learning an embedding on 480 labeled images of folder")
    with artifacts.opened(finished.folder / "results/datasets/digits/images.h5", "images") as file:
        images = inference.to_tensor(file["images"][1000:], torch.device("cpu"))
    (labels,) = artifacts.read(finished.folder / "results/datasets/digits/truth.h5", "truth", "labels")
    backbone = backbones.load(str(folder / "backbone.safetensors"), tuple(images.shape[1:]))
    assert neighbour_accuracy(backbone, images, labels[1000:]) > 0.7
    study = Study(load(STUDY))
    reads = job.reads(study, "embedding", study.at({"backbone": "own-seed0"}))
    assert reads["truth"] == "results/datasets/folder_gray/truth.h5" != study.truth
    at = study.at({"seed": "0", "branch": "random", "cycle": "2"})
    assert not any("truth" in path for path in job.reads(study, "finetune", at).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "rerun"),
    [
        ({"backbone": {"finetune_epochs": 3}}, {"finetune": 3}),
        ({"backbone": {"device": "auto"}}, {}),
        ({"learner": {"epochs": 3}}, {"finetune": 1}),  # k-center asks for other labels
        ({"learner": {"finetune_every": 25}}, {"features": 1, "finetune": 2}),
        ({"methods": {"random": {}, "kcenter_greedy": {}, "margin": {}}}, {"finetune": 1}),
        ({"study": "other"}, {"finetune": 3}),
        ({"study": "other", "seeds": [1]}, {"embedding": 1, "finetune": 3}),
    ],
)
def test_a_change_repeats_only_what_depends_on_it(finished, change, rerun):
    finished.write(changed(**change))
    planned = finished.planned()
    finished.write(STUDY)
    assert {
        rule: n for rule, n in planned.items() if rule in ("source_dataset", "embedding", "features", "finetune")
    } == rerun
    assert load(changed(**change))["backbones"]["own"]["kind"] == "triplet"


@pytest.mark.slow
def test_neither_cores_nor_hidden_labels_change_a_byte(finished, tmp_path):
    """One core, and every label flipped that the method never asked for: only what is measured on the test set changes."""
    other, source = Workflow(tmp_path), finished.folder / "results"
    (tmp_path / "folder").symlink_to(finished.folder / "folder")
    (known,) = artifacts.read(source / "embedded/seed0/kcenter_greedy/cycle2/labeled.h5", "labeled", "ids")
    assert with_flipped_labels(other, source, known) == 1797 - 40
    other.write(STUDY | {"methods": {"kcenter_greedy": {}}})
    other.snakemake("results/embedded/metrics.csv", "--cores", "1", "--rerun-triggers", "mtime")
    made = {name: data for name, data in other.files("**/*").items() if name.endswith((".h5", ".safetensors"))}
    assert [name for name, data in made.items() if data != (source / name).read_bytes()] == ["datasets/digits/truth.h5"]
    kinds = {Path(name).name for name in made}
    assert kinds >= {"split.h5", "backbone.safetensors", "features.h5", "labeled.h5", "query.h5", "predictions.h5"}
    one, two = (pd.read_csv(folder / "embedded/metrics.csv") for folder in (source, tmp_path / "results"))
    measured = one.query("method == 'kcenter_greedy'")["accuracy"].to_numpy()
    assert len(measured) == 3 and (two["accuracy"] != measured).all()  # the flipped labels were there
