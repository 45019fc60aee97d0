"""A training that is killed after any epoch goes on to the same weights, history and trajectory."""

import copy
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from test_adversary import SETTINGS as ADVERSARY
from test_detector import SETTINGS as DETECTOR
from test_detector import build as build_detector
from test_detector import frames
from test_embedding import SETTINGS as EMBEDDING
from test_embedding import fresh, some_data
from test_learners import build, settings, toy_images
from test_pseudo_labels import fixmatch

from dagal.learners import adversary, architectures, checkpoints, detector, embedding, training, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}
AUGMENTATION = settings()["augmentation"] | {"pad": 1, "flip": True}
TRAININGS = {
    "sgd, augmented, dropout": {"optimizer": SGD, "augmentation": AUGMENTATION, "dropout": 0.3},
    "adam, multi_step": {"schedule": {"name": "multi_step", "milestones": [2, 4], "gamma": 0.1}},
    "loss prediction": {"loss_prediction": {"loss": "margin", "weight": 1, "share": 0.5, "margin": 1, "width": 4}},
    "fixmatch": {"fixmatch": fixmatch(steps_per_epoch=3), "optimizer": SGD},
}


class Killed(Exception):
    pass


def checkpoint(path, key="a", seconds=0.0):
    found = checkpoints.Checkpoint(path, lambda: key)
    found.seconds = seconds
    return found


def trained(changes, stored=None, kill_after=None):
    """State dict, history and trajectory of a classifier."""
    chosen = settings(epochs=6, batch_size=16, hidden_units=[8], dropout=0.2) | copy.deepcopy(changes)
    torch.manual_seed(0)
    model = architectures.build(chosen, (1, 8, 8), 3, [0.5], [0.25])
    (images, labels), trajectory = toy_images(30), []
    if stored:
        stored.lists["trajectory"] = trajectory

    def follow(model):
        with torch.no_grad():
            trajectory.append(model.eval()(images).argmax(1).to(torch.int16))
        if len(trajectory) == kill_after:
            raise Killed

    pool = toy_images(40, seed=1)[0] if chosen["fixmatch"] else None
    history = training.fit(model, images, labels, chosen, 3, follow, pool, stored)
    return model.state_dict(), history, np.stack([row.numpy() for row in trajectory])


def same(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, tensor in expected[0].items():
        assert torch.equal(found[0][name], tensor), name
    assert found[1].keys() == expected[1].keys()
    for name, values in expected[1].items():
        np.testing.assert_array_equal(found[1][name], values)
        assert all(type(value) is float for value in found[1][name])
    np.testing.assert_array_equal(found[2], expected[2])
    assert found[2].dtype == expected[2].dtype


@pytest.mark.parametrize("name", TRAININGS)
def test_a_killed_training_ends_the_same(name, tmp_path, capsys):
    """Killed twice, after an epoch whose checkpoint was not written any more."""
    expected, path = trained(TRAININGS[name]), tmp_path / "x.safetensors"
    epochs = len(expected[2])
    with pytest.raises(Killed):
        trained(TRAININGS[name], checkpoint(path), 2)
    with pytest.raises(Killed):
        trained(TRAININGS[name], checkpoint(path), epochs)
    same(trained(TRAININGS[name], checkpoint(path)), expected)
    printed = capsys.readouterr().out
    assert "going on after epoch 1," in printed and f"going on after epoch {epochs - 1}," in printed
    same(
        trained(TRAININGS[name], checkpoint(path)), expected
    )  # killed after the training, before the results were written
    assert f"going on after epoch {epochs}," in capsys.readouterr().out


def test_a_killed_detector_ends_the_same(tmp_path):
    def fit(epochs, stored=None):
        model = build_detector()
        history = detector.fit(
            model,
            *frames(4),
            DETECTOR | {"epochs": epochs, "schedule": {"name": "constant", "milestones": [], "gamma": 1.0}},
            1,
            stored,
        )
        return model.state_dict(), history

    expected, path = fit(3), tmp_path / "x.safetensors"
    fit(2, checkpoint(path))  # as if killed after two
    found = fit(3, checkpoint(path))
    for name, tensor in expected[0].items():
        assert torch.equal(found[0][name], tensor), name
    assert found[1] == expected[1]


@pytest.mark.parametrize("kind", ["triplet", "cross_entropy"])
def test_a_killed_embedding_ends_the_same(kind, tmp_path, monkeypatch):
    chosen, data = EMBEDDING | {"kind": kind}, some_data(80)

    def fit(stored=None):
        backbone = fresh(chosen)
        return backbone, embedding.train(backbone, *data, chosen, 3, 0.5, 0, torch.device("cpu"), stored)

    (expected, losses), stored = fit(), checkpoint(tmp_path / "x.safetensors")
    store = stored.after

    def after(epoch):
        store(epoch)
        if epoch == 2:
            raise Killed

    monkeypatch.setattr(stored, "after", after)
    with pytest.raises(Killed):
        fit(stored)
    found, found_losses = fit(checkpoint(stored.path))
    assert found_losses == losses and len(losses) == 3
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


@pytest.mark.parametrize("kind", ["ta_vaal", "sraal"])
def test_a_killed_adversary_ends_the_same(kind, tmp_path):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8))
    reads = {"labels_L": rng.integers(0, 3, 15), "probs_U": rng.dirichlet(np.ones(3), 25)} if kind == "sraal" else {}
    chosen = ADVERSARY | {"kind": kind, "steps": 7, "discriminator_steps": 2, "batch_size": 8}

    def fit(stored=None):
        return adversary.train(
            images[:15], images[15:], chosen, 0, torch.device("cpu"), channel_mean=[0.5], channel_std=[0.3], checkpoint=stored,
            **reads,
        )  # fmt: skip

    class Dies(checkpoints.Checkpoint):
        def after(self, step):
            super().after(step)
            if step == 4:
                raise Killed

    dies = Dies(tmp_path / "x.safetensors", lambda: "a", "step")
    dies.seconds = 0
    with pytest.raises(Killed):
        fit(dies)
    (expected, losses), (found, found_losses) = fit(), fit(checkpoint(dies.path))
    assert found_losses == losses and len(losses["step"]) == 7
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_what_is_not_there_foreign_or_damaged_is_ignored(tmp_path, capsys):
    changes, path = {"epochs": 3}, tmp_path / "x.safetensors"
    expected = trained(changes, checkpoint(path, "theirs"))
    same(trained(changes, checkpoint(path, "mine")), expected)
    content = path.read_bytes()
    for damage in (content[:5000], content[:-1], content[:700] + bytes([content[700] ^ 1]) + content[701:], b""):
        path.write_bytes(damage)
        same(trained(changes, checkpoint(path, "mine")), expected)
    assert "going on" not in capsys.readouterr().out


