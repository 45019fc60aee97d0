"""The HDF5 artifacts: what each file holds, one way to write them, one way to read them.

A file appears under its name only when it is complete (temporary name, flush, rename) and holds no time stamps, so
identical inputs give identical bytes. Ids are int64 positions in ``images.h5``, never positions in a subset.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from dagal import __version__
from dagal.errors import UserError

# kind -> (version, {data set: description}); the kind and version are written as the root attribute `schema`
SCHEMAS = {
    "images": (1, {
        "images": "images (N,H,W,C), uint8 intensities 0..255",
        "split": "published part of each image (N,): 0 train, 1 test",
        "video": "video of each image (N,), position in the attribute video_names; videos only",
        "frame": "number of each image in its video (N,), rising with time; videos only",
        "source": "camera traps: image that each crop is of (N,), position in files",
        "box": "camera traps: box of each crop (N,4), x1 y1 x2 y2 in shares of the image's width and height",
        "confidence": "camera traps: confidence of the detector in each crop (N,)",
        "files": "camera traps: the survey's images (S,), below the path of the data set",
        "detected": "camera traps: animals that the detector counts in each of the survey's images (S,)",
    }),
    "truth": (1, {
        "labels": "true class of each image (N,), position in the attribute class_names",
        "animals": "camera traps: true number of animals in each of the survey's images (S,), 0 empty, -1 not counted",
        "boxes": "detection: box of each object (M,4), x1 y1 x2 y2 in pixels",
        "box_labels": "detection: class of each object (M,), position in the attribute class_names",
        "tracks": "detection: which object of the video each box is (M,), -1 where unknown",
        "offsets": "detection: image i has the boxes offsets[i] to offsets[i+1] (N+1,)",
    }),
    "flow": (1, {
        "ids": "ids of the frames (n,), ascending",
        "forward": "mean motion (n,h,w,2) of cells of pixels, in pixels, x and y, to the next frame of the video, 0 at its end",
        "backward": "the same to the frame before (n,h,w,2), 0 at the start of the video",
    }),
    "split": (1, {
        "pool": "ids of the unlabeled pool at cycle 0, ascending",
        "initial": "ids of the initial labeled set, ascending",
        "validation": "ids held out for validation, ascending",
        "test": "ids of the untouched test set, ascending",
        "channel_mean": "mean intensity per channel (C,) over pool and initial set, in 0..1",
        "channel_std": "standard deviation per channel (C,) over pool and initial set, in 0..1",
    }),
    "labeled": (1, {
        "ids": "labeled ids (L,) in the order in which they were labeled",
        "labels": "label given to each id (L,)",
        "boxes": "detection: box of each object (M,4), x1 y1 x2 y2 in pixels",
        "box_labels": "detection: class of each object (M,)",
        "offsets": "detection: the l-th labeled id has the boxes offsets[l] to offsets[l+1] (L+1,)",
        "cycle": "cycle in which each id was labeled (L,), 0 = initial set",
    }),
    "history": (1, {
        "loss": "mean training loss of each epoch (E,)",
        "accuracy": "training accuracy of each epoch (E,)",
        "prediction_loss": "loss of the loss prediction in each epoch (E,), NaN where it is not trained",
        "loss_classifier": "detector: part of the loss, classes of proposals (E,)",
        "loss_box_reg": "detector: part of the loss, boxes of proposals (E,)",
        "loss_objectness": "detector: part of the loss, objectness of anchors (E,)",
        "loss_rpn_box_reg": "detector: part of the loss, boxes of anchors (E,)",
        "learning_rate": "learning rate of each epoch (E,)",
        "consistency_loss": "FixMatch: mean consistency loss of each epoch (E,), before its weight",
        "confident": "FixMatch: share of the unlabeled images whose pseudo-label counted in each epoch (E,)",
        "ids": "unlabeled ids (n,), ascending; absent where no trajectory is recorded",
        "trajectory": "class predicted for each unlabeled id after each epoch (E,n)",
    }),
    "pseudo_labels": (1, {
        "ids": "unlabeled ids that got a pseudo-label (n,), ascending",
        "labels": "class that the model gives to each (n,)",
        "uncertainty": "entropy in nats, or label-dispersion, for which each was trusted (n,)",
    }),
    "predictions": (1, {
        "ids": "test ids, then validation ids (n,)",
        "probabilities": "class probabilities of the final model (n,C)",
    }),
    "stop_set": (1, {
        "ids": "ids of the images of the pool on which the predictions of consecutive models are compared, ascending",
    }),
    "stop_predictions": (1, {
        "ids": "ids of the stop set (n,), ascending",
        "predicted": "class predicted by the final model (n,)",
    }),
    "signals": (1, {
        "ids": "unlabeled ids (n,), ascending",
        "probabilities": "class probabilities (n,C)",
        "embeddings": "penultimate-layer embeddings (n,D)",
        "labeled_ids": "labeled ids (L,), ascending",
        "labeled_embeddings": "penultimate-layer embeddings of the labeled ids (L,D)",
        "trajectory": "class predicted after each training epoch (E,n)",
        "predicted_loss": "loss that the learner predicts for itself (n,)",
        "labeled_predicted_loss": "the same for the labeled ids (L,)",
        "logits": "what the head says of each class (n,C) before the softmax: the decision values of an SVM",
        "weight_norms": "Euclidean norm of the head's weights of each class (C,)",
    }),
    "adversary": (1, {
        "ids": "unlabeled ids (n,), ascending",
        "discriminator": "probability of being labeled (n,) that the discriminator gives; the smallest are queried",
        "step": "last training step of each stretch (S,) over which losses are averaged",
        "reconstruction": "reconstruction loss of the VAE (S,)",
        "kl": "Kullback-Leibler divergence of the VAE (S,)",
        "adversarial": "adversarial loss of the VAE (S,)",
        "discriminator_loss": "loss of the discriminator (S,)",
        "supervised": "SRAAL: loss of the supervised learner (S,)",
        "supervised_kl": "SRAAL: Kullback-Leibler divergence of its latent (S,)",
    }),
    "features": (1, {
        "features": "features of each image (N,D) by a backbone, test images included",
        "split": "published part of each image (N,): 0 train, 1 test",
    }),
    "pretraining": (1, {
        "loss": "mean loss of each epoch (E,)",
        "output_std": "standard deviation of the normalised outputs of each epoch (E,), mean over their channels",
        "learning_rate": "learning rate of each epoch (E,)",
        "knn_epochs": "epochs (K,) after which neighbours were looked for, 0 before the first",
        "queries": "ids of the training images (Q,) whose neighbours these are",
        "neighbours": "ids of the nearest training images (K,Q,k) of each query, nearest first",
        "similarities": "cosine similarity of each neighbour (K,Q,k)",
    }),
    "latents": (1, {
        "ids": "ids of the training images (n,), ascending",
        "latents": "latents of a VAE trained on all of them without labels (n,D)",
    }),
    "draws": (1, {
        "ids": "unlabeled ids (n,), ascending",
        "draws": "class probabilities of T passes with dropout, or of the K members of an ensemble (T,n,C)",
    }),
    "boundary": (1, {
        "ids": "unlabeled ids (n,), ascending",
        "distance": "L2 norm of the smallest change of intensities that changes the predicted class (n,), in 0..255",
    }),
    "detections": (1, {
        "ids": "ids of the frames (n,), ascending",
        "offsets": "frame i has the detections offsets[i] to offsets[i+1] (n+1,), best first",
        "boxes": "detected boxes (M,4), x1 y1 x2 y2 in pixels",
        "probabilities": "class probabilities (M,1+C), column 0 is the background",
        "labels": "detected class (M,)",
    }),
    "errors": (1, {
        "ids": "ids of the frames (n,), ascending",
        "false_positives": "wrong or repeated detections in each frame (n,)",
        "false_negatives": "missed objects in each frame (n,)",
    }),
    "tracks": (1, {
        "boxes": "each detection (M,) followed to the frames -3 -2 -1 +1 +2 +3 (M,6,4), NaN beyond the video's ends",
    }),
    "coherence": (1, {
        "ids": "ids of the frames (n,), ascending",
        "false_positives": "detections of each frame estimated to be wrong (n,)",
        "false_negatives": "objects of each frame estimated to be missed (n,)",
        "node_frame": "id of the frame of each node (V,): first the detections in their order, then the candidates",
        "node_box": "box of each node (V,4), x1 y1 x2 y2 in pixels",
        "node_label": "class of each node (V,)",
        "is_candidate": "whether a node is a candidate for a missed object (V,) and not a detection",
        "real": "whether an object is estimated to be there (V,)",
        "edges": "linked nodes (E,2)",
    }),
    "scores": (1, {
        "ids": "candidate ids (n,), ascending",
        "score": "acquisition score (n,), larger = more worth a label",
    }),
    "query": (1, {
        "ids": "queried ids (b,) in order of choice",
        "score": "acquisition score of each queried id (b,)",
    }),
    "sweep": (1, {
        "weights": "weights lambda of the balancing term (W,)",
        "queries": "ids queried at each weight, then by top_k and by pseudo-labels (W+2,b)",
        "score_loss": "minus the summed scores of each query (W+2,)",
        "l1_loss": "L1 distance of the expected class counts of each query from the required ones (W+2,)",
    }),
}  # fmt: skip

CHUNK_BYTES = 1 << 20


def params_hash(params: dict) -> str:
    """Short hash of a rule's own parameters, independent of their order."""
    return hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest()[:16]


