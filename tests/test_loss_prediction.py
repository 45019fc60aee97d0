"""The loss-prediction head and its two losses."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from dagal.config import load
from dagal.errors import UserError
from dagal.learners import architectures
from dagal.learners.augmentation import random_crop_flip
from dagal.learners.inference import predict, predicted_losses
from dagal.learners.loss_prediction import LossPrediction, attach, margin_loss, ranking_loss, taps, with_features
from dagal.learners.optimizers import stepper
from dagal.learners.training import fit

DEFAULT = load(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text()))["learners"]["mlp"]


def build(shape=(1, 8, 8), n_classes=3, **changes):
    torch.manual_seed(0)
    settings = copy.deepcopy(DEFAULT) | changes
    return architectures.build(settings, shape, n_classes, np.full(shape[0], 0.5), np.full(shape[0], 0.25))


def test_margin_loss_by_hand():
    """Pairs (0, 3), (1, 4), (2, 5): right by more than the margin, right by less, wrong."""
    predicted = torch.tensor([3.0, 1.0, 0.5, 1.0, 1.25, 2.0])
    actual = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.3, 0.4])
    assert margin_loss(predicted, actual).item() == pytest.approx((0 + 0.75 + 2.5) / 3)
    assert margin_loss(predicted, actual, margin=2.0).item() == pytest.approx((0 + 1.75 + 3.5) / 3)


def test_ranking_loss_by_hand():
    predicted = torch.tensor([3.0, 1.0, 0.5, 1.0, 1.25, 2.0])
    actual = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.3, 0.4])

    def minus_log_sigmoid(x):
        return -math.log(1 / (1 + math.exp(-x)))

    # d = 2, I = 1; d = -0.25, I = 0; d = -1.5, I = 1
    expected = (minus_log_sigmoid(2) + minus_log_sigmoid(0.25) + minus_log_sigmoid(-1.5)) / 3
    assert ranking_loss(predicted, actual).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [margin_loss, ranking_loss])
def test_losses_ignore_the_odd_one_out_and_give_0_without_a_pair(loss):
    torch.manual_seed(0)
    predicted, actual = torch.randn(6), torch.rand(6)
    odd = loss(torch.cat([predicted, torch.tensor([1e6])]), torch.cat([actual, torch.tensor([-1e6])]))
    assert torch.equal(odd, loss(predicted, actual))
    single = torch.randn(1, requires_grad=True)
    value = loss(single, torch.rand(1))
    value.backward()
    assert value.item() == 0 and single.grad.tolist() == [0]


@pytest.mark.parametrize("loss", [margin_loss, ranking_loss])
def test_losses_teach_the_predictions_and_never_the_actual_losses(loss):
    predicted = torch.zeros(2, requires_grad=True)
    actual = torch.tensor([0.1, 0.7], requires_grad=True)
    loss(predicted, actual).backward()
    assert predicted.grad[0] > 0 > predicted.grad[1]  # a step down the gradient raises the one of the larger loss
    assert actual.grad is None


def test_ranking_loss_is_finite_far_out():
    predicted = torch.tensor([500.0, -500.0], requires_grad=True)
    value = ranking_loss(predicted, torch.tensor([0.0, 1.0]))
    value.backward()
    assert value.item() == 1000 and predicted.grad.tolist() == [1, -1]


def test_equal_losses_teach_the_margin_loss_nothing():
    predicted = torch.tensor([3.0, 1.0], requires_grad=True)
    value = margin_loss(predicted, torch.zeros(2))
    value.backward()
    assert value.item() == 1 and not predicted.grad.any()


def test_head_by_hand():
    """Two taps, a map and a vector: pooled, weighted, rectified, summed."""
    head = LossPrediction([2, 1], width=1)
    for parameter, value in zip(
        head.parameters(), ([[1.0, -1.0]], [0.5], [[2.0]], [-1.0], [[10.0, 1.0]], [0.25]), strict=True
    ):
        parameter.data = torch.tensor(value)
    maps = torch.tensor([[[[1.0, 3.0]], [[0.0, 1.0]]], [[[0.0, 0.0]], [[4.0, 4.0]]]])
    # image 0: 2 - 0.5 + 0.5 = 2; image 1: 0 - 4 + 0.5 < 0
    assert head([maps, torch.tensor([[3.0], [0.0]])]).tolist() == [20 + 5 + 0.25, 0.25]


@pytest.mark.parametrize(
    ("architecture", "shape", "sizes"),
    [
        ("mlp", (1, 8, 8), [(2, 16), (2, 12)]),
        ("lenet", (1, 28, 28), [(2, 6, 14, 14), (2, 16, 5, 5), (2, 120), (2, 84)]),
        ("resnet18_cifar", (3, 32, 32), [(2, 64, 32, 32), (2, 128, 16, 16), (2, 256, 8, 8), (2, 512, 4, 4)]),
        ("resnet18", (3, 64, 64), [(2, 64, 16, 16), (2, 128, 8, 8), (2, 256, 4, 4), (2, 512, 2, 2)]),
        ("resnet50", (3, 64, 64), [(2, 256, 16, 16), (2, 512, 8, 8), (2, 1024, 4, 4), (2, 2048, 2, 2)]),
    ],
)
def test_taps(architecture, shape, sizes):
    model = build(shape, architecture=architecture, hidden_units=[16, 12]).eval()
    images = torch.randint(0, 256, (2, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    logits, features = with_features(model, taps(model), images)
    assert [tuple(feature.shape) for feature in features] == sizes
    assert torch.equal(logits, model(images))
    assert all((feature >= 0).all() and feature.any() for feature in features)  # behind a ReLU
    if architecture != "resnet18_cifar" and not architecture.startswith("resnet"):
        assert torch.equal(features[-1], model.embed(images))
    assert not any(module._forward_hooks for module in model.modules())
    head, modules = attach(model, shape)
    assert head(with_features(model, modules, images)[1]).shape == (2,)


def test_taps_of_a_network_without_hidden_layers():
    with pytest.raises(UserError, match="hidden"):
        taps(build(hidden_units=[]))


def test_attach_leaves_the_network_as_it_was():
    model = build((3, 32, 32), architecture="resnet18_cifar").train()
    before = copy.deepcopy(model.state_dict())
    attach(model, (3, 32, 32))
    assert model.training and model.backbone.bn1.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_hooks_are_removed_when_the_pass_fails():
    model = build()
    with pytest.raises(RuntimeError):
        with_features(model, taps(model), torch.zeros(2, 1, 5, 5, dtype=torch.uint8))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("detach", [False, True])
def test_the_gradient_is_cut(detach):
    model = build(hidden_units=[16, 12])
    head, modules = attach(model, (1, 8, 8), width=8)
    _, features = with_features(model, modules, torch.randint(0, 256, (6, 1, 8, 8)).to(torch.uint8))
    ranking_loss(head(features, detach=detach), torch.arange(6.0)).backward()
    assert all(parameter.grad.any() for parameter in head.branches.parameters())
    backbone = list(model.backbone.parameters())
    if detach:
        assert all(parameter.grad is None for parameter in backbone)
    else:
        assert all(parameter.grad.any() for parameter in backbone)


def images_with_a_noisy_class(n, seed):
    """Brightness tells the class, 0..3, but above class 1 the labels are coin flips: there the loss stays high."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 4, (n,), generator=generator)
    images = (kind[:, None, None, None] * 60 + torch.randint(0, 40, (n, 1, 8, 8), generator=generator)).to(torch.uint8)
    return images, torch.where(kind < 2, kind, 2 + torch.randint(0, 2, (n,), generator=generator)), kind


