"""How well a detector tells empty camera-trap images and counts animals (Norouzzadeh et al. 2019, in 002, sec. 4.1 and 4.2)."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item

BINS = [*map(str, range(11)), "11-50", "51+"]  # 0 is no bin of the paper's: a detector that sees nothing does not count


def bin_of(animals_N: np.ndarray) -> np.ndarray:
    """Position (N,) in `BINS` of numbers of animals (N,), at least 0."""
    return np.where(animals_N <= 10, animals_N, np.where(animals_N <= 50, 11, 12))


def presence(animals_S: np.ndarray, detected_S: np.ndarray) -> list[tuple[str, str, int, float | None]]:
    """Confusion matrix (number of images), accuracy, precision and recall of "not empty" as (measure, "all", images, value).

    ``animals_S`` (S,) true number of each image, -1 for some not counted; ``detected_S`` (S,) animals detected. A measure over no
    image is None.
    """
    there_S, seen_S = animals_S != 0, detected_S > 0
    counts = {
        "true_empty": np.sum(~there_S & ~seen_S), "false_animal": np.sum(~there_S & seen_S),
        "false_empty": np.sum(there_S & ~seen_S), "true_animal": np.sum(there_S & seen_S),
    }  # fmt: skip
    measured = {
        "accuracy": (there_S == seen_S, slice(None)),
        "precision": (there_S, seen_S),
        "recall": (seen_S, there_S),
    }
    rows = [(name, "all", len(there_S), int(count)) for name, count in counts.items()]
    return rows + [(name, "all", *share(hit_S[among])) for name, (hit_S, among) in measured.items()]


def count_accuracy(animals_S: np.ndarray, detected_S: np.ndarray) -> list[tuple[str, str, int, float | None]]:
    """Share of the counted, not empty images whose detected number is in the right bin (``exact``) or in it or one beside (``within_one``).

    Of all of them, then of each true bin, as (measure, bin, images, value). An image in which nothing is detected has no count: wrong.
    """
    counted = animals_S > 0
    true_n, found_n = bin_of(animals_S[counted]), bin_of(detected_S[counted])
    away_n = np.where(found_n > 0, abs(true_n - found_n), len(BINS))
    rows = []
    for measure, most in (("exact", 0), ("within_one", 1)):
        rows.append((measure, "all", *share(away_n <= most)))
        rows += [(measure, BINS[k], *share(away_n[true_n == k] <= most)) for k in range(1, len(BINS))]
    return rows


def share(hit_n: np.ndarray) -> tuple[int, float | None]:
    """Number of images, and the share of them that are hits."""
    return len(hit_n), float(hit_n.mean()) if len(hit_n) else None


def make(job):
    (detected_S,) = artifacts.read(job.input.images, "images", "detected")
    (animals_S,) = artifacts.read(job.input.truth, "truth", "animals")
    rows = presence(animals_S, detected_S) + count_accuracy(animals_S, detected_S)
    artifacts.write_csv(job.output.counting, ["measure", "bin", "images", "value"], rows)
    for measure, number, images, value in rows:
        if number == "all" and value is not None:
            print(f"{measure} of {images:,} images: {value:.6g}")


def has_survey(study) -> bool:
    """Whether the images are crops of camera traps' images, whose animals a detector has counted."""
    return study.settings["dataset"]["loader"] == "camera_trap"


ITEM = Item(
    make=make,
    reads=lambda study, at: {"images": study.clean_images, "truth": study.truth},
    writes={"counting": "{results}/counting.csv"},
    when=has_survey,
    caption="""
    What the detector alone tells of the camera-trap images, without any label. Left: images with and without animals, in truth
    and as detected, each row's shares. Right: share of the images with animals whose detected number is in the right bin (1 to 10,
    11-50, 51+), or in that or a neighbouring one, by the true bin; an image in which nothing was detected counts as wrong.
    """,
    category="Tables",
    labels={"counting": "empty images and counts"},
)
