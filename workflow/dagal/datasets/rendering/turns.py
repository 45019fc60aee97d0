"""Cars and cyclists that come from a side road, or turn at a junction: drawn by chance, and left out where somebody is in the way."""

from typing import NamedTuple

import numpy as np

from dagal.datasets.rendering import junctions, roads, traffic
from dagal.datasets.rendering.roads import Area, Drive
from dagal.datasets.rendering.traffic import CAR, CYCLIST, PEDESTRIAN, WHEELCHAIR, Actors

EVERY = {CAR: 1.5, CYCLIST: 2.0}  # seconds from one spawn position to the next
SIDE_ROAD = {CAR: (5.0, 8.0), CYCLIST: (3.0, 5.5)}  # m/s of who passes straight on
STEP = 0.2  # seconds between the times at which room is looked for
# half of the length of the line in the middle of each kind, and its radius around that line; a car is broader than one lane leaves room
LINE = {PEDESTRIAN: (0.0, 0.3), CYCLIST: (0.6, 0.25), CAR: (2.0, 0.85), WHEELCHAIR: (0.3, 0.3)}
LINE_POINTS = np.linspace(-1, 1, 5)


class Offer(NamedTuple):
    """A vehicle at a spawn position: its junction, the time at which it begins to turn there, and its path."""

    kind: int
    place: float
    begin: float
    arm: int
    turn: int


def offers(rng: np.random.Generator, kind: int, place: float, probability: float, until: float) -> list[Offer]:
    """What is spawned at a junction until a time: at every position with its ``probability``, on a path drawn from all with equal chances."""
    times = np.arange(-3.0, until, EVERY[kind])
    times = times + rng.uniform(0, EVERY[kind], len(times))
    chosen, path = rng.random(len(times)) < probability, rng.integers(len(junctions.PATHS), size=len(times))
    return [Offer(kind, place, times[i], *junctions.PATHS[path[i]]) for i in np.flatnonzero(chosen)]


def draw(
    rng: np.random.Generator,
    actors: Actors,
    drive: Drive,
    area: Area,
    probabilities: tuple,
    junctions_J: np.ndarray,
    duration: float,
) -> Actors:
    """The actors and those that turn: of the `offers`, one after the other, those that come near nobody while the clip lasts.

    At junctions that the camera does not come near, nobody turns.
    """
    times = np.arange(0, duration + STEP, STEP)
    reached = roads.along(drive, times)
    taken = [_lines(actors, drive, times), _camera(drive, times)]
    for place in junctions_J[junctions_J < roads.reach(drive, duration) + traffic.CLEAR[CAR]]:
        until = times[np.argmax(reached >= place)] if reached[-1] >= place else duration
        for kind in (CAR, CYCLIST):
            for offer in offers(rng, kind, float(place), probabilities[kind], until):
                one = _vehicle(rng, actors, drive, area, offer)
                line = _lines(one, drive, times)
                if not any(meet(line, others) for others in taken):
                    taken.append(line)
                    actors = Actors(*(np.concatenate(columns) for columns in zip(actors, one, strict=True)))
    return actors


def _vehicle(rng, actors, drive, area, offer) -> Actors:
    """The vehicle of an offer, as fast as the others where it comes onto the road, or leaves it."""
    kind, place, begin, arm, turn = offer
    speed = rng.uniform(*SIDE_ROAD[kind])
    if turn != junctions.STRAIGHT:
        facing = 1 if arm == 0 or (arm, turn) in junctions.ONWARD else -1
        others = np.abs(actors.speed[(actors.kind == kind) & (actors.path == 0) & (actors.speed * facing > 0)])
        speed = (
            drive.speed if kind == CAR and facing > 0 else others[0] if len(others) else rng.uniform(*SIDE_ROAD[kind])
        )
    lane = drive.lane if kind == CAR else area.parked - 1.25
    return traffic.table([traffic.actor(rng, kind, traffic.TURNING, place, lane, speed, 1, begin, arm, turn)])


class Lines(NamedTuple):
    """The lines in the middle of what moves, at all times: points (T,A,5,2) in x and z, and the radius around each (A,)."""

    points: np.ndarray
    radius: np.ndarray


def _line(place_T_A_2, heading_T_A, kind_A) -> Lines:
    half, radius = np.array([LINE[kind] for kind in range(4)])[kind_A].T
    direction = np.stack([np.sin(heading_T_A), np.cos(heading_T_A)], -1)
    points = place_T_A_2[:, :, None] + (half[:, None] * LINE_POINTS)[..., None] * direction[:, :, None]
    return Lines(points, radius)


def _lines(actors: Actors, drive: Drive, times: np.ndarray) -> Lines:
    shape = len(times), len(actors.kind)
    time, every = (index.ravel() for index in np.indices(shape))
    place, heading, *_ = traffic.poses(actors, drive, every, times[time])
    return _line(place[:, [0, 2]].reshape(*shape, 2), heading.reshape(shape), actors.kind)


def _camera(drive: Drive, times: np.ndarray) -> Lines:
    place, heading = zip(*(roads.camera_pose(drive, t) for t in times), strict=True)
    return _line(np.array(place)[:, None, [0, 2]], np.array(heading)[:, None], np.array([CAR]))


def meet(one: Lines, others: Lines) -> bool:
    """Whether something touches any of the others at any time."""
    apart = np.abs(one.points[:, :, 2] - others.points[:, :, 2]).max(-1)
    time, other = np.nonzero(apart < 8)  # farther ones are out of reach
    away = one.points[time, 0, :, None] - others.points[time, other, None]
    least = np.sqrt((away**2).sum(-1)).min((1, 2))
    return bool((least < one.radius[0] + others.radius[other]).any())
