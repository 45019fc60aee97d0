"""What a segmenter and its pool tell about each unlabeled image: the scores of its pixels, put together while they stream by.

Nothing of the size of images x pixels x classes is ever held.
"""

from collections.abc import Iterable

import numpy as np

from dagal.acquisition import scores
from dagal.artifacts import Kind
from dagal.tasks.adversaries import RANKS

BLOCK = 1 << 16  # pixels that are scored at a time

PIXEL_SIGNALS = Kind(
    "pixel_signals",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "least_confidence": "mean over the pixels of the score of that name (n,)",
        "margin": "mean over the pixels of the score of that name (n,)",
        "entropy": "mean over the pixels of the score of that name (n,), nats",
        "bald": "mean over the pixels of the mutual information over draws (n,), nats",
        "class_shares": "mean probability of each class over the pixels (n,C): the shares of the image that are expected of it",
        "embeddings": "mean of the features over the area of the image (n,D)",
        "labeled_ids": "labeled ids (L,), ascending",
        "labeled_embeddings": "the same of each labeled id (L,D)",
        "predicted_loss": "loss that the learner predicts for itself (n,)",
        "labeled_predicted_loss": "the same for the labeled ids (L,)",
    },
)

PIXEL_TRAJECTORY = Kind(
    "pixel_trajectory",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "dispersion": "mean over the pixels of their label-dispersion over the training epochs (n,)",
    },
)

# what a training may record of the pool after each epoch, by the kind of file that holds it
FOLLOWED = {"pixel_trajectory": PIXEL_TRAJECTORY, "ranks": RANKS}

PREDICTIONS = Kind(
    "predictions",
    1,
    {
        "ids": "test ids, then validation ids (n,)",
        "masks": "predicted class of each pixel (n,H,W)",
        "shown": "positions (k,) in ids of the test images that are kept for pictures",
        "entropy": "entropy of each pixel of these (k,H,W), 0 to 255 for 0 to log C",
    },
)

PIXEL_SCORES = ("least_confidence", "margin", "entropy")


def reduced(probs_C_P: np.ndarray, names: Iterable[str] = PIXEL_SCORES) -> dict[str, float]:
    """Mean over the pixels of these of `PIXEL_SCORES`, from the class probabilities of an image: those of classification, pixel by pixel."""
    sums, n = dict.fromkeys(names, 0.0), probs_C_P.shape[1]
    for start in range(0, n, BLOCK):
        probs_P_C = probs_C_P[:, start : start + BLOCK].T
        for name in sums:
            sums[name] += float(getattr(scores, name)(probs_P_C).sum())
    return {name: total / n for name, total in sums.items()}
