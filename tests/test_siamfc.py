"""SiamFC: its correlation and loss against the formulas, its crops, and that what it has learnt follows better than standing still."""

import functools

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from dagal.datasets.rendering import render
from dagal.geometry import overlap
from dagal.tasks.detection import siamfc


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
