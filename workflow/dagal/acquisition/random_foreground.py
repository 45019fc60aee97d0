"""A random choice that knows where the foreground is: what methods have to beat where background is most of the pixels."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le


def random_foreground(
    true_pixels_N_C: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    share: Annotated[float, Ge(0), Le(1)] = 0.66,
    background: list[int] | None = None,
) -> np.ndarray:
    """Positions (b,): ``share`` of the budget, rounded, with chances in proportion to their true foreground pixels, the rest alike, without
    replacement and in random order.

    ``background``: numbers of the classes that are no foreground; by default that with the most pixels. Candidates without foreground
    fill up where there are too few with any. After the foreground-aware random baselines of nnActive (Lüth et al. 2025), where a patch
    is laid around a random pixel of the foreground.
    """
    known = [int(true_pixels_N_C.sum(0).argmax())] if background is None else background
    foreground_N = np.delete(true_pixels_N_C, known, axis=1).sum(1)
    wanted = min(round(share * budget), int((foreground_N > 0).sum()))
    first = (
        rng.choice(len(foreground_N), wanted, replace=False, p=foreground_N / max(1, foreground_N.sum()))
        if wanted
        else []
    )
    others = np.setdiff1d(np.arange(len(foreground_N)), first)
    return rng.permutation(np.concatenate([first, rng.choice(others, budget - wanted, replace=False)]).astype(np.int64))
