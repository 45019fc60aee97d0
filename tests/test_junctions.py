"""Junctions of rendered roads: paths that turn, nobody in the way, what houses hide, boxes, tracks, flow, depth and stored pixels."""

import functools
import itertools

import cv2
import numpy as np
import pytest

from dagal import artifacts
from dagal.datasets import prepare
from dagal.datasets.rendering import camera, junctions, roads, textures, traffic, turns
from dagal.datasets.rendering import render as module
from dagal.datasets.rendering.render import MIN_VISIBLE, SEGMENTS, Clip, depths, plan, render, true_flow
from dagal.seeding import generator

H, W = 120, 160
BUSY = (0.3, 0.5, 0.6, 0.2)


def clip(area="city", condition="spring", seed=0, n_frames=4, probabilities=BUSY):
    return Clip("x", "default", 0, area, condition, probabilities, (0.0, 0.0), n_frames, seed, 1.0)


# paths


@pytest.mark.parametrize(("arm", "turn"), junctions.PATHS)
def test_a_path_leads_from_its_lane_into_the_right_hand_lane_of_where_it_turns(arm, turn):
    """Its direction and way against differences of its positions; forward and rightward from the compass, clockwise."""
    lane, radius, speed, slow, t = 1.6, 6.0, 9.0, 4.0, np.arange(-12, 12, 0.001)
    compass = [(0, 1), (1, 0), (0, -1), (-1, 0)]  # ahead, right, back, left in (u, w)
    came = {0: 0, 2: 1, 1: 2, 3: 3}[arm]
    some = (np.full(len(t), value) for value in (lane, arm, turn, radius, speed, slow))
    u, w, du, dw, way = junctions.follow(*some, t)
    position, direction = np.column_stack([u, w]), np.column_stack([du, dw])
    for which, heading in ((0, came), (-1, came + turn)):
        forward, rightward = np.array(compass[heading % 4]), np.array(compass[(heading + 1) % 4])
        np.testing.assert_allclose(direction[which], forward, atol=1e-12)
        assert position[which] @ rightward == pytest.approx(lane)
    assert position[0] @ compass[came] < -50 < 50 < position[-1] @ compass[(came + turn) % 4]
    step = np.diff(position, axis=0)
    length = np.linalg.norm(step, axis=1)
    np.testing.assert_allclose(length, np.diff(way), atol=1e-5)
    np.testing.assert_allclose((step * direction[1:]).sum(1), length, rtol=1e-5)
    pace = length / 0.001
    assert pace.max() == pytest.approx(speed, rel=1e-3)
    assert pace.min() == pytest.approx(slow if turn else speed, rel=1e-3)
    assert np.abs(np.diff(pace)).max() < 1.01 * junctions.BRAKING * 0.001
    assert np.interp(0, t, way) == pytest.approx(0, abs=1e-9)


def test_no_turn_leaves_the_asphalt():
    """The middle of a vehicle stays its half width away from the pavement, in both areas, on all paths."""
    t = np.arange(-9, 9, 0.01)
    for area, (kind, half) in itertools.product(("city", "town"), ((traffic.CAR, 0.9), (traffic.CYCLIST, 0.3))):
        shape = roads.AREAS[area]
        lane = shape.lanes[0] if kind == traffic.CAR else shape.parked - 1.25
        for arm, turn in junctions.PATHS:
            radius = traffic.RADIUS[kind][1 + turn]
            some = (np.full(len(t), value) for value in (lane, arm, turn, radius, 6.0, traffic.SLOW[kind]))
            u, w, *_ = junctions.follow(*some, t)
            beside, beyond = np.abs(u) - shape.road, np.abs(w) - shape.road
            assert (np.minimum(beside, beyond) < -half).all()


