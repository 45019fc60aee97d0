"""What every loader of images returns, and how loaders write images in batches."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dagal.artifacts import Writer


@dataclass(frozen=True)
class Source:
    """A data set, listed but not yet decoded: rows 0 .. n_train-1 are for training, the rest for testing."""

    class_names: list[str]
    labels: np.ndarray  # (N,) int64, positions in class_names
    n_train: int
    images: Iterator[tuple[int, np.ndarray]]  # (row, uint8 image: RGB (H,W,3), gray (H,W) or (H,W,1)), any order
    about: dict[str, np.ndarray] = field(default_factory=dict)  # what else images.h5 holds
    sealed: dict[str, np.ndarray] = field(default_factory=dict)  # what else truth.h5 holds


BATCH_BYTES = 32 << 20
PROGRESS_SECONDS = 5


def write_images(writer: Writer, n: int, images: Iterator[tuple[int, np.ndarray]], what: str = "images") -> None:
    """Write ``n`` images of one shape, given as (row, uint8 image) in any order, in batches; prints progress."""
    dataset, batch, shown = None, {}, time.monotonic()
    for done, (row, image) in enumerate(images, 1):
        if dataset is None:
            dataset = writer.dataset("images", (n, *image.shape), np.uint8)
        batch[row] = image
        if len(batch) * image.nbytes >= BATCH_BYTES:
            flush(dataset, batch)
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            print(f"decoded {done:,} of {n:,} {what}")
            shown = time.monotonic()
    if batch:
        flush(dataset, batch)
    print(f"decoded {n:,} of {n:,} {what}")


def flush(dataset, batch: dict[int, np.ndarray]) -> None:
    """Write the images of a batch (row -> image), neighbouring rows together (single ones are slow), and empty it."""
    rows = np.array(sorted(batch), dtype=np.int64)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        dataset[run[0] : run[-1] + 1] = np.stack([batch[row] for row in run])
    batch.clear()
