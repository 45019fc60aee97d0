"""Two moons, the toy of TA-VAAL (paper 004, sec. 4.1): points in a plane, stored as images of two channels and one pixel."""

import numpy as np

from dagal.datasets.source import Source

TRAIN, TEST = (500, 50), (500, 500)  # points of the outer and the inner moon
NOISE = 0.2
LOW, HIGH = np.array([-2.0, -1.5]), np.array([3.0, 2.0])  # of x and y; a moon and five standard deviations fit in


def two_moons(settings: dict) -> Source:
    """550 unbalanced points to train on and 1,000 balanced ones to test on, from scikit-learn's generator; always the same."""
    from sklearn.datasets import make_moons

    parts = [make_moons(sizes, noise=NOISE, random_state=seed) for seed, sizes in enumerate((TRAIN, TEST))]
    points_N_2, labels_N = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    images = to_pixels(points_N_2).reshape(-1, 1, 1, 2)
    return Source(["outer", "inner"], labels_N.astype(np.int64), sum(TRAIN), enumerate(images))


def to_pixels(points_N_2: np.ndarray) -> np.ndarray:
    """Points -> uint8 (N,2): `LOW` to `HIGH` in 256 steps, 0.020 of x and 0.014 of y; what lies outside goes to the edge."""
    steps_N_2 = (points_N_2 - LOW) / (HIGH - LOW) * 255
    return np.rint(np.clip(steps_N_2, 0, 255)).astype(np.uint8)


def to_points(pixels_N_2: np.ndarray) -> np.ndarray:
    """What `to_pixels` kept of the points (N,2), float64, at most half a step from where they were."""
    return LOW + pixels_N_2.astype(np.float64) * ((HIGH - LOW) / 255)


def grid(every: int) -> np.ndarray:
    """uint8 (M,2), row by row: every ``every``-th place that a point can have."""
    steps = np.arange(0, 256, every, dtype=np.uint8)
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
