"""Networks, training and inference, and the traps that other code fell into."""

import copy
import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from dagal.config import load
from dagal.errors import UserError
from dagal.learners import (
    NETWORKS,
    architectures,
    augmentation,
    backbones,
    devices,
    inference,
    optimizers,
    training,
    views,
    weights,
)
from dagal.learners.optimizers import learning_rate, stepper

DEFAULT = load(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text()))["learners"]["mlp"]
CPU = torch.device("cpu")


def settings(**changes):
    result = copy.deepcopy(DEFAULT)
    for key, value in changes.items():
        result[key] = result[key] | value if isinstance(value, dict) else value
    return result


def build(shape=(1, 8, 8), seed=0, n_classes=3, **changes):
    torch.manual_seed(seed)
    return architectures.build(settings(**changes), shape, n_classes, np.full(shape[0], 0.5), np.full(shape[0], 0.25))


def toy_images(n, shape=(1, 8, 8), seed=0):
    """Images whose class 0..2 is their brightness."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    noise = torch.randint(0, 60, (n, *shape), generator=generator)
    return (labels[:, None, None, None] * 90 + noise).to(torch.uint8), labels


@pytest.mark.parametrize(
    ("architecture", "shape", "embedding_size"),
    [
        ("mlp", (1, 8, 8), 128),
        ("lenet", (1, 28, 28), 84),
        ("lenet", (3, 32, 32), 84),
        ("lenet", (1, 8, 8), 84),
        ("resnet18_cifar", (3, 32, 32), 512),
        ("resnet18_cifar", (1, 28, 28), 512),
        ("resnet18", (3, 64, 64), 512),
        ("resnet50", (3, 64, 64), 2048),
        ("resnet101", (3, 64, 64), 2048),
    ],
)
def test_shapes(architecture, shape, embedding_size):
    model = build(shape, architecture=architecture, n_classes=7).eval()
    images = torch.zeros(2, *shape, dtype=torch.uint8)
    assert model.embed(images).shape == (2, embedding_size)
    assert model(images).shape == (2, 7)


def test_lenet_has_the_published_number_of_parameters():
    """LeNet-5 with full connections in the second convolution: 61,706 at 10 classes (28 x 28 padded to 32 x 32)."""
    model = build((1, 28, 28), architecture="lenet", n_classes=10)
    assert sum(p.numel() for p in model.parameters()) == 61_706


def test_cifar_stem_keeps_the_resolution():
    model = build((3, 32, 32), architecture="resnet18_cifar")
    stem = model.backbone.maxpool(
        model.backbone.relu(model.backbone.bn1(model.backbone.conv1(torch.zeros(1, 3, 32, 32))))
    )
    assert stem.shape == (1, 64, 32, 32)


def test_images_are_normalised_by_the_given_statistics():
    model = build(hidden_units=[4])
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.embed(torch.full((1, 1, 8, 8), 255, dtype=torch.uint8))
    assert torch.allclose(seen[0], torch.full((1, 1, 8, 8), (1 - 0.5) / 0.25))


def test_centre_crop():
    model = build((1, 8, 8), augmentation={"crop": 4})
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 2:6, 2:6] = 200
    assert torch.equal(model.embed(images), model.embed(images[:, :, 2:6, 2:6]))
    with pytest.raises(UserError, match="crop 9 is larger than the images"):
        build((1, 8, 8), augmentation={"crop": 9})


def test_channels_that_do_not_fit():
    with pytest.raises(UserError, match="3 channels, these have 1"):
        build((1, 64, 64), architecture="resnet18")


def test_save_and_load_give_the_same_bytes_and_outputs(tmp_path):
    model = build((3, 16, 16), architecture="resnet18_cifar").eval()
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    config = settings(architecture="resnet18_cifar")
    for name in ("a", "b"):
        architectures.save(tmp_path / name, model, config, (3, 16, 16), {"created_by": "train"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert torch.equal(architectures.load(tmp_path / "a", CPU)(images), model(images))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_pretrained_weights(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(1)
    published = resnet18(weights=None)
    torch.save(published.state_dict(), tmp_path / "resnet18.pth")
    model = build((3, 64, 64), architecture="resnet18", weights=str(tmp_path / "resnet18.pth"))
    assert torch.equal(model.backbone.layer4[1].conv2.weight, published.layer4[1].conv2.weight)
    assert model.head.out_features == 3
    for name, content in (("missing.pth", None), ("corrupt.pth", b"PK nonsense"), ("corrupt.safetensors", b"\x08")):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} cannot be loaded"):
            build((3, 64, 64), architecture="resnet18", weights=str(tmp_path / name))
    with pytest.raises(UserError, match="cannot be loaded into this architecture"):
        build((3, 32, 32), architecture="resnet18_cifar", weights=str(tmp_path / "resnet18.pth"))


def test_weights_of_a_pre_training_are_trained_end_to_end(tmp_path):
    """SimSiam's backbone.safetensors becomes the network of a classifier, all of which learns."""
    torch.manual_seed(2)
    own = backbones.fresh(
        {"kind": "simsiam", "architecture": "resnet18_cifar"}, (3, 16, 16), torch.zeros(3), torch.ones(3)
    )
    weights.write(tmp_path / "backbone.safetensors", own, {"backbone": {}})
    model = build((3, 16, 16), architecture="resnet18_cifar", weights=str(tmp_path / "backbone.safetensors"))
    expected = own.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.backbone.state_dict().items())
    model(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_frozen_backbone_stays_as_it_has_started(tmp_path):
    """Batch norm's statistics included; the head alone learns, from what `fit` shows it."""
    from dagal.learners.training import fit

    torch.manual_seed(2)
    own = backbones.fresh(
        {"kind": "simsiam", "architecture": "resnet18_cifar"}, (3, 8, 8), torch.zeros(3), torch.ones(3)
    )
    weights.write(tmp_path / "backbone.safetensors", own, {"backbone": {}})
    changes = {"architecture": "resnet18_cifar", "weights": str(tmp_path / "backbone.safetensors"), "epochs": 2}
    images = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    labels = torch.arange(12) % 3
    for freeze in (True, False):
        model = build((3, 8, 8), **changes)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        fit(model, images, labels, DEFAULT | changes | {"batch_size": 4, "freeze": freeze}, 0)
        same = {name: torch.equal(value, before[name]) for name, value in model.state_dict().items()}
        of_backbone = [equal for name, equal in same.items() if name.startswith("backbone.")]
        assert all(of_backbone) if freeze else not any(of_backbone)
        assert not same["head.weight"] and not same["head.bias"]


def test_lenet_is_the_one_of_the_book():
    """Convolution, ReLU, pooling, with channels first: the same outputs and gradients."""
    torch.manual_seed(0)
    network, size = NETWORKS.find("lenet")((1, 28, 28), {})
    first, second, hidden, last = (m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear))
    images, parameters = torch.randn(5, 1, 28, 28), list(network.parameters())
    values = torch.nn.functional.pad(images, [2] * 4)
    for layer in (first, second):
        weight = layer.weight.contiguous()
        values = torch.nn.functional.max_pool2d(torch.conv2d(values, weight, layer.bias).relu(), 2)
    expected = last(hidden(values.flatten(1)).relu()).relu()
    found = network(images)
    assert size == 84 and torch.allclose(found, expected, rtol=1e-5, atol=1e-7)
    gradients = (torch.autograd.grad(output.square().sum(), parameters) for output in (found, expected))
    assert all(torch.allclose(*pair, rtol=1e-4, atol=1e-7) for pair in zip(*gradients, strict=True))


