"""Tracking by correlation of feature maps: known motions, borders of the video and of the image."""

import numpy as np
import pytest
import torch

from dagal.tasks.detection import feature_correlation, following

SIZE = (96, 128)


def texture(height, width, seed, cell=4):
    """Smooth random pattern (3,height,width)."""
    noise = torch.rand(1, 3, height // cell + 3, width // cell + 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (height + 8, width + 8), mode="bicubic")[0, :, 4:-4, 4:-4]


def scene(n_frames, velocity, growth=1.0, size=(24, 32), start=(30.0, 30.0), background_velocity=0.0):
    """Images (T,3,H,W) of a textured rectangle over a texture, and its true box (T,4) in each."""
    height, width = SIZE
    background, pattern = texture(height, width + 64, 1), texture(*size, 2)
    images, boxes = [], []
    for t in range(n_frames):
        h, w = size[0] * growth**t, size[1] * growth**t
        x, y = start[0] + velocity[0] * t - (w - size[1]) / 2, start[1] + velocity[1] * t - (h - size[0]) / 2
        offset = 32 + round(background_velocity * t)
        image = background[:, :, offset : offset + width].clone()
        columns = (torch.arange(width) + 0.5 - x) / w * 2 - 1
        rows = (torch.arange(height) + 0.5 - y) / h * 2 - 1
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
        painted = torch.nn.functional.grid_sample(pattern[None], grid, padding_mode="border", align_corners=False)[0]
        inside = (grid.abs() <= 1).all(-1)
        images.append(torch.where(inside, painted, image))
        boxes.append([x, y, x + w, y + h])
    return torch.stack(images), np.array(boxes, np.float32)


def pixels(images):
    return images, 1


def convolutions(images):
    """Two random convolutions of stride 2, as an untrained backbone has them."""
    generator = torch.Generator().manual_seed(3)
    for inputs, outputs in ((3, 16), (16, 32)):
        weights = torch.randn(outputs, inputs, 3, 3, generator=generator)
        images = torch.relu(torch.nn.functional.conv2d(images, weights, stride=2, padding=1))
    return images, 4


def centre(boxes):
    return (boxes[..., :2] + boxes[..., 2:]) / 2


@pytest.mark.parametrize("make", [pixels, convolutions])
@pytest.mark.parametrize("velocity", [(0, 0), (4, 0), (-3, 2), (1.5, -2.5)])
def test_a_moving_rectangle_is_followed(make, velocity):
    images, truth = scene(9, velocity, start=(45, 35), background_velocity=2)
    maps, stride = make(images)
    tracks = feature_correlation.track(maps, stride, np.arange(9), truth, 9, SIZE)
    assert tracks.shape == (9, 6, 4)
    assert tracks.dtype == np.float32
    for column, offset in enumerate((-3, -2, -1, 1, 2, 3)):
        rows = np.arange(max(0, -offset), min(9, 9 - offset))
        error = np.abs(centre(tracks[rows, column]) - centre(truth[rows + offset]))
        assert error.max() < 2, (offset, error.max())


@pytest.mark.parametrize(
    ("make", "growth", "tolerance"),
    [(pixels, 1.05, 0.3), (pixels, 1 / 1.05, 0.3), (convolutions, 1.08, 0.9), (convolutions, 1 / 1.08, 0.9)],
)
def test_the_scale_follows(make, growth, tolerance):
    """Over the 6 frames, in the right direction, and on fine maps by about the right factor."""
    images, truth = scene(7, (0, 0), growth, start=(48, 34))
    maps, stride = make(images)
    box = feature_correlation.track(maps, stride, np.array([3]), truth[3:4], 7, SIZE)[0]
    width = box[:, 2] - box[:, 0]
    assert abs(np.log(width[5] / width[0]) / np.log(growth) / 6 - 1) < tolerance


def test_beyond_the_ends_is_nan():
    images, truth = scene(5, (1, 0))
    tracks = feature_correlation.track(images, 1, np.arange(5), truth, 5, SIZE)
    reached = np.arange(5)[:, None] + np.array([-3, -2, -1, 1, 2, 3])
    np.testing.assert_array_equal(np.isnan(tracks).any(2), (reached < 0) | (reached > 4))
    np.testing.assert_array_equal(np.isnan(tracks).all(2), (reached < 0) | (reached > 4))


def test_what_leaves_the_image_is_cut_and_then_nan():
    images, truth = scene(8, (8, 0), start=(76, 30))  # the centre passes the right border, x = 128, at frame 5
    tracks = feature_correlation.track(images, 1, np.array([1, 4]), truth[[1, 4]], 8, SIZE)
    assert not np.isnan(tracks[0]).any(1)[2:].any()
    assert np.nanmax(tracks[..., 2]) == 128
    assert np.isnan(tracks[1, 4:]).all()


def test_no_detections_and_one_frame():
    images, truth = scene(3, (0, 0))
    nothing = feature_correlation.track(images, 1, np.zeros(0, np.int64), np.zeros((0, 4), np.float32), 3, SIZE)
    assert nothing.shape == (0, 6, 4)
    single = feature_correlation.track(images[:1], 1, np.zeros(1, np.int64), truth[:1], 1, SIZE)
    assert np.isnan(single).all()
    assert feature_correlation.track(images, 1, np.zeros(1, np.int64), truth[:1], 3, SIZE).shape == (1, 6, 4)


def test_each_map_is_taken_once_and_blocks_do_not_show(monkeypatch):
    images, truth = scene(12, (1, 1))
    frame = np.array([0, 3, 3, 4, 7, 11])
    boxes = truth[frame] + np.array([[0], [0], [2], [0], [-3], [0]], np.float32)
    whole = feature_correlation.track(images, 1, frame, boxes, 12, SIZE)
    taken = []
    monkeypatch.setattr(following, "BLOCK", 2)
    streamed = feature_correlation.track((taken.append(t) or images[t] for t in range(12)), 1, frame, boxes, 12, SIZE)
    assert taken == list(range(12))
    np.testing.assert_allclose(streamed, whole, atol=1e-3)
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(
        feature_correlation.track(images, 1, frame[shuffled], boxes[shuffled], 12, SIZE), whole[shuffled], atol=1e-3
    )


def test_the_response_is_the_correlation_coefficient():
    generator = torch.Generator().manual_seed(0)
    side = feature_correlation.CELLS + feature_correlation.SHIFTS - 1
    exemplars = torch.rand(2, 3, 5, feature_correlation.CELLS, feature_correlation.CELLS, generator=generator)
    search = torch.rand(2, 5, side, side, generator=generator)
    response = feature_correlation.respond(feature_correlation.spectra(exemplars), search)
    for m, s, row, column in ((0, 0, 0, 0), (1, 2, 3, 1), (0, 1, feature_correlation.SHIFTS - 1, 2)):
        part = search[m, :, row : row + feature_correlation.CELLS, column : column + feature_correlation.CELLS]
        one, other = (x - x.mean((1, 2), keepdim=True) for x in (exemplars[m, s], part))
        expected = (one * other).sum() / (one.norm() * other.norm())
        assert response[m, s, row, column].item() == pytest.approx(expected.item(), abs=1e-5)


def test_peak_between_cells():
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    smooth = torch.exp(-((rows - 2.3) ** 2 + (columns - 4.4) ** 2) / 8)
    response = torch.stack([smooth * 0.5, smooth * 0.9, smooth])[None]
    shift, scale = following.peak(response, feature_correlation.WINDOW)
    np.testing.assert_allclose(shift[0], (1.4, -0.7), atol=0.12)
    assert scale.tolist() == [1]
    response = torch.stack([smooth * 0.9, smooth, smooth * 0.95])[None]
    assert following.peak(response, feature_correlation.WINDOW)[1].item() == pytest.approx(1 / 6, abs=0.01)
