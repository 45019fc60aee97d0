"""Detections followed to the frames around them by cross-correlation of feature maps, in the manner of SiamFC (003 sec. 2.3.2).

There is no network of its own: the maps are the detector's. What is looked for stays the original detection in every frame.
"""

from collections.abc import Iterable

import numpy as np
import torch

from dagal.geometry import clip
from dagal.tasks.detection.tracks import REACH, STEPS

CELLS = 7  # samples of the exemplar per axis; the search window has the same spacing and SHIFTS - 1 more
SHIFTS = 7  # positions tried per axis: up to 3/7 of the exemplar's window to each side
CONTEXT = 0.2  # margin around the box in the exemplar, of the box's mean side
SCALE = 1.04  # ratio of neighbouring scales
WINDOW = 0.02  # weight of the cosine window: objects rarely jump
BLOCK = 16  # frames whose detections are followed together


def windows(boxes_M_4: torch.Tensor, factor: float) -> torch.Tensor:
    """Boxes with their context, about the same centre, times ``factor``."""
    middle, size = (boxes_M_4[:, :2] + boxes_M_4[:, 2:]) / 2, boxes_M_4[:, 2:] - boxes_M_4[:, :2]
    half = (size + CONTEXT * size.mean(1, keepdim=True)) * factor / 2
    return torch.cat((middle - half, middle + half), 1)


def sample(maps_T_D_h_w: torch.Tensor, which_M: torch.Tensor, windows_M_4: torch.Tensor, cells: int, stride: int):
    """Features (M,D,cells,cells) of windows of the maps ``which_M``; 0 outside the map."""
    from torchvision.ops import roi_align  # costs seconds

    shifted = windows_M_4 + stride / 2  # roi_align puts the centre of cell 0 at stride / 2
    rois = torch.cat((which_M[:, None].to(shifted.dtype), shifted), 1)
    return roi_align(maps_T_D_h_w, rois, cells, 1 / stride, sampling_ratio=0, aligned=True)


def spectra(exemplars_M_S_D_K_K: torch.Tensor) -> torch.Tensor:
    """Fourier transforms (M,S,D,Q,Q//2+1) of the exemplars without their mean per channel, of norm 1, in the search size."""
    centred = exemplars_M_S_D_K_K - exemplars_M_S_D_K_K.mean((3, 4), keepdim=True)
    unit = centred / centred.flatten(2).norm(dim=2).clamp(min=1e-6)[:, :, None, None, None]
    return torch.fft.rfft2(unit, (CELLS + SHIFTS - 1,) * 2).conj().resolve_conj()


def respond(spectra_M_S_D_Q_F: torch.Tensor, search_M_D_Q_Q: torch.Tensor) -> torch.Tensor:
    """Correlation coefficients (M,S,R,R) of each exemplar with every K x K part of its search window, in -1..1."""
    product = (spectra_M_S_D_Q_F * torch.fft.rfft2(search_M_D_Q_Q)[:, None]).sum(2)
    products = torch.fft.irfft2(product, search_M_D_Q_Q.shape[2:])[:, :, :SHIFTS, :SHIFTS]
    sums = search_M_D_Q_Q.unfold(2, CELLS, 1).sum(4).unfold(3, CELLS, 1).sum(4)
    squares = search_M_D_Q_Q.square().sum(1).unfold(1, CELLS, 1).sum(3).unfold(2, CELLS, 1).sum(3)
    variance = squares - sums.square().sum(1) / CELLS**2
    return products / variance.clamp(min=1e-6).sqrt()[:, None]


