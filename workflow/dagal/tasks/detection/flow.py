"""Dense optical flow of consecutive frames, on a coarse grid: what tracking needs, at a fraction of the size."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from dagal.artifacts import Kind
from dagal.errors import UserError

FLOW = Kind(
    "flow",
    1,
    {
        "ids": "ids of the frames (n,), ascending",
        "forward": "mean motion (n,h,w,2) of cells of pixels, in pixels, x and y, to the next frame of the video, 0 at its end",
        "backward": "the same to the frame before (n,h,w,2), 0 at the start of the video",
    },
)


def dis() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """``flow(first, second)``: motion (H,W,2) in pixels from one RGB frame (H,W,3) to another by DIS (Kroeger et al. 2016).

    About 3 ms per pair at 120 x 160 and 20 ms at 300 x 400 on one core.
    """
    import cv2

    cv2.setNumThreads(1)  # a job's threads are counted by Snakemake, and videos run side by side
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(first, second):
        gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
        return method.calc(*gray, None)

    return flow


def raft(weights: str, device) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The same by RAFT (Teed & Deng 2020), torchvision's large or small model with local ``weights``.

    Raises UserError if the file holds neither. Frames of fewer than 128 pixels are enlarged (RAFT's correlation pyramid).
    """
    import torch
    from torch.nn.functional import interpolate, pad
    from torchvision.models.optical_flow import raft_large, raft_small

    from dagal.learners.weights import read_weights

    state = read_weights(weights)
    for build in (raft_large, raft_small):
        model = build(weights=None)
        if set(model.state_dict()) == set(state) and all(
            state[k].shape == v.shape for k, v in model.state_dict().items()
        ):
            break
    else:
        raise UserError(f"{weights} holds the weights of neither raft_large nor raft_small of torchvision.")
    model.load_state_dict(state)
    model = model.to(device).eval()

    @torch.no_grad()
    def flow(first, second):
        height, width = first.shape[:2]
        factor = -(-128 // min(height, width))
        images = torch.stack([torch.from_numpy(np.ascontiguousarray(i)).permute(2, 0, 1) for i in (first, second)])
        images = interpolate(images.float().to(device) / 127.5 - 1, scale_factor=factor, mode="bilinear")
        images = pad(images, (0, -width * factor % 8, 0, -height * factor % 8), mode="replicate")
        motion = model(images[:1], images[1:])[-1][:, :, : height * factor, : width * factor]
        motion = interpolate(motion, size=(height, width), mode="area") / factor
        return motion[0].permute(1, 2, 0).cpu().numpy()

    return flow


def coarse(flow_H_W_2: np.ndarray, stride: int, valid_H_W: np.ndarray | None = None) -> np.ndarray:
    """Mean flow (h,w,2) float32 of cells of stride x stride pixels, h = ceil(H / stride); of the valid pixels only, NaN without any.

    The grid covers the image evenly, so cells at the last row and column are as wide as the others.
    """
    height, width = flow_H_W_2.shape[:2]
    edges = [np.arange(-(-n // stride)) * n // -(-n // stride) for n in (height, width)]
    weight_H_W = np.ones((height, width)) if valid_H_W is None else valid_H_W.astype(np.float64)

    def cells(values):
        return np.add.reduceat(np.add.reduceat(values, edges[0], 0), edges[1], 1)

    with np.errstate(invalid="ignore"):
        total = cells(np.where(weight_H_W[..., None] > 0, flow_H_W_2, 0).astype(np.float64))
        return (total / cells(weight_H_W)[..., None]).astype(np.float32)


def of_video(
    frames: Iterable[np.ndarray], flow: Callable[[np.ndarray, np.ndarray], np.ndarray], stride: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each frame of a video the coarse motion (h,w,2) to the next frame and to the frame before, 0 at the ends.

    Two frames are in memory at a time.
    """
    previous, backward = None, None
    for frame in frames:
        if previous is not None:
            forward = coarse(flow(previous, frame), stride)
            yield forward, np.zeros_like(forward) if backward is None else backward
            backward = coarse(flow(frame, previous), stride)
        previous = frame
    if previous is not None:
        if backward is None:
            backward = np.zeros((*(-(-n // stride) for n in previous.shape[:2]), 2), np.float32)
        yield np.zeros_like(backward), backward


def end_point_error(flow: np.ndarray, true_flow: np.ndarray) -> np.ndarray:
    """Length (h,w) in pixels of the difference of two motions (h,w,2)."""
    return np.linalg.norm(np.asarray(flow, np.float64) - true_flow, axis=-1)
