"""Raw data -> images.h5 and truth.h5: one loader per published format."""

from pathlib import Path

import numpy as np

from dagal.datasets.source import PUBLISHED_COUNTS, count
from dagal.errors import UserError
from dagal.registry import Registry

# loaders of images with a class each; a loader lists what there is without decoding it (`dagal.datasets.source.Source`)
IMAGE_LOADERS = Registry(
    {
        "digits": "dagal.datasets.digits:digits",
        "two_moons": "dagal.datasets.two_moons:two_moons",
        "image_folder": "dagal.datasets.folders:image_folder",
        "image_table": "dagal.datasets.tables:image_table",
        "npz": "dagal.datasets.arrays:npz",
        "cifar10": "dagal.datasets.torchvision_sets:torchvision_set",
        "cifar100": "dagal.datasets.torchvision_sets:torchvision_set",
        "mnist": "dagal.datasets.torchvision_sets:torchvision_set",
        "fashion_mnist": "dagal.datasets.torchvision_sets:torchvision_set",
        "svhn": "dagal.datasets.torchvision_sets:torchvision_set",
        "tiny_imagenet": "dagal.datasets.folders:tiny_imagenet",
        "caltech101": "dagal.datasets.folders:caltech101",
        "camera_trap": "dagal.datasets.camera_traps:camera_trap",
    }
)
# loaders of videos with boxes (`dagal.datasets.videos.VideoSource`)
VIDEO_LOADERS = Registry(
    {
        "synthia_al": "dagal.datasets.synthia_al:synthia_al",
        "imagenet_vid": "dagal.datasets.videos:imagenet_vid",
        "mot": "dagal.datasets.videos:mot",
        "coco_video": "dagal.datasets.videos:coco_video",
        "video_folder": "dagal.datasets.videos:video_folder",
        "camvid": "dagal.datasets.videos:camvid",
    }
)
# loaders of images with a class for every pixel (`dagal.datasets.masks.MaskSource`)
MASK_LOADERS = Registry(
    {
        "mask_folder": "dagal.datasets.masks:mask_folder",
        "camvid_masks": "dagal.datasets.masks:camvid_masks",
        "cityscapes": "dagal.datasets.masks:cityscapes",
        "rendered_scenes": "dagal.datasets.rendered_scenes:rendered_scenes",
    }
)
LOADERS = Registry({**IMAGE_LOADERS, **VIDEO_LOADERS, **MASK_LOADERS})


def task(loader: str) -> str:
    """What the data of a loader are for, where a study does not say it."""
    others = {"detection": VIDEO_LOADERS, "segmentation": MASK_LOADERS}
    return next((task for task, loaders in others.items() if loader in loaders), "classification")


def looked_up(settings: dict) -> list:
    """What `prepare` finds by the name of the loader: part of the code digest of its job."""
    return [LOADERS[settings["loader"]], PUBLISHED_COUNTS.get(settings["loader"])]


def train_counts(settings: dict) -> np.ndarray | None:
    """Training images per class (C,), of masks and where a person labels their number (1,), without decoding any; None if the raw data are missing or unusable."""
    if settings["loader"] in PUBLISHED_COUNTS and settings.get("labels") in (None, "test"):
        return np.array(PUBLISHED_COUNTS[settings["loader"]])
    try:
        source = LOADERS.find(settings["loader"])(settings)
        if settings.get("labels"):  # an image for testing that has no label is one of the pool
            is_given_N = np.isin(np.arange(len(source.labels)), source.given(settings["labels"]))
            return np.array([source.n_train + (~is_given_N[source.n_train :]).sum()])
        return np.array([source.n_train]) if settings["loader"] in MASK_LOADERS else count(source)
    except UserError:
        return None


def prepare(settings: dict, images_path: str | Path, truth_path: str | Path, origin: dict, workers: int = 1) -> None:
    """Write the data set of ``settings`` to images.h5 and truth.h5, training images first.

    Raises UserError if the raw data are missing, damaged or not what was published. Files are streamed: two batches are in memory
    at most. Rendered videos are made by ``workers`` processes.
    """
    LOADERS.find(settings["loader"])(settings).write(settings, images_path, truth_path, origin, workers)
