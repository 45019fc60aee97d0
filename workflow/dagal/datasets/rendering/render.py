"""Rendered road scenes with exact annotations: boxes of what is visible, tracks, masks, depth and the true optical flow (003 sec. 2.4).

A clip is one drive through a world of `scenes`; a frame is painted back to front: sky, ground, buildings, then everything else by
distance, each face once into the picture and once into a picture of numbers, from which boxes and masks are read. A clip has
generators of its own, so its bytes depend on nothing but the clip and the size.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dagal.datasets.rendering import scenes, traffic
from dagal.datasets.rendering.camera import (
    NEAR,
    SHIFT,
    Camera,
    camera_at,
    in_order,
    intrinsics,
    visible_faces,
    visible_walls,
)
from dagal.datasets.rendering.painting import ACTOR, Painter, add_glow, paint
from dagal.errors import UserError
from dagal.seeding import generator, seed_for

CLASSES = ("pedestrian", "cyclist", "car", "wheelchair")
SEGMENTS = ("sky", "road", "roadside", "building", "thing", *CLASSES)  # things: trees, lamps, signs, hedges, bins
MIN_VISIBLE = 50  # an object is annotated if more of its pixels can be seen
MIN_SIDE = 48

_DAY = ("spring", "winter", "fall", "rain")
# name -> split (0 train, 1 test), sequences, areas, conditions, spawn probabilities of CLASSES
SUBSETS = {
    "default": (0, 150, ("city", "highway"), _DAY, (0.3, 0.2, 0.35, 0.0)),
    "town": (0, 36, ("town",), _DAY, (0.3, 0.2, 0.35, 0.0)),
    "night": (0, 6, ("city", "highway"), ("night",), (0.0, 0.0, 0.35, 0.0)),
    "wheelchair": (0, 5, ("city", "town"), ("spring",), (0.2, 0.2, 0.0, 1.0)),
    "test": (1, 85, ("city", "highway", "town"), ("spring", "fall", "rain", "night"), (0.3, 0.2, 0.35, 0.0)),
    "test_wheelchair": (1, 12, ("city", "town"), ("spring",), (0.2, 0.2, 0.0, 1.0)),
}

_GOLDEN = (
    math.sqrt(5) - 1
) / 2  # its multiples, without their whole part, spread evenly over 0..1 however many there are
_SEAMS = 0.35  # metres by which a point may differ in depth and still be the same surface of an object


@dataclass(frozen=True)
class Clip:
    """One sequence to render; ``probabilities`` are those of CLASSES at their spawn positions, ``quiet`` is the share of quiet stretches
    and the phase in which the sequence begins, ``junctions`` the probability of a junction at each place where one may be."""

    name: str
    subset: str
    split: int
    area: str
    condition: str
    probabilities: tuple[float, float, float, float]
    quiet: tuple[float, float]
    n_frames: int
    seed: int
    junctions: float = 0.0


@dataclass(frozen=True, eq=False)
class Frame:
    """``image`` (H,W,3) uint8 RGB; boxes (m,4) float32 xyxy in pixels, labels (m,) positions in CLASSES and tracks (m,) int64.

    Of every pixel: ``mask`` (H,W) uint8 position in SEGMENTS, ``instance`` (H,W) uint16 track + 1 of the object seen there, else 0;
    objects too small for a box are in both.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    tracks: np.ndarray
    mask: np.ndarray
    instance: np.ndarray


