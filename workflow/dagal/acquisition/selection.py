"""Selectors: positions (b,) int64 of the queried candidates, in order of choice.

A selector says by the names of its arguments what it reads (see `dagal.tasks.Task.signals`). Larger ones have a
file of their own and are found here by name: ``selection.badge`` is the function in ``badge.py``.
"""

import importlib

import numpy as np

# loaded on demand: start-up stays quick, and a change of one selector reruns only the methods that use it
FILES = {
    "acs_fw": "acs_fw",
    "alfa_mix": "alfa_mix",
    "average_margin": "average_margin",
    "badge": "badge",
    "badge_cover": "covers",
    "batch_bald": "batch_bald",
    "class_balanced": "class_balanced",
    "clue": "clue",
    "cluster_margin": "cluster_margin",
    "core_gcn": "gcn",
    "core_set": "core_set",
    "dal": "dal",
    "diverse_mini_batch": "diverse_mini_batch",
    "exploration_p": "exploration_p",
    "informative_diverse": "informative_diverse",
    "kcenter_class_balanced": "kcenter",
    "kcenter_cover": "covers",
    "kcenter_greedy": "kcenter",
    "margin_cluster_mean": "margin_cluster_mean",
    "noise_stability": "noise_stability",
    "probcover": "probcover",
    "pseudo_label": "pseudo_label",
    "random_foreground": "random_foreground",
    "temporal_spread": "temporal_spread",
    "transfer": "transfer",
    "typiclust": "typiclust",
    "uncertain_gcn": "gcn",
    "waal": "waal",
}


def __getattr__(name: str):
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"dagal.acquisition.{FILES[name]}"), name)


def top_k(score_N: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """The ``budget`` largest scores, best first, ties in random order. O(N + b log b)."""
    return largest(score_N, rng.random(len(score_N)), budget)


def largest(score_N: np.ndarray, tie_N: np.ndarray, budget: int) -> np.ndarray:
    """Positions of the ``budget`` largest scores, best first; of equal ones those of the smallest ``tie_N``."""
    kept = np.arange(len(score_N))
    if budget < len(score_N):  # sorting millions for a few is slow
        kept = np.flatnonzero(score_N >= np.partition(score_N, -budget)[-budget])
    return kept[np.lexsort((tie_N[kept], -score_N[kept]))[:budget]]
