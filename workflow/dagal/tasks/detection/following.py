"""Detections followed to the frames around them by looking for what they show, frame by frame: the loop of all such trackers.

What is looked for stays the original detection in every frame.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from dagal.geometry import clip
from dagal.tasks.detection.tracks import REACH, STEPS

BLOCK = 16  # frames whose detections are followed together


def sample(maps_T_D_h_w: torch.Tensor, which_M: torch.Tensor, windows_M_4: torch.Tensor, cells: int, stride: int):
    """Features (M,D,cells,cells) of windows of the maps ``which_M``; 0 outside the map."""
    from torchvision.ops import roi_align  # costs seconds

    shifted = windows_M_4 + stride / 2  # roi_align puts the centre of cell 0 at stride / 2
    rois = torch.cat((which_M[:, None].to(shifted.dtype), shifted), 1)
    return roi_align(maps_T_D_h_w, rois, cells, 1 / stride, sampling_ratio=0, aligned=True)


def vertex(before: torch.Tensor, middle: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Where the parabola through values at -1, 0 and 1 is largest, if ``middle`` is the largest of them; else 0."""
    bend = before - 2 * middle + after
    return torch.where((bend < 0) & (middle >= before) & (middle >= after), (before - after) / (2 * bend), 0)


def peak(response_M_S_R_R: torch.Tensor, window: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Best shift (M,2) as x, y in cells from the middle, and best of three scales (M,) in -1..1, each refined by a parabola.

    ``window``: weight of a cosine window that is added to the response, as objects rarely jump.
    """
    n, scales, side, _ = response_M_S_R_R.shape
    cosine = torch.hann_window(side + 2, periodic=False, device=response_M_S_R_R.device)[1:-1]
    total = response_M_S_R_R + window * torch.outer(cosine, cosine)
    rows = torch.arange(n, device=total.device)
    best_M_S, place_M_S = total.flatten(2).max(2)
    scale = best_M_S.argmax(1)
    row, column = place_M_S[rows, scale] // side, place_M_S[rows, scale] % side
    shift = []
    for place, lines in ((column, total[rows, scale, row]), (row, total[rows, scale, :, column])):
        inner = place.clamp(1, side - 2)
        offset = vertex(*(lines[rows, inner + k] for k in (-1, 0, 1)))
        shift.append(place - side // 2 + torch.where(place == inner, offset, 0))
    return torch.stack(shift, 1), scale - 1 + torch.where(scale == 1, vertex(*best_M_S.T), 0)


def moved(boxes_M_4: torch.Tensor, shift_M_2: torch.Tensor, factor_M: torch.Tensor) -> torch.Tensor:
    """Boxes moved by pixels and scaled about their centres."""
    middle = (boxes_M_4[:, :2] + boxes_M_4[:, 2:]) / 2 + shift_M_2
    half = (boxes_M_4[:, 2:] - boxes_M_4[:, :2]) / 2 * factor_M[:, None]
    return torch.cat((middle - half, middle + half), 1)


@torch.no_grad()
def follow(
    maps: Iterable[torch.Tensor],
    frame_M: np.ndarray,
    boxes_M_4: np.ndarray,
    n_frames: int,
    size: tuple[int, int],
    describe: Callable,
    step: Callable,
) -> np.ndarray:
    """Boxes (M,6,4) float32 at `STEPS` frames from each detection of one video, within the image.

    ``maps``: what stands for the video's frames (D,h,w), in order; each is taken once, and no more than ``BLOCK`` + 2 `REACH` are held.
    ``describe(maps_T_D_h_w, which_M, boxes_M_4)``: what is looked for, a tensor (M,...), of boxes in the maps ``which_M``;
    ``step(maps_T_D_h_w, which_M, templates_M, boxes_M_4)``: the boxes where it is found, looked for around the given ones.
    ``size`` (height, width) of the image in pixels. NaN beyond the ends of the video and once the centre has left the image. O(M) time.
    """
    height, width = size
    tracks_M_6_4 = np.full((len(frame_M), len(STEPS), 4), np.nan, np.float32)
    source, held, first = iter(maps), [], 0  # held: the maps from frame `first` on
    for start in range(0, n_frames, BLOCK):
        while first + len(held) < min(start + BLOCK + REACH, n_frames):
            held.append(next(source))
        held, first = held[max(0, start - REACH - first) :], max(first, start - REACH)
        rows = np.flatnonzero((frame_M >= start) & (frame_M < start + BLOCK))
        if not len(rows):
            continue
        stacked = torch.stack(held)
        origin = torch.from_numpy(frame_M[rows]).to(stacked.device)
        boxes = torch.from_numpy(boxes_M_4[rows]).float().to(stacked.device)
        templates = describe(stacked, origin - first, boxes)
        detection = torch.arange(len(rows), device=stacked.device).repeat(2)
        direction = torch.tensor([-1, 1], device=stacked.device).repeat_interleave(len(rows))
        boxes = boxes.repeat(2, 1)
        for distance in range(1, REACH + 1):
            target = origin[detection] + direction * distance
            alive = (target >= 0) & (target < n_frames)
            detection, direction, target, boxes = detection[alive], direction[alive], target[alive], boxes[alive]
            if not len(detection):
                break
            boxes = step(stacked, target - first, templates[detection], boxes)
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            inside = ((middle >= 0) & (middle <= middle.new_tensor([width, height]))).all(1)
            detection, direction, boxes = detection[inside], direction[inside], boxes[inside]
            column = torch.where(direction > 0, REACH - 1 + distance, REACH - distance)
            tracks_M_6_4[rows[detection.cpu().numpy()], column.cpu().numpy()] = clip(boxes.cpu().numpy(), height, width)
    return tracks_M_6_4
