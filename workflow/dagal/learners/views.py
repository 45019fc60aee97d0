"""Random views of images for self-supervision (SimSiam, sec. 3 and appendix A): every sample by its own draw, batches on the device.

Images are floats (B,C,H,W) in 0..1, of 1 or 3 channels; colour needs 3. Each operation gives what the one of that name in
torchvision.transforms.v2.functional gives for a single image. All random numbers come from a CPU generator.
"""

import math

import torch

from dagal.learners.devices import send

RATIO = (3 / 4, 4 / 3)  # width / height of a crop
ATTEMPTS = 10  # to draw a crop that lies within the image
GRAY = (0.2989, 0.587, 0.114)


def uniform(low: float, high: float, shape: tuple, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def crop_boxes(n: int, height: int, width: int, scale, generator: torch.Generator) -> torch.Tensor:
    """Top, left, height and width (n,4) of random crops: area uniform in ``scale``, ratio log-uniform, any place alike.

    A crop that does not fit is drawn again; after `ATTEMPTS` it is the largest central one of an allowed ratio.
    """
    area = height * width * uniform(*scale, (n, ATTEMPTS), generator)
    ratio = torch.exp(uniform(*map(math.log, RATIO), (n, ATTEMPTS), generator))
    size_n_A_2 = torch.stack([torch.sqrt(area / ratio), torch.sqrt(area * ratio)], 2).round().clamp(min=1)
    limit = torch.tensor([height, width])
    fits = (size_n_A_2 <= limit).all(2)
    place = uniform(0, 1, (n, 2), generator)
    chosen = size_n_A_2[torch.arange(n), fits.int().argmax(1)]
    corner = torch.floor(place * (limit - chosen + 1))
    whole = torch.tensor([min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))])
    central = torch.cat([(limit - whole) // 2, whole]).float()
    return torch.where(fits.any(1)[:, None], torch.cat([corner, chosen], 1), central)


def resampling(start_B: torch.Tensor, length_B: torch.Tensor, size: int) -> torch.Tensor:
    """Matrices (B,size,size) that stretch ``length`` pixels from ``start`` on over ``size``, linearly, clamped to them."""
    centre = (torch.arange(size, device=start_B.device) + 0.5) * (length_B / size)[:, None] - 0.5
    source_B_S = start_B[:, None] + torch.minimum(centre.clamp(min=0), length_B[:, None] - 1)
    return (1 - (source_B_S[:, :, None] - torch.arange(size, device=start_B.device)).abs()).clamp(min=0)


def resized_crop(images: torch.Tensor, boxes_B_4: torch.Tensor, flipped_B: torch.Tensor) -> torch.Tensor:
    """Each image cropped to its box (top, left, height, width) and stretched to the whole size, bilinear; then flipped or not."""
    top, left, height, width = boxes_B_4.unbind(1)
    rows_B_H_H = resampling(top, height, images.shape[2])
    columns_B_W_W = resampling(left, width, images.shape[3])
    columns_B_W_W = torch.where(flipped_B[:, None, None], columns_B_W_W.flip(1), columns_B_W_W)
    return rows_B_H_H[:, None] @ images @ columns_B_W_W.mT[:, None]


def gray(images: torch.Tensor) -> torch.Tensor:
    """Luminance (B,1,H,W) of colour images; gray images as they are."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(GRAY, device=images.device)[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def _blend(images, others, factor_B):
    factor = factor_B[:, None, None, None]
    return (factor * images + (1 - factor) * others).clamp(0, 1)


def brightness(images: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    return _blend(images, torch.zeros_like(images), factor_B)


def contrast(images: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    return _blend(images, gray(images).mean((1, 2, 3), keepdim=True), factor_B)


def saturation(images: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    return _blend(images, gray(images), factor_B) if images.shape[1] == 3 else images


def hue(images: torch.Tensor, shift_B: torch.Tensor) -> torch.Tensor:
    """Turn the hue by ``shift`` (1 is once around the circle), through HSV and back; gray images stay."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    spread = value - low
    divisor = torch.where(spread > 0, spread, 1)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    turned = sixths + 6 * shift_B[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        k = (offset + turned) % 6
        channels.append(value - spread * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1)


def gaussian_blur(images: torch.Tensor, sigma_B: torch.Tensor, radius: int) -> torch.Tensor:
    """Gaussian of standard deviation ``sigma`` pixels, cut off at ``radius`` < both sides; the borders mirror the image."""
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel_B_K = torch.exp(-0.5 * (offsets / sigma_B[:, None]) ** 2)
    kernel_B_K = kernel_B_K / kernel_B_K.sum(1, keepdim=True)

    def matrix(size):
        """(B,size,size): row i holds the weights of the pixels that pixel i is made of."""
        source = (torch.arange(size, device=images.device)[:, None] + offsets).abs()  # mirrored at the first pixel
        source = torch.where(source > size - 1, 2 * (size - 1) - source, source)  # and at the last
        places_K_S_S = torch.nn.functional.one_hot(source.T, size).float()
        return torch.einsum("bk,kij->bij", kernel_B_K, places_K_S_S)

    return matrix(images.shape[2])[:, None] @ images @ matrix(images.shape[3]).mT[:, None]


def view(images: torch.Tensor, settings: dict, generator: torch.Generator) -> torch.Tensor:
    """One random view (B,C,H,W) in 0..1 of uint8 images.

    ``settings``: ``crop_scale``, ``flip`` (bool), ``jitter`` (strengths of brightness, contrast, saturation, hue),
    ``jitter_probability``, ``grayscale_probability``, ``blur_sigma``, ``blur_probability``. The four colour operations come in a random
    order of their own for every image.
    """
    device, (n, _, height, width) = images.device, images.shape
    images = images.float() / 255
    boxes = crop_boxes(n, height, width, settings["crop_scale"], generator)
    flipped = (torch.rand(n, generator=generator) < 0.5) & settings["flip"]
    images = resized_crop(images, send(boxes, device), send(flipped, device))

    jittered = torch.rand(n, generator=generator) < settings["jitter_probability"]
    order_B_4 = torch.rand((n, 4), generator=generator).argsort(1)
    strengths = settings["jitter"]
    factors = [uniform(max(0, 1 - strength), 1 + strength, (n,), generator) for strength in strengths[:3]]
    factors.append(uniform(-strengths[3], strengths[3], (n,), generator))
    for turn in range(4):
        for kind, operation in enumerate((brightness, contrast, saturation, hue)):
            chosen = torch.nonzero(jittered & (order_B_4[:, turn] == kind))[:, 0]
            if len(chosen) and strengths[kind]:
                at = send(chosen, device)
                images[at] = operation(images[at], send(factors[kind][chosen], device))

    grayed = torch.rand(n, generator=generator) < settings["grayscale_probability"]
    if images.shape[1] == 3 and grayed.any():
        images = torch.where(send(grayed, device)[:, None, None, None], gray(images), images)

    blurred = torch.nonzero(torch.rand(n, generator=generator) < settings["blur_probability"])[:, 0]
    sigma = uniform(*settings["blur_sigma"], (n,), generator)
    if len(blurred):
        radius = min(math.ceil(3 * settings["blur_sigma"][1]), height - 1, width - 1)
        at = send(blurred, device)
        images[at] = gaussian_blur(images[at], send(sigma[blurred], device), radius)
    return images