def test_a_trajectory_that_was_not_recorded_from_the_first_epoch_on(tmp_path, capsys):
    """A method that reads it may be added between a kill and the next run."""
    stored = checkpoint(tmp_path / "x.safetensors")
    expected = trained({}, stored)
    about, tensors = weights.read(stored.path)
    del tensors["list.trajectory"]
    weights.write_tensors(stored.path, tensors, about)
    same(trained({}, checkpoint(stored.path)), expected)
    assert "going on" not in capsys.readouterr().out


def test_a_short_training_stores_nothing_and_asks_for_no_key(tmp_path):
    def never():
        raise AssertionError

    stored = checkpoints.Checkpoint(tmp_path / "x.safetensors", never)
    assert stored.seconds == checkpoints.SECONDS == 300
    trained({"epochs": 2}, stored)
    assert list(tmp_path.iterdir()) == []
    stored.remove()


def test_no_room_for_a_checkpoint_fails_no_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    same(trained({}, checkpoint(tmp_path / "file" / "x.safetensors")), trained({}))
    assert "going on without a checkpoint: " in capsys.readouterr().out


def test_seconds_between_checkpoints(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setenv(checkpoints.ENVIRONMENT, "60")
    stored, written = checkpoints.Checkpoint(tmp_path / "x.safetensors", lambda: "a"), []
    stored.follow(build(), [], torch.Generator())
    for epoch in range(1, 8):
        now[0] += 25
        stored.after(epoch)
        if stored.path.exists() and weights.read(stored.path)[0]["epoch"] == epoch:
            written.append(epoch)
    assert written == [3, 6]


LONG = TRAININGS["sgd, augmented, dropout"] | {"epochs": 60}
SCRIPT = """
import sys, torch, test_checkpoints as tests
torch.set_num_threads(1)
state, _, _ = tests.trained(tests.LONG, tests.checkpoint(sys.argv[1]))
tests.weights.write_tensors(sys.argv[2], state, {"x": 1})
"""


def test_a_process_that_is_killed_at_any_moment(tmp_path):
    """SIGKILL while it trains or writes a checkpoint: the file that is then there is whole, and leads to the same bytes."""
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{root / 'workflow'}:{root / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, tmp_path / "x.checkpoint", tmp_path / "x.safetensors"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            break
    time.sleep(np.random.default_rng().uniform(0, 0.1))
    process.kill()
    process.communicate()
    assert not (tmp_path / "x.safetensors").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "going on after epoch" in done.stdout
    expected, _, _ = trained(LONG)
    _, found = weights.read(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
