"""Networks that give every pixel of uint8 images a class, their training, and passes over images.

DRN-D-22 is the dilated residual network of Yu et al. 2017 that 004 and VAAL use; the others are torchvision's, or small.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, pad

from dagal.artifacts import Kind
from dagal.datasets.masks import NO_CLASS
from dagal.errors import UserError
from dagal.learners import weights
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.devices import send
from dagal.learners.inference import autocast
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.pace import of_epochs

HISTORY = Kind(
    "history",
    1,
    {
        "loss": "mean training loss of each epoch (E,)",
        "accuracy": "share of the pixels with a class that were right in training, per epoch (E,)",
        "learning_rate": "learning rate of each epoch (E,)",
    },
)


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2 * dilation, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Basic residual block, both of its convolutions dilated."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        first, second = convolution(inputs, outputs, 3, stride, dilation), convolution(outputs, outputs, 3, 1, dilation)
        self.body = nn.Sequential(*first, *second[:2])
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = convolution(inputs, outputs, 1, stride)[:2]

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def drn_d_22() -> nn.Sequential:
    """Trunk of DRN-D-22: 512 channels at stride 8, no pooling."""
    levels = [convolution(3, 16, 7), convolution(16, 16), convolution(16, 32, stride=2)]
    inputs = 32
    for outputs, stride, dilation in ((64, 2, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4)):
        levels += [Block(inputs, outputs, stride, dilation), Block(outputs, outputs, 1, dilation)]
        inputs = outputs
    return nn.Sequential(*levels, convolution(512, 512, dilation=2), convolution(512, 512))


def bilinear(n_classes: int, stride: int = 8) -> nn.ConvTranspose2d:
    """Frozen transposed convolution that enlarges each map ``stride`` times, as the head of a DRN has it."""
    layer = nn.ConvTranspose2d(n_classes, n_classes, 2 * stride, stride, stride // 2, groups=n_classes, bias=False)
    near = 1 - (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
    layer.weight.data[:] = near[:, None] * near
    layer.weight.requires_grad_(False)
    return layer


class SmallTrunk(nn.Module):
    """For small images on a CPU: 64 channels at stride 4, which see strides 8 and dilated 8 too."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Sequential(convolution(3, 24, stride=2), convolution(24, 48, stride=2), convolution(48, 48))
        self.coarse = nn.Sequential(
            convolution(48, 64, stride=2), Block(64, 64), Block(64, 64, dilation=2), Block(64, 64, dilation=4)
        )
        self.mixed = convolution(48 + 64, 64)

    def forward(self, x):
        fine = self.fine(x)
        coarse = interpolate(self.coarse(fine), fine.shape[2:], mode="bilinear", align_corners=False)
        return self.mixed(torch.cat([fine, coarse], 1))


class Out(nn.Module):
    """The last map of a trunk of torchvision, which gives several by name."""

    def __init__(self, trunk: nn.Module):
        super().__init__()
        self.trunk = trunk

    def forward(self, x):
        return self.trunk(x)["out"]


