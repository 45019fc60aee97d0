"""The renderer: bytes by seed, boxes of what is visible, true flow that explains the next frame, and the plan of the subsets."""

import functools
import itertools
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dagal.datasets.rendering import render as module
from dagal.datasets.rendering import roads, textures, traffic
from dagal.datasets.rendering.render import CLASSES, MIN_VISIBLE, SEGMENTS, SUBSETS, Clip, plan, render, true_flow
from dagal.errors import UserError
from dagal.seeding import generator

H, W, FPS = 120, 160, 25
EVERYONE = (0.3, 0.2, 0.35, 0.4)
SETTINGS = {"seed": 0, "scale": 1, "seconds": [10, 30], "fps": 25, "quiet": 0.5, "height": 300, "width": 400}


def clip(area="city", condition="spring", seed=0, n_frames=4, probabilities=EVERYONE, quiet=(0.0, 0.0)):
    return Clip("x", "default", 0, area, condition, probabilities, quiet, n_frames, seed)


def frames(**changes):
    return list(render(clip(**changes), H, W, FPS))


def digest(rendered):
    return [(f.image.tobytes(), f.boxes.tobytes(), f.labels.tobytes(), f.tracks.tobytes()) for f in rendered]


def with_masks(one, height=H, width=W):
    """Frames and pictures of track + 1."""
    return [(frame, frame.instance.astype(int)) for frame in render(one, height, width, FPS)]