def test_junctions_stand_at_their_places_with_their_probability():
    draws = [junctions.places(generator(seed, "x"), roads.AREAS["city"], 0.3, 2000.0) for seed in range(200)]
    n = 21 * 200
    assert abs(sum(map(len, draws)) - 0.3 * n) < 4 * np.sqrt(0.3 * 0.7 * n)
    for s in np.unique(np.concatenate(draws)):
        assert min(abs((s - crossing + 48) % 96 - 48) for crossing in textures.CROSSINGS) == 24
    assert not len(junctions.places(generator(0, "x"), roads.AREAS["highway"], 1.0, 2000.0))
    assert not len(junctions.places(generator(0, "x"), roads.AREAS["city"], 0.0, 2000.0))


@pytest.mark.parametrize(("kind", "probability"), [(traffic.CAR, 0.35), (traffic.CYCLIST, 0.2)])
def test_spawn_positions_and_paths_have_the_stated_probabilities(kind, probability):
    """By 4 standard deviations of binomial draws: one vehicle of each position, each path as often as any other."""
    drawn = [
        offer for seed in range(400) for offer in turns.offers(generator(seed, "x"), kind, 40.0, probability, 27.0)
    ]
    n = 400 * round(30 / turns.EVERY[kind])
    assert abs(len(drawn) - probability * n) < 4 * np.sqrt(probability * (1 - probability) * n)
    for path in junctions.PATHS:
        found = sum((offer.arm, offer.turn) == path for offer in drawn)
        assert abs(found - len(drawn) / 10) < 4 * np.sqrt(0.09 * len(drawn))
    assert -3 <= min(offer.begin for offer in drawn) < max(offer.begin for offer in drawn) < 27 + turns.EVERY[kind]


# nobody in the way


def collisions(actors, drive, duration):
    """Pairs (who turns, other) whose rectangles overlap at some time; the camera's car is the last other."""
    size = np.array([(0.4, 0.4), (0.4, 1.2), (1.6, 4.0), (0.5, 0.5)])
    every, found = np.arange(len(actors.kind)), set()
    turning = np.flatnonzero(actors.path == traffic.TURNING)
    for t in np.arange(0, duration, 0.2):
        place, heading, *_ = traffic.poses(actors, drive, every, t)
        position, ahead = roads.camera_pose(drive, t)
        where, angle = np.vstack([place[:, [0, 2]], position[[0, 2]]]), np.degrees(np.append(heading, ahead))
        sides = np.vstack([size[actors.kind], size[traffic.CAR]])
        for one in turning:
            for other in np.flatnonzero(np.abs(where - where[one]).max(1) < 6):
                rectangles = [(where[k].tolist(), sides[k].tolist(), -float(angle[k])) for k in (one, other)]
                if other != one and cv2.rotatedRectangleIntersection(*rectangles)[0]:
                    found.add((int(one), int(other)))
    return found


def traffic_of(seed, area="city"):
    drive = roads.draw(generator(seed, "drive"), area)
    places = np.array([40.0, 136.0])
    actors = traffic.draw(generator(seed, "actors"), drive, area, BUSY, 12.0, places)
    return drive, actors, (generator(seed, "turns"), actors, drive, roads.AREAS[area], BUSY, places, 12.0)


def test_who_turns_meets_nobody(monkeypatch):
    turning, paths = 0, set()
    for seed in range(4):
        drive, before, about = traffic_of(seed, ("city", "town")[seed % 2])
        actors = turns.draw(*about)
        for column, old in zip(actors, before, strict=True):
            np.testing.assert_array_equal(column[: len(before.kind)], old)
        assert not collisions(actors, drive, 12.0)
        new = actors.path == traffic.TURNING
        turning += new.sum()
        paths |= set(zip(actors.kind[new].tolist(), actors.arm[new].tolist(), actors.turn[new].tolist(), strict=True))
    assert turning > 20
    assert len(paths) > 10
    monkeypatch.setattr(turns, "meet", lambda one, others: False)
    drive, _, about = traffic_of(0)
    assert collisions(turns.draw(*about), drive, 12.0)


