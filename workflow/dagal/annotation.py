"""What annotators give for images: a label each, right or wrong, or the boxes of all objects in each."""

import h5py
import numpy as np

from dagal import artifacts
from dagal.seeding import generator


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


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int) -> dict[str, np.ndarray]:
    """What the annotators of the config's ``oracle`` give for ``ids``: `ask`, with their mistakes."""
    given = ask(truth, ids)
    if oracle["noise"] != "none":
        about = len(truth["labels"]), len(truth.attrs["class_names"]), oracle, seed
        given["labels"] = mistaken(given["labels"], ids, *about)
    return given


def mistaken(
    labels_n: np.ndarray, ids: np.ndarray, n_images: int, n_classes: int, settings: dict, seed: int
) -> np.ndarray:
    """Labels (n,) as given by annotators who err: the class that most of them give, ties at random.

    Each of ``settings["annotators"]`` errs with probability ``rate``, independently: ``symmetric`` gives any other class alike,
    ``pair`` the next one, class 0 after the last (class-dependent noise). An annotator's answer for one of the ``n_images`` ids
    follows the seed alone, so it does not depend on when, or with which others, the id is asked for.
    """
    votes_n_C = np.zeros((len(ids), n_classes))
    for annotator in range(settings["annotators"]):
        rng = generator(seed, "annotator", annotator)
        errs_n = rng.random(n_images)[ids] < settings["rate"]
        shift_n = rng.integers(1, max(n_classes, 2), n_images)[ids] if settings["noise"] == "symmetric" else 1
        votes_n_C[np.arange(len(ids)), (labels_n + errs_n * shift_n) % n_classes] += 1
    tie_n_C = generator(seed, "annotators", "ties").random((n_images, n_classes))[ids]
    return (votes_n_C + tie_n_C / 2).argmax(1)


def append(before: dict[str, np.ndarray], answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    together = {name: np.concatenate([before[name], values]) for name, values in answers.items() if name != "offsets"}
    if "offsets" in answers:
        together["offsets"] = np.concatenate([before["offsets"], before["offsets"][-1] + answers["offsets"][1:]])
    return together