class Segmenter(nn.Module):
    """Logits (B,C,H,W) of uint8 images (B,3,H,W): a trunk, dropout of whole channels, a head, and enlargement."""

    def __init__(self, trunk: nn.Module, head: nn.Module, dropout: float, n_classes: int, channel_mean, channel_std):
        super().__init__()
        self.trunk, self.head, self.dropout, self.n_classes = trunk, head, nn.Dropout2d(dropout), n_classes
        self.register_buffer("channel_mean", torch.as_tensor(channel_mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("channel_std", torch.as_tensor(channel_std, dtype=torch.float32)[:, None, None])

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (B,D,h,w) before the head."""
        return self.trunk((images.float() / 255 - self.channel_mean) / self.channel_std)

    def logits(self, features: torch.Tensor, size) -> torch.Tensor:
        """(B,C,*size) of the features of images of that size."""
        logits = self.head(self.dropout(features))
        if logits.shape[2] >= size[0] and logits.shape[3] >= size[1]:  # the head of a DRN enlarges by itself
            return logits[:, :, : size[0], : size[1]]
        return interpolate(logits, size, mode="bilinear", align_corners=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits(self.features(images), images.shape[2:])


def untrained(settings: dict, n_classes: int, mean_C, std_C) -> Segmenter:
    """Trunk and head by the architecture's name, drawn from torch's random state."""
    name = settings["architecture"]
    if name == "segmenter_small":
        trunk, head = SmallTrunk(), nn.Conv2d(64, n_classes, 1)
    elif name == "drn_d_22":
        trunk, head = drn_d_22(), nn.Sequential(nn.Conv2d(512, n_classes, 1), bilinear(n_classes))
    else:
        from torchvision.models import segmentation  # costs seconds

        makers = {
            "fcn_resnet50": segmentation.fcn_resnet50,
            "deeplabv3_resnet50": segmentation.deeplabv3_resnet50,
            "deeplabv3_mobilenet": segmentation.deeplabv3_mobilenet_v3_large,
        }
        network = makers[name](weights=None, weights_backbone=None, num_classes=n_classes)
        trunk, head = Out(network.backbone), network.classifier
    for module in [*trunk.modules(), *head.modules()] if name in ("drn_d_22", "segmenter_small") else ():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return Segmenter(trunk, head, settings["dropout"], n_classes, mean_C, std_C)


def build(settings: dict, n_classes: int, shape: tuple[int, int, int], mean_C, std_C) -> Segmenter:
    """A segmenter for images of ``shape`` (3,H,W). Raises UserError for images without 3 channels, or weights that do not fit.

    ``settings["weights"]`` names a local state dict: of torchvision's network of that name, or one that `save` wrote. What has
    other shapes, as the last layer for other classes, stays as it was drawn.
    """
    if shape[0] != 3:
        raise UserError(f"a segmenter needs images of 3 channels, these have {shape[0]}: store them as RGB.")
    model = untrained(settings, n_classes, mean_C, std_C)
    if path := settings["weights"]:
        own, found = model.state_dict(), {}
        for name, tensor in weights.read_weights(path).items():
            name = name.replace("backbone.", "trunk.trunk.", 1) if name.startswith("backbone.") else name
            name = name.replace("classifier.", "head.", 1) if name.startswith("classifier.") else name
            if name in own and own[name].shape == tensor.shape:
                found[name] = tensor
        if missing := [name for name in own if name.startswith("trunk.") and name not in found]:
            raise UserError(
                f"weights {path} cannot be loaded into {settings['architecture']} (they lack {missing[0]}); correct the path."
            )
        model.load_state_dict(own | found)
    return model


def augmented(
    images: torch.Tensor, masks: torch.Tensor, settings: dict, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled, cropped and flipped images (B,3,h,w) and their masks (B,h,w); what lies outside of an image has no class.

    ``settings``: those of a learner: ``random_scale`` [least, most], and of its augmentation ``crop`` (side of a square, None: the
    whole image) and ``flip``. Of all images of a step one
    scale is drawn, and a place of the crop and a flip for each.
    """
    least, most = settings["random_scale"]
    crop, flip = settings["augmentation"]["crop"], settings["augmentation"]["flip"]
    height, width = images.shape[2:]
    if least != 1 or most != 1:
        factor = least + (most - least) * torch.rand((), generator=generator).item()
        size = max(1, round(height * factor)), max(1, round(width * factor))
        images = interpolate(images.float(), size, mode="bilinear", align_corners=False).round().to(torch.uint8)
        masks = interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].to(torch.uint8)
    if least != 1 or most != 1 or crop:
        rows, columns = (crop, crop) if crop else (height, width)
        below, right = max(0, rows - images.shape[2]), max(0, columns - images.shape[3])
        images, masks = pad(images, (0, right, 0, below)), pad(masks, (0, right, 0, below), value=NO_CLASS)
        top = torch.randint(images.shape[2] - rows + 1, (len(images),), generator=generator).tolist()
        left = torch.randint(images.shape[3] - columns + 1, (len(images),), generator=generator).tolist()
        places = list(zip(top, left, strict=True))
        images = torch.stack(
            [image[:, y : y + rows, x : x + columns] for image, (y, x) in zip(images, places, strict=True)]
        )
        masks = torch.stack([mask[y : y + rows, x : x + columns] for mask, (y, x) in zip(masks, places, strict=True)])
    if flip:
        flipped = send(torch.rand(len(images), generator=generator) < 0.5, images.device)
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        masks = torch.where(flipped[:, None, None], masks.flip(2), masks)
    return images, masks


def class_weights(pixels_C: np.ndarray, kind: str) -> torch.Tensor:
    """Weights (C,) float32 of the classes in the loss: 1 (``none``), or the median share of a class by its own share (``median``).

    ``median``: median frequency balancing (Eigen & Fergus 2015), over the classes that have pixels; those without get 0.
    """
    if kind == "none":
        return torch.ones(len(pixels_C))
    present = pixels_C > 0
    weight_C = np.zeros(len(pixels_C))
    weight_C[present] = np.median(pixels_C[present]) / pixels_C[present]
    return torch.from_numpy(weight_C).float()


def pixel_loss(logits: torch.Tensor, masks: torch.Tensor, weight_C: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, mean over the pixels that have a class, by their weights; 0 where none has."""
    target = masks.long()
    total = cross_entropy(logits, target, weight_C, ignore_index=NO_CLASS, reduction="sum")
    counted = torch.cat([weight_C, weight_C.new_zeros(256 - len(weight_C))])[target].sum()
    return total / counted.clamp(min=1e-6)


def fit(
    model: Segmenter,
    images: torch.Tensor,
    masks: torch.Tensor,
    settings: dict,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> dict[str, list[float]]:
    """Train in place for ``settings["epochs"]``; returns ``loss``, ``accuracy`` and ``learning_rate`` per epoch.

    ``images`` (L,3,H,W) and ``masks`` (L,H,W) are uint8, in memory, and go to the device batch by batch. Order, augmentation and dropout
    follow ``seed``. A last batch of a single image joins the one before it, as batch norm cannot train on one. Raises
    UserError if the training diverges, or if no pixel has a class.
    """
    device = model.channel_mean.device
    pixels_C = np.zeros(256, np.int64)
    for mask in masks:
        pixels_C += np.bincount(mask.numpy().ravel(), minlength=256)
    pixels_C = pixels_C[: model.n_classes]
    if not pixels_C.any():
        raise UserError(
            f"none of the {len(masks):,} labeled images has a pixel of a class: label more (pool.initial.size)."
        )
    weight_C = class_weights(pixels_C, settings["class_weights"]).to(device)
    state = []
    step = stepper([p for p in model.parameters() if p.requires_grad], settings["optimizer"], state)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = {name: [] for name in ("loss", "accuracy", "learning_rate")}
    started = time.monotonic()
    done = checkpoint.follow(model, state, generator, **history) if checkpoint else 0
    for epoch in range(done, settings["epochs"]):
        lr = learning_rate(settings["optimizer"], settings["schedule"], epoch, settings["epochs"])
        model.train()
        total, right, seen = (torch.zeros((), device=device, dtype=torch.float64) for _ in range(3))
        order = list(torch.split(torch.randperm(len(images), generator=generator), settings["batch_size"]))
        if len(order) > 1 and len(order[-1]) == 1:
            order[-2:] = [torch.cat(order[-2:])]
        for batch in order:
            inputs, target = send(images[batch], device), send(masks[batch], device)
            inputs, target = augmented(inputs, target, settings, generator)
            with autocast(device, settings["precision"]):
                logits = model(inputs)
            loss = pixel_loss(logits.float(), target, weight_C)
            loss.backward()
            step(lr)
            known = target != NO_CLASS
            total += loss.detach() * len(batch)
            right += ((logits.detach().argmax(1) == target) & known).sum()
            seen += known.sum()
        values = (total / len(images)).item(), (right / seen.clamp(min=1)).item(), lr
        for name, value in zip(history, values, strict=True):
            history[name].append(value)
        last = model.parameters() if epoch + 1 == settings["epochs"] else ()
        key = f"optimizer.lr of the learner ({lr:g} now)"
        check_finite(history["loss"][-1:], f"epoch {epoch + 1} of {settings['epochs']}", key, last)
        print(
            f"epoch {epoch + 1}/{settings['epochs']}  loss {values[0]:.4f}  accuracy {values[1]:.4f}  lr {lr:g}  "
            + of_epochs(epoch + 1, settings["epochs"], started, len(images), done),
            flush=True,
        )
        if checkpoint:
            checkpoint.after(epoch + 1)
    return history


@torch.no_grad()
def predict(model: Segmenter, batches, precision: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Per image: class probabilities (C,H,W) of its pixels, and the mean (D,) of the features over its area, float32."""
    model.eval()
    for images in batches:
        with autocast(images.device, precision):
            features = model.features(images)
            logits = model.logits(features, images.shape[2:])
        probs = torch.softmax(logits.float(), 1)
        yield from zip(probs, features.float().mean((2, 3)), strict=True)


@torch.no_grad()
def mutual_information(model: Segmenter, batches, n_draws: int, seed: int, precision: str) -> Iterator[torch.Tensor]:
    """Per image, the BALD score (H,W) of its pixels over draws with dropout on and all else in evaluation mode.

    Entropy of the mean minus mean of the entropies; memory: the probabilities of one batch, whatever the draws.
    """
    model.eval()
    model.dropout.train()
    torch.manual_seed(seed)
    for images in batches:
        with autocast(images.device, precision):
            features = model.features(images)
        mean, entropies = 0, 0
        for _ in range(n_draws):
            with autocast(images.device, precision):
                logits = model.logits(features, images.shape[2:])
            probs = torch.softmax(logits.double(), 1)
            mean, entropies = mean + probs / n_draws, entropies + entropy(probs) / n_draws
        yield from (entropy(mean) - entropies).clamp(min=0)
    model.dropout.eval()


def entropy(probs_B_C_H_W: torch.Tensor) -> torch.Tensor:
    """Entropy (B,H,W) in nats; 0 log 0 is 0."""
    return torch.special.entr(probs_B_C_H_W).sum(1)


def save(path: str | Path, model: Segmenter, settings: dict, shape: tuple, origin: dict) -> None:
    """Write a segmenter for `load`."""
    weights.write(path, model, {"learner": settings, "shape": shape, "classes": model.n_classes, **origin})


def load(path: str | Path, device: torch.device) -> Segmenter:
    """The segmenter saved by `save`, in evaluation mode."""
    about, tensors = weights.read(path)
    model = untrained(about["learner"], about["classes"], (0.5,) * 3, (0.25,) * 3)
    model.load_state_dict(tensors)
    return model.to(device).eval()
