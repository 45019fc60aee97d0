"""Images with what the first model predicted in its last epochs, its confidence and their label-dispersion."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.report.tables.dispersion import method
from dagal.stopping import last_cycles, passed_through

SIDE, EPOCHS, WRONG = 128, 5, 3
CONFIDENT = 0.7  # of the paper's examples the least is .71


def make(job):
    from dagal.report import pictures

    rows, shown, captions = [], [], []
    if not passed_through(last_cycles(job.input.stop_records), job.params.seed, job.params.method, 1):
        rows, shown, captions = found(job.input)
    artifacts.write_csv(job.output.images, ["id", "class_name", "predicted", "confidence", "dispersion"], rows)
    if not shown:
        shown, captions = [np.full((SIDE, 3 * SIDE, 3), 255, np.uint8)], ["no images: the chain stopped at cycle 0"]
    pictures.write_png(job.output.figure, pictures.contact_sheet(shown, captions, 2))


def found(source) -> tuple[list, list, list]:
    """Rows of the table, pictures and captions of the `examples`."""
    from dagal.acquisition.scores import label_dispersion
    from dagal.report import pictures

    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    names = artifacts.attributes(source.truth, "truth")["class_names"]
    ids, trajectory_E_n = artifacts.read(source.trajectory, "trajectory", "ids", "trajectory")
    (probs_n_C,) = artifacts.read(source.signals, "signals", "probabilities")
    confidence_n, dispersion_n = probs_n_C.max(1), label_dispersion(trajectory_E_n, len(names))
    positions = examples(confidence_n, dispersion_n, trajectory_E_n[-1] == labels_N[ids])
    with artifacts.opened(source.images, "images") as file:
        shown = list(pictures.tiles(artifacts.rows(file["images"], ids[positions]), SIDE))
    rows, captions = [], []
    for position in positions:
        predicted = [str(names[label]) for label in trajectory_E_n[-EPOCHS:, position]]
        values = confidence_n[position], dispersion_n[position]
        rows.append([ids[position], names[labels_N[ids[position]]], " ".join(predicted), *values])
        captions.append(f"{', '.join(predicted)}. confidence {values[0]:.2f}, dispersion {values[1]:.2f}")
    return rows, shown, captions


def examples(confidence_n: np.ndarray, dispersion_n: np.ndarray, correct_n: np.ndarray) -> np.ndarray:
    """Positions of the right image of the least dispersion, then of the `WRONG` wrong ones of the greatest, in falling order.

    Only those of a confidence of `CONFIDENT` or more are looked at; of equal dispersion the most confident comes first, then the lowest position.
    Fewer, if there are no more. Source: paper 000, fig. 1.
    """
    sure_n = confidence_n >= CONFIDENT
    right, wrong = (np.flatnonzero(sure_n & kind_n) for kind_n in (correct_n, ~correct_n))
    right = right[np.lexsort((-confidence_n[right], dispersion_n[right]))]
    wrong = wrong[np.lexsort((-confidence_n[wrong], -dispersion_n[wrong]))]
    return np.concatenate([right[:1], wrong[:WRONG]])


def reads(study, at):
    start = study.node(study.seeds[0], method(study), 0)
    return {
        "images": study.images(study.seeds[0]),
        "truth": study.truth,
        "trajectory": study.file(start, "trajectory.h5"),
        "signals": study.path(start, "signals"),
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"figure": "{results}/figures/dispersion_images.png", "images": "{results}/dispersion_images.csv"},
    settings=lambda study, at: {"seed": study.seeds[0], "method": method(study)},
    # a point of two_moons is no picture
    when=lambda study: (
        classifies(study) and method(study) is not None and study.settings["dataset"]["loader"] != "two_moons"
    ),
    caption="""
    Images of the pool, with the classes that the first model of the first seed predicted in its last 5 epochs, its confidence, and
    the label-dispersion (Zolfaghari Bengar et al. 2021, fig. 1): the one of which it is most persistently right, then those on which
    it is wrong, confident at the end, and changed its mind most.
    """,
    category="Analysis",
    labels={"figure": "images and their predictions", "images": "images and their predictions"},
    environment="torch",
)
