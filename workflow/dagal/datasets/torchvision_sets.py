"""CIFAR-10, CIFAR-100, MNIST, Fashion-MNIST and SVHN through torchvision's readers and checksums."""

from pathlib import Path

import numpy as np

from dagal.datasets.source import Source
from dagal.errors import UserError

# loader -> (torchvision class, title, what to put in the raw folder: the first word is the path looked for)
SETS = {
    "cifar10": ("CIFAR10", "CIFAR-10", "cifar-10-batches-py"),
    "cifar100": ("CIFAR100", "CIFAR-100", "cifar-100-python"),
    "mnist": ("MNIST", "MNIST", "MNIST/raw with the four unpacked idx files"),
    "fashion_mnist": ("FashionMNIST", "Fashion-MNIST", "FashionMNIST/raw with the four unpacked idx files"),
    "svhn": ("SVHN", "SVHN", "train_32x32.mat and test_32x32.mat"),
}
# what the readers raise for missing, damaged or unreachable data (URLError is an OSError)
FAILURES = (OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, AssertionError)


def torchvision_set(settings: dict) -> Source:
    """One of `SETS`, whole in memory (the largest, SVHN: 300 MB).

    Raises UserError if the files are missing or damaged, or cannot be downloaded.
    """
    import torchvision

    class_name, title, needed = SETS[settings["loader"]]
    reader, root = getattr(torchvision.datasets, class_name), Path(settings["path"])
    download = settings.get("download")
    parts = [{"train": True}, {"train": False}]
    if title == "SVHN":
        parts = [{"split": "train"}, {"split": "test"}]
    try:
        try:
            train, test = (reader(root, **part) for part in parts)
        except FAILURES:
            if not download:
                raise
            train, test = (reader(root, **part, download=True) for part in parts)
    except FAILURES as error:
        found, reason = root / needed.split()[0], " ".join(str(error).split()).split(". ")[0]
        put = f"put {needed} there"
        message = f"{title} is not in {root}: {put}, or set dataset.download: true in the config."
        if download:
            message = (
                f"{title} could not be downloaded to {root} ({reason}): check the network and delete {found} "
                f"if it is there, or {put} yourself."
            )
        elif found.exists():
            message = f"{title} in {root} is incomplete or damaged ({reason}): delete {found} and {put} again."
        raise UserError(message) from None
    labels = np.concatenate([_labels(train), _labels(test)])
    # torchvision calls the classes of MNIST "0 - zero", those of SVHN nothing
    names = [name.split(" - ")[0] for name in getattr(train, "classes", "0123456789")]
    images = enumerate(image for part in (train, test) for image in _images(part))
    # not one file each: the published part, and the position there
    files = [f"{name}/{row}" for name, part in (("train", train), ("test", test)) for row in range(len(part))]
    return Source(names, labels, len(train), images, files=files)


def _labels(part) -> np.ndarray:
    return np.asarray(part.labels if hasattr(part, "labels") else part.targets, dtype=np.int64)


def _images(part) -> np.ndarray:
    """(N,H,W,3) or (N,H,W) uint8; only SVHN, the one with `labels`, comes with its channels first."""
    images = np.asarray(part.data)
    return images.transpose(0, 2, 3, 1) if hasattr(part, "labels") else images
