"""SiamFC: its correlation and loss against the formulas, its crops, and that what it has learnt follows better than standing still."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from torch.nn.functional import conv2d

from dagal import config
from dagal.datasets.rendering import render
from dagal.errors import UserError
from dagal.geometry import overlap
from dagal.plan import Study
from dagal.report.tables.costs import query_jobs
from dagal.tasks.detection import siamfc, stages


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed=0):
    torch.manual_seed(seed)
    return siamfc.Siamese().eval()


def test_the_response_is_the_cross_correlation_of_each_pair():
    model, templates, features = network(), random(3, 5, 6, 6), random(3, 5, 18, 18, seed=1)
    response = model.respond(templates, features)
    assert response.shape == (3, siamfc.RESPONSE, siamfc.RESPONSE)
    for m, row, column in ((0, 0, 0), (1, 4, 12), (2, 12, 7)):
        part = features[m, :, row : row + 6, column : column + 6]
        expected = model.gain * (part * templates[m]).sum() + model.bias
        assert response[m, row, column].item() == pytest.approx(expected.item(), rel=1e-5)


@torch.no_grad()
def test_a_shift_of_the_search_image_shifts_the_response():
    """Four pixels by one, as no layer pads; the exemplar itself in the middle of a search image answers there."""
    model, wide = network(), 255 * random(1, 3, siamfc.SEARCH + 4, siamfc.SEARCH + 4)
    wide = siamfc.normalised(wide)
    low, high = (siamfc.SEARCH - siamfc.EXEMPLAR) // 2, (siamfc.SEARCH + siamfc.EXEMPLAR) // 2
    exemplar = wide[..., low:high, low:high]
    one, other = (model(exemplar, wide[..., k : k + siamfc.SEARCH, k : k + siamfc.SEARCH]) for k in (0, 4))
    assert one.shape == (1, siamfc.RESPONSE, siamfc.RESPONSE)
    torch.testing.assert_close(one[:, 1:, 1:], other[:, :-1, :-1])
    embedded = model.embed(exemplar)
    alone = model.gain * conv2d(embedded, embedded)[0, 0, 0, 0] + model.bias
    assert one[0, 6, 6].item() == pytest.approx(alone.item(), rel=1e-4)


def test_the_loss_is_the_logistic_one_with_both_sides_weighed_alike():
    logits, shown = torch.tensor([[[2.0, -1.0], [0.5, 0.0]]]), torch.tensor([[True, False], [False, False]])
    wrong = [np.log1p(np.exp(-2.0)), np.mean([np.log1p(np.exp(x)) for x in (-1.0, 0.5, 0.0)])]
    assert siamfc.logistic_loss(logits, shown).item() == pytest.approx(np.mean(wrong))


def test_shifts_that_show_the_object():
    assert siamfc.target().sum() == 13  # whole points of a disc of radius 2
    assert siamfc.target()[4, 6] and siamfc.target()[7, 7] and not siamfc.target()[5, 4]


def test_windows_are_squares_of_the_papers_side():
    window = siamfc.squares(torch.tensor([[10.0, 20.0, 30.0, 80.0]]), 2)[0]  # 20 x 60: p = 20, side sqrt(60 x 100)
    np.testing.assert_allclose(window[2:] - window[:2], 2 * np.sqrt(6000), rtol=1e-6)
    np.testing.assert_allclose((window[:2] + window[2:]) / 2, (20, 50), rtol=1e-6)


def test_clips_are_of_all_areas_and_conditions_and_none_of_a_data_set():
    clips = siamfc.clips(15)
    assert len({(one.area, one.condition) for one in clips}) == 15
    assert siamfc.clips(20)[:15] == clips
    settings = {"scale": 1, "seconds": [1, 1], "fps": 25, "quiet": 0.0, "height": 240, "width": 320}
    taken = {one.seed for seed in range(3) for one in render.plan(settings | {"seed": seed})}
    assert not taken & {one.seed for one in clips}


@functools.cache
def crops():
    """Of four small clips."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(siamfc, "FRAMES", 16)
        found = [siamfc.pairs(clip) for clip in siamfc.clips(4)]
    return tuple(torch.cat(part) for part in zip(*found, strict=True))


