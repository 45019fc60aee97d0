"""What moves in a clip: people, cyclists, wheelchairs and cars, their looks, where they start and where they are at a time."""

from typing import NamedTuple

import numpy as np

from dagal.datasets.rendering import junctions, roads, shapes, textures
from dagal.datasets.rendering.roads import Drive, along, centre, slope

PEDESTRIAN, CYCLIST, CAR, WHEELCHAIR = range(4)
SIGHT = {PEDESTRIAN: 110.0, CYCLIST: 110.0, CAR: 190.0, WHEELCHAIR: 110.0}  # farther objects are below a pixel or two
CLEAR = {
    PEDESTRIAN: 60.0,
    CYCLIST: 65.0,
    CAR: 110.0,
    WHEELCHAIR: 60.0,
}  # farther ones are too small for a box in 300 rows


TURNING = 3  # in `Actors.path`


class Actors(NamedTuple):
    """What moves, one row each (A,). ``path``: 0 along the road at ``speed``, 1 at distance ``start`` of the camera, 2 across the road
    from time ``begin`` on, 3 from the ``arm`` of the junction at ``start`` to where its ``turn`` leads, which begins at ``begin``."""

    kind: np.ndarray
    path: np.ndarray
    start: np.ndarray
    lateral: np.ndarray
    speed: np.ndarray
    facing: np.ndarray
    begin: np.ndarray
    phase: np.ndarray
    size: np.ndarray
    shape: np.ndarray
    palette: np.ndarray  # (A,8,3)
    arm: np.ndarray
    turn: np.ndarray


# of who turns: radius in metres (LEFT, -, RIGHT), and m/s
RADIUS = {CAR: (7.0, 0.0, 6.0), CYCLIST: (6.0, 0.0, 3.5)}
SLOW = {CAR: 4.0, CYCLIST: 3.0}

_CAR_PAINT = (
    (232, 232, 230), (196, 198, 202), (60, 62, 66), (28, 28, 32), (120, 124, 130), (172, 30, 32), (126, 20, 30), (40, 74, 150), (24, 40, 84),
    (70, 130, 184), (36, 92, 62), (200, 170, 60), (214, 116, 40), (140, 112, 84), (90, 140, 130), (104, 76, 120),
)  # fmt: skip
_SKIN = ((236, 196, 168), (222, 172, 136), (184, 130, 94), (136, 90, 62), (92, 60, 44))
_HAIR = ((36, 28, 24), (70, 46, 30), (120, 84, 46), (190, 156, 96), (150, 150, 152), (150, 66, 36))
_CLOTH = (
    (190, 40, 44), (44, 80, 160), (36, 40, 52), (226, 224, 218), (70, 120, 74), (214, 170, 60), (150, 96, 160), (90, 94, 100), (220, 120, 60),
    (112, 80, 58), (90, 160, 180), (210, 150, 170),
)  # fmt: skip
_TROUSERS = ((44, 58, 96), (38, 38, 44), (92, 84, 74), (150, 134, 108), (70, 72, 78), (96, 110, 140))


def _palette(rng, kind) -> np.ndarray:
    def pick(options):
        return np.clip(np.array(options[rng.integers(len(options))]) * rng.uniform(0.85, 1.1), 0, 245)

    if kind == CAR:
        roles = [
            pick(_CAR_PAINT),
            (42, 52, 62),
            (26, 26, 28),
            (150, 152, 156),
            (240, 240, 226),
            (186, 30, 26),
            (40, 40, 44),
            (226, 226, 216),
        ]
    else:
        metal = {PEDESTRIAN: (120, 122, 126), CYCLIST: (150, 152, 154), WHEELCHAIR: (176, 178, 182)}[kind]
        roles = [
            pick(_SKIN),
            pick(_HAIR),
            pick(_CLOTH),
            pick(_TROUSERS),
            (48, 42, 40),
            pick(_CLOTH if kind != WHEELCHAIR else _TROUSERS),
            metal,
            (32, 32, 34),
        ]
    return np.array(roles, float)


def quiet_times(share: float, phase: float, duration: float) -> np.ndarray:
    """Times, a tenth of a second apart, in the quiet stretches of a drive, which begins after a ``phase`` of 0..1 of quiet and busy.

    Quiet and busy together last 90 s, longer than a clip, so that most clips are one of them as a whole. A time is quiet for a ``share``
    of all phases.
    """
    times = np.arange(0, duration + 0.1, 0.1)
    return times[(times / 90 + phase) % 1 < share]


def without_seen(actors: Actors, drive: Drive, times: np.ndarray) -> Actors:
    """The actors that are nowhere within `CLEAR` of the camera at any of the times."""
    seen = np.zeros(len(actors.kind), bool)
    for t in times:
        seen[near(actors, drive, t, CLEAR)] = True
    return Actors(*(column[~seen] for column in actors))


