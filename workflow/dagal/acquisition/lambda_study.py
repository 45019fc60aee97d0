"""How strongly to balance: the losses of eq. 4.8 (003) over the weight lambda, and the choice of lambda."""

import numpy as np

from dagal.artifacts import Kind

SWEEP = Kind(
    "sweep",
    1,
    {
        "weights": "weights lambda of the balancing term (W,)",
        "queries": "ids queried at each weight, then by top_k and by pseudo-labels (W+2,b)",
        "score_loss": "minus the summed scores of each query (W+2,)",
        "l1_loss": "L1 distance of the expected class counts of each query from the required ones (W+2,)",
    },
)


def losses(
    score_N: np.ndarray, probs_N_C: np.ndarray, required_C: np.ndarray, positions: np.ndarray
) -> tuple[float, float]:
    """The two terms of eq. 4.8 for the selected ``positions``: minus their summed scores, and ||required - P^T z||_1."""
    l1_loss = np.abs(required_C - probs_N_C[positions].sum(0, dtype=np.float64)).sum()
    return -float(score_N[positions].sum()), float(l1_loss)


def choose_weight(weights_W: np.ndarray, l1_loss_W: np.ndarray, tolerance: float) -> float:
    """The smallest weight after which the L1 loss no longer falls (003, secs. 4.4.1 and 4.5.1).

    ``weights_W`` ascending. A fall counts if it is more than ``tolerance`` times the range of the L1 loss.
    """
    still_possible_W = l1_loss_W - np.minimum.accumulate(l1_loss_W[::-1])[::-1]
    settled = still_possible_W <= tolerance * np.ptp(l1_loss_W)
    return float(np.asarray(weights_W)[np.argmax(settled)])
