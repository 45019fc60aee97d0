"""Loaders, on miniatures in the published formats and on the real files where they are at hand."""

import contextlib
import gzip
import hashlib
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import urllib.error
from pathlib import Path

import cv2
import numpy as np
import pytest

from dagal import artifacts, datasets, pace
from dagal.datasets import folders
from dagal.datasets import source as sources
from dagal.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ORIGIN = artifacts.provenance("dataset", {})
COLOURS = {"apple": (255, 0, 0), "leaf": (0, 255, 0), "sea": (0, 0, 255)}  # RGB


def prepare(tmp_path, settings):
    """images, split, labels, class names; and the SHA-256 of both files."""
    out = Path(tmp_path) / "out"
    datasets.prepare(settings, out / "images.h5", out / "truth.h5", ORIGIN)
    images, split = artifacts.read(out / "images.h5", "images", "images", "split")
    (labels,) = artifacts.read(out / "truth.h5", "truth", "labels")
    names = list(artifacts.attributes(out / "truth.h5", "truth")["class_names"])
    assert images.dtype == np.uint8 and images.ndim == 4
    assert split.dtype == np.uint8 and labels.dtype == np.int64
    assert len(images) == len(split) == len(labels)
    assert np.all(np.diff(split.astype(int)) >= 0), "training images come first"
    counts = datasets.train_counts(settings)
    np.testing.assert_array_equal(counts, np.bincount(labels[split == 0], minlength=len(names)))
    digests = [hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("images.h5", "truth.h5")]
    return images, split, labels, names, digests


def refused(tmp_path, settings, *words):
    """The settings are refused in one sentence that holds the words, and nothing is left behind."""
    out = tmp_path / "refused"
    with pytest.raises(UserError) as caught:
        datasets.prepare(settings, out / "images.h5", out / "truth.h5", ORIGIN)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and ":" in message
    for word in words:
        assert str(word) in message
    assert not out.exists() or not list(out.iterdir())
    return message


def folder(path, **settings):
    return {"name": "made_up", "loader": "image_folder", "path": str(path)} | settings