@pytest.mark.parametrize("loss", [margin_loss, ranking_loss])
@pytest.mark.parametrize("detach", [False, True])
def test_the_head_learns_to_rank_real_losses(loss, detach):
    model = build(hidden_units=[32, 32], n_classes=4, dropout=0.0)
    head, modules = attach(model, (1, 8, 8), width=32)
    step = stepper(list(nn.ModuleList([model, head]).parameters()), {"name": "adam", "weight_decay": 0.0})
    images, labels, _ = images_with_a_noisy_class(512, 1)
    order = torch.Generator().manual_seed(2)
    for _ in range(60):
        for batch in torch.randperm(512, generator=order).split(64):
            logits, features = with_features(model, modules, images[batch])
            losses = cross_entropy(logits, labels[batch], reduction="none")
            (losses.mean() + loss(head(features, detach), losses)).backward()
            step(3e-3)
    images, labels, kind = images_with_a_noisy_class(400, 3)
    with torch.no_grad():
        logits, features = with_features(model, modules, images)
        actual, predicted = cross_entropy(logits, labels, reduction="none"), head(features)
    hard, easy = predicted[kind >= 2], predicted[kind < 2]
    assert actual[kind >= 2].mean() > 3 * actual[kind < 2].mean()
    assert (hard[:, None] > easy).float().mean() > 0.95


def trained(stops, loss="ranking"):
    """Weights of backbone and head after each of 4 epochs; what ``stops`` does so after 2 of them."""
    prediction = {"loss": loss, "weight": 1, "margin": 1, "width": 8, "share": 0.5} | (
        {"stops": stops} if stops else {}
    )
    settings = {"hidden_units": [16], "epochs": 4, "batch_size": 32, "dropout": 0.0, "loss_prediction": prediction}
    model, epochs = build(n_classes=4, **settings), []

    def follow(model):
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        epochs.append(
            [torch.cat([v.flatten() for k, v in state.items() if k.startswith("loss_") == ours]) for ours in (0, 1)]
        )

    images, labels, _ = images_with_a_noisy_class(96, 1)
    fit(model, images, labels, copy.deepcopy(DEFAULT) | settings, seed=0, after_epoch=follow)
    return epochs