def actor(rng, kind, path, start, lateral, speed, facing, begin=0.0, arm=0, turn=0) -> tuple:
    """A row of `Actors`, its looks drawn by chance."""
    small = kind == PEDESTRIAN and rng.random() < 0.12
    size = rng.uniform(0.62, 0.8) if small else rng.uniform(0.93, 1.08)
    shape = rng.integers({CAR: shapes.CAR_SHAPES, PEDESTRIAN: len(shapes.WALKERS)}.get(kind, 1))
    phase = rng.uniform(0, 2 * np.pi)
    return kind, path, start, lateral, speed, facing, begin, phase, size, shape, _palette(rng, kind), arm, turn


def table(rows: list[tuple]) -> Actors:
    return Actors(*(np.array(column) for column in zip(*rows, strict=True)))


def draw(
    rng: np.random.Generator, drive: Drive, area: str, probabilities: tuple, duration: float, junctions_J=()
) -> Actors:
    """What moves while a clip lasts; ``probabilities`` of pedestrian, cyclist, car, wheelchair at their spawn positions.

    Each is drawn by itself, with exactly its probability. A crossing that the traffic leaves no time for, and the side of the road
    beside a crossing, are no spawn positions.
    """
    shape, end = roads.AREAS[area], roads.reach(drive, duration)
    rows = []

    def spawn(*about):
        rows.append(actor(rng, *about))

    if shape.walk:
        _people(rng, spawn, shape, probabilities, end)
        _cyclists(rng, spawn, shape, probabilities[CYCLIST], duration, end)
    _cars(rng, spawn, drive, shape, area, probabilities[CAR], duration, end, junctions_J)
    if shape.walk:
        traffic = [row for row in rows if row[0] in (CAR, CYCLIST) and (row[1] == 1 or abs(row[4]) > 0)]
        _crossings(rng, spawn, drive, shape, probabilities, traffic, end)
    if not rows:
        never_seen = (CAR, 0, -1e6, 0.0, 0.0, 1, 0.0, 0.0, 1.0, 0, _palette(rng, CAR), 0, 0)
        rows.append(never_seen)  # keeps the arrays typed
    return table(rows)


def _people(rng, spawn, shape, probabilities, end):
    for kind, spacing, speeds in ((PEDESTRIAN, 8.0, (0.7, 1.7)), (WHEELCHAIR, 34.0, (0.5, 1.3))):
        for side in (-1, 1):
            positions = np.arange(-20, end + 120, spacing) + rng.uniform(0, spacing)
            for s in positions[rng.random(len(positions)) < probabilities[kind]]:
                facing, stands = int(rng.choice([-1, 1])), kind == PEDESTRIAN and rng.random() < 0.15
                lateral = side * rng.uniform(shape.walk[0] + 0.4, shape.walk[1] - 0.2)
                spawn(
                    kind, 0, s + rng.uniform(-2, 2), lateral, 0.0 if stands else facing * rng.uniform(*speeds), facing
                )


def _cyclists(rng, spawn, shape, probability, duration, end):
    for facing in (-1, 1):
        positions = np.arange(5, end + 120 + (duration * 5 if facing < 0 else 0), 30.0) + rng.uniform(0, 20)
        pace = rng.uniform(3.0, 5.5)  # the same for all of one direction, so that none rides through another
        for s in positions[rng.random(len(positions)) < probability]:
            spawn(CYCLIST, 0, s, facing * (shape.parked - 1.25), facing * pace, facing)


def _cars(rng, spawn, drive, shape, area, probability, duration, end, junctions_J):
    highway, tile = area == "highway", textures.TILE[0]
    spacing = 34.0 if highway else 30.0
    for gap in (26.0, 52.0, 84.0) if highway else (15.0, 31.0, 50.0):
        if rng.random() < probability:
            spawn(CAR, 1, gap, drive.lane, drive.speed, 1)
    for lane in shape.lanes:
        if lane != drive.lane:  # the other lane of the same direction, at a speed of its own
            pace = drive.speed + (-1 if lane > drive.lane else 1) * rng.uniform(1.0, 4.0)
            for s in np.arange(-150, end + 200, spacing):
                if rng.random() < probability:
                    spawn(CAR, 0, s + rng.uniform(-8, 8), lane, pace, 1)
        pace = rng.uniform(*shape.speed)
        for s in np.arange(0, end + pace * duration + 200, spacing):
            if rng.random() < probability:
                spawn(CAR, 0, s + rng.uniform(-8, 8), -lane, -pace, -1)
    if shape.parked:
        for side in (-1, 1):
            positions = np.arange(-10, end + 200, 20.0) + rng.uniform(0, 10)
            # nobody parks on a crossing, or where others turn
            away = np.abs((positions[:, None] - textures.CROSSINGS + tile / 2) % tile - tile / 2).min(1)
            free = (away > 8) & junctions.clear(positions, junctions_J, shape.road + 8)
            taken = (rng.random(len(positions)) < probability) & free
            for s in positions[taken]:
                spawn(CAR, 0, s + rng.uniform(-3, 3), side * shape.parked, 0.0, side)


