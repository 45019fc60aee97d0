"""Passes over images: evaluation mode, no augmentation, no gradients."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch

from dagal import artifacts
from dagal.learners import compilation
from dagal.learners.classifier import Classifier
from dagal.learners.loss_prediction import taps, with_features

STREAM_BYTES = 128 << 20  # images read at a time


@contextmanager
def inputs_of(path: str) -> Iterator[h5py.Dataset]:
    """The inputs of a learner, a row for every id: images (N,H,W,C) uint8, or features (N,D) float32 of a backbone."""
    kind = "features" if Path(path).name == "features.h5" else "images"
    with artifacts.opened(path, kind) as file:
        yield file[kind]


def to_tensor(images_N_H_W_C: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 images (N,H,W,C) -> (N,C,H,W) on the device; features (N,D) -> (N,D,1,1)."""
    if images_N_H_W_C.ndim == 2:
        return torch.from_numpy(images_N_H_W_C)[:, :, None, None].to(device)
    return torch.from_numpy(images_N_H_W_C).permute(0, 3, 1, 2).contiguous().to(device)


def stream(images: h5py.Dataset, ids: np.ndarray, device: torch.device, batch_size: int) -> Iterator[torch.Tensor]:
    """Batches of the images (or features) with the given ids, read block by block; prints progress every 10 seconds."""
    n_block = STREAM_BYTES // (images.dtype.itemsize * int(np.prod(images.shape[1:])))
    block, reported = max(batch_size, n_block // batch_size * batch_size), time.monotonic()
    for start in range(0, len(ids), block):
        loaded = to_tensor(artifacts.rows(images, ids[start : start + block]), torch.device("cpu"))
        for batch in torch.split(loaded, batch_size):
            yield batch.to(device)
        if time.monotonic() - reported > 10:
            reported = time.monotonic()
            print(f"{min(start + block, len(ids)):,} of {len(ids):,} images", flush=True)


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

    The predicted losses are None for a model without loss prediction.
    """
    model.eval()
    modules = taps(model) if model.loss_prediction else []
    for images in batches:
        with autocast(images.device, precision):
            embedding, features = with_features(model.embed, modules, images)
            logits = model.head(embedding)
            predicted_loss = model.loss_prediction(features).float().cpu().numpy() if modules else None
        probs, embedding, logits = torch.softmax(logits.float(), 1), embedding.float(), logits.float()
        yield probs.cpu().numpy(), embedding.cpu().numpy(), predicted_loss, logits.cpu().numpy()


def probabilities(
    model: Classifier, inputs: h5py.Dataset, ids: np.ndarray, batch_size: int, precision: str
) -> np.ndarray:
    """Class probabilities (n,C) float32 of the images (or features) with the given ids."""
    batches = stream(inputs, ids, model.head.weight.device, batch_size)
    found = [probs_B_C for probs_B_C, *_ in predict(model, batches, precision)]
    return np.concatenate(found) if found else np.empty((0, model.head.out_features), np.float32)


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
def predicted_classes(model: Classifier, images: torch.Tensor, batch_size: int, precision: str) -> torch.Tensor:
    """Predicted class (N,) of uint8 images held on the device, which is not waited for.

    int16, or int32 where that cannot hold all classes.
    """
    model.eval()
    dtype = torch.int16 if model.head.out_features <= torch.iinfo(torch.int16).max + 1 else torch.int32
    with autocast(images.device, precision):
        return torch.cat([
            compilation.run(model, batch, len(batch) == batch_size).argmax(1).to(dtype)
            for batch in torch.split(images, batch_size)
        ])  # fmt: skip
