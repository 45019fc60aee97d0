"""Several annotators of one image: which answer counts, how alike two answers are, and how good each annotator is."""

from pathlib import Path

import numpy as np

from dagal.errors import UserError
from dagal.geometry import iou_matrix

SAME_BOX = 0.5  # intersection over union of two boxes of one object
# how alike two answers must be to be one; of classes and boxes entirely: no object may be missing or of another class
SAME = {"label": 1.0, "boxes": 1.0, "mask": 0.8}
DECISION = "decision"  # source of an answer that settles what annotators differ in, or corrects it
NONE = 255  # a pixel of a mask without class
CHANGE, MOST_ITERATIONS = 1e-9, 2000  # of a probability, with which Dawid and Skene's iteration ends


def resolve(latest: dict[int, dict[str, dict]], folder: str | Path | None = None) -> dict[int, dict | None]:
    """Id -> the answer that most of its annotators gave; None for a conflict, which waits for another answer: two have as many votes.

    ``latest`` is what `answers.latest` returns. An answer of the source `DECISION` beats all others, the last one of several. "unsure"
    and "no_class" are votes as classes are. Of boxes and masks that agree (`SAME`) the one counts that is most like the others. Masks
    are read from ``folder``, that of the log.
    """
    return {image: _resolved(list(given.values()), folder) for image, given in latest.items()}


def _resolved(votes: list[dict], folder: str | Path | None) -> dict | None:
    if settled := [vote for vote in votes if vote["source"] == DECISION]:
        return max(settled, key=lambda vote: vote["at"])
    if len(votes) == 1:
        return votes[0]
    least = next((SAME[kind(vote)] for vote in votes if vote["state"] == "labeled"), 1.0)
    alike_N_N = np.array([[similarity(one, other, folder) for other in votes] for one in votes])
    support_N = (alike_N_N >= least).sum(1)
    best = np.lexsort((-alike_N_N.sum(1), -support_N))[0]  # the first of several
    others_N = support_N[alike_N_N[best] < least]
    return votes[best] if (others_N < support_N[best]).all() else None


def decided(answers: dict[str, dict], annotators: int, folder: str | Path | None = None) -> tuple[str, dict | None]:
    """("decided", what was answered), ("waiting", None) while annotators are missing, or ("conflict", None), of one image.

    ``answers``: annotator -> the answer that counts. One of the source `DECISION` needs no others; else ``annotators`` or more give one.
    """
    votes = list(answers.values())
    if len(votes) < annotators and all(vote["source"] != DECISION for vote in votes):
        return "waiting", None
    found = _resolved(votes, folder)
    return ("conflict", None) if found is None else ("decided", {name: found[name] for name in ("state", *SAME)})


def kind(answer: dict) -> str:
    """What an answer with a label consists of: ``label``, ``boxes`` or ``mask``."""
    return next((name for name in SAME if answer[name] is not None), "label")


def similarity(one: dict, other: dict, folder: str | Path | None = None) -> float:
    """How alike two answers about an image are, in 0..1.

    Of classes 1 or 0; of boxes the F1 score of those that match (`matches`), 1 where both are empty; of masks the `mean_iou`.
    """
    if one["state"] != other["state"]:
        return 0.0
    if one["state"] != "labeled":
        return 1.0
    what = kind(one)
    if what == "label":
        return float(one["label"] == other["label"])
    if what == "boxes":
        n = len(one["boxes"]) + len(other["boxes"])
        return 2 * matches(one["boxes"], other["boxes"]) / n if n else 1.0
    return mean_iou(*(read_mask(folder, answer["mask"]) for answer in (one, other)))


def matches(one: list, other: list) -> int:
    """Most pairs, one to one, of boxes ``[x1, y1, x2, y2, class]`` of one class that overlap by `SAME_BOX` or more."""
    from scipy.optimize import linear_sum_assignment

    if not one or not other:
        return 0
    overlaps = iou_matrix(*(np.array([box[:4] for box in boxes], np.float64) for boxes in (one, other)))
    same_class = np.array([[a[4] == b[4] for b in other] for a in one])
    pairs = (overlaps >= SAME_BOX) & same_class
    return int(pairs[linear_sum_assignment(pairs, maximize=True)].sum())


def mean_iou(one_H_W: np.ndarray, other_H_W: np.ndarray) -> float:
    """Intersection over union of each class that either mask has, averaged; 1 if none has any. Pixels of no class are no class."""
    classes = np.setdiff1d(np.union1d(one_H_W, other_H_W), [NONE])
    if not len(classes):
        return 1.0
    ious = []
    for number in classes:
        first, second = one_H_W == number, other_H_W == number
        ious.append((first & second).sum() / (first | second).sum())
    return float(np.mean(ious))


def read_mask(folder: str | Path, name: str) -> np.ndarray:
    """The mask (H,W) uint8 of an answer. Raises UserError if it is missing or no PNG of one channel."""
    import cv2

    image = cv2.imread(str(Path(folder) / name), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2 or image.dtype != np.uint8:
        raise UserError(f"{Path(folder) / name} is no mask of 8 bits: restore it, or answer that image again.")
    return image


def dawid_skene(
    item_V: np.ndarray, annotator_V: np.ndarray, class_V: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes and error rates by maximum likelihood, from V votes: class ``class_V`` of ``annotator_V`` about ``item_V``, all from 0.

    Returns the probability of each class of each item (N,C), the share of each class (C,), and how often an annotator says l of items of
    class k (A,C,C), NaN where no item is of that class. EM from the shares of the votes; what it finds is a local maximum. Dawid and
    Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, Applied Statistics 28 (1979), sec. 3. Time O(V C)
    an iteration.
    """
    from scipy.sparse import coo_array

    n_annotators = annotator_V.max() + 1
    places = item_V, annotator_V * n_classes + class_V
    shape = item_V.max() + 1, n_annotators * n_classes
    votes_N_AC = coo_array((np.ones(len(item_V)), places), shape=shape).tocsr()
    probs_N_C = votes_N_AC @ np.tile(np.eye(n_classes), (n_annotators, 1))
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(MOST_ITERATIONS):
            share_C = probs_N_C.mean(0)
            said_A_C_C = (votes_N_AC.T @ probs_N_C).reshape(
                n_annotators, n_classes, n_classes
            )  # annotator, vote, class
            rates_A_C_C = (said_A_C_C / said_A_C_C.sum(1, keepdims=True)).swapaxes(1, 2)
            log_N_C = np.log(share_C) + votes_N_AC @ np.log(rates_A_C_C).swapaxes(1, 2).reshape(-1, n_classes)
            before, probs_N_C = probs_N_C, np.nan_to_num(np.exp(log_N_C - np.nanmax(log_N_C, 1, keepdims=True)))
            probs_N_C /= probs_N_C.sum(1, keepdims=True)
            if np.abs(probs_N_C - before).max() < CHANGE:
                break
    return probs_N_C, share_C, rates_A_C_C
