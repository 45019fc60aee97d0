"""Masks on their way to the page and back: superpixels to paint, and grids of numbers as runs, which JSON carries exactly."""

import cv2
import numpy as np

NONE = 255  # a pixel without class
COMPACTNESS = 10  # of superpixels: what scikit-image takes for colours of CIELAB


def runs(values_H_W: np.ndarray) -> list[int]:
    """A grid row by row, as ``[value, how often, value, how often, ...]``."""
    flat = values_H_W.ravel()
    starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
    lengths = np.diff(np.append(starts, len(flat)))
    return np.column_stack([flat[starts].astype(np.int64), lengths]).ravel().tolist()


def from_runs(pairs: list[int], height: int, width: int) -> np.ndarray:
    """The mask (H,W) uint8 that `runs` took apart. Raises ValueError if the runs are not those of a mask of this size."""
    whole = isinstance(pairs, list) and all(type(number) is int and number >= 0 for number in pairs)
    if not whole or len(pairs) % 2:
        raise ValueError("the mask must be a list of whole numbers: a class and how many pixels have it, in turns")
    values, lengths = pairs[::2], pairs[1::2]
    if sum(lengths) != height * width:
        raise ValueError(f"the mask has {sum(lengths):,} pixels and the image {height * width:,}")
    if max(values, default=0) > NONE:
        raise ValueError(f"the mask has the number {max(values)} where at most {NONE} is possible")
    return np.repeat(np.array(values, np.uint8), lengths).reshape(height, width)


def superpixels(image_H_W_C: np.ndarray, segments: int) -> np.ndarray:
    """About ``segments`` connected parts of an image that look alike: the number of that of each pixel (H,W), int64 from 0.

    SLIC (Achanta et al. 2012) as scikit-image has it; k-means on colour and place from a grid of centres, so without chance.
    """
    from skimage.segmentation import slic

    grey = image_H_W_C.shape[2] == 1
    image = image_H_W_C[..., 0] if grey else image_H_W_C
    axis = None if grey else -1
    compactness = COMPACTNESS / 100 if grey else COMPACTNESS  # intensities go from 0 to 1, lightness from 0 to 100
    return slic(image, n_segments=segments, compactness=compactness, start_label=0, channel_axis=axis)


def png(image_H_W_C: np.ndarray) -> bytes:
    """An image of one or three channels, or a mask (H,W), as a PNG with the same numbers."""
    coloured = image_H_W_C.ndim == 3 and image_H_W_C.shape[2] == 3
    return cv2.imencode(".png", image_H_W_C[..., ::-1] if coloured else image_H_W_C)[1].tobytes()