def vertex(before: torch.Tensor, middle: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Where the parabola through values at -1, 0 and 1 is largest, if ``middle`` is the largest of them; else 0."""
    bend = before - 2 * middle + after
    return torch.where((bend < 0) & (middle >= before) & (middle >= after), (before - after) / (2 * bend), 0)


def peak(response_M_S_R_R: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Best shift (M,2) as x, y in cells from the middle, and best scale (M,) in -1..1, each refined by a parabola."""
    n, scales, side, _ = response_M_S_R_R.shape
    cosine = torch.hann_window(side + 2, periodic=False, device=response_M_S_R_R.device)[1:-1]
    total = response_M_S_R_R + WINDOW * torch.outer(cosine, cosine)
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


def step(maps_T_D_h_w, which_M, spectra_M_S_D_Q_F, boxes_M_4, stride):
    """Boxes (M,4) found in the maps ``which_M``, looked for around ``boxes_M_4``."""
    reach = CELLS + SHIFTS - 1
    search = sample(maps_T_D_h_w, which_M, windows(boxes_M_4, reach / CELLS), reach, stride)
    shift, scale = peak(respond(spectra_M_S_D_Q_F, search))
    window = windows(boxes_M_4, 1)
    middle = (boxes_M_4[:, :2] + boxes_M_4[:, 2:]) / 2 + shift * (window[:, 2:] - window[:, :2]) / CELLS
    half = (boxes_M_4[:, 2:] - boxes_M_4[:, :2]) / 2 * (SCALE**scale)[:, None]
    return torch.cat((middle - half, middle + half), 1)


@torch.no_grad()
def track(
    features: Iterable,
    stride: int,
    frame_M: np.ndarray,
    boxes_M_4: np.ndarray,
    n_frames: int,
    size: tuple[int, int],
) -> np.ndarray:
    """Boxes (M,6,4) float32 at `STEPS` frames from each detection of one video, within the image.

    ``features``: the maps (D,h,w) of the video's frames in order, of which cell (i,j) is centred at pixel (i,j) * ``stride``;
    each is taken once, and no more than ``BLOCK`` + 2 `REACH` are held. ``size`` (height, width) of the image in pixels.
    NaN beyond the ends of the video and once the centre has left the image. O(M) time.
    """
    height, width = size
    tracks_M_6_4 = np.full((len(frame_M), len(STEPS), 4), np.nan, np.float32)
    source, held, first = iter(features), [], 0  # held: the maps from frame `first` on
    for start in range(0, n_frames, BLOCK):
        while first + len(held) < min(start + BLOCK + REACH, n_frames):
            held.append(normalised(next(source)))
        held, first = held[max(0, start - REACH - first) :], max(first, start - REACH)
        rows = np.flatnonzero((frame_M >= start) & (frame_M < start + BLOCK))
        if not len(rows):
            continue
        maps = torch.stack(held)
        origin = torch.from_numpy(frame_M[rows]).to(maps.device)
        boxes = torch.from_numpy(boxes_M_4[rows]).float().to(maps.device)
        exemplars = [sample(maps, origin - first, windows(boxes, SCALE**-scale), CELLS, stride) for scale in (-1, 0, 1)]
        templates = spectra(torch.stack(exemplars, 1))
        detection = torch.arange(len(rows), device=maps.device).repeat(2)
        direction = torch.tensor([-1, 1], device=maps.device).repeat_interleave(len(rows))
        boxes = boxes.repeat(2, 1)
        for distance in range(1, REACH + 1):
            target = origin[detection] + direction * distance
            alive = (target >= 0) & (target < n_frames)
            detection, direction, target, boxes = detection[alive], direction[alive], target[alive], boxes[alive]
            if not len(detection):
                break
            boxes = step(maps, target - first, templates[detection], boxes, stride)
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            inside = ((middle >= 0) & (middle <= middle.new_tensor([width, height]))).all(1)
            detection, direction, boxes = detection[inside], direction[inside], boxes[inside]
            column = torch.where(direction > 0, REACH - 1 + distance, REACH - distance)
            tracks_M_6_4[rows[detection.cpu().numpy()], column.cpu().numpy()] = clip(boxes.cpu().numpy(), height, width)
    return tracks_M_6_4


def normalised(map_D_h_w) -> torch.Tensor:
    """The map with every channel of mean 0 and standard deviation 1, so that no channel outweighs the others."""
    values = torch.as_tensor(map_D_h_w).float()
    centred = values - values.mean((1, 2), keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6)
