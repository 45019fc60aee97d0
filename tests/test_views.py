"""Random views: each operation against torchvision's on single images, and what is drawn."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torchvision.transforms.v2 import functional

from dagal.learners import views

SETTINGS = {
    "crop_scale": [0.2, 1.0], "flip": True, "jitter": [0.4, 0.4, 0.4, 0.1], "jitter_probability": 0.8,
    "grayscale_probability": 0.2, "blur_sigma": [0.1, 2.0], "blur_probability": 0.5,
}  # fmt: skip
OFF = SETTINGS | {
    "crop_scale": [1.0, 1.0], "flip": False, "jitter_probability": 0.0, "grayscale_probability": 0.0, "blur_probability": 0.0,
}  # fmt: skip


def images(n=6, channels=3, height=12, width=9, seed=0):
    return torch.rand((n, channels, height, width), generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crop_and_flip(channels):
    batch = images(40, channels)
    boxes = views.crop_boxes(40, 12, 9, (0.2, 1.0), generator(1))
    flipped = torch.arange(40) % 2 == 0
    found = views.resized_crop(batch, boxes, flipped)
    for image, box, flip, one in zip(batch, boxes.int().tolist(), flipped, found, strict=True):
        expected = functional.resized_crop(image, *box, [12, 9], antialias=True)
        close(one, functional.horizontal_flip(expected) if flip else expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colour_operations(name, channels):
    batch = images(channels=channels)
    batch[0] = 0.5  # no hue
    batch[1, :, :3] = 1.0  # what is brighter is clamped
    factors = torch.tensor([-0.1, 0.1, 0.05, 0.5, -0.5, 0.0] if name == "hue" else [0.6, 1.4, 1.0, 0.0, 2.0, 0.9])
    found = getattr(views, name)(batch, factors)
    for image, factor, one in zip(batch, factors.tolist(), found, strict=True):
        close(one, getattr(functional, f"adjust_{name}")(image, factor))


def test_gray():
    batch = images()
    close(views.gray(batch), torch.stack([functional.rgb_to_grayscale(image, 1) for image in batch]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("radius", [3, 6, 8])
def test_gaussian_blur(channels, radius):
    batch, sigma = images(channels=channels), torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 0.3])
    found = views.gaussian_blur(batch, sigma, radius)
    for image, of_image, one in zip(batch, sigma.tolist(), found, strict=True):
        close(one, functional.gaussian_blur(image, [2 * radius + 1] * 2, [of_image] * 2))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (224, 224), (20, 100)])
def test_crops_lie_within_the_image_and_their_areas_are_uniform(height, width):
    boxes = views.crop_boxes(20_000, height, width, (0.2, 1.0), generator()).numpy()
    top, left, h, w = boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (top + h <= height).all() and (left + w <= width).all()
    assert (boxes == boxes.round()).all() and (h >= 1).all()
    if height == 224:
        areas = h * w / height / width
        # crops that do not fit are drawn again, mostly large ones: below .5 nearly all fit
        assert kstest((areas[areas < 0.5] - 0.2) / 0.3, "uniform").pvalue > 1e-3
        assert areas.max() > 0.95 and (w / h).min() > 3 / 4 - 0.02 and (w / h).max() < 4 / 3 + 0.02
        # the places of small crops are uniform
        small = h < 150
        assert abs((top[small] / (height - h[small])).mean() - 0.5) < 0.01


def test_crop_that_never_fits_is_the_largest_central_one():
    """The whole of a long image has ratio 5: torchvision's own fallback is the full height, 4/3 of it wide."""
    boxes = views.crop_boxes(4, 20, 100, (1.0, 1.0), generator())
    assert boxes.tolist() == [[0, 36, 20, 27]] * 4


def test_nothing_on_is_the_image_itself():
    batch = (images(4, 3, 8, 8) * 255).to(torch.uint8)
    close(views.view(batch, OFF, generator()), batch / 255)


