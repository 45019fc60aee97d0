"""Balance by hard pseudo-labels, by hand."""

import numpy as np
import pytest

from dagal.acquisition.pseudo_label import pseudo_label
from dagal.errors import UserError

SCORE = np.array([0.1, 0.9, 0.8, 0.7, 0.6, 0.2])
PREDICTED = np.array([1, 0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("required", "budget", "expected"),
    [
        ([1, 2], 3, [1, 5, 0]),  # one of class 0, two of class 1, best score first
        ([3, 0], 3, [1, 2, 3]),
        ([0, 4], 4, [1, 2, 5, 0]),  # class 1 has two; the rest by score
        ([1, 1], 3, [1, 2, 5]),  # 1.5 each: the odd one goes to the first class
        ([4, 8], 3, [1, 5, 0]),  # more required than the budget: in proportion
        ([0, 0], 2, [1, 2]),  # nothing lacking: plain top scores
        ([3, 3], 6, [1, 2, 3, 4, 5, 0]),
    ],
)
def test_by_hand(required, budget, expected):
    positions = pseudo_label(SCORE, np.eye(2)[PREDICTED], np.array(required, float), budget)
    assert positions.tolist() == expected


def test_random_problems_against_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, n_classes = rng.integers(5, 40), rng.integers(2, 6)
        budget = rng.integers(1, n + 1)
        score_N, probs_N_C = rng.random(n), rng.dirichlet(np.ones(n_classes), n)
        required_C = rng.integers(0, 9, n_classes).astype(float)
        required_C *= budget / max(required_C.sum(), 1)
        quota_C = np.floor(required_C).astype(int)
        for c in sorted(range(n_classes), key=lambda c: quota_C[c] - required_C[c])[
            : round(required_C.sum()) - quota_C.sum()
        ]:
            quota_C[c] += 1
        order, chosen = sorted(range(n), key=lambda i: -score_N[i]), set()
        for c in range(n_classes):
            chosen |= set([i for i in order if probs_N_C[i].argmax() == c][: quota_C[c]])
        for i in order:
            if len(chosen) < budget:
                chosen.add(i)
        assert pseudo_label(score_N, probs_N_C, required_C, budget).tolist() == [i for i in order if i in chosen]


@pytest.mark.parametrize("budget", [0, 7])
def test_budget_outside_the_pool(budget):
    with pytest.raises(UserError, match="from 1 to 6"):
        pseudo_label(SCORE, np.eye(2)[PREDICTED], np.ones(2), budget)
