"""Which samples get a pseudo-label, FixMatch, and training that goes on from a model: by hand and against loops."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import SMALL
from sklearn.datasets import load_digits

from dagal import artifacts
from dagal.config import check_pool, load
from dagal.errors import UserError
from dagal.learners import architectures, pseudo_labels, training
from dagal.learners.augmentation import random_crop_flip
from dagal.learners.fixmatch import consistency_loss, strong_augmentation

DEFAULT = load(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text()))["learners"]["mlp"]
CPU = torch.device("cpu")
PLAIN = {"pad": 0, "crop": None, "flip": False}
ORIGIN = artifacts.provenance("test", {})


def test_number_is_a_share_of_all_training_images():
    """10 % and 25 % of CIFAR-10 and of the digits."""
    assert [pseudo_labels.number(share, 50_000) for share in (0.1, 0.25)] == [5000, 12_500]
    assert [pseudo_labels.number(share, 1437) for share in (0.1, 0.25)] == [144, 359]


def test_most_certain_by_hand_and_ties_at_random():
    uncertainty = np.array([0.3, 0.0, 0.1, 0.0, 0.0, 0.2])
    assert pseudo_labels.most_certain(uncertainty, 4, np.random.default_rng(0)).tolist() == [1, 2, 3, 4]
    drawn = {tuple(pseudo_labels.most_certain(uncertainty, 2, np.random.default_rng(seed))) for seed in range(40)}
    assert drawn == set(itertools.combinations((1, 3, 4), 2))


def test_threshold_of_ceal_decays_from_the_second_pseudo_labels_on():
    """.05, then .0467, .0434, ...; at cycle 17 it is below 0."""
    entropy = np.array([0.0499, 0.05, 0.0466, 0.0434, 0.0, 1.2])
    assert pseudo_labels.below_threshold(entropy, 0.05, 0.0033, 1).tolist() == [0, 2, 3, 4]
    assert pseudo_labels.below_threshold(entropy, 0.05, 0.0033, 2).tolist() == [2, 3, 4]
    assert pseudo_labels.below_threshold(entropy, 0.05, 0.0033, 3).tolist() == [4]
    assert pseudo_labels.below_threshold(entropy, 0.05, 0.0033, 17).tolist() == []


def test_consistency_loss_by_hand():
    """Sohn et al. 2020, eq. 4: of three images the first two are sure of class 1 and class 0; the third counts as 0."""
    weak = torch.log(torch.tensor([[0.04, 0.96], [0.75, 0.25], [0.6, 0.4]])).requires_grad_()
    strong = torch.log(torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])).requires_grad_()
    loss, share = consistency_loss(weak, strong, 0.7)
    assert loss.item() == pytest.approx((np.log(2) + np.log(5)) / 3)
    assert share.item() == pytest.approx(2 / 3)
    loss.backward()
    assert weak.grad is None  # no gradient through the pseudo-labels
    assert strong.grad.numpy() == pytest.approx(np.array([[0.5, -0.5], [-0.8, 0.8], [0, 0]]) / 3, abs=1e-6)
    assert consistency_loss(weak, strong, 0.99)[0].item() == 0
    equal = torch.zeros(1, 2)  # p is exactly 1/2
    assert consistency_loss(equal, equal, 0.5)[1] == 1 and consistency_loss(equal, equal, 0.51)[1] == 0


@pytest.mark.parametrize(("shape", "pad"), [((1, 8, 8), 0), ((3, 8, 8), 0), ((1, 28, 28), 2), ((3, 32, 32), 6)])
def test_strong_augmentation_against_a_loop(shape, pad):
    images = torch.randint(0, 256, (12, *shape), dtype=torch.uint8)
    settings = PLAIN | {"pad": pad, "flip": True}
    result = strong_augmentation(images, settings, torch.Generator().manual_seed(3))
    assert result.dtype == torch.uint8 and result.shape == images.shape
    generator = torch.Generator().manual_seed(3)
    shifted = random_crop_flip(images, settings | {"pad": {8: 1, 28: 3, 32: 6}[shape[1]]}, generator).numpy()
    draws = [torch.rand(12, generator=generator).double().numpy() for _ in range(5)]
    size, n_cut = shape[1], 0
    for i, image in enumerate(shifted.astype(float)):
        contrast, shift, side, row, column = (draw[i] for draw in draws)
        mean = image.mean()
        expected = (image - mean) * (0.5 + contrast) + mean + 128 * shift - 64
        for y, x in itertools.product(range(size), range(size)):
            if max(abs(y + 0.5 - row * size), abs(x + 0.5 - column * size)) < side * size / 4:
                expected[:, y, x], n_cut = mean, n_cut + 1
        difference = np.abs(np.clip(expected, 0, 255) - result[i].numpy())
        assert difference.max() <= 0.5 + 1e-3
    assert n_cut


def test_strong_augmentation_is_stronger_and_keeps_small_and_cropped_images():
    images = torch.randint(0, 256, (5, 1, 2, 2), dtype=torch.uint8)
    assert strong_augmentation(images, PLAIN, torch.Generator()).shape == images.shape
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    assert strong_augmentation(images, PLAIN | {"crop": 12}, torch.Generator()).shape == (64, 3, 12, 12)
    strong = strong_augmentation(images, PLAIN, torch.Generator().manual_seed(0))
    assert (strong != images).flatten(1).any(1).all()


def test_steps_of_an_epoch():
    def generator():
        return torch.Generator().manual_seed(1)

    once = training.batches(10, 4, None, generator())
    assert torch.equal(torch.cat(once), torch.randperm(10, generator=generator()))
    assert [len(batch) for batch in once] == [4, 4, 2]
    repeated = training.batches(3, 4, 5, generator())  # a labeled set smaller than a batch
    assert [len(batch) for batch in repeated] == [4] * 5
    assert sorted(torch.bincount(torch.cat(repeated)).tolist()) == [6, 7, 7]
    assert [len(batch) for batch in training.batches(100, 4, 2, generator())] == [4, 4]


def settings(**changes):
    return copy.deepcopy(DEFAULT) | {"epochs": 5, "batch_size": 8} | changes


def fixmatch(**changes):
    return {"threshold": 0.95, "ratio": 7, "weight": 1, "steps_per_epoch": None} | changes


def bars(n, seed):
    """8 x 8 images with a bright bar in one of three directions, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 120, (n, 1, 8, 8))
    for image, label, place in zip(images[:, 0], labels, rng.integers(1, 6, n), strict=True):
        if label < 2:
            (image if label == 0 else image.T)[place] = 200
        else:
            np.fill_diagonal(image, 200)
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


