"""What a segmenter and its pool tell about each unlabeled image: the scores of its pixels, put together while they stream by.

Nothing of the size of images x pixels x classes is ever held.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from dagal.acquisition import scores
from dagal.artifacts import Kind
from dagal.tasks.adversaries import RANKS
from dagal.tasks.segmentation.regions import Partition

BLOCK = 1 << 16  # pixels that are scored at a time

PIXEL_SIGNALS = Kind(
    "pixel_signals",
    1,
    {
        "ids": "unlabeled ids (n,), ascending; of regions, where a study asks for these: all else is then of their pixels",
        "least_confidence": "mean over the pixels of the score of that name (n,)",
        "margin": "mean over the pixels of the score of that name (n,)",
        "entropy": "mean over the pixels of the score of that name (n,), nats",
        "ratio": "mean over the pixels of the second largest probability by the largest (n,)",
        "impurity": "mean over the pixels of impurity x entropy around each (n,), see `dagal.tasks.segmentation.signals.impurity`",
        "dominant": "class that most of the pixels are taken for (n,)",
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

TRUE_PIXELS = Kind(
    "true_pixels",
    1,
    {
        "ids": "unlabeled ids (n,), ascending, of images or regions",
        "pixels": "true pixels of each class (n,C): made from the hidden masks, for baselines that know them",
    },
)

PIXEL_SCORES = ("least_confidence", "margin", "entropy", "ratio")
OF_PROBABILITIES = (*PIXEL_SCORES, "class_shares", "impurity", "dominant")  # of one pass
OF_REGIONS = frozenset({*OF_PROBABILITIES, "bald", "pixels"})  # what regions have as well
WINDOW = 3  # side of the window around a pixel (`impurity`)


def reduced(probs_C_P: np.ndarray, names: Iterable[str] = PIXEL_SCORES) -> dict[str, float]:
    """Mean over the pixels of these of `PIXEL_SCORES`, from the class probabilities of an image: those of classification, pixel by pixel."""
    sums, n = dict.fromkeys(names, 0.0), probs_C_P.shape[1]
    for start in range(0, n, BLOCK):
        probs_P_C = probs_C_P[:, start : start + BLOCK].T
        for name in sums:
            sums[name] += float(score(name)(probs_P_C).sum())
    return {name: total / n for name, total in sums.items()}


def score(name: str):
    """The function behind one of `PIXEL_SCORES`."""
    return best_versus_second_best if name == "ratio" else getattr(scores, name)


def best_versus_second_best(probs_P_C: np.ndarray) -> np.ndarray:
    """Second largest probability by the largest (P,), in 0..1 (Cai et al. 2021)."""
    top_P_2 = np.partition(probs_P_C, -2, axis=1)[:, -2:].astype(np.float64)
    return top_P_2[:, 0] / top_P_2[:, 1]


def impurity(probs_C_H_W: np.ndarray) -> np.ndarray:
    """Impurity of the predicted classes by uncertainty (H,W), of the `WINDOW` around each pixel (RIPU, Xie et al. 2022).

    Both are shares of log C: the entropy of the shares of the predicted classes in the window, and the mean of the entropies of its
    pixels. At the border the window is what lies in the image.
    """
    import cv2

    n_classes, shape = len(probs_C_H_W), probs_C_H_W.shape[1:]

    def in_window(values_H_W):
        return cv2.boxFilter(values_H_W, cv2.CV_64F, (WINDOW, WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)

    n_H_W, predicted_H_W = in_window(np.ones(shape)), probs_C_H_W.argmax(0)
    unlike_H_W = np.zeros(shape)
    for label in np.unique(predicted_H_W).tolist():
        # sums of ones are exact; rounded, as the filter may subtract
        share_H_W = np.rint(in_window((predicted_H_W == label).astype(np.float64))) / n_H_W
        unlike_H_W -= share_H_W * np.log(share_H_W, out=np.zeros(shape), where=share_H_W > 0)
    unsure_H_W = np.zeros(shape[0] * shape[1])
    probs_C_P = probs_C_H_W.reshape(n_classes, -1)
    for start in range(0, len(unsure_H_W), BLOCK):
        unsure_H_W[start : start + BLOCK] = scores.entropy(probs_C_P[:, start : start + BLOCK].T)
    return unlike_H_W * in_window(unsure_H_W.reshape(shape)) / n_H_W / np.log(n_classes) ** 2


def of_pixels(probs_C_H_W: np.ndarray, name: str) -> np.ndarray:
    """A signal (H,W) of each pixel: one of `PIXEL_SCORES`, or its impurity."""
    if name == "impurity":
        return impurity(probs_C_H_W)
    probs_C_P, function = probs_C_H_W.reshape(len(probs_C_H_W), -1), score(name)
    blocks = [function(probs_C_P[:, start : start + BLOCK].T) for start in range(0, probs_C_P.shape[1], BLOCK)]
    return np.concatenate(blocks).reshape(probs_C_H_W.shape[1:])


def means(values_H_W: np.ndarray, region_H_W: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Mean (n,) of values over the pixels of each of the regions with these numbers."""
    region_P = region_H_W.ravel()
    sums, sizes = np.bincount(region_P, values_H_W.ravel()), np.bincount(region_P)
    return sums[numbers] / sizes[numbers]


