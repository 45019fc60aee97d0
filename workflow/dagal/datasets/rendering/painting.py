"""Painting the frames of a clip back to front: sky, ground, shadows, buildings, then everything else by distance; light and rain."""

import math

import cv2
import numpy as np

from dagal.datasets.rendering import junctions, roads, scenes, shapes, textures, traffic
from dagal.datasets.rendering.camera import (
    NEAR,
    SHIFT,
    Camera,
    cut,
    fixed,
    in_order,
    intrinsics,
    project,
    visible_faces,
    visible_walls,
)
from dagal.seeding import generator

_FOG = {"rain": 110.0, "night": 170.0}
_NOISE = {"night": 5.0, "rain": 3.6}
# numbers of the surfaces in a frame; from ACTOR on it is ACTOR + track
SKY, ROAD, ROADSIDE, BUILDING, THING, ACTOR = range(6)


class Painter:
    """Pictures of a clip that are made once: ground, sky, fronts at several sizes, noise, rain."""

    def __init__(self, scene: scenes.Scene, camera: Camera):
        seed, area, condition = scene.seed, scene.area_name, scene.condition
        self.scene, self.fronts, self.sizes = scene, {}, {}
        self.haze = np.array(textures.HAZE[condition], np.float32)
        self.fog = _FOG.get(condition, 420.0)
        height, width = camera.height, camera.width
        self.horizon = math.ceil(camera.cy)
        tile = textures.ground(generator(seed, "ground"), area, condition, scene.area.road, scene.area.walk)
        self.ground = self._ground_rows(camera, tile, textures.TILE)
        if len(scene.junctions):
            self.side_road = self._ground_rows(camera, np.swapaxes(tile, 0, 1), textures.TILE[::-1])
        self.depth = (
            camera.focal * roads.CAMERA_HEIGHT / np.maximum(np.arange(self.horizon, height) - camera.cy, 0.05)
        ).astype(np.float32)
        self.mist = (1 - np.exp(-np.minimum(self.depth, 400) / self.fog))[:, None, None].astype(np.float32)
        self.right = ((np.arange(width) - camera.cx) / camera.focal).astype(np.float32)
        self.panorama = textures.sky(
            generator(seed, "sky"), area, condition, self.horizon, int(2.4 * camera.focal + width)
        )
        angle = np.arctan(self.right)
        self.sky_x = np.broadcast_to(angle * camera.focal + self.panorama.shape[1] / 2, (self.horizon, width)).astype(
            np.float32
        )
        self.sky_y = ((np.arange(self.horizon)[:, None] - camera.cy) * np.cos(angle) + camera.cy).astype(np.float32)
        self.noise = textures.noise_bank(generator(seed, "noise"), height, width, _NOISE.get(condition, 2.4))
        self.sheets = textures.rain_sheets(generator(seed, "rain"), height, width) if condition == "rain" else []
        self.gain = _headlight_gain(camera) if condition == "night" else None
        self.halo = textures.glow()

    def _ground_rows(self, camera, tile, metres):
        """Runs of rows with the ground tile, so many ``metres`` along z and x, halved so often along both that a texel is about a pixel."""
        depth = camera.focal * roads.CAMERA_HEIGHT / np.maximum(np.arange(self.horizon, camera.height) - camera.cy, 0.3)
        density = textures.GROUND_DENSITY
        across = np.clip(np.floor(np.log2(density * depth / camera.focal) + 0.3), 0, 6).astype(int)
        along = np.clip(np.floor(np.log2(density * depth**2 / camera.focal / roads.CAMERA_HEIGHT) + 0.1), 0, 8).astype(
            int
        )
        starts = [0, *(np.flatnonzero(np.diff(across * 16 + along)) + 1), len(depth)]
        result = []
        for start, stop in zip(starts[:-1], starts[1:], strict=True):
            size = (tile.shape[1] >> int(across[start]), tile.shape[0] >> int(along[start]))
            small = cv2.resize(tile, size, interpolation=cv2.INTER_AREA)
            result.append((int(start), int(stop), small, size[0] / metres[1], size[1] / metres[0]))
        return result

    def front(self, style: int, across: int, down: int, light: float, mist: int) -> np.ndarray:
        """Front of a building, halved ``across`` and ``down`` times, in ``mist`` eighths."""
        key = (style, across, down, light, mist)
        if key not in self.fronts:
            if style not in self.sizes:
                rng = generator(self.scene.seed, "front", style)
                self.sizes[style] = textures.front(rng, self.scene.condition, *self.scene.styles[style])
            full = self.sizes[style]
            size = (max(2, full.shape[1] >> across), max(2, full.shape[0] >> down))
            small = cv2.resize(full, size, interpolation=cv2.INTER_AREA).astype(np.float32) * light
            self.fronts[key] = np.round(small + (self.haze - small) * (mist / 8)).astype(np.uint8)
        return self.fronts[key]

    def hazy(self, colour_n_3: np.ndarray, depth_n: np.ndarray) -> np.ndarray:
        share = (1 - np.exp(-np.maximum(depth_n, 0) / self.fog))[:, None]
        return colour_n_3 + (self.haze - colour_n_3) * share