def plan(settings: dict) -> list[Clip]:
    """The sequences of a rendered data set, training before test.

    ``settings``: ``seed``, ``scale`` (of the numbers of sequences in SUBSETS, each at least 1), ``seconds`` [min, max] of a sequence,
    ``fps``, ``quiet`` (share of the time), ``junctions`` (if any), ``height`` and ``width`` in pixels. Areas, conditions and quiet stretches of a subset take turns, so that any number of
    sequences is spread evenly; a sequence keeps its content when the scale changes. Highways and nights have cars only. Raises UserError.
    """
    _check(settings)
    seed, (shortest, longest) = settings["seed"], settings["seconds"]
    clips = []
    for subset, (split, sequences, areas, conditions, probabilities) in SUBSETS.items():
        rng = generator(seed, "render", subset)
        areas, conditions = ([names[i] for i in rng.permutation(len(names))] for names in (areas, conditions))
        phase = float(rng.random())
        for index in range(max(1, math.floor(sequences * settings["scale"] + 0.5))):
            name = f"{subset}-{index:03d}"
            area = areas[index % len(areas)]
            condition = conditions[(index + index // math.lcm(len(areas), len(conditions))) % len(conditions)]
            cars_only = area == "highway" or condition == "night"
            seconds = generator(seed, "render", name, "length").uniform(shortest, longest)
            clips.append(
                Clip(
                    name=name,
                    subset=subset,
                    split=split,
                    area=area,
                    condition=condition,
                    probabilities=tuple(
                        p if CLASSES[k] == "car" or not cars_only else 0.0 for k, p in enumerate(probabilities)
                    ),
                    quiet=(settings["quiet"], (phase + index * _GOLDEN) % 1),
                    n_frames=max(1, round(seconds * settings["fps"])),
                    seed=seed_for(seed, "render", name),
                    junctions=settings.get("junctions", 0.0),
                )
            )
    return clips


def _check(settings: dict) -> None:
    def number(value):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

    for key in ("scale", "fps"):
        if not number(settings[key]) or settings[key] <= 0:
            raise UserError(f"dataset.{key} is {settings[key]!r}, but must be a number above 0.")
    for key in ("height", "width"):
        if not isinstance(settings[key], int) or settings[key] < MIN_SIDE:
            raise UserError(f"dataset.{key} is {settings[key]!r}, but rendered frames need at least {MIN_SIDE} pixels.")
    seconds = settings["seconds"]
    good = isinstance(seconds, (list, tuple)) and len(seconds) == 2 and all(map(number, seconds))
    if not good or not 0 < seconds[0] <= seconds[1]:
        raise UserError(
            f"dataset.seconds is {seconds!r}, but must be the shortest and the longest length of a sequence, in that order."
        )


def render(clip: Clip, height: int, width: int, fps: float) -> Iterator[Frame]:
    """The frames of a clip in order of time."""
    scene = _scene(clip, fps)
    painter = Painter(scene, camera_at(scene, 0, height, width))
    segment = np.concatenate([np.arange(ACTOR), ACTOR + scene.actors.kind]).astype(np.uint8)  # of each number
    instance = np.concatenate([np.zeros(ACTOR), 1 + np.arange(len(scene.actors.kind))]).astype(np.uint16)
    rng = generator(clip.seed, "frames")
    for index in range(clip.n_frames):
        t = index / fps
        camera = camera_at(scene, t, height, width)
        image, surface = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint16)
        actors, poses = paint(painter, camera, t, image, surface)
        if clip.condition in ("night", "rain"):
            if painter.gain is not None:
                cv2.multiply(image, painter.gain, dst=image, scale=1 / 64)
            add_glow(painter, camera, image, surface, actors, poses)
        if painter.sheets:
            cv2.add(image, painter.sheets[rng.integers(len(painter.sheets))], dst=image)
        row, column = rng.integers(0, 97, 2)
        window = np.s_[row : row + height, column : column + width]
        cv2.add(image, painter.noise[0][window], dst=image)
        cv2.subtract(image, painter.noise[1][window], dst=image)
        boxes, tracks = _visible(surface, actors)
        labels = scene.actors.kind[tracks].astype(np.int64)
        yield Frame(image, boxes, labels, tracks, segment[surface], instance[surface])


def true_flow(
    clip: Clip, height: int, width: int, fps: float, step: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every frame t with a frame t + step in the clip, the motion (H,W,2) float32 in pixels (x, y) to that frame, and where it is valid (H,W).

    Exact from the geometry: a pixel moves with the face seen in it (the sky turns with the camera). Valid where the point lies inside the
    other frame and is not hidden there. Shadows, reflections, rain and the glow of lamps have no motion of their own here.
    """
    scene = _scene(clip, fps)
    times = range(max(0, -step), clip.n_frames - max(0, step))
    kept = {}
    for t in times:
        here, there = (kept.get(k) or _surfaces(scene, k / fps, height, width) for k in (t, t + step))
        kept = {t: here, t + step: there}
        yield _flow(scene, here, there, (t + step) / fps)


def depths(clip: Clip, height: int, width: int, fps: float) -> Iterator[np.ndarray]:
    """Of each frame of a clip, the distance (H,W) float32 of what is seen in each pixel, in metres along the camera's axis; inf is the sky."""
    scene = _scene(clip, fps)
    rows, columns = np.mgrid[:height, :width]
    for index in range(clip.n_frames):
        seen = _surfaces(scene, index / fps, height, width)
        usable = np.abs(np.linalg.det(seen.plane)) > 1e-9
        inverse = np.linalg.inv(np.where(usable[:, None, None], seen.plane, np.eye(3))) @ np.linalg.inv(
            intrinsics(seen.camera)
        )
        near = inverse[seen.face, 2]  # 1 / depth is linear in the pixel
        near = near[..., 0] * columns + near[..., 1] * rows + near[..., 2]
        # a pixel at the edge of a surface, or one that is seen from its edge, is nowhere else than its corners
        nearest, farthest = seen.reach.T
        depth = np.clip(1 / np.maximum(near, 1e-9), nearest[seen.face], farthest[seen.face])
        yield np.where(usable[seen.face], depth, seen.reach[seen.face].mean(-1)).astype(np.float32)


def _scene(clip: Clip, fps: float) -> scenes.Scene:
    duration = clip.n_frames / fps
    return scenes.build(clip.seed, clip.area, clip.condition, clip.probabilities, clip.quiet, clip.junctions, duration)


def _visible(surface: np.ndarray, actors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (m,4) and numbers (m,) of the actors with more than MIN_VISIBLE pixels, ascending."""
    count = np.bincount(surface.ravel(), minlength=ACTOR + int(actors.max(initial=0)) + 1)
    tracks = actors[count[ACTOR + actors] > MIN_VISIBLE].astype(np.int64)
    boxes = np.empty((len(tracks), 4), np.float32)
    for row, track in enumerate(tracks):
        x, y, w, h = cv2.boundingRect((surface == ACTOR + track).view(np.uint8))
        boxes[row] = x, y, x + w, y + h
    return boxes, tracks


# true flow


class _Surfaces(NamedTuple):
    """A frame as surfaces: ``face_H_W`` number of the surface seen in each pixel, ``key_S`` what it belongs to, ``flat_S`` whether that is one
    plane, ``plane_S_3_3`` its plane in camera coordinates (columns: two directions and a point), ``reach_S_2`` least and largest distance
    of its corners before the camera, and the choice that numbers the faces."""

    camera: Camera
    face: np.ndarray
    key: np.ndarray
    flat: np.ndarray
    plane: np.ndarray
    reach: np.ndarray
    walls: np.ndarray
    faces: np.ndarray
    actors: np.ndarray
    props: tuple


_SKY, _GROUND, _FIRST = 0, 1, 2


def _surfaces(scene: scenes.Scene, t: float, height: int, width: int) -> _Surfaces:
    camera = camera_at(scene, t, height, width)
    face = np.zeros((height, width), np.uint16)
    face[math.ceil(camera.cy) :] = _GROUND
    walls = visible_walls(scene, camera)
    for number, (*_, outline) in enumerate(walls, _FIRST):
        cv2.fillConvexPoly(face, outline, number, cv2.LINE_8, SHIFT)
    actors, props = traffic.near(scene.actors, scene.drive, t), scenes.near_props(scene, camera.position[2])
    world = scenes.world(scene, actors, props, t)
    polygons = visible_faces(camera, world)
    numbers = range(_FIRST + len(walls), _FIRST + len(walls) + len(polygons.points))
    for part, hidden in in_order(scene, camera, walls, world, polygons):
        before = hidden is not None and face[hidden]
        for number, points in zip(numbers[part], polygons.points[part], strict=True):
            cv2.fillConvexPoly(face, points, number, cv2.LINE_8, SHIFT)
        if hidden is not None:
            face[hidden] = before
    chosen = np.array([wall for wall, *_ in walls], int)
    key = np.concatenate(
        [[_SKY, _GROUND], _FIRST + chosen, _FIRST + len(scene.walls.style) + world.item[polygons.face]]
    )
    flat = np.arange(len(key)) < _FIRST + len(walls)
    plane = _planes(scene, camera, chosen, world.corners[polygons.face])
    corners = np.concatenate([scene.walls.corners[chosen], world.corners[polygons.face]])
    distance = (corners - camera.position) @ camera.turn[2]
    reach = np.column_stack([np.maximum(distance.min(1), NEAR), distance.max(1)])
    reach = np.concatenate([[(np.inf, np.inf), (NEAR, np.inf)], reach])
    return _Surfaces(camera, face, key, flat, plane, reach, chosen, polygons.face, actors, props)


def _planes(scene: scenes.Scene, camera: Camera, walls: np.ndarray, corners_F_8_3: np.ndarray) -> np.ndarray:
    """Planes (S,3,3) of sky (at infinity), ground, walls and faces."""
    corners = np.concatenate([scene.walls.corners[walls], corners_F_8_3])
    points = (corners[:, [0, 2, 4]] - camera.position) @ camera.turn.T
    planes = np.stack([points[:, 1] - points[:, 0], points[:, 2] - points[:, 0], points[:, 0]], -1)
    ground = camera.turn @ np.column_stack([[1, 0, 0], [0, 0, 1], -camera.position * [1, 1, 1]])
    return np.concatenate([camera.turn[None], ground[None], planes])


def _flow(scene: scenes.Scene, here: _Surfaces, there: _Surfaces, time: float) -> tuple[np.ndarray, np.ndarray]:
    camera = there.camera
    height, width = here.face.shape
    moved = scenes.world(scene, here.actors, here.props, time)
    target = _planes(scene, camera, here.walls, moved.corners[here.faces])
    lens, face = intrinsics(camera), here.face
    usable = np.abs(np.linalg.det(here.plane)) > 1e-9
    inverse = np.linalg.inv(np.where(usable[:, None, None], here.plane, np.eye(3))) @ np.linalg.inv(lens)
    forward = lens @ target @ inverse

    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    moved_to = forward[face]
    weight = moved_to[..., 2, 0] * columns + moved_to[..., 2, 1] * rows + moved_to[..., 2, 2]
    scale = inverse[face, 2]
    scale = scale[..., 0] * columns + scale[..., 1] * rows + scale[..., 2]  # 1 / depth in this frame
    before = usable[face] & (weight * scale > 0)
    weight = np.where(before, weight, 1)
    x = (moved_to[..., 0, 0] * columns + moved_to[..., 0, 1] * rows + moved_to[..., 0, 2]) / weight
    y = (moved_to[..., 1, 0] * columns + moved_to[..., 1, 1] * rows + moved_to[..., 1, 2]) / weight
    inside = before & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    row, column = np.where(inside, np.round(y), 0).astype(int), np.where(inside, np.round(x), 0).astype(int)
    other = there.face[row, column]
    depth = weight / np.where(before, scale, 1)
    other_inverse = np.linalg.pinv(there.plane)[other, 2] @ np.linalg.inv(lens)
    other_scale = other_inverse[..., 0] * x + other_inverse[..., 1] * y + other_inverse[..., 2]
    other_depth = 1 / np.where(np.abs(other_scale) > 1e-9, other_scale, 1e-9)
    same = (here.key[face] == there.key[other]) & (here.flat[face] | (np.abs(depth - other_depth) < _SEAMS))
    flow = np.stack([x - columns, y - rows], -1)
    return np.where(before[..., None], flow, 0).astype(np.float32), inside & same