def test_resized_crop_against_torchvision_image_by_image():
    from torchvision.transforms.v2.functional import horizontal_flip, resized_crop

    images = torch.randint(0, 256, (40, 3, 24, 20), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    config = DEFAULT["augmentation"] | {"flip": True, "resized_crop": [0.08, 1.0]}
    result = augmentation.random_crop_flip(images, config, torch.Generator().manual_seed(4))
    assert (result.dtype, result.shape) == (images.dtype, images.shape)
    draws = torch.Generator().manual_seed(4)
    boxes, flipped = views.crop_boxes(40, 24, 20, (0.08, 1.0), draws), torch.rand(40, generator=draws) < 0.5
    assert 5 < flipped.sum() < 35
    assert (boxes[:, 2] * boxes[:, 3] / 480).min() < 0.2 < 0.8 < (boxes[:, 2] * boxes[:, 3] / 480).max()
    for image, box, flip, found in zip(images, boxes.int().tolist(), flipped, result, strict=True):
        expected = resized_crop(image.float(), *box, [24, 20], antialias=False)
        expected = horizontal_flip(expected) if flip else expected
        assert (found.float() - expected).abs().max() < 0.51  # rounded to whole intensities


def test_crop_and_flip_against_a_loop():
    images = torch.arange(6 * 2 * 5 * 4).reshape(6, 2, 5, 4).to(torch.uint8)
    config = {"pad": 2, "crop": None, "flip": True}
    result = augmentation.random_crop_flip(images, config, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    top = torch.randint(5, (6,), generator=generator)
    left = torch.randint(5, (6,), generator=generator)
    flipped = torch.rand(6, generator=generator) < 0.5
    assert 0 < flipped.sum() < 6
    for i in range(6):
        padded = np.pad(images[i].numpy(), ((0, 0), (2, 2), (2, 2)))
        expected = padded[:, top[i] : top[i] + 5, left[i] : left[i] + 4]
        if flipped[i]:
            expected = expected[:, :, ::-1]
        assert np.array_equal(result[i].numpy(), expected)


@pytest.mark.parametrize(
    ("n_classes", "dtype"),
    [(10, torch.int16), (32_768, torch.int16), (32_769, torch.int32), (40_000, torch.int32)],
)
def test_predicted_classes_of_many_classes(n_classes, dtype):
    model = build(architecture="linear", n_classes=n_classes)
    with torch.no_grad():
        model.head.bias[n_classes - 1] = 1e6
    found = inference.predicted_classes(model, torch.zeros(3, 1, 8, 8, dtype=torch.uint8), 2, "float32")
    assert found.dtype == dtype and found.tolist() == [n_classes - 1] * 3


def test_no_augmentation_leaves_the_images():
    images = torch.randint(0, 256, (5, 3, 7, 6), dtype=torch.uint8)
    assert torch.equal(augmentation.random_crop_flip(images, DEFAULT["augmentation"], torch.Generator()), images)


@pytest.mark.parametrize("kernels", ["fused", "missing"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"momentum": 0.9, "weight_decay": 0.01, "nesterov": False}),
        ("sgd", {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
        ("sgd", {"momentum": 0.0, "weight_decay": 0.0, "nesterov": False}),
        ("adam", {"weight_decay": 0.01}),
    ],
)
def test_steps_equal_torch_optim(name, options, kernels, monkeypatch):
    """Also where torch has no fused kernels, which are private."""
    if kernels == "missing":
        monkeypatch.delattr(torch, optimizers.FUSED[name])
    ours, theirs = torch.nn.Linear(7, 5), torch.nn.Linear(7, 5)
    theirs.load_state_dict(ours.state_dict())
    reference = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name](theirs.parameters(), lr=0.1, **options)
    state = []
    step = stepper(list(ours.parameters()), {"momentum": 0, "nesterov": False} | options | {"name": name}, state)
    for i in range(20):
        batch = torch.randn(4, 7)
        reference.param_groups[0]["lr"] = 0.1 * 0.9**i
        reference.zero_grad()
        for model in (ours, theirs):
            model(batch).square().sum().backward()
        step(0.1 * 0.9**i)
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-6)
        assert mine.grad is None
    # in the list that was handed in, for those who store it
    names = {"sgd": ["momentum_buffer"] if options.get("momentum") else [], "adam": ["exp_avg", "exp_avg_sq"]}[name]
    expected = [reference.state[parameter][buffer] for buffer in names for parameter in theirs.parameters()]
    for mine, other in zip(state[1:], expected, strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-3)
    assert state[0].tolist() == [20 if name == "adam" else 0] * 2