def _headlight_gain(camera: Camera) -> np.ndarray:
    """What the camera car's headlights add to the night: gain in 1/64 (H,W,3) uint8."""
    rows, columns = np.arange(camera.height)[:, None] - camera.cy, np.arange(camera.width)[None] - camera.cx
    rows, columns = rows / camera.height, columns / camera.height
    beam = np.exp(-(((rows - 0.14) / 0.16) ** 2) - (columns / 0.42) ** 2)
    gain = 0.9 + 1.5 * beam
    return cv2.merge([np.clip(gain * 64 * tint, 0, 255).astype(np.uint8) for tint in (1.0, 0.97, 0.88)])


def _paint_background(painter: Painter, camera: Camera, image: np.ndarray, surface: np.ndarray) -> None:
    """Sky and ground."""
    horizon, drive = painter.horizon, painter.scene.drive
    shift = np.float32(camera.heading * camera.focal)
    cv2.remap(
        painter.panorama,
        painter.sky_x + shift,
        painter.sky_y,
        cv2.INTER_LINEAR,
        dst=image[:horizon],
        borderMode=cv2.BORDER_REPLICATE,
    )

    cos, sin = np.float32(math.cos(camera.heading)), np.float32(math.sin(camera.heading))
    z = painter.depth[:, None] * (cos - sin * painter.right)
    x = painter.depth[:, None] * (sin + cos * painter.right)
    # relative to the camera the numbers stay small enough for float32
    amplitude, rate, phase = drive.bend
    s = camera.position[2]
    bend = np.float32(amplitude) * np.sin(np.float32(rate) * z + np.float32((rate * s + phase) % (2 * math.pi)))
    lateral = x - bend
    lateral += np.float32(camera.position[0] + textures.TILE[1] / 2)
    u = lateral - np.float32(textures.TILE[1] / 2)
    on_road, side_roads = np.abs(u) <= painter.scene.area.road, []
    for place in painter.scene.junctions[np.abs(painter.scene.junctions - s) < scenes.WALL_SIGHT]:
        w = z - np.float32(place - s)
        asphalt, kerb = junctions.corners(u, w, painter.scene.area.road)
        off_marks = np.float32(0.3) + np.abs((np.abs(u) + 2.8) % np.float32(5.6) - np.float32(2.8))  # of all lanes
        lateral = np.where(asphalt, off_marks + np.float32(textures.TILE[1] / 2), lateral)
        lateral = np.where(
            kerb, np.float32(painter.scene.area.road + junctions.KERB / 2 + textures.TILE[1] / 2), lateral
        )
        beside = (np.abs(w) < np.minimum(np.abs(u), textures.TILE[1] / 2)) & ~asphalt & ~kerb
        on_road |= asphalt | (beside & (np.abs(w) <= painter.scene.area.road))
        side_roads.append((beside, u + np.float32(textures.JUNCTION), w + np.float32(textures.TILE[1] / 2)))
    surface[:horizon], surface[horizon:] = SKY, np.where(on_road, ROAD, ROADSIDE)
    z += np.float32(s % textures.TILE[0])
    _lay(image[horizon:], painter.ground, lateral, z)
    for beside, along, across in side_roads:
        _lay(image[horizon:], painter.side_road, along, across, beside)
    ground = image[horizon:]
    ground[:] = np.round(ground + (painter.haze - ground) * painter.mist)


