"""What annotators give for images: a class for every pixel."""

from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import check_all_told
from dagal.tasks.segmentation import regions as of_regions

BINS = 256  # values of a pixel: classes, and 255 for none


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int, regions: str | None = None) -> dict:
    """``masks`` (n,H,W) uint8 of the images with the given ids, in their order, ``pixels`` (n,C) of each class in them, and their
    ``clicks`` (n,).

    The masks are `artifacts.Rows`, never all in memory. With ``regions``, a regions.h5, the ids are those of regions
    (`dagal.tasks.segmentation.regions.answers`). Only the rows asked for leave the sealed truth; the simulated annotators of masks do not err.
    """
    n_classes = len(artifacts.attribute(truth, "class_names"))
    if regions:
        return of_regions.answers(truth, ids, oracle["answer"], regions, n_classes)
    return counted(artifacts.Rows((truth["masks"], ids)), n_classes)


def counted(masks: artifacts.Rows, n_classes: int) -> dict:
    """``masks`` (n,H,W) of whole images with their ``pixels`` (n,C) of each class and ``clicks`` (n,)."""
    pixels, clicks = np.zeros((masks.shape[0], n_classes), np.int64), np.zeros(masks.shape[0], np.int64)
    for row, mask in enumerate(mask for block in masks.blocks() for mask in block):
        pixels[row] = np.bincount(mask.ravel(), minlength=BINS)[:n_classes]
        clicks[row] = of_regions.clicks(mask, np.ones_like(mask, bool))
    return {"masks": masks, "pixels": pixels, "clicks": clicks}


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
    if not found:
        return {
            "masks": np.empty((0, 0, 0), np.uint8),
            "pixels": np.empty((0, len(class_names)), np.int64),
            "clicks": np.empty(0, np.int64),
        }
    return counted(artifacts.joined(np.array(found)), len(class_names))


def known(answers: dict[str, np.ndarray], ids: np.ndarray, asked: np.ndarray, n_images: int) -> dict[str, np.ndarray]:
    """`told` as the truth of all images, of which the others have no class. Raises UserError unless every one that was asked for has an answer."""
    check_all_told(ids, asked)
    masks_N_H_W = np.full((n_images, *answers["masks"].shape[1:]), BINS - 1, np.uint8)
    masks_N_H_W[ids] = np.concatenate(list(artifacts.joined(answers["masks"]).blocks()))
    return {"masks": masks_N_H_W}


def append(earlier: dict, later: dict) -> dict:
    """Earlier answers followed by later ones; regions of an image share its mask."""
    more = later["pixels"].shape[1] - earlier["pixels"].shape[1]  # classes that people have added
    earlier = earlier | {"pixels": np.pad(earlier["pixels"], ((0, 0), (0, more)))}
    if not later["masks"].shape[0]:
        return earlier
    together = {name: np.concatenate([earlier[name], later[name]]) for name in ("pixels", "clicks")}
    if "images" in later:
        return together | of_regions.merged(earlier, later)
    return together | {"masks": artifacts.joined(earlier["masks"], later["masks"])}


def images_of(labeled: h5py.File) -> np.ndarray:
    """Ids (I,) of the images whose masks labeled.h5 holds: of regions, those with any."""
    return labeled["images" if "images" in labeled else "ids"][()]