def trained(config, images, labels, pool=None):
    torch.manual_seed(0)
    model = architectures.build(config, tuple(images.shape[1:]), 10, [0.3], [0.35])
    return model, training.fit(model, images, labels, config, 0, pool=pool)


def test_fixmatch_learns_from_images_without_label():
    """50 of the bundled digits with label, 1,000 without: more often right than with the labels alone, in as many steps."""
    found = load_digits()
    images = torch.from_numpy(np.rint(found.images * 255 / 16).astype(np.uint8))[:, None]
    right = {"plain": [], "fixmatch": []}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(1797)
        labeled, pool, test = order[:50], order[50:1050], order[1050:]
        for name, part in (("plain", None), ("fixmatch", fixmatch())):
            config = settings(epochs=150, batch_size=16, fixmatch=part)
            model, history = trained(config, images[labeled], torch.from_numpy(found.target[labeled]), images[pool])
            right[name].append((model.eval()(images[test]).argmax(1).numpy() == found.target[test]).mean())
    print(right)
    assert history["confident"][0] < 0.1 and history["confident"][-1] > 0.3
    assert len(history["consistency_loss"]) == 150 and history["consistency_loss"][-1] > 0
    assert np.mean(right["fixmatch"]) > np.mean(right["plain"]) + 0.01


def test_the_size_of_the_pool_costs_no_step(monkeypatch):
    images, labels = bars(20, 0)
    steps = []
    stepper = training.stepper

    def counted(*arguments):
        step = stepper(*arguments)
        return lambda lr: (steps.append(lr), step(lr))

    monkeypatch.setattr(training, "stepper", counted)
    for n, per_epoch, expected in ((10, None, 15), (2000, None, 15), (2000, 4, 20)):
        steps.clear()
        trained(settings(fixmatch=fixmatch(steps_per_epoch=per_epoch)), images, labels, bars(n, 1)[0])
        assert len(steps) == expected