@pytest.mark.parametrize(
    ("change", "share"),
    [
        ({"flip": True}, 0.5), ({"grayscale_probability": 0.2}, 0.2), ({"blur_probability": 0.5}, 0.5),
        ({"jitter_probability": 0.8}, 0.8), ({"flip": False}, 0.0),
    ],
)  # fmt: skip
def test_each_setting_hits_its_share_of_the_images(change, share):
    batch = (images(1, 3, 8, 8) * 255).to(torch.uint8).expand(4000, -1, -1, -1).contiguous()
    found = views.view(batch, OFF | change, generator())
    hit = ((found - batch / 255).abs() > 1e-4).flatten(1).any(1).double().mean().item()
    assert abs(hit - share) < 4 * math.sqrt(share * (1 - share) / 4000) + 1e-9


@pytest.mark.parametrize("kind", range(4))
def test_strength_of_the_jitter(kind):
    """One operation alone: its factor, read off the image, is uniform within its strength."""
    strengths = [0.0] * 4
    strengths[kind] = 0.1 if kind == 3 else 0.4
    pixel = torch.tensor([0.5, 0.25, 0.3])[None, :, None, None].expand(3000, 3, 4, 4).clone()
    pixel[:, :, :2] *= 0.5  # contrast needs two tones
    batch = (pixel * 255).round().to(torch.uint8)
    found = views.view(batch, OFF | {"jitter": strengths, "jitter_probability": 1.0}, generator()).double()
    start = (batch / 255).double()
    if kind == 0:
        factor = found[:, 0, 3, 3] / start[:, 0, 3, 3]
    elif kind == 1:
        factor = (found[:, 0, 3, 3] - found[:, 0, 0, 0]) / (start[:, 0, 3, 3] - start[:, 0, 0, 0])
    elif kind == 2:
        factor = (found[:, 0, 3, 3] - found[:, 1, 3, 3]) / (start[:, 0, 3, 3] - start[:, 1, 3, 3])
    else:
        import colorsys

        factor = torch.tensor([
            (colorsys.rgb_to_hsv(*rgb)[0] - colorsys.rgb_to_hsv(*start[0, :, 3, 3].tolist())[0] + 0.5) % 1 - 0.5
            for rgb in found[:, :, 3, 3].tolist()
        ])  # fmt: skip
    middle, width = (0.0, 0.1) if kind == 3 else (1.0, 0.4)
    assert kstest(((factor.numpy() - middle) / width + 1) / 2, "uniform").pvalue > 1e-3


def test_order_of_the_colour_operations_differs_between_images():
    """Two operations that do not commute: half of the images get each order."""
    batch = torch.full((2000, 3, 4, 4), 0, dtype=torch.uint8)
    batch[:, 0, :2], batch[:, 1] = 200, 90
    settings = OFF | {"jitter": [0.0, 0.4, 0.4, 0.0], "jitter_probability": 1.0}
    found = views.view(batch, settings, generator(3))
    first_contrast, start = 0, batch / 255
    again = generator(3)
    views.crop_boxes(2000, 4, 4, settings["crop_scale"], again)
    torch.rand(2000, generator=again), torch.rand(2000, generator=again), torch.rand((2000, 4), generator=again)
    _, contrast, saturation = (views.uniform(1 - s, 1 + s, (2000,), again) for s in (0.0, 0.4, 0.4))
    one = views.saturation(views.contrast(start, contrast), saturation)
    other = views.contrast(views.saturation(start, saturation), contrast)
    distance = [(found - expected).abs().amax((1, 2, 3)) for expected in (one, other)]
    assert (torch.minimum(*distance) < 1e-4).all()
    first_contrast = (distance[0] < distance[1]).double().mean().item()
    assert 0.4 < first_contrast < 0.6


def test_two_views_differ_and_the_generator_decides():
    batch = (images(4, 1, 28, 28) * 255).to(torch.uint8)
    stream = generator()
    one, other = views.view(batch, SETTINGS, stream), views.view(batch, SETTINGS, stream)
    assert not torch.equal(one, other) and torch.equal(one, views.view(batch, SETTINGS, generator()))
    assert one.min() >= 0 and one.max() <= 1 + 1e-5 and np.isfinite(one.numpy()).all()
