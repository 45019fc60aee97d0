"""What annotators give for images: a class for every pixel."""

from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import check_all_told
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
    return counted(masks, n_classes)


def counted(masks: np.ndarray, n_classes: int) -> dict[str, np.ndarray]:
    """``masks`` (n,H,W) of whole images with their ``pixels`` (n,C) of each class and ``clicks`` (n,)."""
    pixels = [np.bincount(mask.ravel(), minlength=BINS)[:n_classes] for mask in masks]
    clicks = [of_regions.clicks(mask, np.ones_like(mask, bool)) for mask in masks]
    return {
        "masks": masks,
        "pixels": np.array(pixels, np.int64).reshape(len(masks), n_classes),
        "clicks": np.array(clicks, np.int64),
    }


def told(given: list[dict], class_names: list[str], masks: Path) -> dict[str, np.ndarray]:
    """The masks that people painted (`dagal.labeling.answers`), PNG files below the folder ``masks``. Raises UserError for one that is none."""
    import cv2

    found = []
    for answer in given:
        path = masks / answer["mask"]
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.exists() else None
        if mask is None or mask.ndim != 2 or ((mask >= len(class_names)) & (mask != BINS - 1)).any():
            raise UserError(f"{path} is no mask with a number of a class, or {BINS - 1}, for each pixel: correct it.")
        if found and mask.shape != found[0].shape:
            raise UserError(
                f"{path} has {mask.shape[0]} x {mask.shape[1]} pixels and other masks have others: correct it."
            )
        found.append(mask.astype(np.uint8))
    return counted(np.array(found), len(class_names))


def known(answers: dict[str, np.ndarray], ids: np.ndarray, asked: np.ndarray, n_images: int) -> dict[str, np.ndarray]:
    """`told` as the truth of all images, of which the others have no class. Raises UserError unless every one that was asked for has an answer."""
    check_all_told(ids, asked)
    masks_N_H_W = np.full((n_images, *answers["masks"].shape[1:]), BINS - 1, np.uint8)
    masks_N_H_W[ids] = answers["masks"]
    return {"masks": masks_N_H_W}


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones; regions of an image share its mask."""
    more = later["pixels"].shape[1] - earlier["pixels"].shape[1]  # classes that people have added
    earlier = earlier | {"pixels": np.pad(earlier["pixels"], ((0, 0), (0, more)))}
    if not len(later["masks"]):
        return earlier
    masks = of_regions.merged(earlier, later) if "images" in later else {}
    later = {name: values for name, values in later.items() if name not in masks}
    return {name: np.concatenate([earlier[name], values]) for name, values in later.items()} | masks


def images_of(labeled: h5py.File) -> np.ndarray:
    """Ids (I,) of the images whose masks labeled.h5 holds: of regions, those with any."""
    return labeled["images" if "images" in labeled else "ids"][()]
