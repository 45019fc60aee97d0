"""Networks that give every pixel of uint8 images a class, their training, and passes over images.

DRN-D-22 is the dilated residual network of Yu et al. 2017 that 004 and VAAL use; the others are torchvision's, or small.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, pad

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.datasets.masks import NO_CLASS
from dagal.errors import UserError
from dagal.learners import loss_prediction, pixel_trajectory, weights
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.devices import place, send
from dagal.learners.inference import Stored, ahead, autocast, images_of, stream
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.pace import of_epochs
from dagal.pool import unlabeled
from dagal.seeding import seed_for

HISTORY = Kind(
    "history",
    1,
    {
        "loss": "mean training loss of each epoch (E,)",
        "accuracy": "share of the pixels with a class that were right in training, per epoch (E,)",
        "prediction_loss": "loss of the loss prediction in each epoch (E,), NaN where it is not trained",
        "learning_rate": "learning rate of each epoch (E,)",
        "ids": "unlabeled ids (n,), ascending; absent where nothing is recorded of them",
        "dispersion": "mean over the pixels of each unlabeled id of their label-dispersion over the epochs (n,)",
        "predicted_loss": "loss predicted for each unlabeled id after each epoch (E,n), where an adversary is trained on its ranks",
        "labeled_predicted_loss": "the same for each labeled id, ascending (E,L)",
    },
)

HELD_BYTES = 256 << 20  # labeled images, and masks, up to this size stay in memory; more are read batch by batch


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


class LiteTrunk(nn.Module):
    """LR-ASPP of torchvision up to the two linear layers of its head: its deep maps, enlarged, beside its shallow ones."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.trunk, self.cbr, self.scale = network.backbone, network.classifier.cbr, network.classifier.scale

    def forward(self, x):
        maps = self.trunk(x)
        deep = self.cbr(maps["high"]) * self.scale(maps["high"])
        deep = interpolate(deep, maps["low"].shape[2:], mode="bilinear", align_corners=False)
        return torch.cat([deep, maps["low"]], 1)


class LiteHead(nn.Module):
    """The two linear layers of LR-ASPP, whose sum are its logits."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.high_classifier, self.low_classifier = (
            network.classifier.high_classifier,
            network.classifier.low_classifier,
        )

    def forward(self, x):
        deep, low = x.split([self.high_classifier.in_channels, self.low_classifier.in_channels], 1)
        return self.low_classifier(low) + self.high_classifier(deep)


class Segmenter(nn.Module):
    """Logits (B,C,H,W) of uint8 images (B,3,H,W): a trunk, dropout of whole channels, a head, and enlargement.

    ``tapped``: the modules of the trunk, by their names, whose maps a loss prediction reads.
    """

    def __init__(self, trunk, head, dropout: float, n_classes: int, channel_mean, channel_std, tapped: tuple = ()):
        super().__init__()
        self.trunk, self.head, self.dropout, self.n_classes = trunk, head, nn.Dropout2d(dropout), n_classes
        self.tapped, self.loss_prediction = tapped, None
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


RESNET, MOBILENET = [f"trunk.layer{stage}" for stage in (1, 2, 3, 4)], [f"trunk.{block}" for block in (2, 4, 7, 13)]
# where a loss prediction taps the trunk: the ends of a ResNet's stages, the blocks of MobileNetV3 that halve its maps
TAPPED = {
    "segmenter_small": ("fine", "coarse", "mixed"),
    "drn_d_22": ("4", "6", "8", "10"),
    "fcn_resnet50": RESNET,
    "deeplabv3_resnet50": RESNET,
    "deeplabv3_mobilenet": MOBILENET,
    "lraspp_mobilenet": MOBILENET,
}


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
            "lraspp_mobilenet": segmentation.lraspp_mobilenet_v3_large,
        }
        network = makers[name](weights=None, weights_backbone=None, num_classes=n_classes)
        trunk, head = Out(network.backbone), network.classifier
        if name == "lraspp_mobilenet":
            trunk, head = LiteTrunk(network), LiteHead(network)
    for module in [*trunk.modules(), *head.modules()] if name in ("drn_d_22", "segmenter_small") else ():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    model = Segmenter(trunk, head, settings["dropout"], n_classes, mean_C, std_C, tuple(TAPPED[name]))
    if prediction := settings.get("loss_prediction"):
        model.loss_prediction, _ = loss_prediction.attach(model, (3, 64, 64), prediction["width"])
    return model


# what modules of torchvision's networks are called here, by the first fitting beginning
OWN_NAMES = {
    "backbone.": "trunk.trunk.",
    "classifier.cbr.": "trunk.cbr.",
    "classifier.scale.": "trunk.scale.",
    "classifier.": "head.",
}


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
            begins = next((theirs for theirs in OWN_NAMES if name.startswith(theirs)), "")
            name = OWN_NAMES.get(begins, "") + name.removeprefix(begins)
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


def pixel_weights(masks: torch.Tensor, weight_C: torch.Tensor) -> torch.Tensor:
    """Weight of each pixel in the loss: that of its class, 0 without one."""
    return torch.cat([weight_C, weight_C.new_zeros(256 - len(weight_C))])[masks.long()]


def pixel_loss(logits: torch.Tensor, masks: torch.Tensor, weight_C: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, mean over the pixels that have a class, by their weights; 0 where none has."""
    total = cross_entropy(logits, masks.long(), weight_C, ignore_index=NO_CLASS, reduction="sum")
    return total / pixel_weights(masks, weight_C).sum().clamp(min=1e-6)


