"""The SVM learner against scikit-learn, and its margin against distances by hand."""

import copy

import numpy as np
import pytest
import torch
from conftest import SMALL
from sklearn.svm import SVC, LinearSVC

from dagal.acquisition.scores import svm_min_margin
from dagal.config import load
from dagal.errors import UserError
from dagal.learners import architectures, svm


def settings(**changes):
    config = copy.deepcopy(SMALL)
    config["learners"] = {"svm": {"architecture": "svm", **changes}}
    return load(config)["learners"]["svm"]


def blobs(labels, size=6, seed=0):
    """Features (n,size,1,1) around a centre for each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.as_tensor(labels)
    centres = 2 * torch.randn((10, size), generator=generator)
    return (centres[labels] + torch.randn((len(labels), size), generator=generator))[:, :, None, None], labels


def fitted(features, labels, n_classes, penalty=5.0):
    model = architectures.build(settings(), tuple(features.shape[1:]), n_classes, torch.zeros(6), torch.ones(6))
    return model, svm.fit(model, features, labels, {"C": penalty}, seed=1)


def test_logits_are_the_decision_values_of_scikit_learn():
    features, labels = blobs(np.arange(60) % 4)
    model, history = fitted(features, labels, 4)
    machine = LinearSVC(C=5, max_iter=20_000, random_state=0).fit(features[:, :, 0, 0], labels)
    with torch.no_grad():
        logits = model(features).numpy()
    np.testing.assert_allclose(logits, machine.decision_function(features[:, :, 0, 0]), rtol=1e-2, atol=1e-2)
    assert history["accuracy"] == [machine.score(features[:, :, 0, 0], labels)]
    signs = np.where(labels.numpy()[:, None] == np.arange(4), 1, -1)
    assert history["loss"][0] == pytest.approx(np.square(np.maximum(1 - signs * logits, 0)).mean(), rel=1e-3)


def test_hinge_loss_is_that_of_a_linear_kernel():
    """libsvm does not regularise the intercept; where every point has its mirror image in the other class, both leave it at 0."""
    features, _ = blobs(np.zeros(30, int))
    features = torch.cat([features, -features])
    labels = (torch.arange(30) % 5 == 0).long()  # a fifth on the wrong side
    labels = torch.cat([labels, 1 - labels])
    model = architectures.build(settings(loss="hinge"), tuple(features.shape[1:]), 2, torch.zeros(6), torch.ones(6))
    history = svm.fit(model, features, labels, settings(loss="hinge", C=0.1), seed=1)
    machine = SVC(C=0.1, kernel="linear").fit(features[:, :, 0, 0], labels)
    np.testing.assert_allclose(model.head.weight[1].detach(), machine.coef_[0], rtol=0.02, atol=2e-3)
    decision = machine.decision_function(features[:, :, 0, 0])
    assert history["loss"][0] == pytest.approx(np.maximum(1 - np.where(labels, 1, -1) * decision, 0).mean(), rel=0.02)
    squared, _ = fitted(features, labels, 2, 0.1)
    assert (squared.head.weight - model.head.weight).abs().max() > 0.01


def test_penalty_reaches_the_machine():
    features, labels = blobs(np.arange(60) % 4)
    norms = [fitted(features, labels, 4, penalty)[0].head.weight.norm().item() for penalty in (0.001, 5.0)]
    assert norms[0] < 0.5 * norms[1]


def test_two_labeled_classes_of_five_mirror_each_other_and_others_are_never_predicted():
    features, labels = blobs(np.where(np.arange(40) % 2, 3, 1))
    model, _ = fitted(features, labels, 5)
    machine = LinearSVC(C=5, max_iter=20_000, random_state=0).fit(features[:, :, 0, 0], labels)
    with torch.no_grad():
        logits = model(features * 100)
    torch.testing.assert_close(logits[:, 1], -logits[:, 3])
    expected = machine.decision_function(features[:, :, 0, 0] * 100)
    np.testing.assert_allclose(logits[:, 3], expected, rtol=2e-2, atol=2e-2)
    assert set(logits.argmax(1).tolist()) == {1, 3}
    assert (torch.softmax(logits, 1)[:, [0, 2, 4]] == 0).all()


def test_one_labeled_class_is_always_predicted():
    features, labels = blobs([2] * 7)
    model, history = fitted(features, labels, 4)
    with torch.no_grad():
        logits = model(features)
    assert logits.isfinite().all() and set(logits.argmax(1).tolist()) == {2}
    assert history["accuracy"] == [1.0]
    norms = model.head.weight.detach().norm(dim=1).numpy()
    assert svm_min_margin(logits.numpy(), norms).tolist() == [0.0] * 7


def test_pixels_are_normalised_before():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (30, 1, 3, 2), dtype=torch.uint8)
    labels = torch.arange(30) % 3
    model = architectures.build(settings(), (1, 3, 2), 3, [0.5], [0.25])
    svm.fit(model, images, labels, {"C": 1.0}, 0)
    pixels = ((images / 255 - 0.5) / 0.25).flatten(1).numpy()
    machine = LinearSVC(C=1, max_iter=20_000, random_state=0).fit(pixels, labels)
    with torch.no_grad():
        np.testing.assert_allclose(model(images), machine.decision_function(pixels), rtol=2e-2, atol=2e-2)


def test_min_margin_is_the_distance_to_the_nearest_boundary():
    """f = 3, -4 with norms 1, 2: distances 3 and 2; the functional margin would choose the first. The third class has none."""
    logits = np.array([[3.0, -4.0, -1e4], [0.5, 8.0, -1e4], [-2.0, 0.0, -1e4]])
    assert svm_min_margin(logits, np.array([1.0, 2.0, 0.0])).tolist() == [-2.0, -0.5, 0.0]


def test_min_margin_by_moving_points_to_the_boundary():
    features, labels = blobs(np.arange(60) % 3)
    model, _ = fitted(features, labels, 3)
    with torch.no_grad():
        logits = model(features)
        norms = model.head.weight.norm(dim=1)
        score = svm_min_margin(logits.numpy(), norms.numpy())
        nearest = (logits.abs() / norms).argmin(1)
        normal = model.head.weight[nearest] / norms[nearest, None]
        side = torch.sign(logits.gather(1, nearest[:, None]))
        moved = features[:, :, 0, 0] + side * torch.from_numpy(score).float()[:, None] * normal
        reached = model(moved[:, :, None, None]).gather(1, nearest[:, None])
    torch.testing.assert_close(reached, torch.zeros_like(reached), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("learner", "methods", "words"),
    [
        ({"epochs": 5}, {"random": {}}, ["'learners.svm.epochs'", "networks", "delete it"]),
        ({"augmentation": {"flip": True}}, {"random": {}}, ["'learners.svm.augmentation'", "networks"]),
        ({"precision": "bfloat16"}, {"random": {}}, ["'learners.svm.precision'", "networks", "delete it"]),
        ({"C": 0}, {"random": {}}, ["'learners.svm.C' is 0", "above 0"]),
        ({"architecture": "linear"}, {"random": {}}, ["'learners.svm.epochs' is missing"]),
        ({"architecture": "linear", "epochs": 1, "C": 3}, {"random": {}}, ["'learners.svm.C' is for svm only"]),
        ({"architecture": "linear", "epochs": 1}, {"svm_min_margin": {}}, ["'methods.svm_min_margin'", "svm"]),
        ({}, {"label_dispersion": {}}, ["'methods.label_dispersion'", "trajectory"]),
        ({}, {"bald": {"draws": "ensemble"}}, ["'methods.bald'", "ensemble"]),
        ({}, {"bald": {}}, ["'methods.bald'", "dropout"]),
    ],
)
def test_mistakes_are_one_sentence(learner, methods, words):
    config = copy.deepcopy(SMALL) | {"methods": methods}
    config["learners"] = {"svm": {"architecture": "svm"} | learner}
    with pytest.raises(UserError) as caught:
        load(config)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
