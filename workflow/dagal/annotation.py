"""What an annotator gives for images: a label each, or the boxes of all objects in each."""

import h5py
import numpy as np

from dagal import artifacts


def ask(truth: h5py.File, ids: np.ndarray) -> dict[str, np.ndarray]:
    """The answers for ``ids``, in their order: ``labels`` (n,), or ``boxes`` (m,4), ``box_labels`` (m,), ``offsets`` (n+1,).

    Only the rows asked for leave the sealed truth.
    """
    if "labels" in truth:
        return {"labels": artifacts.rows(truth["labels"], ids)}
    first = artifacts.rows(truth["offsets"], ids)
    size = artifacts.rows(truth["offsets"], ids + 1) - first
    offsets = np.concatenate([[0], np.cumsum(size)])
    rows = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], size)
    answers = {name: artifacts.rows(truth[name], rows) for name in ("boxes", "box_labels")}
    return answers | {"offsets": offsets}


def append(before: dict[str, np.ndarray], answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    together = {name: np.concatenate([before[name], values]) for name, values in answers.items() if name != "offsets"}
    if "offsets" in answers:
        together["offsets"] = np.concatenate([before["offsets"], before["offsets"][-1] + answers["offsets"][1:]])
    return together