def test_steps_use_the_fused_kernels(monkeypatch):
    """`torch.optim` is only for a torch without them: it costs seconds to load."""
    assert all(hasattr(torch, kernel) for kernel in optimizers.FUSED.values())
    monkeypatch.setattr(optimizers, "unfused", None)
    weight = torch.ones(2, requires_grad=True)
    step = stepper([weight], {"name": "adam", "weight_decay": 0.0})
    weight.sum().backward()
    step(0.1)
    assert torch.allclose(weight, torch.tensor(0.9))


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant", "milestones": [], "gamma": 0.1},
        {"name": "multi_step", "milestones": [3, 5], "gamma": 0.2},
        {"name": "cosine", "milestones": [], "gamma": 0.1},
    ],
)
def test_learning_rate_equals_torch_schedulers(schedule):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    reference = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1),
        "multi_step": lambda: torch.optim.lr_scheduler.MultiStepLR(
            optimizer, schedule["milestones"], schedule["gamma"]
        ),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8),
    }[schedule["name"]]()
    for epoch in range(8):
        assert learning_rate({"lr": 0.3}, schedule, epoch, 8) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_learns_and_repeats(precision):
    images, labels = toy_images(61)
    config = settings(epochs=15, batch_size=20, precision=precision, dropout=0.3)
    states = []
    for _ in range(2):
        model = build(precision=precision, dropout=0.3)
        history = training.fit(model, images, labels, config, seed=5)
        states.append(model.state_dict())
    assert history["accuracy"][-1] > 0.95
    assert history["loss"][-1] < history["loss"][0]
    assert {len(values) for values in history.values()} == {15}
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_training_depends_on_its_seed():
    images, labels = toy_images(30)
    results = []
    for seed in (1, 2):
        model = build()
        training.fit(model, images, labels, settings(epochs=1), seed)
        results.append(model.head.weight.detach().clone())
    assert not torch.equal(*results)