def paint(path, colour, position=0, size=(6, 5)):
    """An image file of one RGB colour, its position among the others written into the blue or red channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), colour, np.uint8)
    image[0, 0] = position
    assert cv2.imwrite(str(path), image[..., ::-1])


def painted_folder(root, parts=("train", "test"), each=4):
    """Folders of COLOURS; the pixel (0, 0) of an image is its number."""
    for part in parts:
        for name, colour in COLOURS.items():
            for position in range(each):
                paint(root / part / name / f"{position:03}.png", colour, position)
    return root


def packed(root, archive, mode="w:gz", shuffled=False, prefix=""):
    names = sorted(str(file.relative_to(root)) for file in root.rglob("*"))
    if shuffled:
        random.Random(0).shuffle(names)
    with tarfile.open(archive, mode) as tar:
        for name in names:
            tar.add(root / name, prefix + name, recursive=False)
    return archive


def check_equal(found, expected):
    """Images, split, labels and class names are the same, wherever the files lie."""
    for left, right in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(left, right)


def check_colours(images, labels, names):
    for image, label in zip(images, labels, strict=True):
        np.testing.assert_array_equal(image[1:], np.broadcast_to(COLOURS[names[label]], image[1:].shape))


# ---- digits


def test_digits_are_all_there_with_a_fixed_stratified_split(tmp_path):
    from sklearn.datasets import load_digits

    images, split, labels, names, digests = prepare(tmp_path, {"name": "digits", "loader": "digits"})
    assert images.shape == (1797, 8, 8, 1) and images.min() == 0 and images.max() == 255
    assert names == [str(digit) for digit in range(10)]
    assert split.sum() == 360
    test_counts = np.bincount(labels[split == 1])
    assert test_counts.min() == 35 and test_counts.max() == 37
    # the same images with the same labels as in scikit-learn, each once
    original = load_digits()
    ours = sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))
    scaled = np.rint(original.images * 255 / 16).astype(np.uint8)
    assert ours == sorted((image.tobytes(), label) for image, label in zip(scaled, original.target, strict=True))
    assert prepare(tmp_path / "again", {"name": "digits", "loader": "digits"})[-1] == digests


# ---- image folders


def test_colours_labels_and_order_of_a_folder(tmp_path):
    images, split, labels, names, _ = prepare(tmp_path, folder(painted_folder(tmp_path / "raw")))
    assert names == ["apple", "leaf", "sea"]
    assert images.shape == (24, 6, 5, 3)
    np.testing.assert_array_equal(split, [0] * 12 + [1] * 12)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2, 0, 1, 2], 4))
    check_colours(images, labels, names)
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.tile(np.arange(4), 6))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("prefix", ["", "./", "made_up/", "a/b/"])
def test_an_archive_gives_what_its_folder_gives(tmp_path, mode, shuffled, prefix, monkeypatch):
    raw = painted_folder(tmp_path / "raw")
    archive = packed(raw, tmp_path / "raw.tar.gz", mode, shuffled, prefix)
    monkeypatch.setattr(sources, "BATCH_BYTES", 7 * 6 * 5 * 3)  # several batches, the last one short
    *expected, _ = prepare(tmp_path, folder(raw))
    *found, _ = prepare(tmp_path, folder(archive))
    for left, right in zip(expected, found, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_is_read_front_to_back(tmp_path, monkeypatch, mode):
    archive = packed(painted_folder(tmp_path / "raw"), tmp_path / "raw.tar.gz", mode, shuffled=True)
    opened = []

    class OneWay(io.BufferedReader):
        def seek(self, *_):
            raise AssertionError("the archive is read backwards")

    def one_way(path, mode):
        opened.append(path)
        return OneWay(io.FileIO(path, mode))

    monkeypatch.setattr(Path, "open", one_way)
    out = tmp_path / "out"
    datasets.prepare(folder(archive), out / "images.h5", out / "truth.h5", ORIGIN)
    assert opened.count(archive) == 3, "once for the names, once for the images, once for its hash"


def test_images_are_streamed_in_batches(tmp_path, monkeypatch):
    sizes = []
    flush = sources.flush
    monkeypatch.setattr(sources, "BATCH_BYTES", 5 * 6 * 5 * 3)
    monkeypatch.setattr(sources, "flush", lambda data, batch: (sizes.append(len(batch)), flush(data, batch)))
    prepare(tmp_path, folder(painted_folder(tmp_path / "raw")))
    assert sizes == [5, 5, 5, 5, 4]


def test_progress_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pace, "SECONDS", 0)
    prepare(tmp_path, folder(painted_folder(tmp_path / "raw")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 24 images, ") and "24 images decoded" in lines


def test_a_later_copy_in_an_archive_replaces_the_earlier(tmp_path):
    raw = painted_folder(tmp_path / "raw")
    archive = packed(raw, tmp_path / "raw.tar", "w")
    paint(raw / "train/apple/000.png", COLOURS["apple"], position=99)
    with tarfile.open(archive, "a") as tar:
        tar.add(raw / "train/apple/000.png", "train/apple/000.png")
    images, *_ = prepare(tmp_path, folder(archive))
    assert len(images) == 24 and images[0, 0, 0, 0] == 99


@pytest.mark.parametrize("enclosed", ["", "somewhere/else"])
def test_val_serves_as_test_and_hidden_or_other_files_are_ignored(tmp_path, enclosed):
    raw = painted_folder(tmp_path / "raw" / enclosed, ("train", "val"))
    (raw / "README.txt").write_text("about")
    (raw / "train/list.csv").write_text("1,2")
    (raw / "train/apple/Thumbs.db").write_bytes(b"x")
    (raw / "train/apple/._000.png").write_bytes(b"x")
    (raw / "train/.git").mkdir()
    (raw / "train/.git/000.png").write_bytes(b"x")
    (raw / "__MACOSX/train").mkdir(parents=True)
    images, split, labels, names, _ = prepare(tmp_path, folder(tmp_path / "raw"))
    assert names == ["apple", "leaf", "sea"] and len(images) == 24 and split.sum() == 12
    check_colours(images, labels, names)


def test_test_goes_before_val(tmp_path):
    raw = painted_folder(tmp_path / "raw", ("train", "val", "test"))
    paint(raw / "test/sea/000.png", COLOURS["sea"], position=77)
    images, split, *_ = prepare(tmp_path, folder(raw))
    assert len(images) == 24 and images[split == 1][8, 0, 0, 0] == 77


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "car"):
        for position in range(5):
            paint(tmp_path / "raw" / name / f"{position}.png", (1, 2, 3))
    (tmp_path / "raw/__MACOSX").mkdir()
    images, split, labels, names, _ = prepare(tmp_path, folder(tmp_path / "raw"))
    assert names == ["car", "train"] and len(images) == 10 and split.sum() == 2


def test_without_a_published_split_a_fixed_stratified_one_is_made(tmp_path):
    raw = painted_folder(tmp_path / "raw", ("",), each=10)
    images, split, labels, names, digests = prepare(tmp_path, folder(raw, test_fraction=0.3))
    np.testing.assert_array_equal(np.bincount(labels[split == 1]), [3, 3, 3])
    check_colours(images, labels, names)
    # every image is in exactly one part, and which one never changes
    chosen = [images[(labels == label) & (split == 1), 0, 0, 0].tolist() for label in range(3)]
    kept = [images[(labels == label) & (split == 0), 0, 0, 0].tolist() for label in range(3)]
    assert [sorted(a + b) for a, b in zip(chosen, kept, strict=True)] == [list(range(10))] * 3
    assert chosen == [[2, 8, 9], [3, 4, 8], [0, 4, 7]]
    moved = raw.rename(tmp_path / "moved")
    assert prepare(tmp_path / "again", folder(moved, test_fraction=0.3))[-1] == digests
    (tmp_path / "moved2/inside").mkdir(parents=True)
    moved.rename(tmp_path / "moved2/inside/deeper")
    deeper = prepare(tmp_path / "third", folder(tmp_path / "moved2", test_fraction=0.3))
    check_equal(deeper, (images, split, labels, names))


@pytest.mark.parametrize(("fraction", "expected"), [(0.01, [1, 1]), (0.5, [2, 10]), (0.99, [3, 19])])
def test_every_class_keeps_an_image_on_both_sides_of_the_split(tmp_path, fraction, expected):
    for name, size in (("rare", 4), ("usual", 20)):
        for position in range(size):
            paint(tmp_path / "raw" / name / f"{position}.png", (1, 2, 3))
    _, split, labels, *_ = prepare(tmp_path, folder(tmp_path / "raw", test_fraction=fraction))
    np.testing.assert_array_equal(np.bincount(labels[split == 1]), expected)


def test_the_order_on_disk_does_not_matter(tmp_path, monkeypatch):
    scandir = os.scandir

    def backwards(place):
        with scandir(place) as items:
            return contextlib.nullcontext(sorted(items, key=lambda item: item.name, reverse=True))

    raw = painted_folder(tmp_path / "raw", ("",))
    expected = datasets.LOADERS.find("image_folder")(folder(raw))
    rows = [row for row, _ in expected.images]
    monkeypatch.setattr(os, "scandir", backwards)
    found = datasets.LOADERS.find("image_folder")(folder(raw))
    assert [row for row, _ in found.images] == rows
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_the_split_meets_the_total_of_the_paper():
    sizes = np.random.default_rng(0).multinomial(9144 - 31 * 102, np.full(102, 1 / 102)) + 31
    classes = {
        f"c{label:03}": [([f"{image:04}.jpg"], f"c{label:03}/{image:04}.jpg") for image in range(size)]
        for label, size in enumerate(sizes)
    }
    train, test = folders._split(Path("x"), classes, folders.CALTECH_TEST_FRACTION)
    counts = np.array([len(test[name]) for name in sorted(classes)])
    assert counts.sum() == 1019 and sum(map(len, train.values())) == 8125
    assert np.abs(counts - sizes * 1019 / 9144).max() < 1


@pytest.mark.parametrize("size", [None, 4, 12])
def test_grayscale_and_resizing(tmp_path, size):
    raw = painted_folder(tmp_path / "raw")
    images, _, labels, names, _ = prepare(tmp_path, folder(raw, image_size=size, grayscale=True))
    assert images.shape == (24, *((6, 5) if size is None else (size, size)), 1)
    luma = {"apple": 76, "leaf": 150, "sea": 29}  # ITU-R BT.601
    np.testing.assert_array_equal(images[:, -1, -1, 0], [luma[names[label]] for label in labels])


def test_images_of_different_sizes_and_kinds_fit_once_resized(tmp_path):
    raw = painted_folder(tmp_path / "raw")
    red, gray = np.full((9, 3, 4), (0, 0, 255, 128), np.uint8), np.full((3, 9), 200, np.uint8)
    cv2.imwrite(str(raw / "train/apple/alpha.png"), red)
    cv2.imwrite(str(raw / "train/leaf/gray.PNG"), gray)
    cv2.imwrite(str(raw / "train/sea/deep.png"), np.full((5, 5, 3), (65535, 0, 0), np.uint16))
    images, _, labels, names, _ = prepare(tmp_path, folder(raw, image_size=4))
    assert images.shape == (27, 4, 4, 3)
    assert (images[4] == (255, 127, 127)).all() and (images[9] == 200).all()  # half of red on white
    assert (images[14] == COLOURS["sea"]).all()
    refused(tmp_path, folder(raw), raw, "6 x 5 and 9 x 3", "dataset.image_size")


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: (raw / "test/sea/001.png").write_bytes(b""), ["test/sea/001.png", "cannot be decoded"]),
        (lambda raw: (raw / "test/sea/001.png").write_bytes(b"?"), ["test/sea/001.png", "cannot be decoded"]),
        (lambda raw: cut(raw / "test/sea/001.png"), ["test/sea/001.png", "cannot be decoded"]),
        (lambda raw: cut_jpeg(raw / "test/sea/001.jpg"), ["test/sea/001.jpg", "cannot be decoded"]),
        (lambda raw: [file.unlink() for file in (raw / "train/leaf").iterdir()], ["leaf", "no image"]),
        (lambda raw: (raw / "train/new").mkdir(), ["new/", "only one of train/ and test/"]),
        (lambda raw: (raw / "test").rename(raw / "held_out"), ["train/", "no test/ or val/"]),
        (lambda raw: (raw / "train").rename(raw / "held_in"), ["call these"]),
        (lambda raw: keep_one_class(raw), ["two class folders"]),
    ],
)
def test_bad_folders_are_refused(tmp_path, damage, words, packing):
    raw = painted_folder(tmp_path / "raw")
    damage(raw)
    path = packed(raw, tmp_path / "raw.tar") if packing else raw
    refused(tmp_path, folder(path), path, *words)
    counts = datasets.train_counts(folder(path))
    assert (counts is None) == (words[-1] != "cannot be decoded")


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def cut_jpeg(path):
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:700])


def keep_one_class(raw):
    for part in ("train", "test"):
        for name in ("apple", "leaf"):
            for file in (raw / part / name).iterdir():
                file.unlink()
            (raw / part / name).rmdir()


def test_missing_and_lost_files_are_refused(tmp_path):
    absent = folder(tmp_path / "nowhere")
    refused(tmp_path, absent, tmp_path / "nowhere", "does not exist")
    assert datasets.train_counts(absent) is None
    (tmp_path / "empty").mkdir()
    refused(tmp_path, folder(tmp_path / "empty"), "two class folders")
    raw = painted_folder(tmp_path / "raw")
    (raw / "train/sea/000.png").unlink()
    (raw / "train/sea/000.png").symlink_to(raw / "gone.png")
    refused(tmp_path, folder(raw), raw, "train/sea/000.png")


def test_a_class_too_small_to_split_is_refused(tmp_path):
    raw = painted_folder(tmp_path / "raw", ("",))
    paint(raw / "lonely/1.png", (1, 2, 3))
    refused(tmp_path, folder(raw), raw, "class lonely", "single image")


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    raw = painted_folder(tmp_path / "raw", each=2)
    content = packed(raw, tmp_path / "whole.tar", "w").read_bytes()
    last = max(i for i in range(0, len(content), 512) if any(content[i : i + 512])) + 512  # then only the end mark
    path = tmp_path / "cut.tar"
    for length in [*range(0, last + 1, 512), 100, last - 100]:
        path.write_bytes(content[:length])
        refused(tmp_path, folder(path), path, "cannot be read to its end")
        assert datasets.train_counts(folder(path)) is None
    packing = gzip.compress(content)
    for length in range(1, len(packing), 97):
        path.write_bytes(packing[:length])
        refused(tmp_path, folder(path), path, "cannot be read to its end")
    path.write_bytes(packing[:-8] + b"\0\0\0\0" + packing[-4:])  # another checksum
    refused(tmp_path, folder(path), path, "cannot be read to its end")


def test_links_in_an_archive_are_refused_and_nothing_is_unpacked(tmp_path):
    raw = painted_folder(tmp_path / "raw")
    os.link(raw / "train/sea/000.png", raw / "train/sea/linked.png")
    refused(tmp_path, folder(packed(raw, tmp_path / "raw.tar")), "as a link")
    (raw / "train/sea/linked.png").unlink()
    archive = packed(raw, tmp_path / "raw.tar", "w")
    with tarfile.open(archive, "a") as tar:
        tar.add(raw / "train/sea/000.png", "../evil.png")
        tar.add(raw / "train/sea/000.png", "/train/../../evil.png")
    before = set(tmp_path.parent.rglob("*"))
    images, *_ = prepare(tmp_path, folder(archive))
    assert len(images) == 24
    assert {file.name for file in set(tmp_path.parent.rglob("*")) - before} == {
        "out",
        "images.h5",
        "truth.h5",
    }


# ---- Caltech-101


def caltech(path, **settings):
    return {"name": "caltech101", "loader": "caltech101", "path": str(path)} | settings


def test_caltech101_in_every_published_wrapping(tmp_path):
    raw = tmp_path / "raw/101_ObjectCategories"
    for name in ("BACKGROUND_Google", "Faces", "accordion"):
        for position in range(20):
            paint(raw / name / f"image_{position + 1:04}.jpg", (10, 20, 30), size=(20 + position, 30))
    (raw / "BACKGROUND_Google/tmp").write_text("x")  # as published
    settings = {"image_size": 8}
    images, split, labels, names, _ = expected = prepare(tmp_path, caltech(tmp_path / "raw", **settings))
    assert names == ["BACKGROUND_Google", "Faces", "accordion"]
    assert images.shape == (60, 8, 8, 3)
    assert split.sum() == round(60 * 1019 / 9144) == 7
    check_equal(prepare(tmp_path / "1", caltech(raw, **settings)), expected)
    archive = packed(tmp_path / "raw", tmp_path / "101_ObjectCategories.tar.gz")
    (tmp_path / "new/caltech-101").mkdir(parents=True)
    archive.rename(tmp_path / "new/caltech-101/101_ObjectCategories.tar.gz")
    for place in ("new", "new/caltech-101", "new/caltech-101/101_ObjectCategories.tar.gz"):
        check_equal(prepare(tmp_path / "2", caltech(tmp_path / place, **settings)), expected)
    assert prepare(tmp_path / "3", caltech(raw, test_fraction=0.5, **settings))[1].sum() == 30
    refused(tmp_path, caltech(raw), "dataset.image_size")
    absent = caltech(tmp_path / "2")
    refused(tmp_path, absent, "Caltech-101 is not in", tmp_path / "2")
    assert datasets.train_counts(absent) is None


# ---- Tiny ImageNet


def tiny(path):
    return {"name": "tiny_imagenet", "loader": "tiny_imagenet", "path": str(path)}


@pytest.fixture
def tiny_imagenet(tmp_path, monkeypatch):
    """Two classes, three training and two validation images each; a validation image is brighter than 127."""
    root = tmp_path / "raw/tiny-imagenet-200"
    wnids = ["n02", "n01"]  # not sorted, as published
    root.mkdir(parents=True)
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\ttoad\n")
    for wnid, level in zip(wnids, (20, 10), strict=True):
        for i in range(3):
            paint(root / f"train/{wnid}/images/{wnid}_{i}.JPEG", (level,) * 3, level, size=(64, 64))
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t1\t1\n")
    gray = np.full((64, 64), 10, np.uint8)
    cv2.imwrite(str(root / "train/n01/images/n01_1.JPEG"), gray)
    order = ["n02", "n01", "n01", "n02"]
    for i, wnid in enumerate(order):
        paint(
            root / f"val/images/val_{i}.JPEG",
            (int(wnid[-1]) * 10 + 128,) * 3,
            int(wnid[-1]) * 10 + 128,
            (64, 64),
        )
    lines = [f"val_{i}.JPEG\t{wnid}\t0\t0\t62\t62\n" for i, wnid in enumerate(order)]
    (root / "val/val_annotations.txt").write_text("".join(lines))
    paint(root / "test/images/test_0.JPEG", (0, 0, 0), size=(64, 64))
    monkeypatch.setitem(datasets.PUBLISHED_COUNTS, "tiny_imagenet", [3, 3])
    return root


def test_tiny_imagenet(tmp_path, tiny_imagenet):
    images, split, labels, names, _ = prepare(tmp_path, tiny(tmp_path / "raw"))
    assert names == ["n01 goldfish", "n02 toad"]
    assert images.shape == (10, 64, 64, 3)
    np.testing.assert_array_equal(split, [0] * 6 + [1] * 4)
    np.testing.assert_array_equal(images[:, 5, 5, :], ((labels + 1) * 10 + split * 128)[:, None].repeat(3, 1))
    check_equal(prepare(tmp_path / "2", tiny(tiny_imagenet)), (images, split, labels, names))


def test_tiny_imagenet_damaged(tmp_path, tiny_imagenet, monkeypatch):
    refused(tmp_path, tiny(tmp_path), "Tiny ImageNet is not in", tmp_path)
    annotations = tiny_imagenet / "val/val_annotations.txt"
    good = annotations.read_text()
    annotations.write_text(good + "val_9.JPEG\tn03\t0\t0\t1\t1\n")
    refused(tmp_path, tiny(tiny_imagenet), tiny_imagenet, "n03")
    annotations.write_text(good + "val_9.JPEG\tn02\t0\t0\t1\t1\n")
    refused(tmp_path, tiny(tiny_imagenet), tiny_imagenet, "val_9.JPEG")
    annotations.unlink()
    refused(tmp_path, tiny(tiny_imagenet), tiny_imagenet, "val_annotations.txt")
    annotations.write_text(good)
    (tiny_imagenet / "train/n02/images/n02_2.JPEG").unlink()
    refused(tmp_path, tiny(tiny_imagenet), tiny_imagenet, "5 of 6")


# ---- torchvision's data sets


def coded(labels, shape, offset):
    """One image per label: its class in every pixel, its position (from the offset on) in the first."""
    images = np.stack([np.full(shape, 10 * label, np.uint8) for label in labels])
    images.reshape(len(images), -1)[:, 0] = np.arange(len(images)) + offset
    images[:, 0, 1] = 77  # rows and columns are told apart
    return images


def write_cifar(root, base, monkeypatch, n_classes, key, names_key, train_files):
    import torchvision

    kind = torchvision.datasets.CIFAR10 if n_classes == 10 else torchvision.datasets.CIFAR100
    place = root / base
    place.mkdir(parents=True)

    def put(name, content):
        (place / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((place / name).read_bytes()).hexdigest()]

    def batch(name, labels, offset):
        images = coded(labels, (32, 32, 3), offset)
        images[..., 2] = 250  # blue
        return put(name, {"data": images.transpose(0, 3, 1, 2).reshape(len(labels), -1), key: list(labels)})

    per_file = len(TRAIN_LABELS) // len(train_files)
    parts = [TRAIN_LABELS[i * per_file : (i + 1) * per_file] for i in range(len(train_files))]
    monkeypatch.setattr(
        kind,
        "train_list",
        [batch(name, part, i * per_file) for i, (name, part) in enumerate(zip(train_files, parts, strict=True))],
    )
    monkeypatch.setattr(kind, "test_list", [batch(kind.test_list[0][0], TEST_LABELS, 100)])
    name, md5 = put(kind.meta["filename"], {names_key: [f"class {i}" for i in range(n_classes)]})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5})
    return place / train_files[0]


TRAIN_LABELS = [3, 0, 1, 2, 9, 8, 7, 6, 5, 4, 0, 3, 3, 3, 3]
TEST_LABELS = [9, 0, 0, 5]


def write_cifar10(root, monkeypatch):
    files = [f"data_batch_{i}" for i in range(1, 6)]
    return write_cifar(root, "cifar-10-batches-py", monkeypatch, 10, "labels", "label_names", files)


def write_cifar100(root, monkeypatch):
    return write_cifar(root, "cifar-100-python", monkeypatch, 100, "fine_labels", "fine_label_names", ["train"])


def write_idx(root, part):
    place = root / part / "raw"
    place.mkdir(parents=True)
    for name, labels, offset in (("train", TRAIN_LABELS, 0), ("t10k", TEST_LABELS, 100)):
        head = struct.pack(">IIII", 0x803, len(labels), 28, 28)
        images = coded(labels, (28, 28), offset)
        (place / f"{name}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (place / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, len(labels)) + bytes(labels))
    return place / "train-images-idx3-ubyte"


def write_svhn(root, monkeypatch):
    import torchvision
    from scipy.io import savemat

    root.mkdir(parents=True)
    entries = {}
    for part, labels, offset in (("train", TRAIN_LABELS, 0), ("test", TEST_LABELS, 100)):
        path = root / f"{part}_32x32.mat"
        images = coded(labels, (32, 32, 3), offset)
        images[..., 2] = 250
        published = np.array([[label or 10] for label in labels], np.uint8)  # the digit 0 is labeled 10
        savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": published}, do_compression=True)
        url = torchvision.datasets.SVHN.split_list[part][0]
        entries[part] = [url, path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", entries)
    return root / "train_32x32.mat"


# loader -> (writer of a miniature, number of classes, shape of an image, message if it is missing)
MINIATURES = {
    "cifar10": (write_cifar10, 10, (32, 32, 3), "CIFAR-10 is not in"),
    "cifar100": (write_cifar100, 100, (32, 32, 3), "CIFAR-100 is not in"),
    "mnist": (lambda root, _: write_idx(root, "MNIST"), 10, (28, 28, 1), "MNIST is not in"),
    "fashion_mnist": (
        lambda root, _: write_idx(root, "FashionMNIST"),
        10,
        (28, 28, 1),
        "Fashion-MNIST is not in",
    ),
    "svhn": (write_svhn, 10, (32, 32, 3), "SVHN is not in"),
}


@pytest.fixture(params=MINIATURES)
def miniature(request, tmp_path, monkeypatch):
    """Settings of a miniature and one of its training files."""
    write, n_classes, *_ = MINIATURES[request.param]
    file = write(tmp_path / "raw", monkeypatch)
    counts = np.bincount(TRAIN_LABELS, minlength=n_classes).tolist()
    monkeypatch.setitem(datasets.PUBLISHED_COUNTS, request.param, counts)
    return {
        "name": request.param,
        "loader": request.param,
        "path": str(tmp_path / "raw"),
        "download": False,
    }, file


def test_torchvision_sets(tmp_path, miniature):
    settings, _ = miniature
    _, n_classes, shape, _ = MINIATURES[settings["loader"]]
    images, split, labels, names, digests = prepare(tmp_path, settings)
    assert images.shape == (19, *shape) and len(names) == n_classes
    assert labels.tolist() == TRAIN_LABELS + TEST_LABELS and split.tolist() == [0] * 15 + [1] * 4
    np.testing.assert_array_equal(images[:, 7, 7, 0], labels * 10)
    np.testing.assert_array_equal(images[:, 0, 0, 0], [*range(15), *range(100, 104)])
    assert (images[:, 0, 1, 0] == 77).all()
    if shape[-1] == 3:
        assert (images[..., 2] == 250).all() and (images[:, 1:, :, 1] == images[:, 1:, :, 0]).all()
    assert prepare(tmp_path / "again", settings)[-1] == digests
    small, *_ = prepare(tmp_path / "small", settings | {"grayscale": True, "image_size": 8})
    assert small.shape == (19, 8, 8, 1)


def test_class_names_of_torchvision_sets(tmp_path, monkeypatch):
    for loader, expected in {
        "mnist": "7",
        "svhn": "7",
        "fashion_mnist": "Sneaker",
        "cifar10": "class 7",
    }.items():
        write, *_ = MINIATURES[loader]
        write(tmp_path / loader, monkeypatch)
        source = datasets.LOADERS.find(loader)({"loader": loader, "path": str(tmp_path / loader)})
        assert len(source.class_names) == 10 and source.class_names[7] == expected


def test_a_damaged_torchvision_set_is_refused(tmp_path, miniature):
    settings, file = miniature
    file.write_bytes(file.read_bytes()[:-9])
    refused(tmp_path, settings, settings["path"], "incomplete or damaged", "delete")


def test_a_torchvision_set_of_another_size_is_refused(tmp_path, miniature, monkeypatch):
    settings, _ = miniature
    published = datasets.PUBLISHED_COUNTS[settings["loader"]]
    monkeypatch.setitem(datasets.PUBLISHED_COUNTS, settings["loader"], [*published[:-1], published[-1] + 1])
    refused(tmp_path, settings, settings["path"], "15 of 16")


@pytest.mark.parametrize("loader", MINIATURES)
def test_a_missing_torchvision_set_is_refused(tmp_path, loader, monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    settings = {"name": loader, "loader": loader, "path": str(tmp_path / "raw"), "download": False}
    refused(tmp_path, settings, MINIATURES[loader][3], tmp_path / "raw", "dataset.download: true")
    assert not (tmp_path / "raw").exists(), "nothing is downloaded unasked"
    message = refused(tmp_path, settings | {"download": True}, tmp_path / "raw", "network", "could not be downloaded")
    assert "Name or service not known" in message
    assert datasets.train_counts(settings) is not None


def test_download_is_checked(tmp_path, monkeypatch):
    write_svhn(tmp_path / "server", monkeypatch)
    monkeypatch.setitem(datasets.PUBLISHED_COUNTS, "svhn", np.bincount(TRAIN_LABELS).tolist())
    junk = False

    def serve(request, **_):
        content = (tmp_path / "server" / Path(request.full_url).name).read_bytes()
        answer = io.BytesIO(b"<html>" if junk else content)
        answer.url, answer.length = request.full_url, len(answer.getvalue())
        return answer

    monkeypatch.setattr("urllib.request.urlopen", serve)
    settings = {"name": "svhn", "loader": "svhn", "path": str(tmp_path / "raw"), "download": True}
    images, _, labels, *_ = prepare(tmp_path, settings)
    np.testing.assert_array_equal(images[:, 7, 7, 0], labels * 10)
    junk = True
    refused(tmp_path, settings | {"path": str(tmp_path / "raw2")}, tmp_path / "raw2", "could not be downloaded")


# ---- the registry


def test_two_preparations_of_a_folder_or_archive_are_byte_identical(tmp_path):
    raw = painted_folder(tmp_path / "raw")
    archive = packed(raw, tmp_path / "raw.tar.gz")
    for path in (raw, archive):
        assert prepare(tmp_path / "1", folder(path))[-1] == prepare(tmp_path / "2", folder(path))[-1]


def test_published_counts_add_up():
    totals = {name: sum(counts) for name, counts in datasets.PUBLISHED_COUNTS.items()}
    assert totals == {
        "digits": 1437,
        "two_moons": 550,
        "cifar10": 50000,
        "cifar100": 50000,
        "mnist": 60000,
        "fashion_mnist": 60000,
        "svhn": 73257,
        "tiny_imagenet": 100000,
    }


def test_counting_needs_no_heavy_import(tmp_path):
    raw = painted_folder(tmp_path / "raw", ("",), each=10)
    code = f"""