def image_losses(logits: torch.Tensor, masks: torch.Tensor, weight_C: torch.Tensor) -> torch.Tensor:
    """`pixel_loss` of each image by itself (B,)."""
    losses = cross_entropy(logits, masks.long(), weight_C, ignore_index=NO_CLASS, reduction="none").flatten(1).sum(1)
    return losses / pixel_weights(masks, weight_C).flatten(1).sum(1).clamp(min=1e-6)


def fit(
    model: Segmenter,
    images: torch.Tensor | Stored,
    masks: torch.Tensor | Stored,
    settings: dict,
    seed: int,
    checkpoint: Checkpoint | None = None,
    after_epoch: Callable[[Segmenter], None] = lambda model: None,
) -> dict[str, list[float]]:
    """Train in place for ``settings["epochs"]``; returns ``loss``, ``accuracy`` and ``learning_rate`` per epoch.

    ``images`` (L,3,H,W) and ``masks`` (L,H,W) are uint8, in memory or read as they are needed, and go to the device batch by
    batch. Order, augmentation and dropout follow ``seed``. A last batch of a single image joins the one before it, as batch norm
    cannot train on one. Raises UserError if the training diverges, or if no pixel has a class.

    With ``settings["loss_prediction"]`` its head learns along, from the loss of each image by itself, as that of a classifier does
    (`dagal.learners.training.fit`), and ``prediction_loss`` is returned too. Images without a pixel of a class teach it nothing.
    """
    device = model.channel_mean.device
    pixels_C = np.zeros(256, np.int64)
    for block in masks.split(settings["batch_size"]):
        pixels_C += np.bincount(block.numpy().ravel(), minlength=256)
    pixels_C = pixels_C[: model.n_classes]
    if not pixels_C.any():
        raise UserError(
            f"none of the {len(masks):,} labeled images has a pixel of a class: label more (pool.initial.size)."
        )
    weight_C = class_weights(pixels_C, settings["class_weights"]).to(device)
    prediction, head = settings.get("loss_prediction"), model.loss_prediction
    network = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("loss_prediction.")]
    state = []
    step = stepper(network, settings["optimizer"], state)
    if head:
        step_head, modules = stepper(list(head.parameters()), settings["optimizer"], state), loss_prediction.taps(model)
        pair_loss = loss_prediction.PAIR_LOSSES[prediction["loss"]](prediction)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = {name: [] for name in ("loss", "accuracy", "learning_rate", *(["prediction_loss"] if head else []))}
    started = time.monotonic()
    done = checkpoint.follow(model, state, generator, **history) if checkpoint else 0
    for epoch in range(done, settings["epochs"]):
        lr = learning_rate(settings["optimizer"], settings["schedule"], epoch, settings["epochs"])
        model.train()
        stopped = loss_prediction.stopped(prediction, epoch, settings["epochs"]) if head else "both"
        if head:
            head.requires_grad_(stopped != "head")
        total, right, seen, pairs = (torch.zeros((), device=device, dtype=torch.float64) for _ in range(4))
        order = list(torch.split(torch.randperm(len(images), generator=generator), settings["batch_size"]))
        if len(order) > 1 and len(order[-1]) == 1:
            order[-2:] = [torch.cat(order[-2:])]
        for inputs, target in batches_of(images, masks, order):
            inputs, target = augmented(send(inputs, device), send(target, device), settings, generator)
            with autocast(device, settings["precision"]):
                if stopped == "both":
                    logits = model(inputs)
                else:
                    logits, maps = loss_prediction.with_features(model, modules, inputs)
                    predicted = head(maps, detach=stopped == "backbone").float()
            logits = logits.float()
            objective = loss = pixel_loss(logits, target, weight_C)
            known = target != NO_CLASS
            if stopped != "both":
                told = known.flatten(1).any(1)
                pair = pair_loss(predicted[told], image_losses(logits, target, weight_C)[told])
                objective = objective + prediction["weight"] * pair
                pairs += pair.detach() * len(target)
            objective.backward()
            if stopped not in ("both", "head"):
                step_head(lr)
            step(lr)
            total += loss.detach() * len(target)
            right += ((logits.detach().argmax(1) == target) & known).sum()
            seen += known.sum()
        predicting = math.nan if stopped == "both" else (pairs / len(images)).item()
        values = (total / len(images)).item(), (right / seen.clamp(min=1)).item(), lr, predicting
        for name, value in zip(history, values, strict=False):
            history[name].append(value)
        last = model.parameters() if epoch + 1 == settings["epochs"] else ()
        key = f"optimizer.lr of the learner ({lr:g} now)"
        check_finite(
            [values[0], *([] if stopped == "both" else [predicting])],
            f"epoch {epoch + 1} of {settings['epochs']}",
            key,
            last,
        )
        print(
            f"epoch {epoch + 1}/{settings['epochs']}  loss {values[0]:.4f}  accuracy {values[1]:.4f}  lr {lr:g}  "
            + of_epochs(epoch + 1, settings["epochs"], started, len(images), done),
            flush=True,
        )
        after_epoch(model)
        if checkpoint:
            checkpoint.after(epoch + 1)
    return history


