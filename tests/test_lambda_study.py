"""The losses and the choice of lambda, by hand."""

import numpy as np
import pytest

from dagal.acquisition.lambda_study import choose_weight, losses


def test_losses_by_hand():
    score_N = np.array([1.0, 2.0, 4.0])
    probs_N_C = np.array([[1, 0], [0.5, 0.5], [0.25, 0.75]])
    # chosen: samples 0 and 2, so P^T z = (1.25, .75); required (1, 1)
    assert losses(score_N, probs_N_C, np.array([1.0, 1.0]), np.array([0, 2])) == (-5.0, 0.5)


@pytest.mark.parametrize(
    ("l1_loss", "tolerance", "chosen"),
    [
        ([10, 6, 3, 2, 2], 0.0, 3.0),  # 2 is reached at the fourth weight
        ([10, 6, 3, 2, 2], 0.125, 2.0),  # 3 -> 2 is an eighth of the range 8
        ([10, 6, 3, 2, 2], 0.12, 3.0),
        ([5, 5, 5, 5, 5], 0.02, 0.0),  # balancing changes nothing
        ([10, 4, 4, 4, 1], 0.1, 4.0),  # a plateau before a fall is not the end
        ([10, 2, 3, 2, 2], 0.0, 1.0),  # a rise is no fall
    ],
)
def test_choice_by_hand(l1_loss, tolerance, chosen):
    assert choose_weight(np.arange(5.0), np.array(l1_loss, float), tolerance) == chosen
