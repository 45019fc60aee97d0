"""Faster R-CNN of torchvision as a learner of uint8 frames, whose detections keep their whole class distribution.

The frames of a data set all have the same stored size and are never resized here.
"""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate, pad

from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.learners import weights
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.inference import Stored, autocast, each
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.pace import of_epochs

HISTORY = Kind(
    "history",
    1,
    {
        "loss": "mean training loss of each epoch (E,)",
        "loss_classifier": "detector: part of the loss, classes of proposals (E,)",
        "loss_box_reg": "detector: part of the loss, boxes of proposals (E,)",
        "loss_objectness": "detector: part of the loss, objectness of anchors (E,)",
        "loss_rpn_box_reg": "detector: part of the loss, boxes of anchors (E,)",
        "learning_rate": "learning rate of each epoch (E,)",
    },
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PADDING = 32  # frames are padded to a multiple of it, so that every feature map has an exact power-of-two stride
GRADIENT_NORM = 10.0  # healthy training from scratch stays under 7: the limit only stops a runaway
MAX_DETECTIONS = 100
FEATURE_STRIDE = 4  # pixels, of the maps for trackers
LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")  # torchvision's names


class SmallBackbone(nn.Module):
    """Strided convolutions and a feature pyramid of strides 4, 8 and 16, ``out_channels`` each."""

    out_channels = 48

    def __init__(self):
        super().__init__()

        def convolution(inputs, outputs, stride):
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
            )

        self.body = nn.ModuleDict({
            "stem": convolution(3, 24, 2),
            "stage4": nn.Sequential(convolution(24, 48, 2), convolution(48, 48, 1)),
            "stage8": nn.Sequential(convolution(48, 64, 2), convolution(64, 64, 1)),
            "stage16": nn.Sequential(convolution(64, 96, 2), convolution(96, 96, 1)),
        })  # fmt: skip
        self.lateral = nn.ModuleList(nn.Conv2d(size, self.out_channels, 1) for size in (48, 64, 96))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images):
        map4 = self.body["stage4"](self.body["stem"](images))
        map8 = self.body["stage8"](map4)
        map16 = self.body["stage16"](map8)
        top = self.lateral[2](map16)
        middle = self.lateral[1](map8) + interpolate(top, scale_factor=2.0)
        return {"0": self.lateral[0](map4) + interpolate(middle, scale_factor=2.0), "1": middle, "2": top}


