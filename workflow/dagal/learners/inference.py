"""Passes over images: evaluation mode, no augmentation, no gradients."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from dagal import artifacts
from dagal.errors import UserError
from dagal.learners import compilation
from dagal.learners.classifier import Classifier
from dagal.learners.loss_prediction import taps, with_features
from dagal.pace import Reporter

STREAM_BYTES = 64 << 20  # images read at a time; about four times that are in memory
HELD_BYTES = 2 << 30  # images that are read again and again stay in the memory of the device up to this size


@contextmanager
def inputs_of(path: str) -> Iterator[h5py.Dataset]:
    """The inputs of a learner, a row for every id: images (N,H,W,C) uint8, or features (N,D) float32 of a backbone."""
    kind = "features" if Path(path).name == "features.h5" else "images"
    with artifacts.opened(path, kind, cached=False) as file:
        yield file[kind]


def to_tensor(images_N_H_W_C: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 images (N,H,W,C) -> (N,C,H,W) on the device; features (N,D) -> (N,D,1,1); masks (N,H,W) as they are."""
    if images_N_H_W_C.ndim == 2:
        return torch.from_numpy(images_N_H_W_C)[:, :, None, None].to(device)
    if images_N_H_W_C.ndim == 3:
        return torch.from_numpy(images_N_H_W_C).to(device)
    # three times as fast as by torch
    return torch.from_numpy(np.ascontiguousarray(images_N_H_W_C.transpose(0, 3, 1, 2))).to(device)


def shape_of(inputs: h5py.Dataset) -> tuple[int, ...]:
    """Shape (C,H,W) of one image, or (D,1,1) of its features, as a network sees it."""
    return tuple(to_tensor(inputs[:0], torch.device("cpu")).shape[1:])


def ahead(items: Iterable) -> Iterator:
    """The same items, each of them made by a background thread while the one before is in use."""
    items, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, items, end)
        while (item := following.result()) is not end:
            following = thread.submit(next, items, end)
            yield item


def stream(images: h5py.Dataset, ids: np.ndarray, device: torch.device, batch_size: int) -> Iterator[torch.Tensor]:
    """Batches of the images (or features) with the given ids, read ahead block by block; prints progress every 10 seconds."""
    n_block = STREAM_BYTES // (images.dtype.itemsize * int(np.prod(images.shape[1:])))
    block, report, done = max(batch_size, n_block // batch_size * batch_size), Reporter(len(ids)), 0
    parts = (ids[start : start + block] for start in range(0, len(ids), block))
    for loaded in ahead(to_tensor(artifacts.rows(images, part), torch.device("cpu")) for part in parts):
        for batch in torch.split(loaded, batch_size):
            yield batch.to(device)
        done += len(loaded)
        report(done)


def scaled(images: torch.Tensor, height: int | None) -> torch.Tensor:
    """uint8 images (B,C,H,W), or masks (B,H,W), of this height and the width that goes with it; None: as they are.

    Images are averaged over what a pixel covers, masks take the nearest pixel.
    """
    if height is None or height == images.shape[-2]:
        return images
    size = height, max(1, round(images.shape[-1] * height / images.shape[-2]))
    if images.ndim == 3:
        return interpolate(images[:, None], size, mode="nearest-exact")[:, 0]
    return interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


class Stored:
    """Images (features, masks) of an opened file that are read when they are asked for; else like the tensor (n,C,H,W) of them.

    ``height``: what they are `scaled` to.
    """

    def __init__(self, images: h5py.Dataset, ids: np.ndarray, device: torch.device, height: int | None = None):
        self.images, self.ids, self.device, self.height = images, ids, device, height
        none = scaled(to_tensor(np.zeros((1, *images.shape[1:]), images.dtype), torch.device("cpu")), height)
        self.shape, self.dtype = (len(ids), *none.shape[1:]), none.dtype

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, positions: torch.Tensor) -> torch.Tensor:
        found = to_tensor(artifacts.rows(self.images, self.ids[positions.cpu().numpy()]), self.device)
        return scaled(found, self.height)

    def split(self, batch_size: int) -> Iterator[torch.Tensor]:
        return (scaled(batch, self.height) for batch in stream(self.images, self.ids, self.device, batch_size))