def of_image(probs_C_H_W: np.ndarray, names: Iterable[str]) -> dict[str, float | np.ndarray]:
    """Those of `OF_PROBABILITIES` of an image as a whole."""
    probs_C_P = probs_C_H_W.reshape(len(probs_C_H_W), -1)
    found = reduced(probs_C_P, [name for name in PIXEL_SCORES if name in names])
    if "class_shares" in names:
        found["class_shares"] = probs_C_P.mean(1, dtype=np.float64)
    if "impurity" in names:
        found["impurity"] = impurity(probs_C_H_W).mean()
    if "dominant" in names:
        found["dominant"] = dominant(probs_C_H_W, np.zeros(probs_C_H_W.shape[1:], np.int64))[0]
    return found


def of_regions(
    probs_C_H_W: np.ndarray, region_H_W: np.ndarray, numbers: np.ndarray, names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Those of `OF_PROBABILITIES` (n,...) of the regions with these numbers, from the class probabilities of their image; memory: a few maps of its size."""
    found = {}
    for name in names:
        if name == "class_shares":
            found[name] = np.stack([means(probs_H_W, region_H_W, numbers) for probs_H_W in probs_C_H_W], 1)
        elif name == "dominant":
            found[name] = dominant(probs_C_H_W, region_H_W)[numbers]
        else:
            found[name] = means(of_pixels(probs_C_H_W, name), region_H_W, numbers)
    return found


def dominant(probs_C_H_W: np.ndarray, region_H_W: np.ndarray) -> np.ndarray:
    """Class (R,) that most of the pixels of each region are taken for; the first one of equally many."""
    return class_pixels(probs_C_H_W.argmax(0), region_H_W, len(probs_C_H_W)).argmax(1)


def class_pixels(mask_H_W: np.ndarray, region_H_W: np.ndarray, n_classes: int) -> np.ndarray:
    """Pixels (R,C) of each class in each region 0 .. R-1; those without class are left out."""
    n_regions, known = int(region_H_W.max()) + 1, mask_H_W < n_classes
    places = region_H_W[known].astype(np.int64) * n_classes + mask_H_W[known]
    return np.bincount(places, minlength=n_regions * n_classes).reshape(n_regions, n_classes)


def by_image(partition: Partition, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(image, numbers of its regions) of ascending ids of regions, image by image."""
    image_N, number_N = partition.split(ids)
    images, first = np.unique(image_N, return_index=True)
    return zip(images.tolist(), np.split(number_N, first[1:])[: len(images)], strict=True)