def _crossings(rng, spawn, drive, shape, probabilities, traffic, end):
    """People who cross at the zebra crossings, in the gap before the next vehicle comes."""
    tile, when = textures.TILE[0], np.arange(0, 40, 0.1)
    camera = along(drive, when)
    for s in [base + at for base in np.arange(0, end, tile) for at in textures.CROSSINGS if base + at < end]:
        arrivals = [when[np.argmax(camera >= s)]]
        for _, path, start, _, speed, *_ in traffic:
            arrivals.append(when[np.argmax(camera + start >= s)] if path == 1 else (s - start) / speed)
        for kind, times in ((PEDESTRIAN, 3), (WHEELCHAIR, 1)):
            for _ in range(times):
                drawn, side, pace, before = (
                    rng.random(),
                    int(rng.choice([-1, 1])),
                    rng.uniform(1.1, 1.6),
                    rng.uniform(0.6, 3),
                )
                reach = shape.road + 0.7
                finish = arrivals[0] - before
                begin = finish - 2 * reach / pace
                blocked = any(begin - 1 < arrival < finish + 0.5 for arrival in arrivals)
                if drawn < probabilities[kind] and not blocked:
                    spawn(kind, 2, s + rng.uniform(-1.2, 1.2), side * reach, pace, -side, begin)


def poses(
    actors: Actors, drive: Drive, which_n: np.ndarray, t: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Position (n,3), heading, stride (radians) and swing (0 standing .. 1 moving) of some actors at a time, or each at its own."""
    rows = Actors(*(column[which_n] for column in actors))
    crossing, following = rows.path == 2, rows.path == 1
    tau = np.clip(
        t - rows.begin, 0, np.where(crossing, 2 * np.abs(rows.lateral) / np.maximum(np.abs(rows.speed), 0.1), 0)
    )
    total = 2 * np.abs(rows.lateral) / np.maximum(np.abs(rows.speed), 0.1)
    s = np.where(following, along(drive, t) + rows.start * (1 + 0.14 * np.sin(0.35 * t + rows.phase)), rows.start)
    s = np.where(rows.path == 0, s + rows.speed * t, s)
    person = rows.kind != CAR
    lateral = np.where(crossing, rows.lateral - np.sign(rows.lateral) * rows.speed * tau, rows.lateral)
    lateral = lateral + np.where(
        crossing, 0, np.where(person, 0.16, 0.08) * np.sin(0.3 * s + rows.phase) * (rows.speed != 0)
    )
    heading = np.arctan(slope(drive, s)) + np.where(
        crossing, rows.facing * np.pi / 2, np.where(rows.facing > 0, 0, np.pi)
    )
    swing = np.where(crossing, np.clip(2.5 * np.minimum(tau, total - tau), 0, 1), rows.speed != 0)
    walked = np.where(crossing, rows.speed * tau, np.abs(rows.speed) * t)
    turns = np.flatnonzero(rows.path == TURNING)
    if len(turns):
        here = Actors(*(column[turns] for column in rows))
        cycles = here.kind == CYCLIST
        radius = np.where(cycles, *(np.array(RADIUS[kind])[1 + here.turn] for kind in (CYCLIST, CAR)))
        slow = np.minimum(np.where(cycles, SLOW[CYCLIST], SLOW[CAR]), here.speed)
        u, w, du, dw, way = junctions.follow(
            here.lateral, here.arm, here.turn, radius, here.speed, slow, (t - rows.begin)[turns]
        )
        s[turns], lateral[turns], walked[turns] = here.start + w, u, way
        heading[turns] = np.arctan2(du + slope(drive, s[turns]) * dw, dw)
    stride = rows.phase + 2 * np.pi * walked / np.where(rows.kind == CYCLIST, 4.6, 1.45 * rows.size)
    place = np.column_stack([centre(drive, s) + lateral, np.zeros(len(s)), s])
    return place, heading, stride, swing


def near(actors: Actors, drive: Drive, t: float, reach: dict = SIGHT) -> np.ndarray:
    """Actors (ascending) that the camera has before it at time t, no farther than the ``reach`` of their kind in metres."""
    every = np.arange(len(actors.kind))
    place, *_ = poses(actors, drive, every, t)
    ahead = place[:, 2] - along(drive, t)
    return every[(ahead > -3) & (ahead < np.array([reach[kind] for kind in range(4)])[actors.kind])]