def fit_node(source, settings: dict, seed: int, cycle: int, device, origin: dict, result: str, follows, checkpoint):
    """Train a segmenter on the artifacts ``source.images``, ``.split`` and ``.labeled`` of a node, from scratch or from ``.parent``.

    Initialisation and training follow seed and cycle. ``follows``: what is kept of what the model says of its pool after each epoch,
    "pixel_trajectory" (``dispersion``) and "ranks" (predicted losses); the history then has these and ``ids``, those of the pool.
    ``result``: the file of the job, beside which the epochs lie until they are reduced (`pixel_trajectory`). Returns the model, its history, and the shape (3,H,W) of the images.
    """
    cpu, values = torch.device("cpu"), {}
    with (
        artifacts.opened(source.images, "images", cached=False) as file,
        artifacts.opened(source.labeled, "labeled") as labeled,
    ):
        n_classes = len(artifacts.attribute(labeled, "class_names"))
        # of regions the images that have any; nothing of the pool is then followed
        labeled_ids = labeled["images" if "images" in labeled else "ids"][()]
        ids = unlabeled(source.split, source.labeled) if follows else np.empty(0, np.int64)
        images = images_of(file["images"], labeled_ids, cpu, HELD_BYTES)
        masks = images_of(labeled["masks"], np.arange(len(labeled_ids)), cpu, HELD_BYTES)
        shape = tuple(images.shape[1:])
        mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
        torch.manual_seed(seed_for(seed, "initialise", cycle))
        if source.parent:
            model = load(source.parent, device)
        else:
            model = place(build(settings, n_classes, shape, mean_C, std_C), device)
        print(f"training on {len(labeled_ids):,} images, {n_classes} classes", flush=True)

        def batches(ids):
            return stream(file["images"], ids, device, settings["batch_size"])

        def losses(ids):
            return torch.cat([batch.cpu() for batch in predicted_losses(model, batches(ids), settings["precision"])])

        def follow(model):
            if "ranks" in follows:
                values["predicted_loss"].append(losses(ids))
                values["labeled_predicted_loss"].append(losses(np.sort(labeled_ids)))
            if "pixel_trajectory" in follows:
                epoch = len(values["epochs"]) + 1
                classes = predicted_classes(model, batches(ids), settings["precision"])
                path = pixel_trajectory.path_of(result, epoch)
                pixel_trajectory.store(path, (len(ids), *shape[1:]), classes, origin)
                values["epochs"].append(epoch)

        names = {"ranks": ("predicted_loss", "labeled_predicted_loss"), "pixel_trajectory": ("epochs",)}
        values |= {name: [] for kind in follows for name in names[kind]}
        checkpoint.lists |= values
        history = fit(model, images, masks, settings, seed_for(seed, "train", cycle), checkpoint, follow)
    found = {"ids": ids} if follows else {}
    if "pixel_trajectory" in follows:
        paths = [pixel_trajectory.path_of(result, epoch) for epoch in values.pop("epochs")]
        found["dispersion"] = pixel_trajectory.mean_dispersion(paths, n_classes)
    return model, history | found | {name: np.stack(rows) for name, rows in values.items()}, shape


def batches_of(images, masks, order: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images and masks at each of these positions (B,); those of files are read ahead."""
    found = ((images[positions], masks[positions]) for positions in order)
    return ahead(found) if isinstance(images, Stored) or isinstance(masks, Stored) else found


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
def predicted_classes(model: Segmenter, batches, precision: str) -> Iterator[torch.Tensor]:
    """Per batch, the predicted classes (B,H,W) uint8 of the pixels of its images."""
    model.eval()
    for images in batches:
        with autocast(images.device, precision):
            yield model(images).argmax(1).to(torch.uint8)


@torch.no_grad()
def predicted_losses(model: Segmenter, batches, precision: str) -> Iterator[torch.Tensor]:
    """Per batch, the losses (B,) float32 that the model's loss prediction predicts of its images."""
    model.eval()
    modules = loss_prediction.taps(model)
    for images in batches:
        with autocast(images.device, precision):
            _, maps = loss_prediction.with_features(model.features, modules, images)
            yield model.loss_prediction(maps).float()


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