def test_what_stops_after_the_share_of_the_epochs():
    """Without the loss of the head, or cut off from it, the backbone learns to the bit what it learns by itself."""
    found = {stops: trained(stops) for stops in ("backbone", "head", "both")}
    for epoch in (0, 1):
        assert all(torch.equal(found["both"][epoch][part], found[s][epoch][part]) for s in found for part in (0, 1))
    for epoch in (2, 3):
        (backbone, head), (reached, frozen), (alone, untrained) = (found[stops][epoch] for stops in found)
        assert torch.equal(backbone, alone) and not torch.equal(reached, alone)
        assert torch.equal(frozen, found["head"][1][1]) and torch.equal(untrained, frozen)
        assert not torch.equal(head, found["backbone"][epoch - 1][1])
    for loss, default in (("ranking", "both"), ("margin", "backbone")):
        ends = trained(None, loss)[-1], trained(default, loss)[-1]
        assert all(torch.equal(*parts) for parts in zip(*ends, strict=True))


def test_a_frozen_head_still_teaches_the_backbone_its_loss():
    """One step of SGD against autograd: the gradient of the sum of both losses, of the backbone alone."""
    prediction = {"loss": "ranking", "weight": 3, "share": 1e-9, "width": 8, "stops": "head"}
    settings = {"hidden_units": [16], "epochs": 2, "batch_size": 96, "dropout": 0.0, "loss_prediction": prediction}
    settings["optimizer"] = {"name": "sgd", "lr": 0.1, "momentum": 0, "weight_decay": 0, "nesterov": False}
    model, images_labels, states = build(n_classes=4, **settings), images_with_a_noisy_class(96, 1)[:2], []
    fit(
        model, *images_labels, copy.deepcopy(DEFAULT) | settings, seed=0,
        after_epoch=lambda model: states.append(copy.deepcopy(model.state_dict())),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        order = torch.randperm(96, generator=generator)
        images, labels = (values[order] for values in images_labels)
        random_crop_flip(images, DEFAULT["augmentation"], generator)
    model.load_state_dict(states[0])
    logits, features = with_features(model.train(), taps(model), images)
    losses = cross_entropy(logits, labels, reduction="none")
    total = losses.mean() + 3 * ranking_loss(model.loss_prediction(features), losses)
    names, weights = zip(*[(n, p) for n, p in model.named_parameters() if not n.startswith("loss_")], strict=True)
    for name, weight, gradient in zip(names, weights, torch.autograd.grad(total, weights), strict=True):
        torch.testing.assert_close(states[1][name], weight - 0.1 * gradient, rtol=1e-5, atol=1e-6)


def test_predicted_losses_are_those_of_a_pass_over_the_pool():
    model = build(hidden_units=[16, 12], loss_prediction={"width": 8}).train()
    images = torch.randint(0, 256, (23, 1, 8, 8)).to(torch.uint8)
    parts = [predicted for _, _, predicted, _ in predict(model, images.split(10), "float32")]
    np.testing.assert_allclose(predicted_losses(model.train(), images, 10, "float32"), np.concatenate(parts), rtol=1e-6)


@pytest.mark.parametrize("prediction", [{"loss": "margin", "share": 0.6}, {"loss": "ranking", "share": 0.8}])
def test_predicted_losses_of_held_out_digits_go_with_the_real_ones(prediction):
    """The head costs the learner next to nothing, and its ranking holds for images that it has not seen."""
    digits = load_digits()
    images = torch.from_numpy((digits.images[:, None] * 255 / 16).astype(np.uint8))
    labels, (seen, unseen) = (
        torch.from_numpy(digits.target),
        np.split(np.random.default_rng(0).permutation(1797), [300]),
    )
    accuracy = {}
    for kind, head in (("plain", None), ("predicting", {"weight": 1, "margin": 1, "width": 128} | prediction)):
        settings = {"hidden_units": [64], "epochs": 60, "batch_size": 32, "loss_prediction": head}
        model = build(n_classes=10, **settings)
        fit(model, images[seen], labels[seen], copy.deepcopy(DEFAULT) | settings, seed=0)
        ((probs_N_C, _, predicted_N, _),) = predict(model, [images[unseen]], "float32")
        accuracy[kind] = (probs_N_C.argmax(1) == digits.target[unseen]).mean()
    actual_N = -np.log(probs_N_C[np.arange(len(unseen)), digits.target[unseen]])
    correlation = spearmanr(predicted_N, actual_N).statistic
    print(f"{prediction['loss']}: rank correlation {correlation:.2f}, accuracy {accuracy}")
    assert correlation > 0.55
    assert accuracy["predicting"] > accuracy["plain"] - 0.03
