"""Detections followed to the frames around them, here by optical flow (003 sec. 2.3.2, Object tracker)."""

import numpy as np

from dagal.artifacts import Kind
from dagal.geometry import clip

TRACKS = Kind(
    "tracks",
    1,
    {
        "boxes": "each detection (M,) followed to the frames -3 -2 -1 +1 +2 +3 (M,6,4), NaN beyond the video's ends",
    },
)

REACH = 3  # frames to which a detection is followed, forward and backward (003 sec. 2.3.2)
STEPS = (*range(-REACH, 0), *range(1, REACH + 1))  # columns of tracks.h5


def by_flow(
    frame_M: np.ndarray, boxes_M_4: np.ndarray, forward: np.ndarray, backward: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Boxes (M,6,4) float32 at `STEPS` frames from each detection of one video, within the image.

    The box moves by the flow at its centre, frame by frame. ``forward`` and ``backward`` (n,h,w,2) are the motions in pixels of
    the n frames of the video to the next and to the frame before, on a grid of h x w cells over an image of ``size`` (height,
    width); between cell centres the flow is interpolated. NaN beyond the ends of the video and once the centre has left the
    image. O(M) time.
    """
    (height, width), n_frames = size, len(forward)
    tracks_M_6_4 = np.full((len(frame_M), len(STEPS), 4), np.nan, np.float32)
    for direction, flow in ((1, forward), (-1, backward)):
        boxes = np.asarray(boxes_M_4, np.float64).copy()
        for distance in range(1, REACH + 1):
            target_M = frame_M + direction * distance
            x_M, y_M = boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)
            inside_M = (target_M >= 0) & (target_M < n_frames)
            inside_M &= (x_M >= 0) & (x_M <= width) & (y_M >= 0) & (y_M <= height)  # False for NaN
            boxes[~inside_M] = np.nan
            rows = np.flatnonzero(inside_M)
            motion = sample(flow, target_M[rows] - direction, x_M[rows], y_M[rows], size)
            boxes[rows] += np.tile(motion, 2)
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            gone_M = ((middle < 0) | (middle > (width, height))).any(1)
            boxes[gone_M] = np.nan
            tracks_M_6_4[:, STEPS.index(direction * distance)] = clip(boxes, height, width)
    return tracks_M_6_4


def sample(
    flow: np.ndarray, frame_M: np.ndarray, x_M: np.ndarray, y_M: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Flow (M,2) at points of frames, bilinear between the centres of the grid's cells, constant beyond the outer ones."""
    rows, columns = flow.shape[1:3]
    row_M = np.clip(y_M * rows / size[0] - 0.5, 0, rows - 1)
    column_M = np.clip(x_M * columns / size[1] - 0.5, 0, columns - 1)
    top, left = row_M.astype(np.int64), column_M.astype(np.int64)
    down, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
    lower, across = (row_M - top)[:, None], (column_M - left)[:, None]
    above = flow[frame_M, top, left] * (1 - across) + flow[frame_M, top, right] * across
    below = flow[frame_M, down, left] * (1 - across) + flow[frame_M, down, right] * across
    return above * (1 - lower) + below * lower