def test_pairs_show_the_same_object_in_the_middle():
    """The middle of the search image resembles the exemplar more than the search images of others do."""
    exemplars, searches = crops()
    assert exemplars.dtype == searches.dtype == torch.uint8
    assert exemplars.shape[1:] == (3, siamfc.EXEMPLAR, siamfc.EXEMPLAR)
    assert searches.shape == (len(exemplars), 3, siamfc.SEARCH, siamfc.SEARCH)
    assert 64 < len(exemplars) <= 4 * siamfc.PAIRS
    middle = searches[:, :, 24:72, 24:72].float()
    own = (middle - exemplars).abs().mean((1, 2, 3))
    others = (middle.roll(1, 0) - exemplars).abs().mean((1, 2, 3))
    assert own.mean() < 0.5 * others.mean()
    assert (own < others).float().mean() > 0.8  # some of the others are the same object


# on labeled frames


def labeled(n=40, seed=0):
    """Labeled frames of three videos, in no order, with boxes of two classes around a few places: arguments of `same_objects`."""
    rng = np.random.default_rng(seed)
    frames = rng.permutation([(video, frame) for video in range(3) for frame in range(50)])[:n]
    sizes = rng.integers(0, 5, n)
    low = rng.choice([10.0, 14.0, 60.0, 66.0], (sizes.sum(), 2))
    boxes = np.concatenate([low, low + rng.uniform(15, 25, low.shape)], 1).astype(np.float32)
    return frames[:, 0], frames[:, 1], np.cumsum([0, *sizes]), boxes, rng.integers(0, 2, len(boxes))


def test_the_same_object_in_two_labeled_frames_by_brute_force():
    video, frame, offsets, boxes, labels = labeled()
    partners, found = siamfc.same_objects(video, frame, offsets, boxes, labels), 0
    of = np.repeat(np.arange(len(video)), np.diff(offsets))

    def shared(one, other):
        return float(overlap(boxes[one][None].astype(float), boxes[other][None].astype(float))[0])

    for one in range(len(boxes)):
        expected = []
        for other in range(len(boxes)):
            a, b = of[one], of[other]
            if (
                a == b
                or video[a] != video[b]
                or abs(frame[a] - frame[b]) > siamfc.APART
                or labels[one] != labels[other]
            ):
                continue
            rivals = [(one, k) for k in np.flatnonzero((of == b) & (labels == labels[one]))]
            rivals += [(k, other) for k in np.flatnonzero((of == a) & (labels == labels[one]))]
            if shared(one, other) > 0.5 and shared(one, other) == max(shared(*pair) for pair in rivals):
                expected.append(other)
        assert partners[one].tolist() == expected
        found += len(expected)
    assert found > 30
    assert any(len(rows) == 0 for rows in partners)


def test_pairs_of_labeled_frames_are_crops_around_partners():
    """Each frame has a colour of its own, so that a crop says which frame it is of; one pair for each box that has a partner."""
    video, frame, offsets, boxes, labels = labeled(25)
    partners = siamfc.same_objects(video, frame, offsets, boxes, labels)
    ids = np.random.default_rng(1).permutation(100)[: len(video)]
    images = np.tile(np.arange(50, 150, dtype=np.uint8)[:, None, None, None], (1, 128, 128, 3))
    exemplars, searches = siamfc.labeled_pairs(images, ids, offsets, boxes, partners, np.random.default_rng(2))
    rows = [row for row, found in enumerate(partners) if len(found)]
    assert len(exemplars) == len(searches) == len(rows)
    of = np.repeat(ids, np.diff(offsets)) + 50
    for row, exemplar, search in zip(rows, exemplars, searches, strict=True):
        assert exemplar[:, 24, 24].tolist() == [of[row]] * 3
        assert search[0, 48, 48].item() in of[partners[row]]
    again, _ = siamfc.labeled_pairs(images, ids, offsets, boxes, partners, np.random.default_rng(2))
    assert torch.equal(exemplars, again)


