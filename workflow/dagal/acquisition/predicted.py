"""What a model thinks of what is queried: told to whoever labels it."""

from pathlib import Path

import numpy as np

from dagal import artifacts

# data sets of signals that tell a class
TELLING = ("probabilities", "draws")


def predicted(path: str | Path, kind: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class of each id (n,), int64, and its probability (n,), from a file of signals; -1 and NaN where there is none.

    Of draws, the class of their mean; of the detections of a frame, that of the surest one, column 0 being the background.
    """
    with artifacts.opened(path, kind) as file:
        rows_n = np.searchsorted(file["ids"][()], ids)
        if "offsets" not in file:
            if "draws" in file:
                probs_n_C = np.mean(file["draws"][()], 0)[rows_n]
            else:
                probs_n_C = artifacts.rows(file["probabilities"], rows_n)
            return probs_n_C.argmax(1), probs_n_C.max(1)
        offsets, probs_M_K = file["offsets"][()], file["probabilities"][()][:, 1:]
    class_n, probability_n = np.full(len(ids), -1), np.full(len(ids), np.nan)
    for place, row in enumerate(rows_n):
        own = probs_M_K[offsets[row] : offsets[row + 1]]
        if len(own):
            class_n[place] = own.max(0).argmax()
            probability_n[place] = own.max()
    return class_n, probability_n