def test_nobody_parks_or_stands_in_the_mouth_of_a_side_road():
    for area in ("city", "town"):
        scene = module._scene(clip(area, seed=5, n_frames=300), 25)
        actors, road = scene.actors, scene.area.road
        parked = (actors.kind == traffic.CAR) & (actors.path == 0) & (actors.speed == 0)
        assert parked.sum() > 5
        assert np.abs(actors.start[parked, None] - scene.junctions).min() > road + 2.3
        assert np.abs(scene.props.s[:, None] - scene.junctions).min() > road
        front = scene.walls.far - scene.walls.near > 3
        for s in scene.junctions:
            assert not (front & (scene.walls.near < s + road + 2) & (scene.walls.far > s - road - 2)).any()


# what is seen


FPS = 5
DRIVES = [clip("city", seed=1, n_frames=16), clip("town", "fall", 3, 16)]  # in which many turn


@functools.cache
def driven(which):
    """A clip, its scene, who turns in it, and its frames."""
    scene = module._scene(DRIVES[which], FPS)
    turning = np.flatnonzero(scene.actors.path == traffic.TURNING)
    return DRIVES[which], scene, turning, list(render(DRIVES[which], H, W, FPS))


def test_boxes_of_who_turns_are_the_extents_of_what_is_seen_and_their_tracks_go_on():
    """Over the turn, frame by frame: a track has a box whenever more than MIN_VISIBLE pixels of it are seen, and moves little."""
    turned = set()
    for which in (0, 1):
        one, scene, turning, frames = driven(which)
        actors, last = scene.actors, {}
        for k, frame in enumerate(frames):
            boxes = dict(zip(frame.tracks.tolist(), frame.boxes, strict=True))
            for track in turning:
                rows, columns = np.nonzero(frame.instance == track + 1)
                assert (track in boxes) == (len(rows) > MIN_VISIBLE)
                if track in boxes:
                    box = boxes[track]
                    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                    assert frame.labels[frame.tracks == track] == actors.kind[track]
                    if track in last and last[track][0] == k - 1 and len(rows) < 1500:
                        middle = (box[:2] + box[2:]) / 2
                        assert np.abs(middle - last[track][1]).max() < 0.3 * W
                        turned.add((int(actors.kind[track]), int(track), one.area))
                    last[track] = k, (box[:2] + box[2:]) / 2
    assert {kind for kind, *_ in turned} == {traffic.CAR, traffic.CYCLIST}
    assert len(turned) > 3


def test_houses_hide_who_is_behind_them():
    """At every pixel of who turns, every wall that lies on the same ray is farther; without the houses more would be seen of some."""
    hidden = 0
    for which in (0, 1):
        _, scene, turning, frames = driven(which)
        for k in range(0, 16, 3):
            view = camera.camera_at(scene, k / FPS, H, W)
            seen = module._surfaces(scene, k / FPS, H, W)
            walls = camera.visible_walls(scene, view)
            place, *_ = traffic.poses(scene.actors, scene.drive, turning, k / FPS)
            for actor, where in zip(turning, place, strict=True):
                distance = (where - view.position) @ view.turn[2]
                rows, columns = np.nonzero(frames[k].instance == actor + 1)
                for _, corners, outline in walls:
                    plane = np.column_stack([corners[2] - corners[0], corners[4] - corners[0], corners[0]])
                    rays = np.column_stack(
                        [(columns - view.cx) / view.focal, (rows - view.cy) / view.focal, np.ones(len(rows))]
                    )
                    of_wall = 1 / np.maximum(rays @ np.linalg.pinv(plane)[2], 1e-9)
                    polygon = (outline / 16).astype(np.float32)
                    inside = [
                        cv2.pointPolygonTest(polygon, (float(x), float(y)), True) > 1
                        for x, y in zip(columns, rows, strict=True)
                    ]
                    assert (of_wall[np.array(inside, bool)] > distance - 3).all()
                if distance > 1:
                    middle = camera.project(view, view.turn @ (where + (0, 0.7, 0) - view.position))
                    x, y = np.round(middle).astype(int)
                    hidden += 0 <= x < W and 0 <= y < H and 2 <= seen.key[seen.face[y, x]] < 2 + len(scene.walls.style)
    assert hidden > 2


