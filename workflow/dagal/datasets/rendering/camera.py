"""The camera of a clip, and what of the world it sees: faces and walls as outlines in the image, in drawing order."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from dagal.datasets.rendering import roads, scenes, shapes, traffic

SHIFT = 4  # polygons are drawn at 1/16 pixel
NEAR = 0.4  # metres before the camera at which faces are cut


class Camera(NamedTuple):
    position: np.ndarray
    turn: np.ndarray  # (3,3) world -> camera: x right, y down, z forward
    heading: float
    focal: float
    cx: float
    cy: float
    height: int
    width: int


def camera_at(scene: scenes.Scene, t: float, height: int, width: int) -> Camera:
    position, heading = roads.camera_pose(scene.drive, t)
    cos, sin = math.cos(heading), math.sin(heading)
    turn = np.array([[cos, 0, -sin], [0, -1, 0], [sin, 0, cos]])
    return Camera(position, turn, heading, 1.2 * height, (width - 1) / 2, 0.44 * height, height, width)


def intrinsics(camera: Camera) -> np.ndarray:
    return np.array([[camera.focal, 0, camera.cx], [0, camera.focal, camera.cy], [0, 0, 1]])


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Points (...,3) in front of the camera, in its coordinates -> pixels (...,2)."""
    return camera.focal * points[..., :2] / points[..., 2:] + (camera.cx, camera.cy)


def fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixels in the whole sixteenths that OpenCV draws at."""
    return np.round(np.clip(pixels, -3e4, 3e4) * 2**SHIFT).astype(np.int32)


def cut(points_P_3: np.ndarray) -> np.ndarray:
    """Part of a convex polygon that lies before the camera (Q,3), maybe none of it."""
    inside, result = points_P_3[:, 2] > NEAR, []
    for i, here in enumerate(points_P_3):
        before = points_P_3[i - 1]
        if inside[i] != inside[i - 1]:
            share = (NEAR - before[2]) / (here[2] - before[2])
            result.append(before + share * (here - before))
        if inside[i]:
            result.append(here)
    return np.array(result).reshape(-1, 3)


class Polygons(NamedTuple):
    """What is to be drawn, in order: pixel corners in 1/16 (list of (P,2) int32), colours (n,3), numbers of faces (n,) and their depths."""

    points: list
    colour: np.ndarray
    face: np.ndarray
    depth: np.ndarray


def visible_faces(camera: Camera, world: scenes.World) -> Polygons:
    """Faces turned to the camera, inside the image and large enough to be seen, farthest object first."""
    seen = world.corners - camera.position
    normal = shapes.normals(seen)
    face = np.flatnonzero(~world.solid | ((normal * seen[:, 0]).sum(1) < 0))
    points = seen[face] @ camera.turn.T
    nearest, farthest = points[..., 2].min(1), points[..., 2].max(1)
    ahead = farthest > NEAR + 0.01
    face, points, nearest = face[ahead], points[ahead], nearest[ahead]
    pixels = project(camera, np.maximum(points, [-1e9, -1e9, 1e-3]))
    whole = nearest > NEAR
    low, high = pixels.min(1), pixels.max(1)
    shown = (high > 0).all(1) & (low < (camera.width, camera.height)).all(1) & ((high - low).sum(1) > 1.2)
    face, points, pixels, whole = (values[shown | ~whole] for values in (face, points, pixels, whole))

    base = (world.place[face] - camera.position) @ camera.turn.T[:, 2]
    inner = np.arange(len(face)) * 1e-5 - np.where(world.sorts[face], points[..., 2].mean(1), 0)
    order = np.lexsort((inner, world.item[face], -base))
    points_px = fixed(pixels)
    drawn = [points_px[i] if whole[i] else fixed(project(camera, cut(points[i]))) for i in order]
    face, base = face[order], base[order]
    light = np.where(world.solid[face], 0.62 + 0.42 * np.clip(normal[face] @ scenes.LIGHT, -0.4, 1), 0.92)
    colour = np.where(world.bright[face, None], world.colour[face], world.colour[face] * light[:, None])
    return Polygons(drawn, colour, face, base)


def visible_walls(scene: scenes.Scene, camera: Camera) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Sides of buildings that can be seen, farthest first: number, corners in camera coordinates (8,3), outline in 1/16 pixel."""
    walls, s = scene.walls, camera.position[2]
    near = np.flatnonzero((walls.far > s + 0.5) & (walls.near < s + scenes.WALL_SIGHT))
    if not len(near):
        return []
    points = (walls.corners[near] - camera.position) @ camera.turn.T
    normal = shapes.normals(points)
    keep = (points[..., 2].max(1) > NEAR + 0.01) & ((walls.style[near] < 0) | ((normal * points[:, 0]).sum(1) > 0))
    result = []
    for wall, corners in zip(near[keep], points[keep], strict=True):
        outline = project(camera, corners if corners[:, 2].min() > NEAR else cut(corners))
        low, high = outline.min(0), outline.max(0)
        if (high > 0).all() and (low < (camera.width, camera.height)).all():
            result.append((int(wall), corners, fixed(outline)))
    return result


def in_order(
    scene: scenes.Scene, camera: Camera, walls: list, world: scenes.World, polygons: Polygons
) -> Iterator[tuple[slice, np.ndarray | None]]:
    """The polygons in drawing order, after all walls: parts of them, and the pixels (H,W) where walls hide a part, if any can.

    Only who turns at a junction comes behind walls, those of the houses before it.
    """
    item, n_actors = world.item[polygons.face], len(scene.actors.kind)
    actor = np.minimum(item, n_actors - 1)
    turning = (item < n_actors) & (scene.actors.path[actor] == traffic.TURNING)
    ends = np.flatnonzero(np.diff(np.where(turning, item, -1))) + 1
    for first, last in zip([0, *ends], [*ends, len(item)], strict=True):
        hidden = None
        if first < last and turning[first]:
            s, mask = world.place[polygons.face[first], 2], np.zeros((camera.height, camera.width), np.uint8)
            for wall, _, outline in walls:
                if scene.walls.far[wall] < s:
                    cv2.fillConvexPoly(mask, outline, 1, cv2.LINE_8, SHIFT)
            hidden = mask.astype(bool)
        yield slice(first, last), hidden
