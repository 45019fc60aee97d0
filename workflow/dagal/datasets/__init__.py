"""Raw data -> images.h5 and truth.h5: one loader per published format (videos: `dagal.datasets.videos`)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.datasets.camera_traps import camera_trap
from dagal.datasets.digits import digits
from dagal.datasets.folders import caltech101, image_folder, tiny_imagenet
from dagal.datasets.source import Source, write_images
from dagal.datasets.torchvision_sets import SETS, torchvision_set
from dagal.datasets.two_moons import two_moons
from dagal.errors import UserError

LOADERS = {
    "digits": digits,
    "two_moons": two_moons,
    "image_folder": image_folder,
    "caltech101": caltech101,
    "tiny_imagenet": tiny_imagenet,
    "camera_trap": camera_trap,
    **dict.fromkeys(SETS, torchvision_set),
}
VIDEO_LOADERS = ("synthia_al", "imagenet_vid", "mot", "coco_video", "video_folder", "camvid")
# training images per class, known before anything is read
PUBLISHED_COUNTS = {
    "digits": [142, 146, 142, 146, 145, 145, 145, 143, 139, 144],
    "two_moons": [500, 50],
    "cifar10": [5000] * 10,
    "cifar100": [500] * 100,
    "mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "fashion_mnist": [6000] * 10,
    "svhn": [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659],
    "tiny_imagenet": [500] * 200,
}


def task(loader: str) -> str:
    """What is learned from the data of a loader."""
    return "detection" if loader in VIDEO_LOADERS else "classification"


def train_counts(settings: dict) -> np.ndarray | None:
    """Training images per class (C,), without decoding any; None if the raw data are missing or unusable."""
    if settings["loader"] in PUBLISHED_COUNTS:
        return np.array(PUBLISHED_COUNTS[settings["loader"]])
    try:
        return _count(LOADERS[settings["loader"]](settings))
    except UserError:
        return None


def prepare(settings: dict, images_path: str | Path, truth_path: str | Path, origin: dict) -> None:
    """Write the data set of ``settings`` to images.h5 and truth.h5, training images first.

    Raises UserError if the raw data are missing, damaged or not what was published. Image files are streamed:
    two batches are in memory at most.
    """
    source = LOADERS[settings["loader"]](settings)
    published = PUBLISHED_COUNTS.get(settings["loader"])
    if published is not None and not np.array_equal(_count(source), published):
        raise UserError(
            f"{settings['path']} does not hold the published number of training images of each class "
            f"({source.n_train:,} of {sum(published):,} in all): delete it and put the data set there again."
        )
    with artifacts.create(images_path, "images", origin) as writer:
        n = len(source.labels)
        writer.dataset("split", (n,), np.uint8)[...] = np.arange(n) >= source.n_train
        for name, values in source.about.items():
            writer.dataset(name, values.shape, values.dtype)[...] = values
        write_images(writer, n, _fitted(source, settings))
    truth = {"labels": source.labels, **source.sealed}
    artifacts.write(truth_path, "truth", origin, truth, class_names=source.class_names)


def _count(source: Source) -> np.ndarray:
    return np.bincount(source.labels[: source.n_train], minlength=len(source.class_names))


def _fitted(source: Source, settings: dict) -> Iterator[tuple[int, np.ndarray]]:
    """The decoded images, fitted, at the rows the loader gives them; UserError where one has another size than the first."""
    shape = None
    for row, image in source.images:
        image = _fit(image, settings.get("image_size"), settings.get("grayscale"))
        shape = shape or image.shape
        if image.shape != shape:
            (height, width), (other_height, other_width) = shape[:2], image.shape[:2]
            raise UserError(
                f"The images in {settings['path']} differ in size ({height} x {width} and {other_height} x "
                f"{other_width} pixels): set dataset.image_size in the config."
            )
        yield row, image


def _fit(image: np.ndarray, size: int | None, grayscale: bool | None) -> np.ndarray:
    """(H,W), (H,W,1) or RGB (H,W,3) -> (H,W,C), gray if asked for and resized to size x size if given."""
    import cv2

    if grayscale and image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if size is not None:
        shrinks = min(image.shape[:2]) >= size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image.reshape(*image.shape[:2], -1)