def test_the_painter_and_the_flow_see_the_same():
    """The frame and the surfaces are painted apart; both hide the same pixels of who turns."""
    _, scene, _, frames = driven(0)
    for k in range(0, 16, 3):
        seen = module._surfaces(scene, k / FPS, H, W)
        item = seen.key[seen.face] - 2 - len(scene.walls.style)
        actors = np.where((item >= 0) & (item < len(scene.actors.kind)), item + 1, 0)
        np.testing.assert_array_equal(frames[k].instance, actors)


def test_the_ground_of_a_junction_is_road_where_the_roads_are():
    """Every pixel of the mask that shows ground, against its place on the ground, but for those within a few centimetres of an edge."""
    one = clip("city", "spring", 4, 1, (0, 0, 0, 0))
    (frame,), scene = render(one, 300, 400, 25), module._scene(one, 25)
    view, road = camera.camera_at(scene, 0.0, 300, 400), scene.area.road
    rows, columns = np.nonzero(np.isin(frame.mask, [SEGMENTS.index("road"), SEGMENTS.index("roadside")]))
    rays = (
        np.column_stack([(columns - view.cx) / view.focal, (rows - view.cy) / view.focal, np.ones(len(rows))])
        @ view.turn
    )
    below = rays[:, 1] < 0
    rows, columns, rays = rows[below], columns[below], rays[below]
    points = view.position - rays * (view.position[1] / rays[:, 1])[:, None]
    u = points[:, 0] - roads.centre(scene.drive, points[:, 2])
    expected, doubtful = np.abs(u) <= road, np.abs(np.abs(u) - road) < 0.05
    for s in scene.junctions:
        w = points[:, 2] - s
        beside, beyond = np.abs(u) - road, np.abs(w) - road
        away = np.hypot(beside - junctions.ROUNDING, beyond - junctions.ROUNDING) - junctions.ROUNDING
        corner = (np.minimum(beside, beyond) > 0) & (np.maximum(beside, beyond) < junctions.ROUNDING)
        expected |= (beyond <= 0) | (corner & (away > 0))
        doubtful |= (np.abs(beyond) < 0.05) | (corner & (np.abs(away) < 0.05))
    near = (points[:, 2] < 110) & ~doubtful
    side = near & (np.abs(u) > road + 1) & expected
    assert side.sum() > 200
    found = frame.mask[rows, columns] == SEGMENTS.index("road")
    np.testing.assert_array_equal(found[near], expected[near])


def test_the_true_flow_leads_who_turns_to_where_it_is_next():
    """Pixels of each that stay in sight, against the picture of objects of the next frame."""
    followed = 0
    for which in (0, 1):
        one, _, turning, frames = driven(which)
        flows = itertools.islice(true_flow(one, H, W, FPS), 10)
        for (flow, valid), here, there in zip(flows, frames, frames[1:], strict=False):
            for track in turning:
                rows, columns = np.nonzero((here.instance == track + 1) & valid)
                if len(rows) > 20:
                    x, y = columns + flow[rows, columns, 0], rows + flow[rows, columns, 1]
                    ends = there.instance[np.round(y).astype(int), np.round(x).astype(int)]
                    assert (ends == track + 1).mean() > 0.9
                    followed += 1
    assert followed > 5


# depth, and what is stored of every pixel


def test_depth_of_the_ground_and_the_sky_against_the_formula():
    (depth,) = depths(clip("highway", n_frames=1, probabilities=(0, 0, 0, 0)), H, W, 25)
    (frame,) = render(clip("highway", n_frames=1, probabilities=(0, 0, 0, 0)), H, W, 25)
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(np.isinf(depth), frame.mask == SEGMENTS.index("sky"))
    rows, columns = np.nonzero(np.isin(frame.mask, [SEGMENTS.index("road"), SEGMENTS.index("roadside")]))
    np.testing.assert_allclose(depth[rows, columns], 1.2 * H * 1.5 / (rows - 0.44 * H), rtol=1e-4)


