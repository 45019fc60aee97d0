"""What annotators give for images: a class each, right or wrong."""

from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts
from dagal.seeding import generator


def answers(truth: h5py.File, ids: np.ndarray, oracle: dict, seed: int) -> dict[str, np.ndarray]:
    """``labels`` (n,) that the annotators of the config's ``oracle`` give for ``ids``, in their order.

    Only the rows asked for leave the sealed truth.
    """
    labels_n = artifacts.rows(truth["labels"], ids)
    if oracle["noise"] != "none":
        n_classes = len(artifacts.attribute(truth, "class_names"))
        labels_n = mistaken(labels_n, ids, len(truth["labels"]), n_classes, oracle, seed)
    return {"labels": labels_n}


def told(given: list[dict], class_names: list[str], masks: Path) -> dict[str, np.ndarray]:
    """``labels`` (n,) of the answers of people (`dagal.labeling.answers`) that name a class, in their order."""
    number = {name: position for position, name in enumerate(class_names)}
    return {"labels": np.array([number[answer["label"]] for answer in given], np.int64)}


def known(answers: dict[str, np.ndarray], ids: np.ndarray, asked: np.ndarray, n_images: int) -> dict[str, np.ndarray]:
    """``labels`` (N,) of all images, -1 where nobody gave one."""
    labels_N = np.full(n_images, -1, np.int64)
    labels_N[ids] = answers["labels"]
    return {"labels": labels_N}


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


def append(earlier: dict[str, np.ndarray], later: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Earlier answers followed by later ones."""
    return {name: np.concatenate([earlier[name], values]) for name, values in later.items()}