def test_without_a_pool_fixmatch_is_plain_training():
    images, labels = bars(20, 0)
    plain, plain_history = trained(settings(), images, labels)
    other, history = trained(settings(fixmatch=fixmatch()), images, labels, images[:0])
    assert history == plain_history
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), other.parameters(), strict=True))


def test_fixmatch_and_loss_prediction_in_one_loop():
    images, labels = bars(20, 0)
    prediction = {"loss": "ranking", "weight": 1, "share": 0.6, "margin": 1, "width": 8}
    _, history = trained(
        settings(fixmatch=fixmatch(threshold=0), loss_prediction=prediction), images, labels, bars(40, 1)[0]
    )
    assert np.isfinite(history["prediction_loss"][:3]).all() and np.isnan(history["prediction_loss"][3:]).all()
    assert history["confident"] == pytest.approx([1] * 5)


class Source(dict):
    __getattr__ = dict.__getitem__


@pytest.fixture
def node(tmp_path):
    """A node with labels of two classes, pseudo-labels of the third, and a pool."""
    images, labels = bars(300, 0)
    images, labels = images.permute(0, 2, 3, 1).numpy(), labels.numpy()
    labeled, third = np.flatnonzero(labels[:150] < 2), np.flatnonzero(labels[:150] == 2)
    pool = np.setdiff1d(np.arange(150), labeled)
    source = Source({name: tmp_path / f"{name}.h5" for name in ("images", "split", "labeled", "pseudo")})
    source["inputs"] = source.pop("images")
    split = {"pool": pool, "channel_mean": np.array([0.3]), "channel_std": np.array([0.2])}
    artifacts.write(source.inputs, "images", ORIGIN, {"images": images})
    artifacts.write(source.split, "split", ORIGIN, split)
    names = {"class_names": ["row", "column", "diagonal"]}
    artifacts.write(source.labeled, "labeled", ORIGIN, {"ids": labeled, "labels": labels[labeled]}, **names)
    pseudo = {"ids": third, "labels": labels[third], "uncertainty": np.zeros(len(third))}
    artifacts.write(source.pseudo, "pseudo_labels", ORIGIN, pseudo)
    test = torch.from_numpy(images[150:]).permute(0, 3, 1, 2)
    return source, test, labels[150:]


def test_pseudo_labels_teach_what_no_label_does(node, capsys):
    source, test, truth = node
    right = {}
    for name in ("pseudo", "none"):
        model, _ = training.fit_node(
            source if name == "pseudo" else Source(source, pseudo=[]), settings(epochs=60), 0, (1,), CPU
        )
        right[name] = (model.eval()(test).argmax(1).numpy() == truth)[truth == 2].mean()
    assert right["pseudo"] > 0.8 and right["none"] < 0.2
    assert "labels and 5" in capsys.readouterr().out  # 50 or more pseudo-labels are told of


def test_warm_start_goes_on_from_the_parent(node, tmp_path):
    """With a learning rate of next to nothing the model is its parent's; without a parent it is a fresh one."""
    source, _, _ = node
    still = settings(epochs=1, optimizer=DEFAULT["optimizer"] | {"lr": 1e-30})
    parent, _ = training.fit_node(source, settings(), 0, (0,), CPU)
    architectures.save(tmp_path / "model.safetensors", parent, settings(), (1, 8, 8), ORIGIN)
    warm, _ = training.fit_node(Source(source, parent=tmp_path / "model.safetensors"), still, 0, (1,), CPU)
    cold, _ = training.fit_node(source, still, 0, (1,), CPU)
    for name, weights in parent.state_dict().items():
        assert torch.equal(weights, warm.state_dict()[name])
        assert name.startswith("channel") or not torch.equal(weights, cold.state_dict()[name])


