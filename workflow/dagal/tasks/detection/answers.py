"""What annotators give for frames: the boxes of all objects in each."""

import h5py
import numpy as np

from dagal import artifacts


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int) -> dict[str, np.ndarray]:
    """`ask`: the simulated annotators of boxes do not err."""
    return ask(truth, ids)


def ask(truth: h5py.File, ids: np.ndarray) -> dict[str, np.ndarray]:
    """``boxes`` (m,4), ``box_labels`` (m,) and ``offsets`` (n+1,) of the frames with the given ids, in their order.

    Only the rows asked for leave the sealed truth.
    """
    first = artifacts.rows(truth["offsets"], ids)
    size = artifacts.rows(truth["offsets"], ids + 1) - first
    offsets = np.concatenate([[0], np.cumsum(size)])
    rows = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], size)
    found = {name: artifacts.rows(truth[name], rows) for name in ("boxes", "box_labels")}
    return found | {"offsets": offsets}


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    together = {name: np.concatenate([earlier[name], later[name]]) for name in ("boxes", "box_labels")}
    offsets = np.concatenate([earlier["offsets"], earlier["offsets"][-1] + later["offsets"][1:]])
    return together | {"offsets": offsets}