def _lay(ground: np.ndarray, runs: list, x: np.ndarray, z: np.ndarray, where: np.ndarray | None = None) -> None:
    """Paint the ground, all or some of its pixels, with a tile: ``x`` and ``z`` in metres on it."""
    for start, stop, tile, per_x, per_z in runs:
        if where is not None and not where[start:stop].any():
            continue
        map_x, map_z = x[start:stop] * np.float32(per_x), z[start:stop] * np.float32(per_z)
        map_x -= np.float32(0.5)
        map_z -= np.float32(0.5)
        part = ground[start:stop] if where is None else None
        part = cv2.remap(tile, map_x, map_z, cv2.INTER_LINEAR, dst=part, borderMode=cv2.BORDER_WRAP)
        if where is not None:
            np.copyto(ground[start:stop], part, where=where[start:stop, :, None])


def _paint_wall(
    painter: Painter, camera: Camera, image: np.ndarray, wall: int, corners: np.ndarray, outline: np.ndarray
) -> None:
    walls = painter.scene.walls
    style, depth = int(walls.style[wall]), max(float(corners[:, 2].mean()), 0.0)
    if style < 0:
        colour = painter.hazy(walls.colour[wall][None], np.array([depth]))[0]
        cv2.fillConvexPoly(image, outline, colour.tolist(), cv2.LINE_AA, SHIFT)
        return
    low, high = outline.min(0) / 2**SHIFT, outline.max(0) / 2**SHIFT
    floors, bays, *_ = painter.scene.styles[style]
    texels = np.array([bays * textures.BAY, floors * textures.STOREY]) * textures.WALL_DENSITY
    across, down = np.clip(np.floor(np.log2(texels / np.maximum(high - low, 1)) + (0.75, 0.5)), 0, 6).astype(int)
    mist = round(8 * (1 - math.exp(-depth / painter.fog)))
    texture = painter.front(style, int(across), int(down), float(walls.light[wall]), mist)
    # the edge texels of the warped picture stay free: fill first
    cv2.fillConvexPoly(image, outline, cv2.mean(texture)[:3], cv2.LINE_8, SHIFT)
    left, top = (int(value) for value in np.maximum(np.floor(low), 0))
    right, bottom = (int(value) + 1 for value in np.minimum(np.ceil(high), (camera.width - 1, camera.height - 1)))
    if right - left < 3 or bottom - top < 3:
        return
    rows, columns = texture.shape[:2]
    plane = np.column_stack(
        [(corners[2] - corners[0]) / (columns - 1), (corners[6] - corners[0]) / (rows - 1), corners[0]]
    )
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    warp = shift @ intrinsics(camera) @ plane
    if abs(np.linalg.det(warp)) > 1e-12:
        part = image[top:bottom, left:right]
        cv2.warpPerspective(
            texture,
            warp,
            (right - left, bottom - top),
            dst=part,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )


def _paint_shadows(painter: Painter, camera: Camera, image: np.ndarray, actors: np.ndarray, poses: tuple) -> None:
    """Dark patches below cars and people, on the ground."""
    place, heading, *_ = poses
    kind = painter.scene.actors.kind[actors]
    half = (
        np.array([(0.35, 0.28), (0.3, 0.95), (1.0, 2.25), (0.4, 0.5)])[kind]
        * painter.scene.actors.size[actors][:, None]
    )
    angle = np.arange(8) * np.pi / 4 + np.pi / 8
    ring = np.stack(
        [np.cos(angle) * half[:, :1] * 1.1, np.zeros((len(kind), 8)), np.sin(angle) * half[:, 1:] * 1.08], -1
    )
    corners = shapes.turn(ring, heading) + place[:, None]
    points = (corners - camera.position) @ camera.turn.T
    colour = np.array(
        [textures.ASPHALT[painter.scene.condition] * 0.42 * textures.DARKNESS.get(painter.scene.condition, 1)] * 3
    )
    for outline, colours in zip(
        points, painter.hazy(np.tile(colour, (len(kind), 1)), points[..., 2].mean(1)).tolist(), strict=True
    ):
        if outline[:, 2].max() > NEAR + 0.01:
            pixels = project(camera, cut(outline))
            cv2.fillConvexPoly(image, fixed(pixels), colours, cv2.LINE_AA, SHIFT)


