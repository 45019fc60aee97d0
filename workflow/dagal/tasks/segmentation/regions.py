"""Regions of images, which may be asked for instead of whole images: where they are, their ids, and what an answer costs.

The id of a region is the id of its image times the regions per image, plus the number of the region in it.
"""

from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.datasets.masks import NO_CLASS
from dagal.errors import UserError
from dagal.seeding import generator

REGIONS = Kind(
    "regions",
    1,
    {
        "regions": "number of the region of each pixel (N,H,W); (1,H,W) where all images have the same",
        "counts": "regions of each image (N,): their numbers are 0 to counts - 1; 0 of images that are never asked about",
    },
)

TOLERANCE = 1.0  # pixels by which the outline that an annotator clicks may be beside the true one


def grid(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Number (H,W) uint16 of the cell of each pixel, row by row; cells differ by at most one pixel in height and in width.

    Raises UserError where there are more cells than pixels.
    """
    if rows > height or columns > width:
        raise UserError(
            f"config key 'regions' asks for {rows} x {columns} cells in images of {height} x {width} pixels: make them fewer."
        )
    row_H, column_W = np.arange(height) * rows // height, np.arange(width) * columns // width
    return (row_H[:, None] * columns + column_W).astype(np.uint16)


def superpixels(image_H_W_3: np.ndarray, number: int, compactness: float) -> np.ndarray:
    """Number (H,W) uint16 of the superpixel of each pixel: about ``number`` of them, by SLIC (Achanta et al. 2012), each in one piece."""
    from skimage.segmentation import slic

    found = slic(image_H_W_3, n_segments=number, compactness=compactness, start_label=0, enforce_connectivity=True)
    return np.unique(found, return_inverse=True)[1].reshape(found.shape).astype(np.uint16)


class Partition:
    """An open regions.h5: its regions, by their ids."""

    def __init__(self, file: h5py.File):
        self.maps, self.counts = file["regions"], file["counts"][()]
        self.per_image = max(1, int(self.counts.max()))

    def ids(self, images: np.ndarray) -> np.ndarray:
        """Ids of all regions of images with ascending ids, ascending."""
        return np.concatenate([
            np.arange(self.counts[image]) + image * self.per_image for image in images.tolist()
        ] or [np.empty(0)]).astype(np.int64)  # fmt: skip

    def split(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image, and number in it, of each region."""
        return np.divmod(ids, self.per_image)

    def map(self, image: int) -> np.ndarray:
        """Number (H,W) of the region of each pixel of an image."""
        return self.maps[image if len(self.maps) > 1 else 0]


def split_regions(split: dict[str, np.ndarray], partition: Partition, size: int | None, seed: int) -> dict:
    """A split of images, its pool and initial set turned into those of their regions, ascending.

    ``size``: the initial set is that many regions of pool and initial set, drawn at random; None: all regions of the initial images.
    """
    if size is None:
        return split | {name: partition.ids(split[name]) for name in ("pool", "initial")}
    every = partition.ids(np.union1d(split["pool"], split["initial"]))
    drawn = np.sort(generator(seed, "initial regions").permutation(every)[:size])
    return split | {"pool": np.setdiff1d(every, drawn), "initial": drawn}


def answered(mask_H_W: np.ndarray, inside_H_W: np.ndarray, answer: str) -> np.ndarray:
    """What an annotator says of a region: the mask (H,W) inside of it, NO_CLASS outside; or the class of most of its pixels in all of them.

    A region most of which has no class gets none; of classes with equally many pixels it is the first one.
    """
    if answer == "exact":
        return np.where(inside_H_W, mask_H_W, NO_CLASS).astype(np.uint8)
    return np.where(inside_H_W, np.bincount(mask_H_W[inside_H_W]).argmax(), NO_CLASS).astype(np.uint8)


def clicks(mask_H_W: np.ndarray, inside_H_W: np.ndarray) -> int:
    """Clicks of drawing the exact mask of what is inside: one for the class of every segment, and one for every corner of the outlines of
    all segments but the largest, which is what the others are drawn over.

    A segment is a piece of one class, or of none, connected over sides or corners of pixels; its outline is drawn with as few corners
    (Douglas and Peucker 1973) as leave it within `TOLERANCE` pixels. Clicks at the vertices of polygons are what CEREALS (Mackowiak et
    al. 2018) counts.
    """
    import cv2

    rows, columns = np.flatnonzero(inside_H_W.any(1)), np.flatnonzero(inside_H_W.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    mask, inside = mask_H_W[box], inside_H_W[box]
    pieces = []  # (pixels, the piece in the box around it)
    for label in np.unique(mask[inside]).tolist():
        is_label_H_W = ((mask == label) & inside).astype(np.uint8)
        n, number_H_W, about_n_5, _ = cv2.connectedComponentsWithStats(is_label_H_W, connectivity=8)
        for k, (left, top, width, height, area) in enumerate(about_n_5[1:].tolist(), 1):
            pieces.append((area, number_H_W[top : top + height, left : left + width] == k))
    largest = max(range(len(pieces)), key=lambda place: pieces[place][0])
    corners = 0
    for _, piece in pieces[:largest] + pieces[largest + 1 :]:
        (outline, *_), _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        corners += len(cv2.approxPolyDP(outline, TOLERANCE, True))
    return len(pieces) + corners


def answers(truth: h5py.File, ids: np.ndarray, answer: str, path: str | Path, n_classes: int) -> dict[str, np.ndarray]:
    """Answers about regions: ``pixels`` (L,C) and ``clicks`` (L,) of each, and the ``masks`` (I,H,W) of ``images`` (I,), ascending, with
    NO_CLASS where nothing was asked. A dominant class is one click.
    """
    with artifacts.opened(path, REGIONS) as file:
        partition = Partition(file)
        image_L, number_L = partition.split(ids)
        images = np.unique(image_L)
        masks = np.full((len(images), *truth["masks"].shape[1:]), NO_CLASS, np.uint8)
        pixels, cost = np.zeros((len(ids), n_classes), np.int64), np.zeros(len(ids), np.int64)
        for place, image in enumerate(images.tolist()):
            true_H_W, map_H_W = truth["masks"][image], partition.map(image)
            for row in np.flatnonzero(image_L == image).tolist():
                inside_H_W = map_H_W == number_L[row]
                found = answered(true_H_W, inside_H_W, answer)[inside_H_W]
                masks[place][inside_H_W] = found
                pixels[row] = np.bincount(found, minlength=NO_CLASS + 1)[:n_classes]
                cost[row] = 1 if answer == "dominant" else clicks(true_H_W, inside_H_W)
    return {"pixels": pixels, "clicks": cost, "images": images, "masks": masks}


def merged(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The ``masks`` of the ``images`` of both answers, ascending: what was asked later stands beside what was asked before."""
    images = np.union1d(earlier["images"], later["images"])
    masks = np.full((len(images), *later["masks"].shape[1:]), NO_CLASS, np.uint8)
    for answers in (earlier, later):
        own = (mask for block in artifacts.joined(answers["masks"]).blocks() for mask in block)
        for place, mask in zip(np.searchsorted(images, answers["images"]), own, strict=True):
            masks[place] = np.where(mask == NO_CLASS, masks[place], mask)
    return {"images": images, "masks": masks}
