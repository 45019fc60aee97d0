"""The road of a clip and the drive of the camera along it.

Positions along and across the road (s, l) become x = l + centre(s), z = s: the road bends softly, everything follows it. All motion
is a closed function of the time, so any frame can be computed without the ones before. Metres, seconds, radians.
"""

from dataclasses import dataclass

import numpy as np

CAMERA_HEIGHT = 1.5


@dataclass(frozen=True)
class Area:
    """Cross-section of a road (metres from its axis, right-hand traffic) and the speed of the camera (m/s)."""

    lanes: tuple[float, ...]
    road: float
    speed: tuple[float, float]
    parked: float | None = None
    walk: tuple[float, float] | None = None
    setback: tuple[float, float] | None = None
    bend: float = 5.0


AREAS = {
    "city": Area((1.65,), 5.4, (6.5, 11.0), 4.45, (5.7, 8.8), (9.6, 10.4)),
    "town": Area((1.6,), 5.0, (6.0, 10.0), 4.15, (5.2, 7.0), (11.0, 15.0), 7.0),
    "highway": Area((2.9, 6.5), 10.4, (23.0, 30.0), bend=14.0),
}


@dataclass(frozen=True)
class Drive:
    """Speed v (1 + swing cos(rate t + phase)); lane and its weaving; the bend of the road."""

    speed: float
    swing: float
    rate: float
    phase: float
    lane: float
    weave: tuple[float, float, float]
    bend: tuple[float, float, float]


def along(drive: Drive, t):
    """Position of the camera along the road at time t."""
    return drive.speed * (t + drive.swing / drive.rate * (np.sin(drive.rate * t + drive.phase) - np.sin(drive.phase)))


def reach(drive: Drive, duration: float) -> float:
    """Where the camera is at most after so many seconds."""
    return float(along(drive, duration)) + drive.speed


def centre(drive: Drive, s):
    """x of the road's axis at s."""
    amplitude, rate, phase = drive.bend
    return amplitude * np.sin(rate * s + phase)


def slope(drive: Drive, s):
    """dx/ds of the road's axis."""
    amplitude, rate, phase = drive.bend
    return amplitude * rate * np.cos(rate * s + phase)


def camera_pose(drive: Drive, t: float) -> tuple[np.ndarray, float]:
    """Position (3,) and heading (radians from +z towards +x) of the camera."""
    s, (amplitude, rate, phase) = along(drive, t), drive.weave
    x = centre(drive, s) + drive.lane + amplitude * np.sin(rate * s + phase)
    heading = np.arctan(slope(drive, s) + amplitude * rate * np.cos(rate * s + phase))
    return np.array([x, CAMERA_HEIGHT, s]), float(heading)


def draw(rng: np.random.Generator, area: str) -> Drive:
    """A drive through an area."""
    shape = AREAS[area]
    bend_rate = 2 * np.pi / rng.uniform(240, 480) / (2 if area == "highway" else 1)
    return Drive(
        speed=rng.uniform(*shape.speed),
        swing=rng.uniform(0.1, 0.2 if area == "highway" else 0.5),
        rate=2 * np.pi / rng.uniform(8, 16),
        phase=rng.uniform(0, 2 * np.pi),
        lane=float(rng.choice(shape.lanes)),
        weave=(rng.uniform(0.05, 0.25), 2 * np.pi / rng.uniform(40, 120), rng.uniform(0, 2 * np.pi)),
        bend=(rng.uniform(0.2, 1) * shape.bend, bend_rate, rng.uniform(0, 2 * np.pi)),
    )