def node(path: str | Path) -> tuple[int, str, int]:
    """(seed, branch, cycle) of a file of a node, ``.../seed0/entropy/cycle1/query.h5``."""
    seed, branch, cycle = Path(path).parts[-4:-1]
    return int(seed.removeprefix("seed")), branch, int(cycle.removeprefix("cycle"))


def provenance(rule: str, params: dict, seed: int = -1) -> dict:
    """Root attributes that say where a file comes from; ``seed`` is -1 where nothing random is involved."""
    return {"created_by": rule, "params_hash": params_hash(params), "seed": seed, "dagal_version": __version__}


class Writer:
    """Creates the data sets of one artifact; handed out by `create`."""

    def __init__(self, file: h5py.File, kind: str):
        self.file, self.descriptions = file, SCHEMAS[kind][1]

    def dataset(self, name: str, shape: tuple[int, ...], dtype) -> h5py.Dataset:
        """Empty data set to be filled by slices; chunked over its longest axis (of images: the first), integers and float16

        compressed but not images.
        """
        dtype = np.dtype(dtype)
        options = {}
        if np.prod(shape) * dtype.itemsize > CHUNK_BYTES:
            axis = 0 if len(shape) == 4 else int(np.argmax(shape))
            row_bytes = int(np.prod(shape)) // shape[axis] * dtype.itemsize
            chunk = max(1, min(shape[axis], CHUNK_BYTES // row_bytes))
            options["chunks"] = (*shape[:axis], chunk, *shape[axis + 1 :])
            if (dtype.kind in "iu" or dtype == np.float16) and name != "images":
                options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        dataset = self.file.create_dataset(name, shape, dtype, **options)
        dataset.attrs["description"] = self.descriptions[name]
        return dataset


@contextmanager
def create(path: str | Path, kind: str, origin: dict, **attributes) -> Iterator[Writer]:
    """Open an artifact of a kind of `SCHEMAS` for writing; it takes its name only if the block ends without error.

    ``origin`` comes from `provenance`. Raises KeyError for a data set that the kind does not have.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            for name, value in {"schema": f"{kind}/{SCHEMAS[kind][0]}", **origin, **attributes}.items():
                file.attrs[name] = value
            yield Writer(file, kind)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | Path, kind: str, origin: dict, data: dict[str, np.ndarray], **attributes) -> None:
    """Write an artifact whose data sets are all in memory."""
    with create(path, kind, origin, **attributes) as writer:
        for name, values in data.items():
            values = np.asarray(values)
            writer.dataset(name, values.shape, values.dtype)[...] = values


def write_json(path: str | Path, data: dict) -> None:
    """Write JSON; NaN is refused (ValueError)."""
    _write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_csv(path: str | Path, header: list[str], rows: Iterable[Iterable]) -> None:
    """Write a table; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    _write_text(path, text.getvalue())


def _write_text(path: str | Path, text: str) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


@contextmanager
def opened(path: str | Path, kind: str) -> Iterator[h5py.File]:
    """Open an artifact for reading.

    Raises UserError if it is unreadable, or of another kind or version.
    """
    expected = f"{kind}/{SCHEMAS[kind][0]}"
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if Path(path).resolve().name == "stopping.json":
            raise UserError(f"{path} holds no data: its chain had stopped, as {Path(path).resolve()} tells.") from None
        raise UserError(f"{path} cannot be read as HDF5 ({error}); delete it and run again.") from None
    with file:
        found = file.attrs.get("schema")
        if found != expected:
            raise UserError(f"{path} has schema {found!r} where {expected!r} is needed; delete it and run again.")
        yield file


def read(path: str | Path, kind: str, *names: str) -> list[np.ndarray]:
    """The named data sets of an artifact, in memory, in the order asked for."""
    with opened(path, kind) as file:
        return [file[name][()] for name in names]


def attributes(path: str | Path, kind: str) -> dict:
    """Root attributes of an artifact."""
    with opened(path, kind) as file:
        return dict(file.attrs)


def rows(dataset: h5py.Dataset, positions: np.ndarray, block_bytes: int = 32 << 20) -> np.ndarray:
    """``dataset[positions]`` for any order of positions, read in contiguous blocks (h5py's own fancy indexing is slow).

    Peak memory: the result and one block.
    """
    result = np.empty((len(positions), *dataset.shape[1:]), dataset.dtype)
    order = np.argsort(positions, kind="stable")
    ascending = np.asarray(positions)[order]
    if len(order) and not 0 <= ascending[0] <= ascending[-1] < len(dataset):
        raise IndexError(f"positions {ascending[0]} to {ascending[-1]} in {dataset.name} of {len(dataset)} rows")
    block = max(1, block_bytes // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))))
    for start in range(0, len(dataset), block):
        first, last = np.searchsorted(ascending, (start, start + block))
        if first < last:
            begin = ascending[first]
            result[order[first:last]] = dataset[begin : ascending[last - 1] + 1][ascending[first:last] - begin]
    return result
