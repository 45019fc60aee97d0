"""The world of one clip: the road, what stands beside it and what moves on it, as flat faces. Metres, seconds, radians."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dagal.datasets.rendering import junctions, roads, shapes, textures, traffic, turns
from dagal.datasets.rendering.roads import Area, Drive, centre
from dagal.datasets.rendering.traffic import CAR, CYCLIST, PEDESTRIAN, WHEELCHAIR, Actors
from dagal.seeding import generator

WALL_SIGHT, PROP_SIGHT = 320.0, 170.0
LIGHT = np.array([0.42, 0.75, -0.52])  # direction to the sun, for the shading of solid faces


class Walls(NamedTuple):
    """Sides of the buildings, farthest first: corners (B,8,3) from the top left, clockwise; style (-1 plain), colour (B,3), light (B,)."""

    corners: np.ndarray
    style: np.ndarray
    colour: np.ndarray
    light: np.ndarray
    near: np.ndarray  # s of the near and of the far end
    far: np.ndarray


class Props(NamedTuple):
    """Things that stand still, sorted by s (P,): faces first[i] .. first[i+1] - 1 of corners (F,8,3), colour (F,3), solid, bright (F,);
    their places and their lamps (P,3), NaN where a thing has none."""

    s: np.ndarray
    place: np.ndarray
    first: np.ndarray
    corners: np.ndarray
    colour: np.ndarray
    solid: np.ndarray
    bright: np.ndarray
    lamp: np.ndarray


@dataclass(frozen=True)
class Scene:
    area: Area
    area_name: str
    condition: str
    drive: Drive
    actors: Actors
    walls: Walls
    styles: tuple  # (floors, bays, shops, share of fields with windows) of each front
    props: Props
    junctions: np.ndarray  # (J,) where side roads cross the road
    seed: int


def build(
    seed: int,
    area: str,
    condition: str,
    probabilities: tuple,
    quiet: tuple[float, float],
    junction_share: float,
    duration: float,
) -> Scene:
    """The world of a clip that lasts ``duration`` seconds; ``probabilities`` of pedestrian, cyclist, car, wheelchair at their spawn positions.

    In quiet stretches nobody is near: what would be seen there is not spawned. ``quiet``: their share of the time, and the phase of
    `traffic.quiet_times`. ``junction_share``: that of `junctions.places`.
    """
    shape = roads.AREAS[area]
    drive = roads.draw(generator(seed, "drive"), area)
    end = roads.reach(drive, duration)
    crossed = junctions.places(generator(seed, "junctions"), shape, junction_share, end + WALL_SIGHT)
    walls, styles = _buildings(generator(seed, "buildings"), drive, shape, area, condition, end, crossed)
    props = _props(generator(seed, "props"), drive, shape, area, condition, end, crossed)
    actors = traffic.draw(generator(seed, "actors"), drive, area, probabilities, duration, crossed)
    actors = turns.draw(generator(seed, "turns"), actors, drive, shape, probabilities, crossed, duration)
    actors = traffic.without_seen(actors, drive, traffic.quiet_times(*quiet, duration))
    return Scene(shape, area, condition, drive, actors, walls, styles, props, crossed, seed)


# buildings


def _buildings(rng, drive, shape, area, condition, end, junctions_J) -> tuple[Walls, tuple]:
    if shape.setback is None:
        none = np.zeros(0)
        return Walls(np.zeros((0, 8, 3)), none.astype(int), np.zeros((0, 3)), none, none, none), ()
    city = area == "city"
    fronts = [(int(rng.integers(3, 9)), int(rng.integers(3, 7)), rng.random() < 0.6, 1.0) for _ in range(9)]
    if not city:
        fronts = [(int(rng.integers(1, 4)), int(rng.integers(2, 4)), False, 0.9) for _ in range(9)]
    styles = (*fronts, *((f, 3, False, 0.25) for f, *_ in fronts))  # the narrow side of style i is style i + 9
    rows, gap = [], shape.setback[1]
    for side in (-1, 1):
        s = -30.0 - rng.uniform(0, 10)
        while s < end + WALL_SIGHT:
            style = int(rng.integers(9))
            floors, bays, *_ = styles[style]
            length, height, away = bays * textures.BAY, floors * textures.STOREY, rng.uniform(*shape.setback)
            mouth = junctions_J[(s < junctions_J + gap) & (s + length > junctions_J - gap)]
            if len(mouth):
                s = mouth[0] + gap
                continue
            rows += _building(rng, drive, side, s, length, height, away, style, city, condition)
            s += length + (rng.choice([0.0, 0.0, 0.0, 3.0, 9.0]) if city else rng.uniform(3, 14))
        for place in junctions_J:
            rows += _side_row(rng, drive, side, place + gap, fronts, city, condition)
    order = np.argsort([-row[4] for row in rows], kind="stable")
    columns = [np.array(column) for column in zip(*(rows[i] for i in order), strict=True)]
    return Walls(*columns), styles


def _side_row(rng, drive, side, s, fronts, city, condition) -> list[tuple]:
    """Rows of `Walls` of the houses along a side road whose fronts, at s, look at the camera."""
    rows, away = [], 11.0
    while away < 70:
        style = int(rng.integers(9))
        floors, bays, *_ = fronts[style]
        height = floors * textures.STOREY
        left, right = sorted(side * (away + width) for width in (0, bays * textures.BAY))
        x = centre(drive, s)
        upright = [(left, height, 0), (right, height, 0), (right, 0, 0), (left, 0, 0)]
        rows.append((shapes.pad(np.array(upright) + (x, 0, s)), style, np.zeros(3), 0.86, s, s))
        if not city:
            ridge = [(left, height, 0), (right, height, 0), (right - 2, height + 2.6, 4), (left + 2, height + 2.6, 4)]
            colour = _roof(rng, condition)
            rows.append((shapes.pad(np.array(ridge) + (x, 0, s)), -1, colour, 1.0, s, s))
        away += bays * textures.BAY + (0 if city else rng.uniform(3, 9))
    return rows


def _roof(rng, condition) -> np.ndarray:
    tones = [(146, 72, 54), (96, 78, 70), (110, 60, 48), (88, 88, 94)]
    roof = np.array((226, 230, 236) if condition == "winter" else rng.choice(tones), float)
    return roof * rng.uniform(0.85, 1.1) * textures.DARKNESS.get(condition, 1)


def _building(rng, drive, side, s, length, height, away, style, city, condition) -> list[tuple]:
    """Rows of `Walls` of one building, in drawing order: the narrow side towards the camera, the front, the roof."""
    near, far, deep = s, s + length, 11.0 if city else 8.0
    inner_near, inner_far = (centre(drive, z) + side * away for z in (near, far))
    outer_near = inner_near + side * deep
    plain, day = np.zeros(3), 1.0 if side < 0 else 0.84

    def upright(x0, z0, x1, z1):
        return shapes.pad(np.array([(x0, height, z0), (x1, height, z1), (x1, 0, z1), (x0, 0, z0)]))

    ends = (inner_near, outer_near) if side > 0 else (outer_near, inner_near)
    front = (inner_near, near, inner_far, far) if side < 0 else (inner_far, far, inner_near, near)
    rows = [(upright(ends[0], near, ends[1], near), style + 9, plain, 0.74, near, far)]
    if not city:
        ridge, middle = height + rng.uniform(2.2, 3.6), side * deep / 2
        roof = _roof(rng, condition)
        gable = np.array([(inner_near, height, near), (outer_near, height, near), (inner_near + middle, ridge, near)])
        over = side * 0.5
        slope_up = np.array([
            (inner_near - over, height - 0.3, near - 0.4), (inner_far - over, height - 0.3, far + 0.4),
            (inner_far + middle, ridge, far + 0.4), (inner_near + middle, ridge, near - 0.4),
        ])  # fmt: skip
        wall = np.array((196, 180, 156)) * rng.uniform(0.7, 1.1) * textures.DARKNESS.get(condition, 1)
        rows.append((shapes.pad(gable), -1, wall * 0.74, 1.0, near, far))
    rows.append((upright(*front), style, plain, day, near, far))
    if not city:
        rows.append((shapes.pad(slope_up), -1, roof * day, 1.0, near, far))
    return rows


# things that stand still

LAMPS = 16.0  # metres from one lamp to the next, on alternate sides, as in textures.ground
_LEAVES = {
    "spring": ((88, 140, 52), (110, 156, 60), (72, 120, 50), (206, 150, 180)),
    "fall": ((206, 120, 36), (188, 74, 34), (212, 166, 60), (140, 110, 44)),
    "winter": ((222, 226, 234), (206, 212, 222), (232, 234, 240)),
    "night": ((60, 84, 46), (70, 96, 52)),
    "rain": ((62, 104, 48), (76, 116, 54), (54, 90, 46)),
}


def _props(rng, drive, shape, area, condition, end, junctions_J) -> Props:
    items = []  # (s, l, polygons, colours, solid, bright, lamp)
    last, dim = end + PROP_SIGHT, textures.DARKNESS.get(condition, 1)

    def stand(s, lateral, polygons, colours, solid=False, bright=(), lamp=(np.nan,) * 3):
        colours = np.broadcast_to(np.asarray(colours, float), (len(polygons), 3))
        half = max(np.abs(np.asarray(polygon)[:, 2]).max() for polygon in polygons)
        if not junctions.clear(s, junctions_J, shape.road + 1 + half):
            return
        bright = np.isin(np.arange(len(polygons)), bright)
        items.append((s, lateral, polygons, np.where(bright[:, None], colours, colours * dim), solid, bright, lamp))

    def tree(s, lateral, height):
        polygons, shade = shapes.tree(rng, condition == "winter", height)
        palette = _LEAVES[condition]
        leaf = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.85, 1.1)
        colours = np.where(shade[:, None] < 0, np.array((86, 66, 52)) * 0.9, leaf * (0.55 + 0.6 * shade[:, None]))
        stand(s, lateral, polygons, np.clip(colours, 0, 245))

    if area == "highway":
        for s in np.arange(-12, last, 6):
            for lateral in (-11.0, 0.0, 11.0):
                ends = np.array([(centre(drive, z) - centre(drive, s + 3), z - s - 3) for z in (s, s + 6)])
                rail = np.array(
                    [
                        (ends[0, 0], 0.45, ends[0, 1]),
                        (ends[1, 0], 0.45, ends[1, 1]),
                        (ends[1, 0], 0.78, ends[1, 1]),
                        (ends[0, 0], 0.78, ends[0, 1]),
                    ]
                )
                post = shapes.quad((-0.06, 0.06), (0, 0.7), -3.0)
                stand(
                    s + 3,
                    lateral,
                    [post, rail, rail * [1, 0.12, 1] + [0, 0.56, 0]],
                    [(96, 98, 100), (168, 172, 176), (118, 122, 126)],
                )
        for s in np.arange(-5, last, 9):
            for side in (-1, 1):
                if rng.random() < 0.55:
                    tree(s + rng.uniform(-3, 3), side * rng.uniform(14, 34), rng.uniform(5, 10))
        for s in np.arange(rng.uniform(60, 150), last, rng.uniform(180, 260)):
            board = [shapes.quad((-0.15, 0.15), (0, 7.2)), shapes.quad((-10.6, 0.1), (6.9, 7.2)), shapes.quad((-9.5, -5.6), (5.3, 7.6)), shapes.quad((-4.8, -1.2), (5.5, 7.6)),
                     *(shapes.quad((x, x + 2.2), (y, y + 0.22)) for x in (-9.1, -4.3) for y in (5.9, 6.5, 7.05))]  # fmt: skip
            stand(s, 11.6, board, [(120, 122, 124)] * 2 + [(40, 84, 160), (44, 120, 70)] + [(232, 232, 232)] * 6)
    else:
        for index, s in enumerate(np.arange(-2 * LAMPS, last, LAMPS)):
            side = 1 if index % 2 else -1
            arm = sorted((0.0, -side * 1.9))
            stand(s, side * (shape.road + 0.45), [shapes.quad((-0.07, 0.07), (0, 6.1)), shapes.quad(arm, (6.0, 6.12)), shapes.quad(sorted((-side * 1.2, -side * 2.0)), (5.86, 6.02))],
                  [(84, 88, 90), (84, 88, 90), (255, 226, 160) if condition == "night" else (150, 152, 154)], bright=(2,), lamp=(-side * 1.6, 5.9, 0))  # fmt: skip
        for s in np.arange(-8, last, 9 if area == "town" else 13):
            for side in (-1, 1):
                if rng.random() < (0.5 if area == "town" else 0.35):
                    lateral = rng.uniform(8.0, 10.0) if area == "town" else shape.road + 0.8
                    tree(s + rng.uniform(-2, 2), side * lateral, rng.uniform(3.5, 7.0))
                _street_thing(rng, stand, s + rng.uniform(2, 6), side, shape, area, condition)
    order = np.argsort([item[0] for item in items], kind="stable")
    items = [items[i] for i in order]
    place = np.array([(centre(drive, s) + lateral, 0, s) for s, lateral, *_ in items])
    counts = [len(item[2]) for item in items]
    corners = np.concatenate([np.stack([shapes.pad(np.asarray(p, float)) for p in item[2]]) for item in items])
    corners = corners + np.repeat(place, counts, 0)[:, None]
    return Props(
        place[:, 2],
        place,
        np.concatenate([[0], np.cumsum(counts)]),
        corners,
        np.concatenate([item[3] for item in items]),
        np.repeat([item[4] for item in items], counts),
        np.concatenate([item[5] for item in items]),
        np.array([item[6] for item in items], float) + place,
    )


def _street_thing(rng, stand, s, side, shape, area, condition):
    """A hedge, sign, bin, post box or bollards at the edge of the pavement: also what a detector may take for a person."""
    kind, kerb = rng.random(), side * (shape.road + 0.5)
    if area == "town" and kind < 0.6:
        tone = np.array(_LEAVES[condition][0]) * rng.uniform(0.7, 0.95)
        faces = shapes.box((-0.4, 0.4), (0, rng.uniform(0.7, 1.2)), (-3.6, 3.6))
        stand(s, side * (shape.walk[1] + 0.7), faces, tone, solid=True)
    elif kind < 0.68:
        angle = np.arange(8) * np.pi / 4 + np.pi / 8
        disc = np.column_stack([0.33 * np.cos(angle), 2.3 + 0.33 * np.sin(angle), np.zeros(8)])
        inner = np.column_stack([0.24 * np.cos(angle), 2.3 + 0.24 * np.sin(angle), np.full(8, -0.01)])
        face = (44, 84, 170) if rng.random() < 0.4 else (236, 236, 236)
        stand(s, kerb, [shapes.quad((-0.04, 0.04), (0, 2.1)), disc, inner], [(130, 132, 134), (196, 36, 34), face])
    elif kind < 0.8:
        colour = ((52, 84, 62), (190, 160, 40), (176, 40, 36), (90, 92, 96))[rng.integers(4)]
        wide, tall = rng.uniform(0.22, 0.34), rng.uniform(0.8, 1.35)
        faces = [
            *shapes.box((-wide, wide), (0, tall), (-wide, wide)),
            *shapes.box((-wide - 0.03, wide + 0.03), (tall, tall + 0.12), (-wide, wide)),
        ]
        stand(s, kerb + side * 0.3, faces, [colour] * 6 + [tuple(0.6 * np.array(colour))] * 6, solid=True)
    elif kind < 0.9 and area == "city":
        stand(
            s,
            kerb,
            [shapes.quad((-0.07, 0.07), (0, 0.9)), shapes.quad((-0.08, 0.08), (0.7, 0.82), -0.01)],
            [(70, 72, 74), (214, 214, 210)],
        )


class World(NamedTuple):
    """Faces of everything but ground and buildings: corners (F,8,3), colour (F,3), solid, bright (F,) bool, ``item`` (F,): number of
    the actor, or number of actors + number of the thing; ``place`` (F,3) of the item; ``sorts`` (F,): by depth, not by order."""

    corners: np.ndarray
    colour: np.ndarray
    solid: np.ndarray
    bright: np.ndarray
    item: np.ndarray
    place: np.ndarray
    sorts: np.ndarray


CAR_FACES = [shapes.car(index) for index in range(shapes.CAR_SHAPES)]
_FIGURES = {
    CYCLIST: ((shapes.CYCLIST,), shapes.cycling),
    WHEELCHAIR: ((shapes.WHEELCHAIR,), shapes.sitting),
    PEDESTRIAN: (shapes.WALKERS, shapes.walking),
}


def near_props(scene: Scene, s: float) -> tuple[int, int]:
    """First and last + 1 of the things in sight from position s."""
    first, last = np.searchsorted(scene.props.s, [s - 4, s + PROP_SIGHT])
    return int(first), int(last)


def world(scene: Scene, actors_n: np.ndarray, props: tuple[int, int], t: float) -> World:
    """Faces at time t of the actors and things given, in an order that depends on the choice alone."""
    table, first, last = scene.props, *props
    faces = slice(table.first[first], table.first[last])
    counts = np.diff(table.first[first : last + 1])
    n_actors = len(scene.actors.kind)
    parts = [(table.corners[faces], table.colour[faces], table.solid[faces], table.bright[faces], n_actors + np.repeat(np.arange(first, last), counts),
              np.repeat(table.place[first:last], counts, 0), np.zeros(int(counts.sum()), bool))]  # fmt: skip
    place, heading, stride, swing = traffic.poses(scene.actors, scene.drive, actors_n, t)
    kind, look = scene.actors.kind[actors_n], scene.actors.shape[actors_n]
    dim = textures.DARKNESS.get(scene.condition, 1)
    for group in range(4):
        for variant in range(max(shapes.CAR_SHAPES, len(shapes.WALKERS))):
            rows = np.flatnonzero((kind == group) & (look == variant))
            if len(rows):
                parts.append(
                    _group(
                        scene,
                        group,
                        variant,
                        actors_n[rows],
                        place[rows],
                        heading[rows],
                        stride[rows],
                        swing[rows],
                        dim,
                    )
                )
    return World(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _group(scene, group, variant, actors_n, place, heading, stride, swing, dim) -> tuple:
    """One entry of `world` for actors of one look."""
    size, palette = scene.actors.size[actors_n], scene.actors.palette[actors_n]
    if group == CAR:
        template = CAR_FACES[variant]
        corners = shapes.turn(template.corners[None] * size[:, None, None, None], heading) + place[:, None, None]
        role, solid, shade = template.role, template.solid, np.ones(len(template.role))
        light = np.isin(role, [shapes.CAR_ROLES.index("headlight"), shapes.CAR_ROLES.index("taillight")])
        bright = light & (scene.condition in ("night", "rain"))
    else:
        figures, posture = _FIGURES[group]
        plan = figures[variant]
        corners, role, shade = shapes.figure(plan, posture(stride, swing), place, heading, size)
        solid, bright = np.zeros(len(role), bool), np.zeros(len(role), bool)
    n, n_faces = corners.shape[:2]
    colour = palette[:, role] * shade[:, None]
    colour = np.where(bright[:, None], np.minimum(colour * 1.3, 255), colour * dim)
    every = n * n_faces
    return (corners.reshape(every, 8, 3), colour.reshape(every, 3), np.tile(solid, n), np.tile(bright, n), np.repeat(actors_n, n_faces),
            np.repeat(place, n_faces, 0), np.full(every, group != CAR))  # fmt: skip
