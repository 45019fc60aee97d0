"""What a classifier and its pool tell about each unlabeled image: the signals that scores and selectors may ask for."""

from collections.abc import Iterable, Iterator

import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind, Writer
from dagal.tasks import adversaries
from dagal.tasks.adversaries import RANKS

# argument of a score or selector -> (kind of file, data set) of the signal that it stands for
SIGNALS = {
    "probs_N_C": ("signals", "probabilities"),
    "embeddings_N_D": ("signals", "embeddings"),
    "centers_L_D": ("signals", "labeled_embeddings"),
    "trajectory_E_N": ("trajectory", "trajectory"),
    "draws_T_N_C": ("draws", "draws"),
    "boundary_N": ("boundary", "distance"),
    "predicted_loss_N": ("signals", "predicted_loss"),
    "logits_N_C": ("signals", "logits"),
    "weight_norms_C": ("signals", "weight_norms"),
    "noise_K_N_C": ("noise", "changes"),
    "weights_C_D": ("head", "weights"),
    "biases_C": ("head", "biases"),
    "discriminator_N": ("adversary", "discriminator"),
    "queried_B": ("query", "ids"),
    "truth_N": ("truth", "labels"),
}
# signals that only an SVM has a meaning for
OF_SVM = {"logits", "weight_norms"}


def file_of(method: dict, kind: str) -> str:
    """The file behind a kind of signal, without ending: draws come from dropout, an ensemble or both, and there are several adversaries."""
    if kind == "draws" and method["draws"] != "dropout":
        return method["draws"]
    return adversaries.file_of(method, kind)


PREDICTIONS = Kind(
    "predictions",
    1,
    {
        "ids": "test ids, then validation ids (n,)",
        "probabilities": "class probabilities of the final model (n,C)",
    },
)

SIGNALS_FILE = Kind(
    "signals",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "probabilities": "class probabilities (n,C)",
        "embeddings": "penultimate-layer embeddings (n,D)",
        "labeled_ids": "labeled ids (L,), ascending",
        "labeled_embeddings": "penultimate-layer embeddings of the labeled ids (L,D)",
        "predicted_loss": "loss that the learner predicts for itself (n,)",
        "labeled_predicted_loss": "the same for the labeled ids (L,)",
        "logits": "what the head says of each class (n,C) before the softmax: the decision values of an SVM",
        "weight_norms": "Euclidean norm of the head's weights of each class (C,)",
    },
)

POOL_PREDICTIONS = Kind(
    "pool_predictions",
    1,
    {
        "ids": "ids of the images of the pool that have no label (n,), ascending",
        "probabilities": "class probabilities of the final model (n,C)",
    },
)

CROSS_VALIDATION = Kind(
    "cross_validation",
    1,
    {
        "ids": "labeled ids (L,) in the order in which they were labeled",
        "probabilities": "class probabilities of a model that was trained without the image (L,C)",
    },
)

TRAJECTORY = Kind(
    "trajectory",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "trajectory": "class predicted after each training epoch (E,n)",
    },
)

# what a training may record of the pool after each epoch, by the kind of file that holds it
FOLLOWED = {"trajectory": TRAJECTORY, "ranks": RANKS}

DRAWS = Kind(
    "draws",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "draws": "class probabilities of T passes with dropout, or of the K members of an ensemble (T,n,C)",
    },
)

NOISE = Kind(
    "noise",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "changes": "class probabilities under each of K noises in the weights less those without, over the norm of the latter (K,n,C)",
    },
)

HEAD = Kind(
    "head",
    1,
    {
        "weights": "weights of the model's last layer, which is linear in the embeddings (C,D)",
        "biases": "its biases (C,)",
    },
)

# what a pass of a model gives (`dagal.learners.inference.predict`), as the data sets of signals.h5 that hold it
OF_POOL = ("probabilities", "embeddings", "predicted_loss", "logits")
OF_LABELED = (None, "labeled_embeddings", "labeled_predicted_loss", None)


def record(writer: Writer, wanted: Iterable[str], n: int, names: tuple, batches: Iterable[tuple]) -> None:
    """Write those outputs of a pass over n images that are wanted, batch by batch."""
    outputs, first = {}, 0
    for batch in batches:
        for name, values in zip(names, batch, strict=True):
            if name in wanted:
                if name not in outputs:
                    outputs[name] = writer.dataset(name, (n, *values.shape[1:]), np.float32)
                outputs[name][first : first + len(values)] = values
        first += len(next(values for values in batch if values is not None))


def gathered(paths: Iterable[str], ids: str, names: tuple, batch_size: int) -> Iterator[tuple]:
    """The batches of a single pass, from the files of jobs that did a part of it each; ``ids`` names the ids of their rows."""
    for path in paths:
        with artifacts.opened(path, "signals") as file:
            for first in range(0, len(file[ids]), batch_size):
                part = slice(first, first + batch_size)
                yield tuple(file[name][part] if name and name in file else None for name in names)
