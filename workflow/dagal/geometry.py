"""Boxes: float (.., 4) arrays x1 y1 x2 y2 in pixels."""

import numpy as np


def area(boxes_M_4: np.ndarray) -> np.ndarray:
    """Area (M,) in square pixels; 0 for an empty box, NaN where a coordinate is."""
    return np.maximum(boxes_M_4[..., 2] - boxes_M_4[..., 0], 0) * np.maximum(boxes_M_4[..., 3] - boxes_M_4[..., 1], 0)


def overlap(one_P_4: np.ndarray, other_P_4: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs of boxes (P,), in 0..1; 0 where a box is empty or NaN. Broadcasts."""
    left, top = (np.maximum(one_P_4[..., k], other_P_4[..., k]) for k in (0, 1))
    right, bottom = (np.minimum(one_P_4[..., k], other_P_4[..., k]) for k in (2, 3))
    shared = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    union = area(one_P_4) + area(other_P_4) - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=(union > 0) & ~np.isnan(shared))


def iou_matrix(boxes_A_4: np.ndarray, boxes_B_4: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of a and every box of b (A,B), float64; 0 for an empty or NaN box."""
    return overlap(np.asarray(boxes_A_4, np.float64)[:, None], np.asarray(boxes_B_4, np.float64)[None])


def clip(boxes_M_4: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of each box that lies in the image."""
    return np.clip(boxes_M_4, 0, np.array([width, height, width, height], boxes_M_4.dtype))


def pairs(first_A: np.ndarray, last_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of an a and a member of its range first_a .. last_a - 1: two (P,) int64 arrays, by ascending a."""
    count_A = last_A - first_A
    which_P = np.repeat(np.arange(len(count_A)), count_A)
    start_A = np.cumsum(count_A) - count_A
    return which_P, np.arange(len(which_P)) - start_A[which_P] + first_A[which_P]
