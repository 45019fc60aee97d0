"""When a chain of cycles stops (paper 002, sec. 3.4): at a target accuracy, or when its accuracy or its predictions have stabilized."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind

STOP_SET = Kind(
    "stop_set",
    1,
    {
        "ids": "ids of the images of the pool on which the predictions of consecutive models are compared, ascending",
    },
)

STOP_PREDICTIONS = Kind(
    "stop_predictions",
    1,
    {
        "ids": "ids of the stop set (n,), ascending",
        "predicted": "class predicted by the final model (n,)",
    },
)


def cohen_kappa(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Cohen's kappa of two models' predicted classes (N,): (p_o - p_e) / (1 - p_e).

    p_o is the share of samples on which they agree, p_e the one expected if each kept its class frequencies but chose at random. 1:
    they agree everywhere; 0: no more than by chance. NaN if both give one and the same class throughout (0 / 0): such models
    cannot disagree, so their agreement says nothing. Raises ValueError for unequal or empty input.
    """
    if first_N.ndim != 1 or first_N.shape != second_N.shape or len(first_N) == 0:
        raise ValueError(f"one class per sample is needed from both, found shapes {first_N.shape}, {second_N.shape}")
    n_classes = 1 + max(first_N.max(), second_N.max())
    share_C, other_C = (np.bincount(classes, minlength=n_classes) / len(classes) for classes in (first_N, second_N))
    expected = share_C @ other_C
    return float((np.mean(first_N == second_N) - expected) / (1 - expected)) if expected < 1 else np.nan


def reason_to_stop(
    accuracies: list, kappas: list, target_accuracy: float | None, kappa: dict | None, accuracy_change: dict | None
) -> str | None:
    """Why a chain stops now, as the end of a sentence; None if it goes on.

    ``accuracies`` on the validation set in cycle 0, 1, ...; ``kappas``: of the models of cycle 1, 2, ... with the one before each,
    None where undefined; the others as in the config's ``stopping``. Stabilizing Predictions: kappa above the threshold in the last
    ``cycles`` cycles (Bloodgood and Vijay-Shanker 2009). Change of accuracy: below the threshold, up or down, in each of them.
    """
    if target_accuracy is not None and accuracies[-1] >= target_accuracy:
        return f"validation accuracy {accuracies[-1]:.4f} has reached the target {target_accuracy:g}"
    last = kappas[-kappa["cycles"] :] if kappa else []
    if kappa and len(last) == kappa["cycles"] and all(k is not None and k > kappa["threshold"] for k in last):
        shown = ", ".join(f"{k:.4f}" for k in last)
        return f"the predictions have stabilized: kappa {shown} is above {kappa['threshold']:g} in {len(last)} cycles"
    last = accuracies[-accuracy_change["cycles"] - 1 :] if accuracy_change else []
    changes = [abs(after - before) for before, after in pairwise(last)]
    if changes and len(changes) == accuracy_change["cycles"] and max(changes) < accuracy_change["threshold"]:
        shown = ", ".join(f"{accuracy:.4f}" for accuracy in last)
        return f"validation accuracy {shown} has changed by less than {accuracy_change['threshold']:g} in {len(changes)} cycles"
    return None


def last_cycles(paths: Iterable[str]) -> dict[tuple[int, str], int]:
    """(seed, branch) -> the last cycle that the chain trained, of the chains that stopped; from the stopping.json of nodes."""
    found = {}
    for path in paths:
        record = artifacts.read_json(path)
        if record["stopped"]:
            seed, branch, _ = artifacts.node(path)
            found[seed, branch] = record["cycle"]
    return found


def passed_through(last_cycle: dict[tuple[int, str], int], seed: int, branch: str, cycle: int) -> bool:
    """Whether a chain had stopped before a cycle, whose files are then links; ``last_cycle`` as from `last_cycles`."""
    return cycle > last_cycle.get((seed, branch), cycle)