def test_a_last_batch_of_one_image_does_not_break_batch_norm():
    images, labels = toy_images(9, (3, 8, 8))
    model = build((3, 8, 8), architecture="resnet18_cifar")
    training.fit(model, images, labels, settings(epochs=1, batch_size=8), 0)


@pytest.mark.parametrize(("batch_size", "trained_on"), [(1, 40), (13, 39), (39, 39), (40, 40)])
def test_images_that_an_epoch_trains_on(batch_size, trained_on):
    """All of them with steps of one image; of 40 in steps of 13 or 39 the last one is alone, and left out."""
    images, labels = toy_images(40)
    model, seen = build(), []
    model.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    history = training.fit(model, images, labels, settings(epochs=2, batch_size=batch_size), 0)
    assert sum(seen) == 2 * trained_on and set(seen) <= {batch_size, 1}
    assert history["accuracy"][0] * trained_on == pytest.approx(round(history["accuracy"][0] * trained_on))


def test_steps_of_one_image_equal_a_loop():
    images, labels = toy_images(7)
    still = {"augmentation": {"pad": 0, "flip": False}, "schedule": {"name": "constant"}, "dropout": 0}
    sgd = {"name": "sgd", "lr": 0.1, "momentum": 0, "weight_decay": 0}
    model, other = build(dropout=0), build(dropout=0)
    config = settings(epochs=1, batch_size=1, optimizer=sgd, **still)
    training.fit(model, images, labels, config, 3)
    for i in torch.randperm(7, generator=torch.Generator().manual_seed(3)):
        loss = torch.nn.functional.cross_entropy(other.train()(images[i : i + 1]), labels[i : i + 1])
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(other.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    for found, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_one_label_of_few_pixels_is_refused_where_batch_norm_cannot_work(batch_size):
    images, labels = toy_images(1, (3, 8, 8))
    model = build((3, 8, 8), architecture="resnet18")
    with pytest.raises(UserError, match=r"resnet18 cannot be trained on 1 label of 8 x 8 pixels.*pool.initial.size"):
        training.fit(model, images, labels, settings(epochs=1, batch_size=batch_size, architecture="resnet18"), 0)
    images, labels = toy_images(2, (3, 8, 8))
    training.fit(model, images, labels, settings(epochs=1, batch_size=16, architecture="resnet18"), 0)


@pytest.mark.parametrize(("lr", "epochs"), [(1e6, 4), (1e30, 4), (1e38, 1)])
def test_a_training_that_diverges_stops_with_epoch_and_key(lr, epochs):
    images, labels = toy_images(40)
    config = settings(epochs=epochs, batch_size=8, optimizer={"name": "sgd", "lr": lr, "weight_decay": 0.1})
    with pytest.raises(
        UserError, match=rf"^training diverged in epoch \d of {epochs} \(loss .*: lower optimizer.lr"
    ) as told:
        training.fit(build(), images, labels, config, 0)
    assert f"({lr:g} now)" in str(told.value) and str(told.value).endswith(".")


def test_outputs_that_are_not_finite_are_refused():
    images, _ = toy_images(4)
    model = build()
    with torch.no_grad():
        model.head.weight.mul_(1e38).mul_(10)
    with pytest.raises(UserError, match="not finite"):
        list(inference.predict(model, [images], "float32"))


def test_predictions_do_not_depend_on_batches_and_leave_batch_norm_alone():
    images, _ = toy_images(20, (3, 8, 8))
    model = build((3, 8, 8), architecture="resnet18_cifar", dropout=0.5)
    before = copy.deepcopy(model.state_dict())
    whole = next(inference.predict(model, [images], "float32"))
    parts = list(inference.predict(model, torch.split(images, 7), "float32"))
    for output in (0, 1):
        assert np.allclose(whole[output], np.concatenate([part[output] for part in parts]), atol=1e-5)
    assert np.allclose(whole[0].sum(1), 1, atol=1e-6)
    list(inference.draws(model, [images], 3, 0, "float32"))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_draws_are_dropout_and_nothing_else():
    """Against a loop of whole forward passes in which only dropout layers are in training mode."""
    images, _ = toy_images(16, (3, 8, 8))
    model = build((3, 8, 8), architecture="resnet18_cifar", dropout=0.5)
    (draws_T_N_C,) = inference.draws(model, [images], 4, 7, "float32")
    assert draws_T_N_C.shape == (4, 16, 3)
    assert not np.allclose(draws_T_N_C[0], draws_T_N_C[1])
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()
    torch.manual_seed(7)
    with torch.no_grad():
        expected = [torch.softmax(model(images), 1).numpy() for _ in range(4)]
    assert np.allclose(draws_T_N_C, expected, atol=1e-6)
    assert np.array_equal(draws_T_N_C, next(inference.draws(model, [images], 4, 7, "float32")))
    assert not np.array_equal(draws_T_N_C, next(inference.draws(model, [images], 4, 8, "float32")))


def test_draws_average_to_the_prediction_without_dropout():
    images, _ = toy_images(8)
    model = build(dropout=0.0)
    (draws_T_N_C,) = inference.draws(model, [images], 2, 0, "float32")
    assert np.allclose(draws_T_N_C, next(inference.predict(model, [images], "float32"))[0], atol=1e-6)


def test_stream_reads_the_ids_asked_for(tmp_path):
    import h5py

    with h5py.File(tmp_path / "images.h5", "w") as file:
        values = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
        images = file.create_dataset("images", data=values)
        ids = np.array([3, 4, 50, 51, 52, 99])
        batches = list(inference.stream(images, ids, CPU, 4))
    assert [len(batch) for batch in batches] == [4, 2]
    assert torch.cat(batches)[:, 0, 0, 0].tolist() == ids.tolist()


def test_reading_ahead_keeps_order_and_errors():
    def items():
        yield from range(5)
        raise OSError("broken")

    found = []
    with pytest.raises(OSError, match="broken"):
        for item in inference.ahead(items()):
            found.append(item)
    assert found == [0, 1, 2, 3, 4]


def test_stored_images_are_scaled_as_held_ones(tmp_path):
    """Halved images are means of 2 x 2 pixels and what touches them; a mask has the class of a pixel that each new one covers."""
    import h5py

    rng, ids = np.random.default_rng(0), np.array([7, 1, 4])
    images, masks = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((9, 8, 12, 3), (9, 8, 12)))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"], file["masks"] = images, masks
        for name, shape in (("images", (3, 3, 4, 6)), ("masks", (3, 4, 6))):
            held, stored = (inference.images_of(file[name], ids, CPU, limit, height=4) for limit in (1 << 20, 0))
            assert isinstance(held, torch.Tensor) and isinstance(stored, inference.Stored)
            assert held.shape == stored.shape == shape and held.dtype == stored.dtype == torch.uint8
            assert torch.equal(held[torch.tensor([2, 0])], stored[torch.tensor([2, 0])])
            assert torch.equal(held, torch.cat(list(stored.split(2))))
            if name == "masks":
                expected = masks[ids].reshape(3, 4, 2, 6, 2).transpose(0, 1, 3, 2, 4).reshape(3, 4, 6, 4)
                assert (held.numpy()[..., None] == expected).any(-1).all()
            else:  # weights of the four nearest rows and columns: a triangle of twice the width of a new pixel
                weights = np.array([1, 3, 3, 1]) / 8
                inner = images[ids].astype(float)[:, 1:5, 1:5]
                mean = np.einsum("nyxc,y,x->nc", inner, weights, weights)
                np.testing.assert_allclose(held.numpy()[:, :, 1, 1], mean, atol=1.01)


