"""The detector: learning, detections with their whole class distribution, files."""

import copy

import numpy as np
import pytest
import torch

from dagal import artifacts
from dagal.errors import UserError
from dagal.learners import detector, inference

SHAPE, CPU = (3, 64, 96), torch.device("cpu")
SETTINGS = {
    "architecture": "faster_rcnn_small", "weights": None, "epochs": 1, "batch_size": 4,
    "optimizer": {"name": "adam", "lr": 0.002, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False},
    "schedule": {"name": "constant", "milestones": [], "gamma": 0.1}, "augmentation": {"flip": True, "pad": 0, "crop": 0},
    "precision": "float32", "threads": 1, "score_threshold": 0.5, "nms_threshold": 0.5,
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def build(seed=0, n_classes=2, shape=SHAPE, **changes):
    torch.manual_seed(seed)
    return detector.build(SETTINGS | changes, n_classes, shape, [0.5] * 3, [0.25] * 3)


def frames(n, seed=0):
    """Frames with up to two rectangles, red of class 0 or blue of class 1, over noise; every fourth has none."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 130, (n, *SHAPE), dtype=np.uint8)
    boxes, labels = [], []
    for i in range(n):
        found = []
        for column in range(0 if i % 4 == 3 else 1 + i % 2):
            x, y = 48 * column + rng.integers(4, 16), rng.integers(4, 24)
            w, h, label = rng.integers(14, 28), rng.integers(14, 36), int(rng.integers(2))
            images[i, :, y : y + h, x : x + w] = np.array([[220, 30, 30], [30, 30, 220]][label])[:, None, None]
            found.append(([x, y, x + w, y + h], label))
        boxes.append(torch.tensor([box for box, _ in found], dtype=torch.float32).reshape(-1, 4))
        labels.append(torch.tensor([label for _, label in found], dtype=torch.int64))
    return torch.from_numpy(images), boxes, labels


def overlaps(one, other):
    from torchvision.ops import box_iou

    return box_iou(one, other)


@pytest.fixture(scope="module")
def trained():
    """A detector that has learnt 8 frames by heart."""
    model, data = build(), frames(8)
    history = detector.fit(model, *data, SETTINGS | {"epochs": 50}, seed=1)
    return model, data, history


def test_frames_beyond_the_memory_are_read_batch_by_batch(tmp_path, monkeypatch):
    """The same training, to the bit, as on frames that the memory holds."""
    images, boxes, labels = frames(5)
    artifacts.write(tmp_path / "images.h5", "images", {}, {"images": images.numpy().transpose(0, 2, 3, 1)})
    found = []
    for held in (inference.HELD_BYTES, 0):
        monkeypatch.setattr(inference, "HELD_BYTES", held)
        model = build()
        with artifacts.opened(tmp_path / "images.h5", "images") as file:
            seen = inference.images_of(file["images"], np.arange(5), CPU)
            assert isinstance(seen, torch.Tensor) == bool(held)
            detector.fit(model, seen, boxes, labels, SETTINGS, seed=1)
        found.append(model.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_frames_learnt_by_heart_are_found(trained):
    model, (images, boxes, labels), history = trained
    assert history["loss"][-1] < history["loss"][0] / 2
    assert set(history) == {"loss", "learning_rate", *detector.LOSSES}
    parts = np.sum([history[name] for name in detector.LOSSES], 0)
    np.testing.assert_allclose(parts, history["loss"], rtol=1e-5)
    found = [frame for batch in detector.detect(model, images.split(3)) for frame in batch]
    for (found_boxes, probabilities), true_boxes, true_labels in zip(found, boxes, labels, strict=True):
        assert len(found_boxes) == len(true_boxes)
        if len(true_boxes):
            best, which = overlaps(true_boxes, found_boxes).max(1)
            assert best.min() > 0.5
            assert torch.equal(probabilities[which, 1:].argmax(1), true_labels)


def test_detections_keep_the_whole_distribution(trained):
    model, (images, *_), _ = trained
    (boxes, probabilities), *_ = next(iter(detector.detect(model, [images])))
    assert boxes.dtype == probabilities.dtype == torch.float32
    assert probabilities.shape == (len(boxes), 3)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(boxes)))
    assert (probabilities[:, 0] < 0.5).all()  # the background comes first
    assert not probabilities.requires_grad


def test_detections_agree_with_torchvisions(trained):
    """Above 0.5 only the best class can stay, so torchvision's own postprocessing finds the same."""
    model, _, _ = trained
    images = frames(6, seed=5)[0]
    model.eval()
    with torch.no_grad():
        logits, codes, proposals = model(images)
    expected = model.roi_heads.postprocess_detections(logits, codes, proposals, [SHAPE[1:]] * 6)
    assert sum(map(len, expected[0])) > 4
    for (boxes, probabilities), *theirs in zip(next(detector.detect(model, [images])), *expected, strict=True):
        assert torch.allclose(boxes, theirs[0])
        assert torch.allclose(probabilities[:, 1:].max(1).values, theirs[1])
        assert torch.equal(1 + probabilities[:, 1:].argmax(1), theirs[2])


def test_low_threshold_gives_sorted_boxes_inside_the_frame_of_one_label_each(trained):
    model, (images, *_), _ = trained
    model = copy.deepcopy(model)
    model.roi_heads.score_thresh, model.roi_heads.nms_thresh = 0.01, 0.3
    for boxes, probabilities in next(detector.detect(model, [images])):
        scores, labels = probabilities[:, 1:].max(1)
        assert (scores > 0.01).all()
        assert len(boxes) <= 100
        assert (scores.diff() <= 0).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2] <= SHAPE[2]).all()
        assert (boxes[:, 3] <= SHAPE[1]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        same = (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)
        assert (overlaps(boxes, boxes)[same] <= 0.3 + 1e-6).all()


def test_result_does_not_depend_on_the_batch(trained):
    model, (images, *_), _ = trained
    whole = next(detector.detect(model, [images]))
    for one, (alone,) in zip(whole, detector.detect(model, images.split(1)), strict=True):
        assert torch.allclose(one[0], alone[0], atol=1e-3)
        assert torch.allclose(one[1], alone[1], atol=1e-4)


def test_flip():
    images, boxes, _ = frames(2)
    flipped_images, flipped_boxes = detector.flip(images, boxes, torch.tensor([False, True]))
    assert torch.equal(flipped_images[0], images[0])
    assert flipped_boxes[0] is boxes[0]
    for before, after in zip(boxes[1].long(), flipped_boxes[1].long(), strict=True):
        cut, cut_flipped = (x[1, :, b[1] : b[3], b[0] : b[2]] for x, b in ((images, before), (flipped_images, after)))
        assert torch.equal(cut_flipped, cut.flip(2))
    assert torch.equal(detector.flip(flipped_images, flipped_boxes, torch.tensor([False, True]))[0], images)


def test_frames_without_boxes_train():
    model, (images, _, _) = build(), frames(3)
    before = copy.deepcopy(model.state_dict())
    history = detector.fit(model, images, [torch.zeros(0, 4)] * 3, [torch.zeros(0, dtype=torch.int64)] * 3, SETTINGS, 0)
    assert history["loss_box_reg"] == [0]
    assert np.isfinite(history["loss"]).all()
    assert not torch.equal(before["rpn.head.cls_logits.weight"], model.state_dict()["rpn.head.cls_logits.weight"])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_same_seed_same_bits(optimizer):
    settings = SETTINGS | {"epochs": 2, "optimizer": SETTINGS["optimizer"] | {"name": optimizer}}
    results = []
    for seed in (3, 3, 4):
        model = build()
        history = detector.fit(model, *frames(5), settings, seed)
        results.append((history["loss"], model.state_dict()))
    assert results[0][0] == results[1][0] != results[2][0]
    assert all(torch.equal(results[0][1][name], results[1][1][name]) for name in results[0][1])


def test_schedule():
    settings = SETTINGS | {"epochs": 3, "schedule": {"name": "multi_step", "milestones": [2], "gamma": 0.1}}
    history = detector.fit(build(), *frames(2), settings, 0)
    np.testing.assert_allclose(history["learning_rate"], [0.002, 0.002, 0.0002])


def test_diverging_training_names_the_learning_rate():
    settings = SETTINGS | {"epochs": 60, "optimizer": SETTINGS["optimizer"] | {"name": "sgd", "lr": 1e12}}
    with pytest.raises(UserError, match=r"diverged in epoch \d+ of 60 .* lower optimizer.lr"):
        detector.fit(build(), *frames(4), settings, 0)


def test_save_and_load_give_the_same_bytes_and_detections(tmp_path, trained):
    model, (images, *_), _ = trained
    for name in ("a", "b"):
        detector.save(tmp_path / name, model, SETTINGS, SHAPE, {"created_by": "train"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = detector.load(tmp_path / "a", CPU)
    assert not loaded.training
    for one, other in zip(next(detector.detect(model, [images])), next(detector.detect(loaded, [images])), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_weights_of_other_classes(tmp_path, trained):
    model, (images, *_), _ = trained
    path = tmp_path / "model.safetensors"
    detector.save(path, model, SETTINGS, SHAPE, {})
    same, other = build(seed=7, weights=str(path)), build(seed=7, n_classes=5, weights=str(path))
    fresh = build(seed=7, n_classes=5).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(same.state_dict()[name], tensor)
        expected = fresh[name] if "box_predictor" in name else tensor
        assert torch.equal(other.state_dict()[name], expected)
    assert next(detector.detect(other, [images]))[0][1].shape[1] == 6


def test_torchvisions_weights(tmp_path):
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

    torch.manual_seed(1)
    published = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None).state_dict()
    torch.save(published, tmp_path / "coco.pth")
    settings = {"architecture": "faster_rcnn_mobilenet", "weights": str(tmp_path / "coco.pth")}
    model = build(**settings)
    state = model.state_dict()
    assert torch.equal(state["rpn.head.cls_logits.weight"], published["rpn.head.cls_logits.weight"])
    assert state["roi_heads.box_predictor.cls_score.weight"].shape[0] == 3
    assert state["channel_mean"].flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    detector.fit(model, *frames(2), SETTINGS | settings, 0)
    trained_state = model.state_dict()
    statistics = [name for name in trained_state if name.endswith("running_mean")]
    assert statistics
    assert all(torch.equal(trained_state[name], published[name]) for name in statistics)  # batch norm is frozen
    detector.save(tmp_path / "model", model, SETTINGS | settings, SHAPE, {})
    (tmp_path / "coco.pth").unlink()  # not needed any more
    assert detector.load(tmp_path / "model", CPU).state_dict().keys() == trained_state.keys()


@pytest.mark.parametrize("content", [None, b"PK nonsense"])
def test_weights_that_cannot_be_loaded(tmp_path, content):
    if content:
        (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match="w.pth cannot be loaded"):
        build(weights=str(tmp_path / "w.pth"))


def test_gray_frames():
    with pytest.raises(UserError, match="3 channels, these have 1"):
        build(shape=(1, 64, 96))


@pytest.mark.parametrize("architecture", ["faster_rcnn_small", "faster_rcnn_mobilenet", "faster_rcnn_resnet50"])
def test_features(architecture):
    """Maps that no padding shows in: a bright pixel moved by the stride moves the map by one cell."""
    model = build(architecture=architecture)
    images = torch.zeros(3, 3, 66, 98, dtype=torch.uint8)
    images[0, :, 32, 40], images[1, :, 32, 44] = 255, 255
    maps, stride = detector.features(model, images)
    assert stride == 4
    assert maps.shape[2:] == (17, 25)
    assert maps.dtype == torch.float32
    difference = (maps[0, :, 4:13, 6:15] - maps[1, :, 4:13, 7:16]).abs().max()
    assert difference < 1e-4 * maps[0].abs().max() + 1e-5
    column = (maps[0] - maps[2]).abs().sum((0, 1)).argmax().item()
    assert abs(column - 10) <= 1  # the cell of pixel 40


def test_frames_of_any_size_keep_the_strides():
    model = build()
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 33, 65, dtype=torch.uint8))
    assert model.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16]


def test_bfloat16_is_close(trained):
    model, (images, *_), _ = trained
    exact = next(detector.detect(model, [images]))
    model = copy.deepcopy(model)
    model.precision = "bfloat16"
    for (boxes, probabilities), (exact_boxes, exact_probabilities) in zip(
        next(detector.detect(model, [images])), exact, strict=True
    ):
        assert boxes.dtype == probabilities.dtype == torch.float32
        if len(boxes) == len(exact_boxes) == 1:
            assert (boxes - exact_boxes).abs().max() < 1.5
            assert (probabilities - exact_probabilities).abs().max() < 0.1
    history = detector.fit(model, *frames(2), SETTINGS | {"precision": "bfloat16"}, 0)
    assert np.isfinite(history["loss"]).all()
    assert detector.features(model, images)[0].dtype == torch.float32