def warp(image, flow):
    """What the other frame shows at the end of each motion."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        image, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


# bytes


@pytest.mark.parametrize(("area", "condition"), [("city", "rain"), ("town", "winter"), ("highway", "night")])
def test_the_seed_decides_and_nothing_else(area, condition):
    first = digest(frames(area=area, condition=condition, seed=1))
    other = digest(frames(area=area, condition=condition, seed=2))
    assert all(one[0] != two[0] for one, two in zip(first, other, strict=True))
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2 if threads == 1 else 1)
        np.random.seed(5)  # noqa: NPY002  a global generator that must not matter
        other_clip = render(clip("town", "fall", 9), H, W, FPS)
        mixed = [frame for frame, _ in zip(render(clip(area, condition, 1), H, W, FPS), other_clip, strict=True)]
    finally:
        cv2.setNumThreads(threads)
    assert digest(mixed) == first


def test_frames_hold_what_the_contract_says():
    for height, width in ((H, W), (51, 203), (200, 48)):
        for frame in render(clip("town", "fall", 3), height, width, FPS):
            assert frame.image.shape == (height, width, 3)
            assert frame.image.dtype == np.uint8
            assert (frame.boxes.dtype, frame.labels.dtype, frame.tracks.dtype) == (np.float32, np.int64, np.int64)
            assert frame.boxes.shape == (len(frame.labels), 4)
            assert len(frame.labels) == len(frame.tracks) == len(np.unique(frame.tracks))
            assert (frame.boxes >= 0).all()
            assert (frame.boxes[:, 2:] <= (width, height)).all()
            assert (frame.boxes[:, 2:] > frame.boxes[:, :2]).all()
            assert np.isin(frame.labels, range(len(CLASSES))).all()


def test_conditions_differ_in_look_but_not_in_content():
    pictures = {c: frames(condition=c, seed=4, n_frames=1)[0] for c in ("spring", "fall", "winter", "rain", "night")}
    for one, two in itertools.combinations(pictures.values(), 2):
        assert np.abs(one.image.astype(int) - two.image).mean() > 5
    for condition in ("fall", "rain", "night"):  # in winter one sees through the bare trees
        np.testing.assert_array_equal(pictures["spring"].boxes, pictures[condition].boxes)
    assert pictures["night"].image.mean() < 0.5 * pictures["spring"].image.mean()


def test_probabilities_act():
    def seen(probabilities):
        found = Counter()
        for seed in range(2):
            for frame in render(clip(seed=seed, n_frames=2, probabilities=probabilities), H, W, fps=1):
                found.update(frame.labels.tolist())
        return found

    assert not seen((0, 0, 0, 0))
    for k in range(4):
        one = tuple(float(i == k) for i in range(4))
        assert set(seen(one)) == {k}
        assert seen(one)[k] > seen(tuple(0.2 * p for p in one))[k]


@functools.cache
def spawned(area, probabilities):
    """What moves in 100 clips of 20 seconds without quiet stretches, and how far the cameras come in all."""
    result, metres = [], 0.0
    for seed in range(100):
        drive = roads.draw(generator(seed, "drive"), area)
        result.append(traffic.draw(generator(seed, "actors"), drive, area, probabilities, 20.0))
        metres += roads.reach(drive, 20.0)
    return result, metres


KINDS = {
    "walks": (traffic.PEDESTRIAN, lambda actors: actors.path == 0),
    "crosses": (traffic.PEDESTRIAN, lambda actors: actors.path == 2),
    "rides": (traffic.CYCLIST, lambda actors: actors.path == 0),
    "follows": (traffic.CAR, lambda actors: actors.path == 1),
    "parks": (traffic.CAR, lambda actors: (actors.path == 0) & (actors.speed == 0)),
    "comes towards": (traffic.CAR, lambda actors: actors.speed < 0),
    "rolls": (traffic.WHEELCHAIR, lambda actors: actors.path == 0),
}


def count(area, name, probability):
    kind, chosen = KINDS[name]
    scenes_, metres = spawned(area, tuple(probability * (k == kind) for k in range(4)))
    return sum(np.count_nonzero((actors.kind == kind) & chosen(actors)) for actors in scenes_), metres


@pytest.mark.parametrize("name", KINDS)
def test_spawn_probabilities_are_those_of_the_table(name):
    """At the positions that are taken when the probability is 1, by 4 standard deviations of a binomial draw."""
    positions, _ = count("city", name, 1.0)
    for probability in (0.3, 0.35):
        found, _ = count("city", name, probability)
        assert abs(found - probability * positions) < 4 * np.sqrt(probability * (1 - probability) * positions)
    assert positions >= 300


@pytest.mark.parametrize(("name", "lines", "spacing", "before", "beyond"), [
    ("walks", 2, 8, 20, 120), ("rolls", 2, 34, 20, 120), ("rides", 2, 30, -5, 120 + 20 * 5 / 2), ("follows", 3, None, 0, 0),
])  # fmt: skip
def test_spawn_positions_are_everywhere(name, lines, spacing, before, beyond):
    """Beside the whole road, on both sides, no stretch left out: so many metres apart, from behind the camera to beyond its end."""
    found, metres = count("city", name, 1.0)
    positions = 300 if spacing is None else lines * ((metres + 100 * (before + beyond)) / spacing + 50)
    assert found == pytest.approx(positions, rel=0.02)


def test_quiet_stretches_take_their_share_of_the_time():
    for share in (0.0, 0.25, 0.5, 0.9):
        quiet = [len(traffic.quiet_times(share, phase, 19.9)) / 200 for phase in np.linspace(0, 1, 300, endpoint=False)]
        assert np.mean(quiet) == pytest.approx(share, abs=0.01)
        assert share == 0 or 0 < np.mean([0.01 < part < 0.99 for part in quiet]) < 0.5
    for scale, tolerance in ((4 / 150, 0.3), (0.2, 0.1), (1, 0.03)):  # few sequences, too
        for seed in range(5):
            clips = plan(SETTINGS | {"scale": scale, "seed": seed})
            parts = [len(traffic.quiet_times(*one.quiet, one.n_frames / 25)) / one.n_frames * 2.5 for one in clips]
            assert np.mean(parts) == pytest.approx(0.5, abs=tolerance)


@pytest.mark.parametrize("area", roads.AREAS)
def test_nobody_is_near_in_a_quiet_stretch_and_all_others_stay(area):
    empty, moments = Counter(), np.arange(0, 12, 1.0)
    for seed in range(24):
        drive = roads.draw(generator(seed, "drive"), area)
        everyone = traffic.draw(generator(seed, "actors"), drive, area, EVERYONE, 12.0)
        silent = traffic.quiet_times(0.5, seed / 24, 12.0)
        others = traffic.without_seen(everyone, drive, silent)
        for t in moments:
            near, before = (len(traffic.near(actors, drive, t, traffic.CLEAR)) for actors in (others, everyone))
            empty.update(quiet=not near, busy=not before)
            assert not near or not len(silent) or np.abs(silent - t).min() > 0.01
        if not len(silent):
            assert others.start.tolist() == everyone.start.tolist()
        kept = {*others.start.tolist()}
        for t in silent[::20]:
            near = traffic.near(everyone, drive, t, traffic.CLEAR)
            assert not kept & {*everyone.start[near].tolist()}
    assert empty["busy"] < 0.1 * 24 * len(moments)
    assert 0.35 < empty["quiet"] / 24 / len(moments) < 0.8


def test_quiet_frames_have_no_box():
    """Not even those at the end of the quiet stretch, in which the first objects come into sight."""
    quiet_frames, boxes = 0, 0
    for seed in range(6):
        one = clip(seed=seed, n_frames=6, quiet=(0.5, seed / 6))
        silent = traffic.quiet_times(*one.quiet, 12.0)
        for k, frame in enumerate(render(one, 300, 400, fps=0.5)):
            if len(silent) and np.abs(silent - 2 * k).min() < 0.01:
                assert not len(frame.boxes)
                quiet_frames += 1
            boxes += len(frame.boxes)
    assert quiet_frames > 8
    assert boxes > 20


def test_an_object_keeps_its_class_and_moves_little_from_frame_to_frame():
    rendered = frames(seed=6, n_frames=40)
    pairs = 0
    for before, after in itertools.pairwise(rendered):
        here = {t: (label, box) for t, label, box in zip(before.tracks, before.labels, before.boxes, strict=True)}
        for track, label, box in zip(after.tracks, after.labels, after.boxes, strict=True):
            if track in here:
                assert here[track][0] == label
                assert np.abs((box[:2] + box[2:] - here[track][1][:2] - here[track][1][2:]) / 2).max() < 0.12 * W
                pairs += 1
    assert pairs > 40


# boxes of what is visible


@pytest.mark.parametrize(("area", "seed"), [("city", 1), ("town", 2), ("highway", 3)])
def test_boxes_are_the_extents_of_the_visible_pixels_and_small_objects_have_none(area, seed):
    annotated, ignored = 0, 0
    for frame, ids in with_masks(clip(area, "spring", seed, 30))[::6]:
        boxes = dict(zip(frame.tracks.tolist(), frame.boxes, strict=True))
        for number in np.unique(ids[ids > 0]).tolist():
            rows, columns = np.nonzero(ids == number)
            if len(rows) > MIN_VISIBLE:
                assert boxes.pop(number - 1).tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                annotated += 1
            else:
                ignored += 1
        assert not boxes
    assert annotated > 0
    assert ignored > 0


def test_masks_say_the_class_of_every_pixel():
    """Of objects that of their box; of the rest by place: sky above the horizon, road below it in the middle, the roadside beside it."""
    seen = Counter()
    for area, seed in (("city", 1), ("town", 2), ("highway", 3)):
        for frame in render(clip(area, "spring", seed, 2), H, W, FPS):
            assert (frame.mask.dtype, frame.instance.dtype) == (np.uint8, np.uint16)
            assert frame.mask.shape == frame.instance.shape == (H, W)
            first = SEGMENTS.index(CLASSES[0])
            np.testing.assert_array_equal(frame.mask >= first, frame.instance > 0)
            for label, track in zip(frame.labels, frame.tracks, strict=True):
                assert (frame.mask[frame.instance == track + 1] == first + label).all()
            horizon = np.ceil(0.44 * H).astype(int)
            names = np.array(SEGMENTS)[frame.mask]
            assert not np.isin(names[:horizon], ["road", "roadside"]).any()
            assert not (names[horizon:] == "sky").any()
            assert (names[-1, W // 2 - 10 : W // 2 + 10] == "road").all()  # what the camera is on
            middle = np.flatnonzero((names == "road").any(1))
            assert ("building" in names) == (area != "highway")
            seen.update(np.unique(names))
            assert len(middle) > 20
    assert set(seen) >= {"sky", "road", "roadside", "building", "thing", "car"}


def test_masks_of_the_ground_are_where_it_looks_like_road():
    """The colours of the asphalt, which is grey, against those of the grass beside a highway, near the camera."""
    (frame,) = render(clip("highway", "spring", 3, 1, (0, 0, 0, 0)), H, W, FPS)
    green, names = frame.image[60:70].astype(int) @ [-0.5, 1, -0.5], np.array(SEGMENTS)[frame.mask[60:70]]
    assert np.percentile(green[names == "road"], 95) < 10 < np.percentile(green[names == "roadside"], 5)


def without(scene, away):
    """The same scene with some of its actors (boolean) sent out of sight."""
    path, start = np.where(away, 0, scene.actors.path), np.where(away, -1e6, scene.actors.start)
    return replace(scene, actors=scene.actors._replace(path=path, start=start))


def masks(scene, height=H, width=W):
    """Picture of track + 1 at the first frame, from the surfaces of the flow instead of the painted frame."""
    surfaces = module._surfaces(scene, 0.0, height, width)
    item = surfaces.key[surfaces.face] - 2 - len(scene.walls.style)
    return np.where((item >= 0) & (item < len(scene.actors.kind)), item + 1, 0)


def extents(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_what_hides_an_object_shrinks_its_box_or_takes_it():
    shrunk, lost = 0, 0
    for seed in range(6):
        one = clip("city", "spring", seed, 1, (1, 1, 1, 1))
        (frame, ids), *_ = with_masks(one, 240, 320)
        scene = module._scene(one, FPS)
        np.testing.assert_array_equal(ids, masks(scene, 240, 320))
        boxes = dict(zip(frame.tracks.tolist(), frame.boxes, strict=True))
        every = np.arange(len(scene.actors.kind))
        for track in traffic.near(scene.actors, scene.drive, 0.0):
            free = masks(without(scene, every != track), 240, 320) == track + 1
            assert not ((ids == track + 1) & ~free).any()
            if track in boxes:
                whole = extents(free)
                assert (boxes[track][:2] >= whole[:2]).all()
                assert (boxes[track][2:] <= whole[2:]).all()
                shrunk += not np.array_equal(boxes[track], whole)
            else:
                lost += free.sum() > MIN_VISIBLE
    assert shrunk > 5
    assert lost > 5


def test_masks_cover_what_is_painted(monkeypatch):
    """Taking an object away changes the pixels of its mask, and beyond it only its shadow and the blended edge."""
    checked, build = 0, module._scene
    for seed in range(4):
        one = clip("city", "spring", seed, 1, (0.6, 0.4, 0.6, 0.3))
        (frame, ids), *_ = with_masks(one)
        scene = build(one, FPS)
        every = np.arange(len(scene.actors.kind))
        for track in frame.tracks[:4]:
            emptier = without(scene, every == track)
            with monkeypatch.context() as patch:
                patch.setattr(module, "_scene", lambda *_, scene=emptier: scene)
                (bare, _), *_ = with_masks(one)
            changed, mask = np.abs(bare.image.astype(int) - frame.image).max(2) > 0, ids == track + 1
            assert changed[mask].mean() > 0.85
            whole = masks(without(scene, every != track)) == track + 1
            near = cv2.dilate(whole.astype(np.uint8), np.ones((5, 5))) > 0
            top, bottom = extents(whole)[[1, 3]]
            above_its_shadow = np.arange(H)[:, None] < top + 0.6 * (bottom - top)
            assert not (changed & ~near & above_its_shadow).any()
            checked += 1
    assert checked > 5


# true flow


@pytest.mark.parametrize(
    ("area", "condition", "seed"),
    [("city", "spring", 1), ("town", "fall", 4), ("highway", "winter", 3), ("city", "night", 5)],
)
def test_the_next_frame_warped_back_is_this_frame(area, condition, seed, monkeypatch):
    monkeypatch.setattr(
        textures, "noise_bank", lambda rng, height, width, sigma: [np.zeros((height + 96, width + 96, 3), np.uint8)] * 2
    )
    one, gain, overlaps = clip(area, condition, seed, 4), [], []
    rendered = with_masks(one, 300, 400)
    flows = list(true_flow(one, 300, 400, FPS))
    assert len(flows) == 3
    for (frame, ids), (after, after_ids), (flow, valid) in zip(rendered[:-1], rendered[1:], flows, strict=True):
        assert flow.shape == (300, 400, 2)
        assert (flow.dtype, valid.dtype) == (np.float32, bool)
        assert 0.6 < valid.mean() < 1
        still = np.abs(after.image.astype(int) - frame.image)[valid].mean()
        moved = np.abs(warp(after.image, flow).astype(int) - frame.image)[valid].mean()
        gain.append(moved / still)
        for shift in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):  # no motion near it explains the frame as well
            off = np.abs(warp(after.image, flow + np.float32(shift)).astype(int) - frame.image)[valid].mean()
            assert off > 1.15 * moved
        for track in set(frame.tracks) & set(after.tracks):
            here = (ids == track + 1) & valid
            there = (warp((after_ids == track + 1).astype(np.float32), flow) > 0.5) & valid
            overlaps.append((here & there).sum() / (here | there).sum())
    assert max(gain) < 0.45
    assert len(overlaps) > 2
    assert min(overlaps) > 0.8
    assert np.mean(overlaps) > 0.95


@pytest.mark.parametrize(("area", "seed"), [("city", 1), ("town", 4), ("highway", 3)])
def test_forward_and_backward_flow_undo_each_other(area, seed):
    one = clip(area, "spring", seed, 5)
    forward, backward = list(true_flow(one, H, W, FPS)), list(true_flow(one, H, W, FPS, step=-1))
    for (flow, valid), (back, back_valid) in zip(forward, backward, strict=True):
        both = valid & (warp(back_valid.astype(np.float32), flow) > 0.999)
        left = np.abs(flow + warp(back, flow)).max(-1)[both]
        assert both.mean() > 0.5
        assert np.median(left) < 0.01
        assert (
            np.percentile(left, 97) < 0.2
        )  # the rest: where two surfaces meet inside the four pixels of the interpolation


def test_flow_of_ground_and_sky_against_the_formulas_of_a_turning_camera():
    one = clip("highway", "spring", 8, 12, (0, 0, 0, 0))
    drive = module._scene(one, FPS).drive
    flows = list(true_flow(one, H, W, FPS))
    focal, cx, cy = 1.2 * H, (W - 1) / 2, 0.44 * H
    for t in (0, 10):
        flow, valid = flows[t]
        (here, a), (there, b) = (roads.camera_pose(drive, k / FPS) for k in (t, t + 1))
        turn = b - a
        for row, column in ((H - 30, 70), (H - 40, 90)):  # the road
            depth = focal * 1.5 / (row - cy)
            right = (column - cx) * depth / focal
            x = here[0] + right * np.cos(a) + depth * np.sin(a) - there[0]
            z = here[2] - right * np.sin(a) + depth * np.cos(a) - there[2]
            right, depth = x * np.cos(b) - z * np.sin(b), x * np.sin(b) + z * np.cos(b)
            assert valid[row, column]
            expected = focal * right / depth + cx - column, focal * 1.5 / depth + cy - row
            np.testing.assert_allclose(flow[row, column], expected, atol=1e-3)
        for column in (40, 110):  # the sky
            angle = np.arctan((column - cx) / focal)
            assert flow[3, column, 0] == pytest.approx(focal * np.tan(angle - turn) + cx - column, abs=1e-3)
            assert valid[3, column]


def test_points_that_leave_the_image_or_are_hidden_are_not_valid():
    one = clip("city", "spring", 1, 2)
    (flow, valid), *_ = true_flow(one, H, W, FPS)
    rows, columns = np.mgrid[:H, :W]
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    assert not valid[(x < -0.5) | (x > W - 0.5) | (y < -0.5) | (y > H - 0.5)].any()
    assert not valid[-1].any()  # the nearest ground passes below the camera
    # in the second frame no pixel shows two objects: valid pixels of different objects never end together
    (_, ids), (_, after) = with_masks(one)
    ends = after[np.clip(np.round(y), 0, H - 1).astype(int), np.clip(np.round(x), 0, W - 1).astype(int)]
    assert (ids[valid] == ends[valid]).all()


def test_a_clip_of_one_frame_has_no_flow():
    assert len(frames(n_frames=1)) == 1
    assert list(true_flow(clip(n_frames=1), H, W, FPS)) == []


# plan


def test_the_plan_is_the_published_table():
    clips = plan(SETTINGS)
    counts = Counter(one.subset for one in clips)
    assert counts == {"default": 150, "town": 36, "night": 6, "wheelchair": 5, "test": 85, "test_wheelchair": 12}
    assert [one.split for one in clips] == [0] * 197 + [1] * 97
    assert len({one.name for one in clips}) == len({one.seed for one in clips}) == len(clips)
    for one in clips:
        assert 250 <= one.n_frames <= 750
        split, _, areas, conditions, probabilities = SUBSETS[one.subset]
        assert (one.split, one.area in areas, one.condition in conditions) == (split, True, True)
        if one.area == "highway" or one.condition == "night":
            assert one.probabilities == (0, 0, 0.35, 0)
        else:
            assert one.probabilities == probabilities
    lengths = [one.n_frames for one in clips]
    assert min(lengths) < 300
    assert max(lengths) > 700
    for subset, (_, sequences, areas, conditions, _) in SUBSETS.items():
        combinations = Counter((one.area, one.condition) for one in clips if one.subset == subset)
        cells = len(areas) * len(conditions)
        assert set(combinations.values()) <= {sequences // cells, -(-sequences // cells)}


@pytest.mark.parametrize(
    ("scale", "sizes"),
    [(0.1, [15, 4, 1, 1, 9, 1]), (0.001, [1] * 6), (0.02, [3, 1, 1, 1, 2, 1]), (2, [300, 72, 12, 10, 170, 24])],
)
def test_scale_shrinks_every_subset_and_keeps_the_sequences(scale, sizes):
    clips = plan(SETTINGS | {"scale": scale})
    counts = Counter(one.subset for one in clips)
    assert [counts[subset] for subset in SUBSETS] == sizes
    full = {one.name: one for one in plan(SETTINGS | {"scale": 2})}
    assert all(full[one.name] == one for one in clips)
    assert {one.name: one for one in plan(SETTINGS | {"seed": 1, "scale": 2})} != full


def test_few_sequences_are_spread_over_areas_and_conditions():
    for seed in range(5):
        clips = [one for one in plan(SETTINGS | {"seed": seed, "scale": 4 / 150}) if one.subset == "default"]
        assert sorted(one.area for one in clips) == ["city", "city", "highway", "highway"]
        assert sorted(one.condition for one in clips) == ["fall", "rain", "spring", "winter"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", 0), ("scale", -1), ("scale", float("nan")), ("scale", "1"), ("seconds", [30, 10]), ("seconds", [0, 10]),
        ("seconds", 10), ("seconds", [10]), ("fps", 0), ("height", 20), ("height", 100.5), ("width", 0),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_sentence_that_names_it(key, value):
    with pytest.raises(UserError, match=rf"^dataset\.{key} is .*\.$") as error:
        plan(SETTINGS | {key: value})
    assert "\n" not in str(error.value)