@pytest.mark.parametrize("shape", [(40, 4, 3, 3), (40, 4, 3, 1), (40, 6), (40, 4, 3)])
def test_stored_images_are_like_a_tensor_of_them(shape, tmp_path, monkeypatch):
    import h5py

    rng = np.random.default_rng(0)
    values = rng.integers(0, 255, shape).astype(np.uint8 if len(shape) > 2 else np.float32)
    ids, positions = np.array([2, 5, 8, 30, 39]), torch.tensor([2, 0, 0, 4])
    expected = inference.to_tensor(values[ids], CPU)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values
        held = inference.images_of(file["x"], ids, CPU)
        monkeypatch.setattr(inference, "HELD_BYTES", 0)
        stored = inference.images_of(file["x"], ids, CPU)
        assert isinstance(held, torch.Tensor) and isinstance(stored, inference.Stored)
        for images in (held, stored):
            assert len(images) == 5 and images.shape == expected.shape and images.dtype == expected.dtype
            assert torch.equal(images[positions], expected[positions])
            # strides too, as convolutions go by them
            assert images[positions].stride() == expected[positions].stride()
            assert next(iter(images.split(2))).stride() == expected.split(2)[0].stride()
            assert torch.equal(torch.cat(list(images.split(2))), expected)
            found = list(inference.each(images, positions.split(3)))
            assert [len(part) for part in found] == [3, 1] and torch.equal(torch.cat(found), expected[positions])