def study(learner, **changes):
    config = copy.deepcopy(SMALL) | changes
    config["learners"]["mlp"] |= learner
    return config


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        ({"pseudo_labels": {"share": 0.1}}, ["'learners.mlp.pseudo_labels.kind' is missing"]),
        ({"pseudo_labels": {"kind": "three"}}, ["'three'", "two_model, ceal"]),
        ({"pseudo_labels": {"kind": "two_model", "share": 1}}, ["pseudo_labels.share' is 1", "below 1"]),
        ({"pseudo_labels": {"kind": "ceal", "share": 0.2}}, ["pseudo_labels.share' is for two_model only", "ceal"]),
        ({"pseudo_labels": {"kind": "two_model", "decay": 0.1}}, ["pseudo_labels.decay' is for ceal only"]),
        ({"pseudo_labels": {"kind": "ceal"}, "fixmatch": {}}, ["'learners.mlp'", "both pseudo_labels and fixmatch"]),
        ({"fixmatch": {"ratio": 0}}, ["fixmatch.ratio' is 0", "at least 1"]),
        ({"fixmatch": {"treshold": 0.9}}, ["'treshold' is unknown", "did you mean 'threshold'"]),
    ],
)
def test_mistake_is_one_sentence(learner, words):
    with pytest.raises(UserError) as caught:
        load(study(learner))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    for word in words:
        assert word in str(caught.value).replace("'learners.mlp.fixmatch.treshold'", "'treshold'")


def test_points_and_features_have_no_strong_augmentation():
    config = study({"fixmatch": {}}, dataset={"name": "two_moons"})
    with pytest.raises(UserError, match="learners.mlp.fixmatch' augments images"):
        load(config)
    backbones = {"net": {"architecture": "lenet", "kind": "file", "weights": "net.safetensors"}}
    with pytest.raises(UserError, match="learners.mlp.fixmatch' augments images"):
        load(study({"fixmatch": {}, "backbone": "net"}, backbones=backbones))


def test_features_that_change_have_no_model_of_the_cycle_before():
    camera = yaml.safe_load((Path(__file__).parents[1] / "experiments/camera_traps_miniature.yaml").read_text())
    name = next(name for name, learner in camera["learners"].items() if learner.get("finetune_every"))
    load(copy.deepcopy(camera))
    for change in ({"warm_start": True}, {"pseudo_labels": {"kind": "ceal"}}):
        config = copy.deepcopy(camera)
        config["learners"][name] |= change
        with pytest.raises(UserError, match=f"learners.{name}.finetune_every' changes the features"):
            load(config)


def test_svms_have_no_epochs():
    svm = {"architecture": "svm", "device": "cpu"}
    config = SMALL | {"learners": {"svm": svm | {"pseudo_labels": {"kind": "two_model"}}}}
    with pytest.raises(UserError, match="learners.svm.pseudo_labels.certainty' is dispersion"):
        load(config)
    for key, value in (("warm_start", True), ("fixmatch", {})):
        with pytest.raises(UserError, match=f"learners.svm.{key}' is for networks"):
            load(SMALL | {"learners": {"svm": svm | {key: value}}})


def test_pseudo_labels_and_queries_must_fit_the_pool():
    """1,000 images, 20 of them labeled: 2 queries of 10 leave 960, and 98 % of 1,000 is too much."""
    config = load(study({"pseudo_labels": {"kind": "two_model", "share": 0.96}}))
    check_pool(config, 980)
    config["learners"]["mlp"]["pseudo_labels"]["share"] = 0.98
    with pytest.raises(
        UserError, match="pseudo_labels.share' asks for 980 pseudo-labels .* leaves 960 unlabeled images"
    ):
        check_pool(config, 980)


def test_jobs_of_the_two_models_and_of_ceal(workflow):
    """Two models are trained at every node, the start included; CEAL has pseudo-labels from the first query on."""
    config = study({"pseudo_labels": {"kind": "two_model"}, "warm_start": True})
    config["methods"] = {"entropy": {}, "margin": {}}
    workflow.write(config)
    planned = workflow.counted()
    assert planned["train"] == planned["train_labeled_only"] == planned["pseudo_labels"] == planned["evaluate"] == 5
    assert planned["pseudo_label_table"] == planned["figure_pseudo_labels"] == 1
    workflow.write(study({"pseudo_labels": {"kind": "ceal"}}))
    planned = workflow.counted()
    assert planned["pseudo_labels"] == 4 and planned["train"] == 5 and "train_labeled_only" not in planned
    workflow.write(study({"fixmatch": {}, "warm_start": True}))
    planned = workflow.counted()
    workflow.write(SMALL)
    assert planned == workflow.counted()
