"""Segmentation: masks are read right or refused, networks and losses are those described, a study runs and leaks nothing."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import Workflow, edited
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score
from torch.nn.functional import cross_entropy
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from dagal import artifacts, datasets
from dagal.acquisition import scores
from dagal.config.learners import Segmenter
from dagal.errors import UserError
from dagal.learners import inference, pixel_trajectory, segmenter
from dagal.learners.loss_prediction import with_features
from dagal.seeding import seed_for
from dagal.tasks.segmentation.evaluation import confusion, intersection_over_union
from dagal.tasks.segmentation.signals import PIXEL_SCORES, reduced

ORIGIN = artifacts.provenance("dataset", {})
PALETTE = [(0, 0, 0), (250, 10, 10), (10, 250, 10), (10, 10, 250)]


def settings(**changes) -> dict:
    about = {"architecture": "segmenter_small", "epochs": 2, "optimizer": {"name": "adam", "lr": 0.003}}
    return Segmenter(**about | changes).model_dump()


# ------------------------------------------------------------------------------------------------------------- data


def folder(place: Path, n: int = 10, size=(32, 40), mode: str = "L", parts=("train", "test"), seed: int = 0) -> Path:
    """Images whose colour is their class, in vertical halves, and masks; classes.csv."""
    rng = np.random.default_rng(seed)
    for part in parts:
        for k in range(n):
            mask = np.zeros(size, np.uint8)
            mask[:, : size[1] // 2], mask[:, size[1] // 2 :] = rng.integers(0, 4, 2)
            pixels = np.array(PALETTE, np.uint8)[mask] // 2 + rng.integers(0, 60, (*size, 3)).astype(np.uint8)
            for kind, image in (("images", Image.fromarray(pixels)), ("masks", Image.fromarray(mask))):
                path = place / kind / part / f"{part}_{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "masks" and mode == "P":
                    image = image.convert("L")
                    image.putpalette([255 - value for colour in PALETTE for value in colour])
                elif kind == "masks" and mode == "RGB":
                    image = Image.fromarray(np.array(PALETTE, np.uint8)[mask])
                image.save(path)
    rows = [f"{name},{k},{','.join(map(str, PALETTE[k]))}" for k, name in enumerate(("sky", "red", "green", "blue"))]
    (place / "classes.csv").write_text("name,value,red,green,blue\n" + "\n".join(rows) + "\n")
    return place


def read(place: Path, **changes):
    about = {
        "loader": "mask_folder",
        "path": str(place),
        "height": None,
        "width": None,
        "test_fraction": None,
    } | changes
    datasets.prepare(about, place / "images.h5", place / "truth.h5", ORIGIN)
    (images, split, files), (found,) = (
        artifacts.read(place / "images.h5", "images", "images", "split", "file"),
        artifacts.read(place / "truth.h5", "truth", "masks"),
    )
    return images, split, files, found, list(artifacts.attributes(place / "truth.h5", "truth")["class_names"])


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_numbers_palettes_and_colours_are_the_same_masks(mode, tmp_path):
    images, split, files, found, names = read(folder(tmp_path, mode=mode))
    assert names == ["sky", "red", "green", "blue"] and images.shape == (20, 32, 40, 3) and found.dtype == np.uint8
    assert split.tolist() == [0] * 10 + [1] * 10
    assert files[0] == b"images/train/train_0.png"
    nearest = np.linalg.norm(images[..., None, :] - np.array(PALETTE) / 2 - 30, axis=-1).argmin(-1)
    np.testing.assert_array_equal(nearest, found)


def test_masks_are_fitted_with_their_images(tmp_path):
    images, _, _, found, _ = read(folder(tmp_path), height=64, width=64)
    assert images.shape == (20, 64, 64, 3)
    whole = read(folder(tmp_path / "whole"))[3]
    for mask, own in zip(found, whole, strict=True):
        assert (mask[51:] == 255).all() and set(np.unique(mask[:51])) == set(np.unique(own))
        # 64/40 = 1.6 times, nearest pixel
        np.testing.assert_array_equal(mask[:51], cv2.resize(own, (64, 51), interpolation=cv2.INTER_NEAREST_EXACT))
    assert (images[:, 51:] == 0).all()


def test_validation_and_test_parts(tmp_path):
    split = read(folder(tmp_path / "three", 4, parts=("train", "val", "test")))[1]
    assert split.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    split = read(folder(tmp_path / "two", 4, parts=("train", "val")))[1]
    assert split.tolist() == [0] * 4 + [1] * 4
    place = folder(tmp_path / "one", 10, parts=("train",))
    split = read(place)[1]
    assert split.tolist() == [0] * 8 + [1] * 2


def cityscapes(place: Path) -> Path:
    numbers = np.resize(np.arange(-1, 34), (36, 40)).astype(np.int16)  # -1: license plate, stored as 255
    for part in ("train", "val"):
        for side, ending, pixels in (
            ("leftImg8bit", "leftImg8bit", np.zeros((36, 40, 3), np.uint8)),
            ("gtFine", "gtFine_labelIds", (numbers % 256).astype(np.uint8)),
            ("gtFine", "gtFine_color", np.zeros((36, 40, 3), np.uint8)),
        ):
            path = place / side / part / "ulm" / f"ulm_000000_000019_{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return place


def test_ids_of_cityscapes_become_its_classes(tmp_path):
    _, split, _, found, names = read(cityscapes(tmp_path), loader="cityscapes")
    assert split.tolist() == [0, 1] and len(names) == 19
    of_id = dict(zip(np.resize(np.arange(-1, 34), (36, 40)).ravel().tolist(), found[0].ravel().tolist(), strict=False))
    known = {
        7: "road",
        8: "sidewalk",
        11: "building",
        12: "wall",
        13: "fence",
        17: "pole",
        19: "traffic light",
        20: "traffic sign",
    }
    known |= {21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus"}
    known |= {31: "train", 32: "motorcycle", 33: "bicycle"}
    assert {number: names[place] for number, place in of_id.items() if place != 255} == known


def bad(change):
    def build(place):
        folder(place, 3)
        change(place)
        return place

    return build


def store(name, pixels):
    return bad(lambda place: Image.fromarray(pixels).save(place / "masks/train" / name))


def table(text):
    return bad(lambda place: (place / "classes.csv").write_text(text))


WRONG = {
    "mask of another size": (store("train_1.png", np.zeros((32, 41), np.uint8)), "train_1.png in .* has 32 x 41 pixels"),
    "value without class": (store("train_1.png", np.full((32, 40), 9, np.uint8)), r"train_1.png has pixels of 1 value that no class has \(9\)"),
    "colour without class": (
        store("train_1.png", np.full((32, 40, 3), 77, np.uint8)),
        r"1 colour that no class has \(#4d4d4d\)",
    ),
    "colours without table": (
        bad(lambda place: [
            (place / "classes.csv").write_text("name,value\na,0\nb,1\nc,2\nd,3\n"),
            Image.new("RGB", (40, 32)).save(place / "masks/train/train_0.png"),
        ]),
        "is a mask of colours: put classes.csv",
    ),
    "missing mask": (bad(lambda place: (place / "masks/test/test_1.png").unlink()), "no mask for 1 image .*test_1.png"),
    "missing image": (bad(lambda place: (place / "images/test/test_1.png").unlink()), "no image for 1 mask .*test_1.png"),
    "damaged mask": (
        bad(lambda place: (place / "masks/test/test_1.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")),
        "test_1.png in .* cannot be decoded as a mask",
    ),
    "two files": (store("train_1.jpg", np.zeros((32, 40), np.uint8)), "two files for one image"),
    "no table": (bad(lambda place: (place / "classes.csv").unlink()), "has no table of classes"),
    "one class": (table("name,value\na,0\n"), "has 1 classes"),
    "no number": (table("name,value\na,0\nb,x\n"), "classes.csv in .*, line 3: a class needs"),
    "twice": (table("name,value\na,0\nb,0\n"), "line 3: another class has this"),
    "other sizes": (
        bad(lambda place: [Image.new("RGB", (50, 32)).save(place / "images/train/train_2.png")]),
        "differ in size .* set dataset.height and dataset.width",
    ),
    "nothing": (lambda place: place.mkdir(exist_ok=True) or place, "has no images in a folder called images"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_sentence(name, tmp_path):
    build, said = WRONG[name]
    place = build(tmp_path / "data")
    with pytest.raises(UserError, match=said):
        read(place)
    assert not (place / "images.h5").exists() or not (place / "truth.h5").exists()
    assert not list(place.glob("*.tmp"))


def test_names_that_mean_no_class(tmp_path, capsys):
    place = folder(tmp_path)
    (place / "classes.csv").write_text("name,value\nsky,0\nVoid,1\ngreen,2\nblue,3\nunseen,4\n")
    *_, found, names = read(place)
    assert names == ["sky", "green", "blue", "unseen"] and set(np.unique(found)) == {0, 1, 2, 255}
    assert "no pixel is of class unseen" in capsys.readouterr().out


# --------------------------------------------------------------------------------------------------------- measures


def test_iou_by_hand_and_by_scikit_learn():
    truth, found = np.array([0, 0, 1, 255], np.uint8), np.array([0, 1, 1, 2], np.uint8)
    iou_C = intersection_over_union(confusion(truth, found, 3))
    np.testing.assert_array_equal(iou_C, [0.5, 0.5, np.nan])
    assert np.nanmean(iou_C) == 0.5
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 6, (2, 40, 50)).astype(np.uint8)
    truth[truth == 5] = 255
    found[found == 5] = 0
    known = truth != 255
    np.testing.assert_array_equal(
        confusion(truth, found, 5), confusion_matrix(truth[known], found[known], labels=range(5))
    )
    expected = jaccard_score(truth[known], found[known], labels=range(5), average=None)
    np.testing.assert_allclose(intersection_over_union(confusion(truth, found, 5)), expected)


def test_scores_of_an_image_are_means_over_its_pixels(monkeypatch):
    monkeypatch.setattr("dagal.tasks.segmentation.signals.BLOCK", 7)
    probs_C_P = np.random.default_rng(0).dirichlet(np.ones(4), 50).T.astype(np.float32)
    found = reduced(probs_C_P)
    p = np.sort(probs_C_P.astype(float), 0)
    expected = {
        "least_confidence": np.mean(1 - p[-1]), "margin": np.mean(p[-2] - p[-1]), "entropy": np.mean(-(p * np.log(p)).sum(0)),
    }  # fmt: skip
    assert found.keys() == set(PIXEL_SCORES)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


# --------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize(("classes", "trainable", "frozen"), [(19, 15_890_499, 4_864), (11, 15_886_395, 2_816)])
def test_drn_has_the_published_number_of_parameters(classes, trainable, frozen):
    model = segmenter.untrained(settings(architecture="drn_d_22"), classes, (0.5,) * 3, (0.2,) * 3)
    assert sum(p.numel() for p in model.trunk.parameters()) == 15_880_752
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == frozen
    with torch.no_grad():
        features = model.eval().features(torch.zeros(1, 3, 60, 92, dtype=torch.uint8))
        assert features.shape == (1, 512, 8, 12) and model.head(features).shape == (1, classes, 64, 96)
        assert model(torch.zeros(1, 3, 60, 92, dtype=torch.uint8)).shape == (1, classes, 60, 92)


def test_enlargement_of_drn_is_bilinear():
    maps = torch.rand(1, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    found = segmenter.bilinear(2)(maps)[..., 8:-8, 8:-8]
    expected = torch.nn.functional.interpolate(maps, scale_factor=8, mode="bilinear", align_corners=False)[
        ..., 8:-8, 8:-8
    ]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["segmenter_small", "fcn_resnet50", "deeplabv3_mobilenet", "lraspp_mobilenet"])
def test_networks_give_logits_of_the_size_of_the_image(name):
    model = segmenter.untrained(settings(architecture=name), 5, (0.5,) * 3, (0.2,) * 3).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 45, 50, dtype=torch.uint8)).shape == (2, 5, 45, 50)


def test_weights_of_torchvision_give_its_logits(tmp_path):
    torch.manual_seed(0)
    theirs = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    about = settings(architecture="lraspp_mobilenet", weights=str(tmp_path / "x.pth"))
    mean, std = np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32)
    model = segmenter.build(about, 5, (3, 45, 50), mean, std).eval()
    images = torch.randint(0, 256, (2, 3, 45, 50), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs((images / 255 - 0.4) / 0.2)["out"])


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("segmenter_small", [48, 64, 64]),
        ("drn_d_22", [64, 128, 256, 512]),
        ("lraspp_mobilenet", [24, 40, 80, 160]),
    ],
)
def test_loss_prediction_taps_maps_of_all_depths(name, channels):
    about = settings(architecture=name, loss_prediction={"loss": "margin", "width": 8})
    torch.manual_seed(0)
    model = segmenter.untrained(about, 4, (0.4,) * 3, (0.2,) * 3)
    torch.manual_seed(0)
    plain = segmenter.untrained(settings(architecture=name), 4, (0.4,) * 3, (0.2,) * 3)
    assert [branch[0].in_features for branch in model.loss_prediction.branches] == channels
    ours = {key: values for key, values in model.state_dict().items() if not key.startswith("loss_prediction.")}
    assert ours.keys() == plain.state_dict().keys()
    assert all(torch.equal(values, plain.state_dict()[key]) for key, values in ours.items())


def test_loss_prediction_taps_the_stages_of_a_resnet():
    about = settings(architecture="deeplabv3_resnet50", loss_prediction={"loss": "margin"})
    with torch.device("meta"):
        model = segmenter.untrained(about, 4, (0.4,) * 3, (0.2,) * 3)
    assert [branch[0].in_features for branch in model.loss_prediction.branches] == [256, 512, 1024, 2048]


def test_predicted_losses_by_hand():
    torch.manual_seed(0)
    model = segmenter.untrained(settings(loss_prediction={"loss": "margin", "width": 3}), 4, (0.4,) * 3, (0.2,) * 3)
    images = torch.randint(0, 256, (5, 3, 24, 20), dtype=torch.uint8)
    found = torch.cat(list(segmenter.predicted_losses(model, images.split(2), "float32")))
    with torch.no_grad():
        fine = model.trunk.fine((images / 255 - 0.4) / 0.2)
        coarse = model.trunk.coarse(fine)
        enlarged = torch.nn.functional.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
        mixed = model.trunk.mixed(torch.cat([fine, enlarged], 1))
        head = model.loss_prediction
        pooled = [
            torch.relu(maps.mean((2, 3)) @ branch[0].weight.T + branch[0].bias)
            for maps, branch in zip((fine, coarse, mixed), head.branches, strict=True)
        ]
        expected = (torch.cat(pooled, 1) @ head.head.weight.T + head.head.bias)[:, 0]
    torch.testing.assert_close(found, expected)


def test_loss_of_an_image_is_the_mean_over_its_labeled_pixels():
    generator = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(4, 3, 5, 6, generator=generator), torch.randint(0, 3, (4, 5, 6), generator=generator)
    masks[0, :3], masks[3] = 255, 255
    log_p = torch.log_softmax(logits, 1)
    for weight_C in (torch.ones(3), torch.tensor([1.0, 3.0, 0.5])):
        found = segmenter.image_losses(logits, masks.to(torch.uint8), weight_C)
        for image in range(3):
            each = [(-log_p[image, c, y, x] * weight_C[c], weight_C[c]) for y, x, c in pixels_of(masks[image])]
            expected = sum(loss for loss, _ in each) / sum(weight for _, weight in each)
            torch.testing.assert_close(found[image], expected)
        assert found[3] == 0


def pixels_of(mask):
    rows, columns = torch.nonzero(mask != 255, as_tuple=True)
    return [(y, x, int(mask[y, x])) for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]


def test_loss_leaves_out_pixels_without_class():
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5, generator=generator), torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[0, :2] = 255
    weight_C = torch.tensor([1.0, 2.0, 0.5])
    expected = cross_entropy(logits, target, weight_C, ignore_index=255)
    torch.testing.assert_close(segmenter.pixel_loss(logits, target.to(torch.uint8), weight_C), expected)
    nothing = segmenter.pixel_loss(logits.requires_grad_(), torch.full((2, 4, 5), 255, dtype=torch.uint8), weight_C)
    nothing.backward()
    assert nothing == 0 and not logits.grad.any()


def test_weights_of_classes_by_hand():
    weights = segmenter.class_weights(np.array([100, 0, 50, 10]), "median")
    torch.testing.assert_close(weights, torch.tensor([0.5, 0, 1, 5]))
    assert segmenter.class_weights(np.array([3, 0]), "none").tolist() == [1, 1]


@pytest.mark.parametrize(
    "changes", [{"flip": True}, {"crop": 12}, {"crop": 30, "flip": True}, {"random_scale": [2, 2], "crop": 20}]
)
def test_masks_move_with_their_images(changes):
    changes, generator = dict(changes), torch.Generator().manual_seed(0)
    masks_B = (
        torch.randint(0, 4, (6, 5, 6), generator=generator)
        .to(torch.uint8)
        .repeat_interleave(4, 1)
        .repeat_interleave(4, 2)
    )
    images = torch.stack([masks_B * 60 + 10] * 3, 1)
    about = settings(random_scale=changes.pop("random_scale", [1, 1]), augmentation=changes)
    found, moved = segmenter.augmented(images, masks_B, about, generator)
    side = about["augmentation"]["crop"]
    assert found.shape[2:] == moved.shape[1:] == ((side, side) if side else (20, 24))
    inside = moved != 255
    assert not found[:, 0][~inside].any() and inside.any()
    # scaled images are smooth where their masks have an edge: what lies within one class is compared
    near = [moved.roll((y, x), (1, 2)) == moved for y in range(-2, 3) for x in range(-2, 3)]
    within = inside & (torch.stack(near).all(0) if about["random_scale"] != [1, 1] else True)
    if about["random_scale"] != [1, 1]:  # and not at the border, where the neighbours are those of the other side
        within[:, :2] = within[:, -2:] = within[:, :, :2] = within[:, :, -2:] = False
    assert within.float().mean() > 0.15 and torch.equal(found[:, 0][within], moved[within] * 60 + 10)
    if side == 30:
        assert (~inside).any()


def test_mutual_information_is_that_of_classification():
    torch.manual_seed(0)
    model = segmenter.untrained(settings(dropout=0.4), 4, (0.5,) * 3, (0.2,) * 3)
    images = torch.randint(0, 256, (2, 3, 16, 20), dtype=torch.uint8)
    found = list(segmenter.mutual_information(model, [images], 6, 3, "float32"))
    assert not model.dropout.training
    model.dropout.train()
    torch.manual_seed(3)
    with torch.no_grad():
        features = model.features(images)
        draws_T_N_C = torch.stack([
            torch.softmax(model.logits(features, (16, 20)).double(), 1).permute(0, 2, 3, 1).reshape(-1, 4) for _ in range(6)
        ]).numpy()  # fmt: skip
    np.testing.assert_allclose(torch.stack(found).ravel(), scores.bald(draws_T_N_C), atol=1e-12)


def test_colours_are_learnt_and_a_killed_training_ends_the_same(tmp_path):
    from test_checkpoints import checkpoint

    images, split, _, truth, _ = read(folder(tmp_path, 16))
    tensors = [torch.from_numpy(values) for values in (images.transpose(0, 3, 1, 2).copy(), truth)]

    def trained(epochs, stored=None, data=None, **changes):
        about = settings(epochs=epochs, augmentation={"flip": True}, schedule={"name": "constant"}, **changes)
        torch.manual_seed(0)
        model = segmenter.untrained(about, 4, (0.3,) * 3, (0.2,) * 3)
        train = data or [values[split == 0] for values in tensors]
        return model, segmenter.fit(model, *train, about, 0, stored)

    model, history = trained(8)
    with (
        artifacts.opened(tmp_path / "images.h5", "images") as file,
        artifacts.opened(tmp_path / "truth.h5", "truth") as hidden,
    ):
        cpu, rows = torch.device("cpu"), np.flatnonzero(split == 0)
        stored = [inference.images_of(values, rows, cpu, 0) for values in (file["images"], hidden["masks"])]
        assert all(isinstance(values, inference.Stored) for values in stored)
        read_on_demand, same = trained(2, data=stored)
    held, told = trained(2)
    assert same == told and torch.equal(read_on_demand.head.weight, held.head.weight)
    found = torch.stack([probs.argmax(0) for probs, _ in segmenter.predict(model, [tensors[0][split == 1]], "float32")])
    assert (found == tensors[1][split == 1]).float().mean() > 0.9 and history["loss"][-1] < history["loss"][0] / 2
    path = tmp_path / "x.safetensors"
    trained(5, checkpoint(path))
    resumed, again = trained(8, checkpoint(path))
    assert again == history
    assert all(torch.equal(values, resumed.state_dict()[name]) for name, values in model.state_dict().items())
    with pytest.raises(UserError, match="none of the 2 labeled images has a pixel of a class"):
        segmenter.fit(model, tensors[0][:2], torch.full_like(tensors[1][:2], 255), settings(), 0)

    prediction = {"loss": "margin", "share": 0.5, "stops": "both", "weight": 0.1}
    predicting, told = trained(2, loss_prediction=prediction)
    assert np.isfinite(told["prediction_loss"]).tolist() == [True, False]
    about = settings(loss_prediction=prediction)
    segmenter.save(path, predicting, about, (3, 32, 40), ORIGIN)
    images = [tensors[0][:3]]
    losses = [
        next(segmenter.predicted_losses(one, images, "float32")) for one in (predicting, segmenter.load(path, cpu))
    ]
    assert torch.equal(*losses) and len(losses[0]) == 3


def node(place: Path, n: int = 12) -> SimpleNamespace:
    """The files that a training reads: half of n images are labeled, in some order, the others are the pool."""
    images, split, _, masks, names = read(folder(place, n))
    rng = np.random.default_rng(0)
    labeled, pool = np.split(rng.permutation(np.flatnonzero(split == 0)), 2)
    about = {
        "pool": np.sort(pool),
        "channel_mean": np.full(3, 0.3, np.float32),
        "channel_std": np.full(3, 0.2, np.float32),
    }
    artifacts.write(place / "split.h5", "split", ORIGIN, about)
    given = {"ids": labeled, "masks": masks[labeled]}
    artifacts.write(place / "labeled.h5", "labeled", ORIGIN, given, class_names=names)
    files = {name: str(place / f"{name}.h5") for name in ("images", "split", "labeled")}
    return SimpleNamespace(**files, parent=[], get=lambda name: None)


def test_what_is_followed_of_the_pool_is_what_the_model_says_after_each_epoch(tmp_path, monkeypatch):
    """Label-dispersion pixel by pixel in plain Python, from predictions that are all in memory; and a killed training ends the same."""
    from test_checkpoints import checkpoint

    source, n_epochs = node(tmp_path), 4
    ids = artifacts.read(source.split, "split", "pool")[0]
    monkeypatch.setattr(pixel_trajectory, "BLOCK_BYTES", 3 * n_epochs * 32 * 40)  # two blocks of the six images
    monkeypatch.setattr(pixel_trajectory, "BLOCK_PIXELS", 1000)
    about = settings(epochs=n_epochs, loss_prediction={"loss": "ranking"}, augmentation={"flip": True})
    result, cpu = tmp_path / "model.safetensors", torch.device("cpu")

    def trained(epochs, follows, path):
        return segmenter.fit_node(
            source, about | {"epochs": epochs}, 0, 1, cpu, ORIGIN, str(result), follows, checkpoint(path)
        )

    follows = ["pixel_trajectory", "ranks"]
    model, found, shape = trained(n_epochs, follows, tmp_path / "a.safetensors")
    assert shape == (3, 32, 40) and len(list(tmp_path.glob("model.epoch*.h5"))) == n_epochs
    pixel_trajectory.remove(result)
    assert not list(tmp_path.glob("model.epoch*.h5"))

    images = torch.from_numpy(read_images(source, ids))
    labeled = torch.from_numpy(read_images(source, np.sort(artifacts.read(source.labeled, "labeled", "ids")[0])))
    predicted, losses = [], {"predicted_loss": [], "labeled_predicted_loss": []}

    def after_epoch(model):
        model.eval()
        with torch.no_grad():
            predicted.append(model(images).argmax(1).numpy())
            for name, of in (("predicted_loss", images), ("labeled_predicted_loss", labeled)):
                maps = [getattr(model.trunk, tap) for tap in model.tapped]
                _, outputs = with_features(model, maps, of)
                losses[name].append(model.loss_prediction(outputs).numpy())

    torch.manual_seed(seed_for(0, "initialise", 1))
    plain = segmenter.build(about, 4, shape, np.full(3, 0.3, np.float32), np.full(3, 0.2, np.float32))
    order = artifacts.read(source.labeled, "labeled", "ids")[0]
    given = (
        torch.from_numpy(read_images(source, order)),
        torch.from_numpy(artifacts.read(source.labeled, "labeled", "masks")[0]),
    )
    history = segmenter.fit(plain, *given, about, seed_for(0, "train", 1), after_epoch=after_epoch)
    assert all(torch.equal(values, plain.state_dict()[name]) for name, values in model.state_dict().items())
    assert {name: found[name] for name in history} == history
    np.testing.assert_array_equal(found["ids"], ids)
    expected = [
        np.mean(
            [
                1 - max(Counter(pixel).values()) / n_epochs
                for pixel in zip(*(epoch[image].ravel().tolist() for epoch in predicted), strict=True)
            ]
        )
        for image in range(len(ids))
    ]
    np.testing.assert_allclose(found["dispersion"], expected, rtol=1e-12)
    assert len(set(expected)) > 1
    for name, rows in losses.items():
        np.testing.assert_allclose(found[name], rows, atol=1e-5)

    trained(2, follows, tmp_path / "b.safetensors")
    _, resumed, _ = trained(n_epochs, follows, tmp_path / "b.safetensors")
    assert all(np.array_equal(resumed[name], found[name]) for name in ("dispersion", *losses))


def read_images(source, ids) -> np.ndarray:
    return artifacts.read(source.images, "images", "images")[0][ids].transpose(0, 3, 1, 2).copy()


# ------------------------------------------------------------------------------------------------------------ study

METHODS = (
    "random",
    "least_confidence",
    "margin",
    "entropy",
    "bald",
    "best_versus_second_best_cb",
    "ripu",
    "kcenter_greedy",
    "entropy_cb",
    "kcenter_cb",
    "typiclust",
    "label_dispersion",
    "learning_loss",
    "vaal",
    "ta_vaal",
    "sraal",
)
FOLLOWED = ("random", "entropy", "ta_vaal")
ADVERSARY = {"steps": 4, "batch_size": 4, "channels": 4, "latent": 4, "height": 16}
ADVERSARY |= {"discriminator_layers": 2, "discriminator_units": 16}
STUDY = {
    "study": "masks",
    "dataset": {"name": "halves", "loader": "mask_folder"},
    "pool": {"initial": {"size": 6, "kind": "kcenter_vae", "start": 2}},
    "budget": 4,
    "cycles": 1,
    "seeds": [0],
    "learners": {
        "small": {
            "architecture": "segmenter_small", "epochs": 2, "batch_size": 4, "dropout": 0.2, "device": "cpu",
            "optimizer": {"name": "adam", "lr": 0.003}, "augmentation": {"flip": True},
            "loss_prediction": {"loss": "ranking", "share": 0.5, "stops": "head"},
        }
    },
    "adversaries": {"vaal": ADVERSARY, "ta_vaal": ADVERSARY | {"ranks": "joint"}, "sraal": ADVERSARY},
    "signals": {"draws": 3},
    "methods": dict.fromkeys(METHODS),
    "plots": {"dpi": 60},
}  # fmt: skip


@pytest.mark.slow
def test_a_study_of_all_methods_whose_hidden_masks_reach_nothing(tmp_path):
    raw = folder(tmp_path / "raw", 24)
    one, other = (Workflow(tmp_path / name) for name in ("one", "other"))
    for workflow in (one, other):
        workflow.folder.mkdir()
        workflow.write(STUDY | {"dataset": STUDY["dataset"] | {"path": str(raw)}})
    node = "results/masks/seed0"
    asked = [f"{node}/{name}/cycle1/labeled.h5" for name in METHODS]
    one.snakemake(*asked, "--cores", "2")
    # the others differ from one of them in their scores alone: they are followed up to their answers
    one.write(yaml.safe_load(one.config.read_text()) | {"methods": dict.fromkeys(FOLLOWED)})
    one.snakemake("--cores", "2", "--rerun-triggers", "mtime")  # the signals of all stay
    results = one.folder / "results/masks"
    metrics = pd.read_csv(results / "metrics.csv")
    assert len(metrics) == 2 * len(FOLLOWED) and set(metrics["labels"]) == {6, 10}
    assert metrics["mean_iou"].between(0, 1).all() and (metrics["labeled_pixels"] == 32 * 40 * metrics["labels"]).all()
    queries = {name: artifacts.read(results / f"seed0/{name}/cycle1/query.h5", "query", "ids")[0] for name in METHODS}
    assert all(len(set(ids)) == 4 for ids in queries.values())
    (shares, entropies, ids), (balanced,) = (
        artifacts.read(
            results / "seed0/start-small/cycle0/pixel_signals.h5", "pixel_signals", "class_shares", "entropy", "ids"
        ),
        artifacts.read(results / "seed0/entropy/cycle1/query.h5", "query", "ids"),
    )
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert set(balanced) == set(ids[np.argsort(-entropies)[:4]])
    start = results / "seed0/start-small/cycle0"
    for name in ("vaal", "ta_vaal", "sraal"):
        of_pool, looks_labeled = artifacts.read(start / f"adversary_{name}.h5", "adversary", "ids", "discriminator")
        assert 0 <= artifacts.read(start / f"adversary_{name}.h5", "adversary", "auc")[0] <= 1
        is_asked = np.isin(of_pool, queries[name])
        assert looks_labeled[is_asked].max() <= looks_labeled[~is_asked].min() < looks_labeled.max(), name
    check_signals_of_pool(start, one.folder / "results/datasets/halves/images.h5")
    for picture in ("entropy_seed0.png", "entropy_seed0_confusion.png"):
        assert (results / "pictures" / picture).stat().st_size > 1000

    # other masks where no method of cycle 1 asked: no file up to its answers and models differs
    known = set(artifacts.read(results / "seed0/split.h5", "split", "initial")[0]).union(*queries.values())
    prepared = other.folder / "results/datasets/halves"
    prepared.mkdir(parents=True)
    for name in ("images.h5", "truth.h5", "dataset.benchmark.tsv"):
        (prepared / name).write_bytes((one.folder / "results/datasets/halves" / name).read_bytes())
    with edited(prepared / "truth.h5") as file:
        found = file["masks"][()]
        hidden = np.setdiff1d(np.arange(len(found)), list(known))
        found[hidden] = (found[hidden] + 1) % 4
        file["masks"][...] = found
    other.snakemake(*asked, f"{node}/entropy/cycle1/model.safetensors", "--cores", "2", "--rerun-triggers", "mtime")
    compared = {name for name in other.files("masks/seed0/**/*") if name.endswith((".h5", ".safetensors"))}
    assert len(compared) > 3 * len(METHODS)
    for name in compared:
        assert (other.folder / "results" / name).read_bytes() == (one.folder / "results" / name).read_bytes(), name

    # a start whose training followed nothing is trained once more, with the same result
    followed = [start / "pixel_trajectory.h5", start / "ranks.h5"]
    before = [path.read_bytes() for path in followed]
    with edited(start / "history.h5") as file:
        for name in ("ids", "dispersion", "predicted_loss", "labeled_predicted_loss"):
            del file[name]
    one.write(yaml.safe_load(other.config.read_text()))
    one.snakemake(
        *(str(path.relative_to(one.folder)) for path in followed), "--cores", "2", "--rerun-triggers", "mtime"
    )
    assert [path.read_bytes() for path in followed] == before
    assert {path.name for path in start.glob("*epoch*")} | {path.name for path in start.glob("*checkpoint*")} == set()


def check_signals_of_pool(start: Path, images_path: Path):
    """Signals of pixels, reduced to images in a stream, against the probabilities of all pixels at once."""
    model = segmenter.load(start / "model.safetensors", torch.device("cpu"))
    with artifacts.opened(start / "pixel_signals.h5", "pixel_signals") as file:
        found = artifacts.datasets(file)
    (images,) = artifacts.read(images_path, "images", "images")
    inputs = torch.from_numpy(images[found["ids"]].transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features = model.features(inputs)
        probs_N_C_P = torch.softmax(model.logits(features, inputs.shape[2:]), 1).flatten(2).double().numpy()
        _, maps = with_features(model, [getattr(model.trunk, tap) for tap in model.tapped], inputs)
        losses_N = model.loss_prediction(maps)
    p = np.sort(probs_N_C_P, 1)
    expected = {
        "least_confidence": (1 - p[:, -1]).mean(1),
        "margin": (p[:, -2] - p[:, -1]).mean(1),
        "entropy": -(p * np.log(p)).sum(1).mean(1),
        "class_shares": probs_N_C_P.mean(2),
        "embeddings": features.mean((2, 3)),
        "predicted_loss": losses_N,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