def test_cpu_when_no_gpu_was_granted(capsys):
    assert devices.prepare(0, 1) == CPU
    assert torch.get_num_threads() == 1
    assert "device: cpu" in capsys.readouterr().out


GPUS = [f"{i}{i}{i}{i}-uuid" for i in range(4)]  # of a pretended machine, by their numbers


def _prepare(folder, visible, share, connection):
    """A job on a machine of four pretended GPUs. CUDA sees those of the variable, of MIG instances only the first."""
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible

    def seen():
        names = os.environ.get("CUDA_VISIBLE_DEVICES", "0,1,2,3").split(",")
        if names[0].startswith("MIG-"):
            return [names[0]]
        return [GPUS[int(name)] if name.isdigit() else name.removeprefix("GPU-") for name in names]

    chosen = []
    os.environ["DAGAL_LEASES"] = folder
    cuda = torch.cuda
    cuda.is_available, cuda.device_count = lambda: True, lambda: len(seen())
    cuda.get_device_properties = lambda index: SimpleNamespace(uuid=seen()[index])
    cuda.set_device, cuda.get_device_name = chosen.append, lambda device: "pretended"
    device = devices.prepare(share, 1, deterministic=False)
    connection.send(seen()[device.index])
    connection.recv()


def _devices_of(jobs, folder, share=1):
    """The GPU of each job, by the variables that they are started with, while all are running."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in jobs]
    started = [
        context.Process(target=_prepare, args=(str(folder), visible, share, theirs), daemon=True)
        for visible, (_, theirs) in zip(jobs, pipes, strict=True)
    ]
    try:
        for job in started:
            job.start()
        return [ours.recv() if ours.poll(30) else None for ours, _ in pipes]
    finally:
        for job in started:
            job.kill()


MIG = ["MIG-a", "MIG-b", "MIG-GPU-c/1/0"]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([None] * 4, GPUS),
        (["0,1,2,3"] * 4, GPUS),
        (["2,3"] * 2, GPUS[2:]),
        (["0,1", "1,0"], GPUS[:2]),  # the second GPU of one is the first of the other
        ([f"GPU-{GPUS[3]},GPU-{GPUS[0]}"] * 2, [GPUS[0], GPUS[3]]),
        (["0,1", f"GPU-{GPUS[0]},GPU-{GPUS[1]}"], GPUS[:2]),
        ([",".join(MIG)] * 3, MIG),
        (["1", "3"], [GPUS[1], GPUS[3]]),
        (["0", "1"], GPUS[:2]),
    ],
)
def test_jobs_lease_among_the_visible_gpus(tmp_path, jobs, expected):
    assert sorted(_devices_of(jobs, tmp_path)) == sorted(expected)


def test_jobs_share_a_gpu_where_the_study_says_so(tmp_path):
    assert _devices_of(["1", "1"], tmp_path, share=2) == [GPUS[1]] * 2
    assert sorted(_devices_of([",".join(MIG[:2])] * 4, tmp_path, share=2)) == sorted(MIG[:2] * 2)