def images_of(
    images: h5py.Dataset,
    ids: np.ndarray,
    device: torch.device,
    held_bytes: int | None = None,
    height: int | None = None,
) -> torch.Tensor | Stored:
    """The images (features, masks) with the given ids, to be read again and again: a tensor on the device up to `HELD_BYTES`.

    ``held_bytes``: less than that. Loaded block by block, so that they are never in memory twice. ``height``: what they are `scaled` to.
    """
    stored = Stored(images, ids, device, height)
    if stored.dtype.itemsize * math.prod(stored.shape) > (HELD_BYTES if held_bytes is None else held_bytes):
        return stored
    # of the strides that a batch has: those of gray images decide which convolution is used, and so last bits
    if images.ndim == 4:
        empty = np.empty((len(ids), *stored.shape[2:], stored.shape[1]), images.dtype)
    else:
        empty = np.empty((len(ids), *stored.shape[1 : images.ndim]), images.dtype)
    held = to_tensor(empty, device)
    if len(ids):
        block = max(1, min(1024, STREAM_BYTES // (images.dtype.itemsize * math.prod(images.shape[1:]))))
        for batch, place in zip(stored.split(block), held.split(block), strict=True):
            place.copy_(batch)
    return held


def each(images: torch.Tensor | Stored, orders: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The images at each of these positions (B,); stored ones are read ahead."""
    found = (images[positions.to(images.device)] for positions in orders)
    return found if isinstance(images, torch.Tensor) else ahead(found)


def autocast(device: torch.device, precision: str):
    """What the passes of a network are computed in; a GPU keeps to it in the backward pass too, until the next call.

    PyTorch would round the factors of convolutions to TF32 also where nobody asked for it.
    """
    if device.type == "cuda":
        backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv
        for backend in backends:
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@torch.no_grad()
def predict(model: Classifier, batches, precision: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Per batch of uint8 images, class probabilities (B,C), embeddings (B,D), predicted losses (B,) and logits (B,C), float32.

    The predicted losses are None for a model without loss prediction. Raises UserError for outputs that are not finite, as those
    of a model are whose training has diverged.
    """
    model.eval()
    modules = taps(model) if model.loss_prediction else []
    for images in batches:
        with autocast(images.device, precision):
            embedding, features = with_features(model.embed, modules, images)
            logits = model.head(embedding)
            predicted_loss = model.loss_prediction(features).float().cpu().numpy() if modules else None
        probs, embedding, logits = torch.softmax(logits.float(), 1), embedding.float(), logits.float()
        if not bool(torch.isfinite(probs).all()):
            raise UserError(
                "training diverged after its last epoch, as the model's outputs are not finite numbers: lower optimizer.lr of the "
                "learner."
            )
        yield probs.cpu().numpy(), embedding.cpu().numpy(), predicted_loss, logits.cpu().numpy()


def probabilities(
    model: Classifier, inputs: h5py.Dataset, ids: np.ndarray, batch_size: int, precision: str
) -> np.ndarray:
    """Class probabilities (n,C) float32 of the images (or features) with the given ids."""
    batches = stream(inputs, ids, model.head.weight.device, batch_size)
    return filled(
        np.empty((len(ids), model.head.out_features), np.float32),
        (probs_B_C for probs_B_C, *_ in predict(model, batches, precision)),
    )


def filled(result: np.ndarray, parts: Iterable[np.ndarray]) -> np.ndarray:
    """The result with its rows, part after part. Parts that are kept until the last one leave holes between freed batches: GBs of them."""
    first = 0
    for part in parts:
        result[first : first + len(part)] = part
        first += len(part)
    return result


@torch.no_grad()
def draws(model: Classifier, batches, n_draws: int, seed: int, precision: str) -> Iterator[np.ndarray]:
    """Per batch, the class probabilities (T,B,C) of T passes with dropout on and all else (batch norm) in evaluation mode."""
    model.eval()
    model.dropout.train()
    torch.manual_seed(seed)
    for images in batches:
        with autocast(images.device, precision):
            embedding = model.embed(images)
            logits = torch.stack([model.head(model.dropout(embedding)) for _ in range(n_draws)])
        yield torch.softmax(logits.float(), 2).cpu().numpy()


@torch.no_grad()
def add_noise(model: nn.Module, scale: float, generator: torch.Generator) -> None:
    """Add to the weights of each layer Gaussian noise whose norm is ``scale`` times theirs (Li et al. 2024); biases stay.

    ``generator``: of the CPU, so that the noise is the same on every device.
    """
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.add_(noise * (scale * weight.norm() / noise.norm()))


@torch.no_grad()
def predicted_classes(
    model: Classifier, images: torch.Tensor | Stored, batch_size: int, precision: str
) -> torch.Tensor:
    """Predicted class (N,) of uint8 images, on their device, which is not waited for: int16, or int32 where that cannot hold all classes."""
    model.eval()
    dtype = torch.int16 if model.head.out_features <= torch.iinfo(torch.int16).max + 1 else torch.int32
    with autocast(images.device, precision):
        classes_N = torch.empty(len(images), dtype=dtype, device=images.device)
        for start, batch in zip(range(0, len(images), batch_size), images.split(batch_size), strict=False):
            logits = compilation.run(model, batch, len(batch) == batch_size)
            classes_N[start : start + len(batch)] = logits.argmax(1)
        return classes_N


@torch.no_grad()
def predicted_losses(model: Classifier, images: torch.Tensor | Stored, batch_size: int, precision: str) -> torch.Tensor:
    """Losses (N,) float32 that the model's loss prediction predicts of uint8 images, on their device, which is not waited for."""
    model.eval()
    modules = taps(model)
    with autocast(images.device, precision):
        features = (with_features(model.embed, modules, batch)[1] for batch in images.split(batch_size))
        return torch.cat([model.loss_prediction(of_batch).float() for of_batch in features])
