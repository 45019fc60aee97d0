"""What annotators give for frames: the boxes of all objects in each."""

from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts
from dagal.labeling import check_all_told


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


def told(given: list[dict], class_names: list[str], masks: Path) -> dict[str, np.ndarray]:
    """The boxes that people drew (`dagal.labeling.answers`) in frames, in their order."""
    number = {name: position for position, name in enumerate(class_names)}
    boxes = [box for answer in given for box in answer["boxes"]]
    return {
        "boxes": np.array([box[:4] for box in boxes], np.float32).reshape(-1, 4),
        "box_labels": np.array([number[box[4]] for box in boxes], np.int64),
        "offsets": np.cumsum([0, *(len(answer["boxes"]) for answer in given)]),
    }


def known(answers: dict[str, np.ndarray], ids: np.ndarray, asked: np.ndarray, n_images: int) -> dict[str, np.ndarray]:
    """`told` as the truth of all frames, of which the others have no box. Raises UserError unless every one that was asked for has an answer."""
    check_all_told(ids, asked)
    sizes_N = np.zeros(n_images, np.int64)
    sizes_N[ids] = np.diff(answers["offsets"])
    order = np.argsort(np.repeat(ids, np.diff(answers["offsets"])), kind="stable")
    found = {name: answers[name][order] for name in ("boxes", "box_labels")}
    return found | {"offsets": np.concatenate([[0], np.cumsum(sizes_N)]), "tracks": np.full(len(order), -1)}


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    together = {name: np.concatenate([earlier[name], later[name]]) for name in ("boxes", "box_labels")}
    offsets = np.concatenate([earlier["offsets"], earlier["offsets"][-1] + later["offsets"][1:]])
    return together | {"offsets": offsets}