import sys
from dagal import datasets
files = {{"detections": "none.json", "annotations": "none.json", "confidence": 0.9}}
for loader in datasets.IMAGE_LOADERS:
    datasets.train_counts({{"name": "x", "loader": loader, "path": {str(raw)!r}, **files}})
heavy = {{"torch", "torchvision", "sklearn", "cv2", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(datasets.__file__).parents[2])


# ---- real data


def test_real_mnist(tmp_path):
    archive = SHARED / "mnist-idx.tar"
    if not archive.exists():
        pytest.skip(f"{archive} is not here")
    raw = tmp_path / "raw/MNIST/raw"
    raw.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".gz"):
                (raw / Path(member.name).stem).write_bytes(gzip.decompress(tar.extractfile(member).read()))
    settings = {"name": "mnist", "loader": "mnist", "path": str(tmp_path / "raw"), "download": False}
    images, split, labels, names, _ = prepare(tmp_path, settings)
    assert images.shape == (70000, 28, 28, 1) and names == list("0123456789")
    np.testing.assert_array_equal(
        np.bincount(labels[split == 1]), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    pixels = (raw / "train-images-idx3-ubyte").read_bytes()[16:]
    assert images[:60000].tobytes() == pixels


@pytest.mark.slow
def test_real_cifar10_jpeg(tmp_path):
    archive = SHARED / "cifar10-jpeg.tar.gz"
    if not archive.exists():
        pytest.skip(f"{archive} is not here")
    images, split, labels, names, _ = prepare(tmp_path, folder(archive))
    assert images.shape == (60000, 32, 32, 3)
    assert names == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for part, size in ((0, 5000), (1, 1000)):
        np.testing.assert_array_equal(np.bincount(labels[split == part]), [size] * 10)
    # against an independent decoder, at the row that the sorted name demands
    from PIL import Image

    with tarfile.open(archive) as tar:
        for name, row in {"train/frog/0007.jpg": 30007, "test/airplane/0003.jpg": 50003}.items():
            expected = np.asarray(Image.open(io.BytesIO(tar.extractfile(name).read())).convert("RGB")).astype(int)
            assert np.abs(images[row] - expected).mean() < 2
    # skies and seas are blue, so airplanes and ships are bluer than red; deer in woods are not
    means = np.array([images[labels == label].mean(axis=(0, 1, 2)) for label in (0, 8, 4)])
    assert means[0, 2] > means[0, 0] and means[1, 2] > means[1, 0] and means[2, 2] < means[2, 0]