def test_depth_of_objects_is_where_they_stand_and_the_nearer_hides_the_farther():
    """Every pixel of an object within its length of its place; where two would be seen, the one that is seen is the nearer one."""
    checked, covered = 0, 0
    for seed in range(2):
        one = clip("city", seed=seed, n_frames=1, probabilities=(1, 1, 1, 1))
        scene, (frame,), (depth,) = module._scene(one, 25), render(one, 200, 266, 25), depths(one, 200, 266, 25)
        view = camera.camera_at(scene, 0.0, 200, 266)
        place, *_ = traffic.poses(scene.actors, scene.drive, np.arange(len(scene.actors.kind)), 0.0)
        distance = (place - view.position) @ view.turn[2]
        for track in frame.tracks:
            pixels = depth[frame.instance == track + 1]
            reach = 3.2 if scene.actors.kind[track] == traffic.CAR else 1.3
            assert np.abs(pixels - distance[track]).max() < reach
            checked += 1
        for front, behind in itertools.permutations(frame.tracks.tolist(), 2):
            if distance[front] + 7 < distance[behind] and distance[front] > 3:
                boxes = [frame.boxes[frame.tracks == track][0] for track in (front, behind)]
                low, high = np.maximum(boxes[0][:2], boxes[1][:2]), np.minimum(boxes[0][2:], boxes[1][2:])
                x, y = ((low + high) / 2).astype(int)
                if (low < high).all() and frame.instance[y, x] == front + 1:
                    covered += 1
                    assert depth[y, x] < distance[behind] - 3
    assert checked > 10
    assert covered > 0


def test_pixels_on_request_lie_beside_the_boxes(tmp_path, monkeypatch):
    """As the renderer gives them, for any number of processes; without the request nothing else is in truth.h5."""
    settings = {
        "loader": "synthia_al", "name": "x", "seed": 0, "scale": 0.001, "seconds": [0.4, 0.4], "fps": 5, "quiet": 0.0, "junctions": 1.0,
        "height": H, "width": W,
    }  # fmt: skip
    monkeypatch.setattr(module, "SUBSETS", {name: module.SUBSETS[name] for name in ("town", "test_wheelchair")})
    origin = artifacts.provenance("dataset", settings, 0)
    wanted = {"per_pixel": ["masks", "instances", "depth"]}
    for name, more, workers in (("plain", {}, 1), ("asked", wanted, 1), ("twice", wanted, 2)):
        prepare(settings | more, tmp_path / f"{name}_images.h5", tmp_path / f"{name}.h5", origin, workers)
    assert (tmp_path / "asked.h5").read_bytes() == (tmp_path / "twice.h5").read_bytes()
    assert (tmp_path / "asked_images.h5").read_bytes() == (tmp_path / "plain_images.h5").read_bytes()
    with artifacts.opened(tmp_path / "plain.h5", "truth") as file:
        assert set(file) == {"boxes", "box_labels", "tracks", "offsets"}
    with artifacts.opened(tmp_path / "asked.h5", "truth") as file:
        truth = {name: file[name][()] for name in file}
        assert file.attrs["pixel_classes"].tolist() == list(SEGMENTS)
    assert {name: truth[name].dtype for name in wanted["per_pixel"]} == {
        "masks": "u1",
        "instances": "u2",
        "depth": "u2",
    }
    row = 0
    for one in plan(settings):
        for frame, depth in zip(render(one, H, W, 5), depths(one, H, W, 5), strict=True):
            np.testing.assert_array_equal(truth["masks"][row], frame.mask)
            np.testing.assert_array_equal(truth["instances"][row], frame.instance)
            sky = np.isinf(depth)
            assert not truth["depth"][row][sky].any()
            near = ~sky & (depth < 600)
            np.testing.assert_allclose(truth["depth"][row][near], 100 * depth[near], atol=0.51)
            boxes = slice(*truth["offsets"][row : row + 2])
            for track, box in zip(truth["tracks"][boxes], truth["boxes"][boxes], strict=True):
                rows, columns = np.nonzero(truth["instances"][row] == track + 1)
                assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            row += 1
    assert row == len(truth["depth"])
    assert len(truth["boxes"]) > 5