def small_network(n_outputs: int) -> nn.Module:
    """Faster R-CNN for objects of 6-100 pixels in frames of 96-160 pixels height, that a CPU can train."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    network = FasterRCNN(
        SmallBackbone(),
        rpn_anchor_generator=AnchorGenerator(((8, 13), (22, 36), (60, 100)), ((0.5, 1.0, 2.0),) * 3),
        rpn_pre_nms_top_n_train=400, rpn_pre_nms_top_n_test=400, rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=100, rpn_fg_iou_thresh=0.5, rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 5, 2, canonical_scale=32, canonical_level=3),
        box_head=TwoMLPHead(SmallBackbone.out_channels * 5 * 5, 192), box_predictor=FastRCNNPredictor(192, n_outputs),
        box_batch_size_per_image=64,
    )  # fmt: skip
    # torchvision draws it for 256 channels: with 48 the backbone would get hardly any gradient at first
    nn.init.kaiming_normal_(network.rpn.head.conv[0][0].weight, nonlinearity="relu")
    return network


def as_float(outputs):
    return tuple(map(as_float, outputs)) if isinstance(outputs, (tuple, list)) else outputs.float()


class Detector(nn.Module):
    """Faster R-CNN of uint8 frames (B,3,H,W).

    In training, `forward` returns the losses of the targets, by name; in evaluation the class logits (M,1+C), box codes
    (M,4(1+C)) and proposals (list of (m,4)) of the box head. In bfloat16 only the networks compute in it: coordinates of 300 would be rounded to multiples of 2.
    """

    def __init__(self, network, channel_mean, channel_std, settings):
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = network.backbone, network.rpn, network.roi_heads
        self.register_buffer("channel_mean", torch.as_tensor(channel_mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("channel_std", torch.as_tensor(channel_std, dtype=torch.float32)[:, None, None])
        self.precision = settings["precision"]
        for head in (self.rpn.head, self.roi_heads.box_predictor):
            head.register_forward_hook(lambda module, inputs, outputs: as_float(outputs))
        with torch.no_grad():  # torchvision guesses the strides from the first frames it sees; padded ones mislead it
            blank = torch.zeros(1, 3, 128, 128)
            maps = self.backbone.eval()(blank)
            self.roi_heads.box_roi_pool(maps, [torch.tensor([[0.0, 0.0, 8.0, 8.0]])], [(128, 128)])
            self.shallow = 0  # layers of the backbone up to the last one of stride FEATURE_STRIDE
            for layer in self.backbone.body.values():
                blank = layer(blank)
                self.shallow += blank.shape[2] >= 128 // FEATURE_STRIDE
        self.train()

    def normalised(self, images):
        """The frames, normalised and then padded with 0."""
        height, width = images.shape[2:]
        images = (images.float() / 255 - self.channel_mean) / self.channel_std
        return pad(images, (0, -width % PADDING, 0, -height % PADDING))

    def forward(self, images, targets=None):
        from torchvision.models.detection.image_list import ImageList

        padded, sizes = self.normalised(images), [tuple(images.shape[2:])] * len(images)
        with autocast(images.device, self.precision):
            maps = {name: level.float() for name, level in self.backbone(padded).items()}
            proposals, losses = self.rpn(ImageList(padded, sizes), maps, targets)
            if self.training:
                return losses | self.roi_heads(maps, proposals, sizes, targets)[1]
            pooled = self.roi_heads.box_roi_pool(maps, proposals, sizes)
            return *self.roi_heads.box_predictor(self.roi_heads.box_head(pooled)), proposals


def freeze_batch_norm(module: nn.Module, eps: float) -> None:
    """Replace every batch norm by a frozen one: batches of a few frames would spoil pre-trained statistics."""
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps))
        else:
            freeze_batch_norm(child, eps)


def untrained(settings: dict, n_classes: int, mean_C, std_C) -> Detector:
    from torchvision.models import detection  # costs seconds; only detectors need it

    name = settings["architecture"]
    if name == "faster_rcnn_small":
        network = small_network(1 + n_classes)
    else:
        maker = {
            "faster_rcnn_mobilenet": detection.fasterrcnn_mobilenet_v3_large_fpn,
            "faster_rcnn_resnet50": detection.fasterrcnn_resnet50_fpn,
        }[name]
        network = maker(weights=None, weights_backbone=None, num_classes=1 + n_classes)
        if settings["weights"]:
            freeze_batch_norm(network, 0.0 if name == "faster_rcnn_resnet50" else 1e-5)  # as torchvision's were trained
    network.roi_heads.score_thresh = settings["score_threshold"]
    network.roi_heads.nms_thresh = settings["nms_threshold"]
    network.roi_heads.detections_per_img = MAX_DETECTIONS
    return Detector(network, mean_C, std_C, settings)


def load_weights(model: Detector, path: str) -> None:
    """Load a local state dict of the whole detector: torchvision's, or one that `save` wrote.

    The box predictor stays as it is if the file's has another number of classes. Weights bring the normalisation that they
    were trained with: torchvision's the one of ImageNet. Raises UserError if the file is missing or does not fit.
    """
    state = weights.read_weights(path)
    try:
        for name, values in (("channel_mean", IMAGENET_MEAN), ("channel_std", IMAGENET_STD)):
            state.setdefault(name, torch.tensor(values)[:, None, None])
        own, predictor = model.state_dict(), "roi_heads.box_predictor."
        if state[predictor + "cls_score.weight"].shape[0] != own[predictor + "cls_score.weight"].shape[0]:
            state |= {name: tensor for name, tensor in own.items() if name.startswith(predictor)}
        model.load_state_dict(state)
    except Exception as error:  # whatever the shapes and names are
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"weights {path} cannot be loaded into {type(model.backbone).__name__} ({reason}); correct the path."
        ) from None


def build(settings: dict, n_classes: int, shape: tuple[int, int, int], mean_C, std_C) -> Detector:
    """A detector of ``n_classes`` foreground classes for frames of ``shape`` (3,H,W), drawn from torch's random state.

    ``mean_C`` and ``std_C`` of the intensities / 255 normalise the frames, unless ``settings["weights"]`` names a local file,
    which brings its own. Raises UserError if the frames have no 3 channels or the weights cannot be loaded.
    """
    if shape[0] != 3:
        raise UserError(f"a detector needs frames of 3 channels, these have {shape[0]}: store them as RGB.")
    model = untrained(settings, n_classes, mean_C, std_C)
    if settings["weights"]:
        load_weights(model, settings["weights"])
    return model


def flip(images: torch.Tensor, boxes: list[torch.Tensor], flipped: torch.Tensor) -> tuple[torch.Tensor, list]:
    """Mirror the frames (B,3,H,W), and their boxes (m,4) xyxy, where ``flipped`` (B,) is true."""
    width = images.shape[3]
    mirrored = [
        torch.stack((width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]), 1) if turn else box
        for box, turn in zip(boxes, flipped.tolist(), strict=True)
    ]
    return torch.where(flipped.to(images.device)[:, None, None, None], images.flip(3), images), mirrored


def fit(
    model: Detector,
    images: torch.Tensor | Stored,
    boxes: list[torch.Tensor],
    labels: list[torch.Tensor],
    settings: dict,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> dict[str, list[float]]:
    """Train in place for ``settings["epochs"]``; returns, per epoch, ``loss``, its four parts and ``learning_rate``.

    ``images`` (L,3,H,W) uint8, a tensor or stored ones that are read ahead, and per frame ``boxes`` (m,4) float32 xyxy in pixels and ``labels`` (m,) int64 from 0, lie on
    the model's device; frames without boxes teach what is background. Order, flips and the sampling of anchors and
    proposals follow ``seed``. With a ``checkpoint`` it goes on where it was stored. Raises UserError if the loss stops being finite.
    """
    parameters = list(model.parameters())
    state = []
    step = stepper(parameters, settings["optimizer"], state)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = {name: [] for name in ("loss", *LOSSES, "learning_rate")}
    started = time.monotonic()
    done = checkpoint.follow(model, state, generator, **history) if checkpoint else 0
    for epoch in range(done, settings["epochs"]):
        lr = learning_rate(settings["optimizer"], settings["schedule"], epoch, settings["epochs"])
        model.train()
        totals = torch.zeros(len(LOSSES), device=images.device)
        order = torch.split(torch.randperm(len(images), generator=generator), settings["batch_size"])
        for batch, batch_images in zip(order, each(images, order), strict=True):
            batch_boxes = [boxes[i] for i in batch]
            if settings["augmentation"]["flip"]:
                flipped = torch.rand(len(batch), generator=generator) < 0.5
                batch_images, batch_boxes = flip(batch_images, batch_boxes, flipped)
            targets = [{"boxes": box, "labels": labels[i] + 1} for box, i in zip(batch_boxes, batch, strict=True)]
            parts = model(batch_images, targets)
            loss = sum(parts.values())
            when, key = f"epoch {epoch + 1} of {settings['epochs']}", f"optimizer.lr of the learner ({lr:g} now)"
            check_finite([loss.item()], when, key)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
            step(lr)
            totals += torch.stack([parts[name].detach() for name in LOSSES]) * len(batch)
        means = (totals / len(images)).tolist()
        for name, value in zip(("loss", *LOSSES, "learning_rate"), (sum(means), *means, lr), strict=True):
            history[name].append(value)
        print(
            f"epoch {epoch + 1}/{settings['epochs']}  loss {history['loss'][-1]:.4f}  lr {lr:g}  "
            + of_epochs(epoch + 1, settings["epochs"], started, len(images), done),
            flush=True,
        )
        if checkpoint:
            checkpoint.after(epoch + 1)
    return history


@torch.no_grad()
def detect(model: Detector, batches) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Per batch of uint8 frames (B,3,H,W), per frame: boxes (m,4) xyxy in pixels and class probabilities (m,1+C), float32.

    Column 0 of the probabilities is the background. A proposal counts as its best foreground class; it stays if the
    probability of that class exceeds the score threshold and no better box of the class overlaps it by more than the NMS
    threshold. Falling score, at most `MAX_DETECTIONS` per frame.
    """
    from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

    model.eval()
    heads = model.roi_heads
    for images in batches:
        logits, codes, proposals = model(images)
        counts = [len(boxes) for boxes in proposals]
        probabilities = torch.softmax(logits, 1)
        boxes = heads.box_coder.decode(codes, proposals).reshape(*probabilities.shape, 4)
        scores, labels = probabilities[:, 1:].max(1)
        boxes = boxes[torch.arange(len(boxes), device=boxes.device), 1 + labels]
        found = []
        for frame in zip(*(torch.split(x, counts) for x in (boxes, probabilities, scores, labels)), strict=True):
            frame = [x[frame[2] > heads.score_thresh] for x in frame]
            frame[0] = clip_boxes_to_image(frame[0], tuple(images.shape[2:]))
            frame = [x[remove_small_boxes(frame[0], 1e-2)] for x in frame]
            kept = batched_nms(frame[0], frame[2], frame[3], heads.nms_thresh)[: heads.detections_per_img]
            found.append((frame[0][kept], frame[1][kept]))
        yield found


