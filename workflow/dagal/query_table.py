"""What one hands to whoever labels a query: the file of each queried id, and what the model takes it for."""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.datasets.origins import origins

# data sets of signals that tell a class
TELLING = ("probabilities", "draws")


def query_table(
    images: str,
    labeled: str,
    signals: str | None,
    kind: str | None,
    ids: np.ndarray,
    score_n: np.ndarray,
    regions: str | None = None,
) -> dict[str, list]:
    """Columns of the table, a row for each of ``ids`` (n,) in the order of choice; None for what is not known.

    Images and labels are told by the artifacts ``images`` and ``labeled``, predictions by the file ``signals`` of a ``kind``, if any;
    with ``regions``, a regions.h5, the ids are those of regions, and the table says the image and the number in it of each.
    """
    nothing = [None] * len(ids)
    columns, image_n = {"order": list(range(1, len(ids) + 1)), "id": ids.tolist(), "file": nothing}, ids
    if regions:
        image_n, number_n = np.divmod(ids, artifacts.read(regions, "regions", "counts")[0].max())
        columns |= {"image": image_n.tolist(), "region": number_n.tolist()}
    columns |= origins(images, image_n)
    columns |= {"score": score_n.tolist(), "predicted_class": nothing, "probability": nothing}
    if signals:
        class_names = artifacts.attributes(labeled, "labeled")["class_names"]
        class_n, probability_n = predicted(signals, kind, ids)
        columns["predicted_class"] = [None if label < 0 else str(class_names[label]) for label in class_n]
        columns["probability"] = [None if np.isnan(value) else f"{value:.6g}" for value in probability_n]
    return columns


def predicted(path: str | Path, kind: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class of each id (n,), int64, and its probability (n,), from a file of signals; -1 and NaN where there is none.

    Of draws, the class of their mean; of the detections of a frame, that of the surest one, column 0 being the background.
    """
    with artifacts.opened(path, kind) as file:
        rows_n = np.searchsorted(file["ids"][()], ids)
        if "offsets" not in file:
            if "draws" in file:
                draws = file["draws"]  # one at a time: together they are many times the pool
                probs_n_C = sum(draw_N_C[rows_n] for draw_N_C in draws) / len(draws)
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