def test_labeled_frames_without_a_pair_are_one_sentence():
    video, frame, offsets, boxes, labels = labeled(4)
    partners = siamfc.same_objects(np.arange(4), frame, offsets, boxes, labels)
    with pytest.raises(UserError, match=r"^No object is in two of the 4 labeled frames .*train_on: rendered'\.$"):
        siamfc.labeled_pairs(None, np.arange(4), offsets, boxes, partners, np.random.default_rng(0))


def test_a_study_that_trains_on_labeled_frames_has_a_network_in_every_node():
    """It is made from images and labels alone; where it is trained on rendered roads, the settings are as they were."""
    study = yaml.safe_load((ROOT / "experiments" / "base" / "small_detector.yaml").read_text())
    study["learners"]["detector"]["epochs"] = 1
    study |= yaml.safe_load("""
        study: small
        dataset: {name: synthia_al}
        pool: {initial: {size: 8}}
        budget: 4
        cycles: 3
        methods: {tc: {score: estimated_false_positives, tracker: siamfc}}
    """)
    for train_on, where in (("rendered", "{results}"), ("labeled", "{node}")):
        settings = config.load(study | {"video": {"siamfc": {"train_on": train_on}}})
        assert ("train_on" in settings["video"]["siamfc"]) == (train_on == "labeled")
        plan = Study(settings)
        node = plan.node(0, "tc", 2)
        at = SimpleNamespace(node=node, seed=0, tracker="siamfc")
        path = stages.STAGES["siamfc_tracks"].reads(plan, at)["network"]
        folder = {"{results}": plan.results, "{node}": plan.file(node, "")}[where]
        assert path == f"{str(folder).rstrip('/')}/siamfc.safetensors"
        assert stages.STAGES["siamfc_labeled"].reads(plan, at) == {
            "images": plan.clean_images, "labeled": plan.path(node, "labeled"),
        }  # fmt: skip
        assert ("siamfc" in query_jobs(plan, "tc")) == (train_on == "labeled")


@functools.cache
def trained():
    return siamfc.fit(*crops(), 4, torch.device("cpu"))


def test_training_is_determined():
    few = tuple(part[:32] for part in crops())
    one, other = (siamfc.fit(*few, 1, torch.device("cpu")).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def held_out():
    """A clip that it is not trained on, its boxes by track in each frame, and its detections: frames, boxes, tracks."""
    clip = render.Clip("x", "x", 0, "city", "spring", (0.3, 0.2, 0.35, 0.1), (0.0, 0.0), 8, 77)
    frames = list(render.render(clip, 240, 320, 12))
    boxes = [dict(zip(frame.tracks.tolist(), frame.boxes, strict=True)) for frame in frames]
    rows = [(t, track) for t, here in enumerate(boxes) for track in here]
    return frames, boxes, np.array([t for t, _ in rows]), np.stack([boxes[t][k] for t, k in rows]), [k for _, k in rows]


def test_it_follows_better_than_standing_still_and_than_untrained():
    frames, boxes, frame_M, boxes_M_4, tracks = held_out()
    images = [torch.from_numpy(frame.image).permute(2, 0, 1) for frame in frames]

    def overlaps(found_M_6_4):
        values = []
        for m, track in enumerate(tracks):
            for column, step in enumerate((-3, -2, -1, 1, 2, 3)):
                there = frame_M[m] + step
                if 0 <= there < len(frames) and track in boxes[there]:
                    values.append(overlap(found_M_6_4[m, column][None], boxes[there][track][None])[0])
        return np.nan_to_num(values)

    still = overlaps(np.repeat(boxes_M_4[:, None], 6, 1))
    followed, untrained = (
        overlaps(siamfc.track(images, model, frame_M, boxes_M_4, len(frames), (240, 320)))
        for model in (trained(), network())
    )
    assert len(still) > 100
    assert followed.mean() > still.mean() + 0.1
    assert followed.mean() > untrained.mean() + 0.02
    assert (followed > 0.5).mean() > (still > 0.5).mean()