def _paint_reflections(painter: Painter, image: np.ndarray) -> None:
    """The wet road mirrors what stands above the horizon."""
    horizon = painter.horizon
    part = image[horizon:]
    mirror = cv2.blur(cv2.resize(cv2.flip(image[:horizon], 0), part.shape[1::-1]), (3, 9))
    cv2.addWeighted(part, 0.74, mirror, 0.26, 0, dst=part)


def add_glow(
    painter: Painter, camera: Camera, image: np.ndarray, surface: np.ndarray, actors: np.ndarray, poses: tuple
) -> None:
    """Halos of headlights, tail lights and lamps that are not hidden."""
    place, heading, *_ = poses
    spots = []
    for row in np.flatnonzero(painter.scene.actors.kind[actors] == traffic.CAR):
        template = scenes.CAR_FACES[painter.scene.actors.shape[actors[row]]]
        ahead = np.array([math.sin(heading[row]), math.cos(heading[row])])
        front = ahead @ (camera.position - place[row])[[0, 2]] > 0
        role, reach, colour = (4, 1.15, (255, 240, 205)) if front else (5, 0.5, (230, 30, 20))
        lights = template.corners[template.role == role].mean(1) * painter.scene.actors.size[actors[row]]
        spots += [
            (point, reach, colour, ACTOR + actors[row])
            for point in shapes.turn(lights[None], heading[row : row + 1])[0] + place[row]
        ]
    night, (first, last) = painter.scene.condition == "night", scenes.near_props(painter.scene, camera.position[2])
    spots += [
        (lamp, 1.6, (190, 150, 90), 0) for lamp in painter.scene.props.lamp[first:last] if night and lamp[0] == lamp[0]
    ]
    for point, reach, colour, number in spots:
        x, y, z = camera.turn @ (point - camera.position)
        if not 2 < z < 150:
            continue
        u, v = camera.focal * x / z + camera.cx, camera.focal * y / z + camera.cy
        column, row = round(u), round(v)
        inside = 0 <= column < camera.width and 0 <= row < camera.height
        if not inside or (
            number and (surface[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] != number).all()
        ):
            continue
        radius = int(np.clip(camera.focal * reach / z, 2, camera.height // 5))
        halo = cv2.resize(painter.halo, (2 * radius + 1, 2 * radius + 1), interpolation=cv2.INTER_AREA)
        top, left = max(row - radius, 0), max(column - radius, 0)
        part = image[top : row + radius + 1, left : column + radius + 1]
        cut = halo[top - row + radius :, left - column + radius :][: part.shape[0], : part.shape[1]]
        cv2.add(part, np.round(cut[..., None] * np.array(colour, np.float32)).astype(np.uint8), dst=part)


def paint(painter: Painter, camera: Camera, t: float, image: np.ndarray, surface: np.ndarray) -> tuple:
    """The scene without light and weather, and the number of what is seen in each pixel; returns the actors in sight and their poses."""
    scene = painter.scene
    _paint_background(painter, camera, image, surface)
    actors = traffic.near(scene.actors, scene.drive, t)
    poses = traffic.poses(scene.actors, scene.drive, actors, t)
    _paint_shadows(painter, camera, image, actors, poses)
    walls = visible_walls(scene, camera)
    for wall in walls:
        _paint_wall(painter, camera, image, *wall)
        cv2.fillConvexPoly(surface, wall[2], BUILDING, cv2.LINE_8, SHIFT)
    if scene.condition == "rain":
        _paint_reflections(painter, image)
    world = scenes.world(scene, actors, scenes.near_props(scene, camera.position[2]), t)
    polygons = visible_faces(camera, world)
    colours = np.clip(painter.hazy(polygons.colour, polygons.depth), 0, 255).tolist()
    items = world.item[polygons.face]
    numbers = np.where(items < len(scene.actors.kind), ACTOR + items, THING).tolist()
    for part, hidden in in_order(scene, camera, walls, world, polygons):
        before = hidden is not None and (image[hidden], surface[hidden])
        for points, colour, number in zip(polygons.points[part], colours[part], numbers[part], strict=True):
            cv2.fillConvexPoly(image, points, colour, cv2.LINE_AA, SHIFT)
            cv2.fillConvexPoly(surface, points, number, cv2.LINE_8, SHIFT)
        if hidden is not None:
            image[hidden], surface[hidden] = before
    return actors, poses
