"""The fast path of the trainer: against a plain loop, without waiting for the device, compiled where it pays."""

import copy
import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from test_learners import build, settings, toy_images
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dagal import config
from dagal.learners import augmentation, compilation, inference, training
from dagal.plan import Study

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2", "unique_dim", "item"}
LOSS_PREDICTION = {"loss": "margin", "weight": 1, "share": 0.5, "margin": 1, "width": 4}
FIXMATCH = {"threshold": 0.1, "ratio": 2, "weight": 1, "steps_per_epoch": None}
EPOCHS, BATCH, RATE = 10, 16, 0.01


# ------------------------------------------------------------------------------------------------ against a plain loop


def digits():
    """Training and test images (N,1,8,8) uint8 and labels: 300 and 600 handwritten digits."""
    data = load_digits()
    images = (data.images * 255 / 16).astype(np.uint8)[:900, None]
    return images[:300], data.target[:300], images[300:], data.target[300:900]


@functools.cache
def plain_curve(seed: int) -> list[float]:
    """Test accuracy after each epoch: image by image, float32, `torch.optim`."""
    train, labels, test, truth = digits()
    torch.manual_seed(1000 + seed)
    rng = np.random.default_rng(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9)

    def tensor(images):
        return (torch.from_numpy(np.stack(images)).float() / 255 - 0.5) / 0.25

    def shifted(image):
        top, left = rng.integers(3, size=2)
        return np.pad(image, ((0, 0), (1, 1), (1, 1)))[:, top : top + 8, left : left + 8]

    curve = []
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE * (0.1 if epoch >= 8 else 1)
        order = rng.permutation(len(train))
        for start in range(0, len(train), BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            outputs = network(tensor([shifted(train[i]) for i in batch]))
            nn.functional.cross_entropy(outputs, torch.from_numpy(labels[batch])).backward()
            optimizer.step()
        with torch.no_grad():
            curve.append(float((network(tensor(test)).argmax(1).numpy() == truth).mean()))
    return curve


def fast_curve(seed: int, **changes) -> list[float]:
    """The same by the trainer."""
    train, labels, test, truth = digits()
    chosen = settings(
        hidden_units=[64], epochs=EPOCHS, batch_size=BATCH, dropout=0, augmentation={"pad": 1},
        optimizer={"name": "sgd", "lr": RATE}, schedule={"name": "multi_step", "milestones": [8]}, **changes,
    )  # fmt: skip
    torch.manual_seed(2000 + seed)
    model = training.architectures.build(chosen, (1, 8, 8), 10, [0.5], [0.25])
    curve = []

    def follow(model):
        found = inference.predicted_classes(model, torch.from_numpy(test), 200, chosen["precision"])
        curve.append(float((found.numpy() == truth).mean()))

    training.fit(model, torch.from_numpy(train), torch.from_numpy(labels), chosen, seed, follow)
    return curve


@pytest.mark.parametrize(
    "changes",
    [{}, {"precision": "bfloat16"}, pytest.param({"precision": "bfloat16", "compile": "on"}, marks=pytest.mark.slow)],
    ids=["float32", "bfloat16", "compiled"],
)
def test_the_curve_lies_within_the_seed_noise_of_a_plain_loop(changes, tmp_path, monkeypatch):
    """After each epoch the means over five seeds differ by less than twice the standard deviation between plain seeds.

    That is 3.2 standard errors of the difference of two such means.
    """
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = np.array([plain_curve(seed) for seed in range(5)])
    fast = np.array([fast_curve(seed, **changes) for seed in range(5)])
    assert plain[:, -1].mean() > 0.6
    assert np.abs(fast.mean(0) - plain.mean(0)).max() < 2 * plain.std(0, ddof=1).mean()


# ----------------------------------------------------------------------------------------------------------- no waiting


class Operations(TorchDispatchMode):
    """Names of the operations of tensors."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        indices = args[1] if name in ("index", "index_put_") else ()
        self.names.append("nonzero" if any(i is not None and i.dtype == torch.bool for i in indices) else name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("precision", "loss_prediction", "fixmatch"),
    [("float32", None, None), ("bfloat16", LOSS_PREDICTION, None), ("float32", LOSS_PREDICTION, FIXMATCH)],
)
def test_an_epoch_never_waits_for_the_device(precision, loss_prediction, fixmatch):
    """No step of an epoch and no image of a trajectory needs a number on the CPU, which would stop a GPU's queue."""
    images, labels = toy_images(40)
    config = settings(
        epochs=2, batch_size=16, augmentation={"pad": 2, "flip": True}, precision=precision, hidden_units=[8]
    )
    config |= {"loss_prediction": loss_prediction, "fixmatch": fixmatch}
    torch.manual_seed(0)
    model = training.architectures.build(config, (1, 8, 8), 3, [0.5], [0.25])
    trajectory = []
    with Operations() as seen:
        training.fit(
            model, images, labels, config, 0,
            lambda model: trajectory.append(inference.predicted_classes(model, images, 16, precision)), images,
        )  # fmt: skip
    assert "convolution_backward" in seen.names or "mm" in seen.names
    assert not WAITS & set(seen.names)
    assert torch.stack(trajectory).shape == (2, 40)


def test_the_check_for_waiting_sees_it():
    with Operations() as seen:
        values = torch.arange(4.0)
        values[values > 1].sum().item()
    assert {"nonzero", "_local_scalar_dense"} <= set(seen.names)


def test_random_crop_against_a_loop():
    images = torch.randint(0, 256, (9, 3, 7, 5), dtype=torch.uint8)
    chosen = {"pad": 1, "crop": 4, "flip": False}
    result = augmentation.random_crop_flip(images, chosen, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    top, left = (torch.randint(n, (9,), generator=generator) for n in (6, 4))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i in range(9):
        assert np.array_equal(result[i].numpy(), padded[i, :, top[i] : top[i] + 4, left[i] : left[i] + 4])


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_float32_is_float32_and_tf32_only_where_stated():
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [backend.fp32_precision for backend in backends]
    try:
        for precision, expected in (("tf32", "tf32"), ("float32", "ieee"), ("bfloat16", "ieee")):
            inference.autocast(GPU, precision)
            assert [backend.fp32_precision for backend in backends] == [expected] * 2
            inference.autocast(CPU, "tf32")  # has no TF32
            assert [backend.fp32_precision for backend in backends] == [expected] * 2
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value


# ------------------------------------------------------------------------------------------------------------- compiled


def trained(**changes):
    images, labels = toy_images(20)
    model = build(hidden_units=[4])
    training.fit(model, images, labels, settings(epochs=2, hidden_units=[4], **changes), 0)
    return model.state_dict()


def test_what_cannot_be_compiled_is_trained_as_it_is(monkeypatch, capsys):
    expected = trained(compile="off")
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: pytest.fail("compiled"))
    monkeypatch.setenv("PATH", "")
    for wanted, reason in (("on", "no C++ compiler"), ("auto", "a CPU gains nothing"), ("off", "compile: off")):
        found = trained(compile=wanted)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert reason in capsys.readouterr().out


def test_auto_compiles_long_trainings_of_large_networks_on_a_gpu():
    steps, resnet = compilation.PAYS_FROM, build((3, 8, 8), architecture="resnet18_cifar")
    assert compilation.doubt(resnet, GPU, steps) is None
    assert f"pays from {steps:,} on" in compilation.doubt(resnet, GPU, steps - 1)
    assert "so small" in compilation.doubt(build(), GPU, steps)
    assert "CPU" in compilation.doubt(resnet, CPU, steps)
    with_head = build()
    with_head.loss_prediction = nn.Linear(1, 1)
    assert "loss prediction" in compilation.obstacle(with_head, CPU)


def test_only_full_batches_pass_the_compiled_network(monkeypatch):
    """Of 20 images, 16 and 4 a step; of a trajectory 8, 8 and 4: other sizes would be compiled again."""
    sizes, images = [], toy_images(20)[0]
    monkeypatch.setattr(compilation, "obstacle", lambda model, device: None)
    monkeypatch.setattr(nn.Module, "compile", lambda model, **_: setattr(model, "_compiled_call_impl", forward(model)))

    def forward(model):
        return lambda images: sizes.append(len(images)) or model.forward(images)

    def follow(model):
        inference.predicted_classes(model, images, 8, "float32")

    training.fit(build(), *toy_images(20), settings(epochs=1, batch_size=16, compile="on"), 0, follow)
    assert sizes == [16, 8, 8]


# ------------------------------------------------------------------------------------------------------------- settings


def test_settings_that_came_later_rerun_nothing_at_their_defaults():
    import yaml
    from conftest import ROOT

    written = yaml.safe_load((ROOT / "config.yaml").read_text())

    def training_settings(**changes):
        one = copy.deepcopy(written)
        one["learners"]["mlp"] |= changes
        study = Study(config.load(one))
        return study.training_settings(study.nodes()[0])

    before = training_settings()
    assert not {"compile", "deterministic", "freeze", "starts_from"} & set(before)
    assert training_settings(compile="auto", deterministic=True, freeze=False, starts_from=None) == before
    assert training_settings(compile="on") == before | {"compile": "on"}
    assert training_settings(deterministic=False) == before | {"deterministic": False}
