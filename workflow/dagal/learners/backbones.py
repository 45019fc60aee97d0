"""Backbones: networks that turn every image into features once, whatever is learned on these afterwards."""

from collections.abc import Iterable, Iterator

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate, normalize

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.learners import IMAGE_NETWORKS, NETWORKS
from dagal.learners.classifier import standardise
from dagal.learners.inference import autocast, stream
from dagal.learners.weights import load_backbone, read

FEATURES = Kind(
    "features",
    1,
    {
        "features": "features of each image (N,D) by a backbone, test images included",
        "split": "published part of each image (N,): 0 train, 1 test",
    },
)

BATCH_SIZE = 128
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class UnitLength(nn.Module):
    """Vectors (B,D) scaled to length 1, in float32 whatever the precision of the network."""

    def forward(self, vectors):
        return normalize(vectors.float(), dim=1)


# what follows the linear layer of an embedding learnt with labels: length 1 (Schroff et al. 2015, sec. 3.1), or the activation
# before the head of a classifier
HEADS = {"triplet": UnitLength, "cross_entropy": nn.ReLU}


class Backbone(nn.Module):
    """Features (B,D) of uint8 images (B,C,H,W): resize to ``image_size`` squared, gray to colour, standardise, network.

    A network for 3 ``channels`` sees the one of a gray image three times. ``image_size`` None keeps the size.
    """

    def __init__(self, network, channels, image_size, channel_mean, channel_std):
        super().__init__()
        self.network, self.channels, self.image_size = network, channels, image_size
        self.register_buffer("channel_mean", torch.as_tensor(channel_mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("channel_std", torch.as_tensor(channel_std, dtype=torch.float32)[:, None, None])

    def forward(self, images):
        images = images.float()
        if self.image_size:
            images = interpolate(images, (self.image_size, self.image_size), mode="bilinear", antialias=True)
        images = images.expand(-1, self.channels, -1, -1)
        return self.network(standardise(images, self.channel_mean, self.channel_std)).flatten(1)


def torchvision_network(name: str) -> tuple[nn.Module, str]:
    """A torchvision classifier whose last linear layer is left out, and the name of that layer. Raises UserError."""
    from torchvision import models  # costs seconds; only weights from a file need it

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(
            f"architecture {name!r} is unknown; allowed: {', '.join(IMAGE_NETWORKS)} and torchvision's "
            f"classifiers, as {', '.join(known[:3])}."
        )
    network = models.get_model(name, weights=None)
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"architecture {name!r} has no linear layer to leave out; take another one.")
    parent, _, leaf = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
    return network, linear[-1]


def from_file(settings: dict, path: str, shape: tuple[int, int, int], channel_mean, channel_std) -> Backbone:
    """The backbone of kind ``file`` for images of ``shape`` (C,H,W), with the user's weights.

    ``channel_mean``, ``channel_std``: statistics of the data set, in 0..1, for ``statistics: dataset``. Raises UserError if
    the weights do not fit the architecture, or the architecture the images.
    """
    name, size = settings["architecture"], settings["image_size"]
    own = name in ("mlp", "lenet", "resnet18_cifar")
    channels = shape[0] if own else 3
    if shape[0] not in (1, channels):
        raise UserError(f"architecture {name!r} needs images of 1 or 3 channels, these have {shape[0]}.")
    if settings["statistics"] == "imagenet":
        channel_mean, channel_std = IMAGENET_MEAN, IMAGENET_STD
        if channels != 3:
            raise UserError(
                f"architecture {name!r} sees {channels} channel, for which there are no statistics of ImageNet; set "
                "'statistics: dataset'."
            )
    input_shape = (channels, size, size) if size else (channels, *shape[1:])
    if name in IMAGE_NETWORKS:
        (network, _), head = NETWORKS.find(name)(input_shape, settings | {"weights": None}), "fc"
    else:
        network, head = torchvision_network(name)
    load_backbone(network, path, f"{head}.")
    backbone = Backbone(network, channels, size, channel_mean, channel_std)
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, *shape, dtype=torch.uint8))
    except Exception as error:  # every architecture has limits of its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"architecture {name!r} cannot see images of {input_shape[1]} x {input_shape[2]} pixels ({reason}); set "
            "'image_size', 224 for most."
        ) from None
    return backbone


def fresh(
    settings: dict, shape: tuple[int, int, int], channel_mean, channel_std, weights: str | None = None
) -> Backbone:
    """A backbone of a kind that is trained here, for images of ``shape`` (C,H,W), drawn from torch's current random state.

    ``weights``: local weights of its architecture to start from, or None.
    """
    network, size = NETWORKS.find(settings["architecture"])(shape, settings | {"weights": weights})
    if settings["kind"] in HEADS:
        network = nn.Sequential(network, nn.Linear(size, settings["embedding"]), HEADS[settings["kind"]]())
    return Backbone(network, shape[0], None, channel_mean, channel_std)


def load(path: str, shape: tuple[int, int, int]) -> Backbone:
    """The backbone that a training has saved, for images of ``shape``. Raises UserError if it was trained on others."""
    about, tensors = read(path)
    settings, trained = about["backbone"], tuple(about["shape"])
    if trained != shape:
        sizes = [f"{height} x {width} x {channels}" for channels, height, width in (trained, shape)]
        raise UserError(f"{path} was trained on images of {sizes[0]}, these have {sizes[1]}: give both one image_size.")
    backbone = fresh(settings, shape, torch.zeros(shape[0]), torch.ones(shape[0]))
    backbone.load_state_dict(tensors)
    return backbone


def write_features(
    path, origin: dict, backbone: Backbone, file: h5py.File, device: torch.device, precision: str
) -> None:
    """Write the features of all images of an opened images.h5."""
    images, split_N = file["images"], file["split"][()]
    with artifacts.create(path, FEATURES, origin) as writer:
        first = 0
        for features_B_D in features(backbone, stream(images, np.arange(len(images)), device, BATCH_SIZE), precision):
            if not first:
                features_N_D = writer.dataset("features", (len(images), features_B_D.shape[1]), np.float32)
            features_N_D[first : first + len(features_B_D)] = features_B_D
            first += len(features_B_D)
        writer.dataset("split", split_N.shape, split_N.dtype)[...] = split_N
        print(f"{features_N_D.shape[1]:,} features of {len(images):,} images")


@torch.no_grad()
def features(backbone: nn.Module, batches: Iterable[torch.Tensor], precision: str) -> Iterator[torch.Tensor]:
    """Features (B,D) float32 on the CPU of each batch of uint8 images on the backbone's device."""
    backbone.eval()
    for images in batches:
        with autocast(images.device, precision):
            yield backbone(images).float().cpu()
