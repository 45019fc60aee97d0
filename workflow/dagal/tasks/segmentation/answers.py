"""What annotators give for images: a class for every pixel."""

import h5py
import numpy as np

from dagal import artifacts
from dagal.tasks.segmentation import regions as of_regions

BINS = 256  # values of a pixel: classes, and 255 for none


def answers(
    truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int, regions: str | None = None
) -> dict[str, np.ndarray]:
    """``masks`` (n,H,W) uint8 of the images with the given ids, in their order, ``pixels`` (n,C) of each class in them, and their
    ``clicks`` (n,).

    With ``regions``, a regions.h5, the ids are those of regions (`dagal.tasks.segmentation.regions.answers`). Only the rows asked for
    leave the sealed truth; the simulated annotators of masks do not err.
    """
    n_classes = len(artifacts.attribute(truth, "class_names"))
    if regions:
        return of_regions.answers(truth, ids, oracle["answer"], regions, n_classes)
    masks = artifacts.rows(truth["masks"], ids)
    pixels = [np.bincount(mask.ravel(), minlength=BINS)[:n_classes] for mask in masks]
    clicks = [of_regions.clicks(mask, np.ones_like(mask, bool)) for mask in masks]
    return {
        "masks": masks,
        "pixels": np.array(pixels, np.int64).reshape(len(masks), n_classes),
        "clicks": np.array(clicks, np.int64),
    }


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones; regions of an image share its mask."""
    masks = of_regions.merged(earlier, later) if "images" in later else {}
    later = {name: values for name, values in later.items() if name not in masks}
    return {name: np.concatenate([earlier[name], values]) for name, values in later.items()} | masks


def images_of(labeled: h5py.File) -> np.ndarray:
    """Ids (I,) of the images whose masks labeled.h5 holds: of regions, those with any."""
    return labeled["images" if "images" in labeled else "ids"][()]
