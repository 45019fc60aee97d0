"""DeepFool against closed forms (affine, sphere) and a search over all directions in the plane."""

import numpy as np
import pytest
import torch

from dagal.learners.deepfool import deepfool_distance, deepfool_perturbation


def affine(n_classes, dim, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layer = torch.nn.Linear(dim, n_classes).to(dtype)
    return torch.nn.Sequential(torch.nn.Flatten(), layer), layer


def mlp(dim, n_classes, seed=0):
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(dim, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.Tanh()]
    model = torch.nn.Sequential(torch.nn.Flatten(), *layers, torch.nn.Linear(32, n_classes)).double().eval()
    for parameter in model.parameters():
        parameter.data *= 2  # more bent than as initialised
    return model


def closed_form(layer, images):
    """min_k |f_k - f_c| / ||w_k - w_c|| of an affine classifier."""
    weight, bias = (x.detach().double().numpy() for x in (layer.weight, layer.bias))
    found = []
    for x in images.flatten(1).double().numpy():
        logits = weight @ x + bias
        c = logits.argmax()
        others = [k for k in range(len(logits)) if k != c]
        found.append(min(abs(logits[k] - logits[c]) / np.linalg.norm(weight[k] - weight[c]) for k in others))
    return np.array(found)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_affine_classifiers_are_exact(n_classes, shape, dtype, rtol):
    model, layer = affine(n_classes, int(np.prod(shape)), dtype)
    images = torch.randn(40, *shape, dtype=dtype)
    found = deepfool_distance(model, images, n_classes)
    assert found.shape == (40,)
    np.testing.assert_allclose(found, closed_form(layer, images), rtol=rtol)


def test_affine_by_hand():
    # classes x > 0, y > 0 ... by their scores x, y, 0: from (3, 1), y is 2 / sqrt(2) away and 0 is 3
    logits = lambda x: torch.stack([x[:, 0], x[:, 1], torch.zeros(len(x))], 1)  # noqa: E731
    images = torch.tensor([[3.0, 1.0], [3.0, -9.0], [-5.0, -4.0]])
    perturbations = deepfool_perturbation(logits, images, 3)
    np.testing.assert_allclose(perturbations, [[-1, 1], [-3, 0], [0, 4]], atol=1e-6)
    np.testing.assert_allclose(deepfool_distance(logits, images, 3), [2**0.5, 3, 4], rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_classes", [2, 5])
def test_perturbed_image_changes_class(n_classes, seed):
    model = mlp(12, n_classes, seed)
    images = torch.randn(100, 3, 2, 2, dtype=torch.float64)
    perturbations = deepfool_perturbation(model, images, n_classes, overshoot=0.02)
    before, after = model(images).argmax(1), model(images + 1.02 * perturbations).argmax(1)
    assert (before != after).float().mean() > 0.95
    distance = deepfool_distance(model, images, n_classes)
    np.testing.assert_allclose(distance, perturbations.flatten(1).norm(dim=1))
    kept = before == after  # gave up, with the last distance
    assert (distance[~kept] > 0).all() and distance.isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_distance_is_near_the_smallest_of_all_directions(seed):
    model = mlp(2, 3, seed)
    images = torch.randn(30, 2, dtype=torch.float64) * 2
    found = deepfool_distance(model, images, 3).numpy()
    perturbed = model(images + 1.02 * deepfool_perturbation(model, images, 3)).argmax(1)
    changes = (perturbed != model(images).argmax(1)).numpy()
    angles = torch.linspace(0, 2 * torch.pi, 121, dtype=torch.float64)[:-1]
    directions = torch.stack([angles.cos(), angles.sin()], 1)
    lengths = torch.linspace(0, 6, 301, dtype=torch.float64)[1:]
    ratios = []
    for image, distance in zip(images[changes], found[changes], strict=True):
        grid = image + lengths[:, None, None] * directions
        is_other = model(grid.reshape(-1, 2)).argmax(1).reshape(300, 120) != model(image[None]).argmax(1)
        if is_other.any():
            smallest = lengths[is_other.any(1)][0].item()
            assert 1.02 * distance >= smallest - 0.03  # nothing is nearer than the nearest
            ratios.append((distance + 0.02) / smallest)
    assert len(ratios) > 15 and np.median(ratios) < 2  # and on a bent boundary the linear steps end not far from it


def test_round_boundary():
    # inside or outside of a sphere of radius 2: gradients are radial, so the way is straight
    logits = lambda x: torch.stack([x.square().sum(1) - 4, torch.zeros(len(x), dtype=x.dtype)], 1)  # noqa: E731
    directions = torch.nn.functional.normalize(torch.randn(6, 5, dtype=torch.float64))
    radii = torch.tensor([1.9, 2.1, 2.5, 3, 5, 9], dtype=torch.float64)
    distance = deepfool_distance(logits, radii[:, None] * directions, 2)
    np.testing.assert_allclose(distance, (radii - 2).abs(), rtol=0.03)


def test_one_iteration_is_the_linearised_distance():
    model = mlp(4, 3)
    images = torch.randn(20, 4, dtype=torch.float64)
    found = deepfool_distance(model, images, 3, max_iterations=1)
    for image, distance in zip(images, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: model(x[None])[0], image)
        logits = model(image[None])[0]
        c = logits.argmax()
        gaps = [(logits[c] - logits[k]) / (jacobian[c] - jacobian[k]).norm() for k in range(3) if k != c]
        assert distance == pytest.approx(min(gaps).item(), rel=1e-10)


def test_images_do_not_affect_each_other():
    model = mlp(6, 4)
    images = torch.randn(30, 6, dtype=torch.float64)
    alone = torch.cat([deepfool_distance(model, image[None], 4) for image in images])
    np.testing.assert_allclose(deepfool_distance(model, images, 4), alone, rtol=1e-9)


def test_fewer_classes_are_the_most_probable_ones():
    model, layer = affine(10, 8)
    images = torch.randn(50, 8, dtype=torch.float64)
    every, three = deepfool_distance(model, images, 10), deepfool_distance(model, images, 3)
    assert (three >= every - 1e-12).all()
    logits = model(images)
    top = logits.topk(3, dim=1).indices
    for i in range(50):
        c, *others = top[i].tolist()
        gaps = [(logits[i, c] - logits[i, k]) / (layer.weight[c] - layer.weight[k]).norm() for k in others]
        assert three[i].item() == pytest.approx(min(gaps).item(), rel=1e-10)


def test_nothing_moves_a_constant_and_a_boundary_is_at_0():
    constant = lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2) + 0 * x.sum(1, keepdim=True)  # noqa: E731
    images = torch.randn(3, 4)
    assert deepfool_distance(constant, images, 2).tolist() == [torch.finfo(torch.float32).max] * 3
    assert deepfool_perturbation(constant, images, 2).isinf().all()
    halves = lambda x: torch.stack([x[:, 0], -x[:, 0]], 1)  # noqa: E731
    assert deepfool_distance(halves, torch.tensor([[0.0, 5.0], [2.0, 5.0]]), 2).tolist() == [0, 2]


def test_gradient_that_vanishes_on_the_way_leaves_the_last_distance():
    # falls linearly to a plateau at which the class is still the first
    logits = lambda x: torch.stack([x[:, 0].clamp(min=1.0), torch.zeros(len(x))], 1)  # noqa: E731
    distance = deepfool_distance(logits, torch.tensor([[3.0, 0.0]]), 2)
    np.testing.assert_allclose(distance, [3], rtol=1e-6)


def test_nan_is_not_hidden():
    logits = lambda x: torch.stack([x[:, 0] * torch.nan, x[:, 1]], 1)  # noqa: E731
    assert not deepfool_distance(logits, torch.randn(2, 2), 2).eq(0).any()


def test_leaves_model_and_images_alone_even_without_gradients():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    ).eval()
    images = torch.randn(7, 3, 8, 8)
    before = images.clone(), {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        distance = deepfool_distance(model, images, 5)
    assert (distance > 0).all() and not distance.requires_grad and not images.requires_grad
    assert torch.equal(images, before[0])
    assert all(torch.equal(value, before[1][name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(distance, deepfool_distance(model, images, 5))


@pytest.mark.parametrize("shape", [(0, 4), (0, 3, 2, 2)])
def test_no_images(shape):
    model, _ = affine(3, int(np.prod(shape[1:])), torch.float32)
    assert deepfool_distance(model, torch.empty(shape), 3).shape == (0,)