def detect_frames(model: Detector, batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What `detect` finds, frame by frame, for NumPy."""
    for batch in detect(model, batches):
        for frame in batch:
            yield tuple(values.cpu().numpy() for values in frame)


@torch.no_grad()
def features(model: Detector, images: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A feature map (B,D,h,w) float32 of uint8 frames for trackers, h = ceil(H / stride), and its stride in pixels.

    The deepest map of the backbone's trunk that still has `FEATURE_STRIDE`: the pyramid's own levels are mixed with coarse
    ones, which says what an object is, and less well where. Cell (i,j) is centred at pixel (i,j) * stride. Costs a fraction
    of `detect`.
    """
    model.eval()
    height, width = (-(-size // FEATURE_STRIDE) for size in images.shape[2:])
    values = model.normalised(images)
    with autocast(images.device, model.precision):
        for layer in islice(model.backbone.body.values(), model.shallow):
            values = layer(values)
    return values[:, :, :height, :width].float(), FEATURE_STRIDE


def save(path: str | Path, model: Detector, settings: dict, shape: tuple, origin: dict) -> None:
    """Write a detector for `load`."""
    classes = model.roi_heads.box_predictor.cls_score.out_features - 1
    weights.write(path, model, {"learner": settings, "shape": shape, "classes": classes, **origin})


def load(path: str | Path, device: torch.device) -> Detector:
    """The detector saved by `save`, in evaluation mode."""
    about, tensors = weights.read(path)
    model = untrained(about["learner"], about["classes"], IMAGENET_MEAN, IMAGENET_STD)
    model.load_state_dict(tensors)
    return model.to(device).eval()
