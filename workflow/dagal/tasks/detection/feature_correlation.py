"""Detections followed to the frames around them by cross-correlation of the detector's feature maps.

In the manner of SiamFC (`dagal.tasks.detection.siamfc`), but there is no network of its own, and nothing is trained to follow.
"""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch

from dagal.tasks.detection.following import follow, moved, peak, sample

CELLS = 7  # samples of the exemplar per axis; the search window has the same spacing and SHIFTS - 1 more
SHIFTS = 7  # positions tried per axis: up to 3/7 of the exemplar's window to each side
CONTEXT = 0.2  # margin around the box in the exemplar, of the box's mean side
SCALE = 1.04  # ratio of neighbouring scales
WINDOW = 0.02  # weight of the cosine window


def windows(boxes_M_4: torch.Tensor, factor: float) -> torch.Tensor:
    """Boxes with their context, about the same centre, times ``factor``."""
    middle, size = (boxes_M_4[:, :2] + boxes_M_4[:, 2:]) / 2, boxes_M_4[:, 2:] - boxes_M_4[:, :2]
    half = (size + CONTEXT * size.mean(1, keepdim=True)) * factor / 2
    return torch.cat((middle - half, middle + half), 1)


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


def describe(maps_T_D_h_w, which_M, boxes_M_4, stride):
    """Spectra of the boxes in the maps ``which_M``, at three scales."""
    exemplars = [sample(maps_T_D_h_w, which_M, windows(boxes_M_4, SCALE**-k), CELLS, stride) for k in (-1, 0, 1)]
    return spectra(torch.stack(exemplars, 1))


def step(maps_T_D_h_w, which_M, spectra_M_S_D_Q_F, boxes_M_4, stride):
    """Boxes (M,4) found in the maps ``which_M``, looked for around ``boxes_M_4``."""
    reach = CELLS + SHIFTS - 1
    search = sample(maps_T_D_h_w, which_M, windows(boxes_M_4, reach / CELLS), reach, stride)
    shift, scale = peak(respond(spectra_M_S_D_Q_F, search), WINDOW)
    window = windows(boxes_M_4, 1)
    return moved(boxes_M_4, shift * (window[:, 2:] - window[:, :2]) / CELLS, SCALE**scale)


def track(
    features: Iterable,
    stride: int,
    frame_M: np.ndarray,
    boxes_M_4: np.ndarray,
    n_frames: int,
    size: tuple[int, int],
) -> np.ndarray:
    """`follow` in the maps (D,h,w) of the video's frames, of which cell (i,j) is centred at pixel (i,j) * ``stride``."""
    steps = (partial(function, stride=stride) for function in (describe, step))
    return follow(map(normalised, features), frame_M, boxes_M_4, n_frames, size, *steps)


def normalised(map_D_h_w) -> torch.Tensor:
    """The map with every channel of mean 0 and standard deviation 1, so that no channel outweighs the others."""
    values = torch.as_tensor(map_D_h_w).float()
    centred = values - values.mean((1, 2), keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6)
