"""What every loader returns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Source:
    """A data set, listed but not yet decoded: rows 0 .. n_train-1 are for training, the rest for testing."""

    class_names: list[str]
    labels: np.ndarray  # (N,) int64, positions in class_names
    n_train: int
    images: Iterator[tuple[int, np.ndarray]]  # (row, uint8 image: RGB (H,W,3), gray (H,W) or (H,W,1)), any order
