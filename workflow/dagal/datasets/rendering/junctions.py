"""Junctions: where a side road crosses the road, and the paths of vehicles that pass or turn there.

A junction at s has the side road's axis across the road: at distance u to the right of the road's axis and w beyond the junction, the
side road is where |w| is small. Both roads have the same cross-section. Metres, seconds.
"""

import numpy as np

from dagal.datasets.rendering import textures
from dagal.datasets.rendering.roads import Area

FORWARD = np.array(
    [(0, 1), (0, -1), (1, 0), (-1, 0)]
)  # (u, w) of who comes from before the camera's junction, from beyond, left, right
LEFT, STRAIGHT, RIGHT = -1, 0, 1
# every path: (arm that it comes from, turn); straight on along the road is what all other vehicles do
PATHS = [(arm, turn) for arm in range(4) for turn in (LEFT, STRAIGHT, RIGHT) if turn or arm > 1]
ONWARD = {(0, STRAIGHT), (2, LEFT), (3, RIGHT)}  # paths that end on the road, in the direction of the camera
ROUNDING, KERB = 3.0, 0.22  # radius of the corners and width of the kerb
BRAKING = 2.5  # m/s2 before a turn, and after it as acceleration


def places(rng: np.random.Generator, area: Area, share: float, end: float) -> np.ndarray:
    """Positions of the junctions along a road (J,): of the places, one in every tile of the ground, each with a probability of ``share``.

    A road without pavements, the highway, has none.
    """
    every = np.arange(textures.JUNCTION, end, textures.TILE[0])
    return every[rng.random(len(every)) < share] if area.walk else every[:0]


def clear(s, junctions_J: np.ndarray, reach: float) -> np.ndarray:
    """Whether positions along the road are farther than ``reach`` from all junctions."""
    return (np.abs(np.asarray(s)[..., None] - np.asarray(junctions_J)) > reach).all(-1)


def follow(
    lane, arm, turn, radius, speed, slow, t
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vehicles on their paths (n,), ``t`` after (before, where negative) they begin to turn, or pass the side road's axis.

    ``lane`` is the distance to the right of the axis, of either road. A turn is a quarter of a circle of ``radius`` at the speed ``slow``.
    Returns u, w, the direction (du, dw) of length 1, and the way since t = 0.
    """
    radius, slow = np.where(turn == STRAIGHT, 0.0, radius), np.where(turn == STRAIGHT, speed, slow)
    arc = radius * np.pi / 2
    outside = np.where(t < 0, t, np.maximum(t - arc / slow, 0))
    braking = np.minimum(np.abs(outside), (speed - slow) / BRAKING)
    way = slow * np.clip(t, 0, arc / slow) + np.sign(outside) * (
        slow * braking + BRAKING / 2 * braking**2 + speed * (np.abs(outside) - braking)
    )
    angle = np.clip(way, 0, arc) / np.where(radius, radius, 1)
    before, after = np.minimum(way, 0), np.maximum(way - arc, 0)
    right = lane + turn * (radius * (1 - np.cos(angle)) + after)
    ahead = -turn * lane - radius + radius * np.sin(angle) + before + np.where(turn == STRAIGHT, after, 0)
    forward = FORWARD[arm]
    rightward = forward[:, ::-1] * (1, -1)
    u, w = (right[:, None] * rightward + ahead[:, None] * forward).T
    du, dw = ((turn * np.sin(angle))[:, None] * rightward + np.cos(angle)[:, None] * forward).T
    return u, w, du, dw, way


def corners(u: np.ndarray, w: np.ndarray, road: float) -> tuple[np.ndarray, np.ndarray]:
    """Which points are asphalt between the roads (the square of the junction and its rounded corners), and which the kerb around it."""
    beside, beyond = np.abs(u) - road, np.abs(w) - road
    rounded = (beside > 0) & (beyond > 0) & (np.maximum(beside, beyond) < ROUNDING)
    distance = np.hypot(beside - ROUNDING, beyond - ROUNDING)
    asphalt = (np.maximum(beside, beyond) <= 0) | (rounded & (distance > ROUNDING))
    return asphalt, rounded & ~asphalt & (distance > ROUNDING - KERB)
