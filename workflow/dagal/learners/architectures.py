"""Networks. Every one is backbone -> dropout -> linear head, takes uint8 images, and normalises them itself; or features."""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dagal.errors import UserError


def standardise(intensities: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Intensities 0..255 (B,C,H,W) of any type as networks see them; mean and std (C,1,1) in 0..1."""
    return (intensities.float() / 255 - mean) / std


def normalise(inputs: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 images standardised; floats, which are features or standardised already, as they are."""
    return inputs if inputs.is_floating_point() else standardise(inputs, mean, std)


class Classifier(nn.Module):
    """Classifier of uint8 images (B,C,H,W), or of features (B,D,1,1): normalise, backbone (embedding (B,D)), dropout, linear head (logits).

    Dropout stands only before the head, so the T stochastic passes of BALD share one pass through the backbone.
    ``crop``: side of the centre crop that larger images get (training images come cropped by the augmentation).
    """

    def __init__(self, backbone, embedding_size, n_classes, dropout, channel_mean, channel_std, crop):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding_size, n_classes)
        self.loss_prediction = None
        self.crop = crop
        self.register_buffer("channel_mean", torch.as_tensor(channel_mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("channel_std", torch.as_tensor(channel_std, dtype=torch.float32)[:, None, None])

    def embed(self, images):
        if self.crop:
            top, left = (images.shape[2] - self.crop) // 2, (images.shape[3] - self.crop) // 2
            images = images[:, :, top : top + self.crop, left : left + self.crop]
        return self.backbone(normalise(images, self.channel_mean, self.channel_std))

    def forward(self, images):
        return self.head(self.dropout(self.embed(images)))


def mlp(shape, hidden_units):
    """Fully connected ReLU layers of ``hidden_units`` on the flattened image."""
    layers, size = [nn.Flatten()], shape[0] * shape[1] * shape[2]
    for units in hidden_units:
        layers += [nn.Linear(size, units), nn.ReLU()]
        size = units
    return nn.Sequential(*layers), size


def lenet(shape):
    """LeNet-5 with ReLU and max pooling (001); pads images under 32 pixels to 32 as LeCun et al. 1998 do."""
    channels, height, width = shape
    pad_h, pad_w = max(0, 32 - height), max(0, 32 - width)
    convolutions = nn.Sequential(
        nn.ZeroPad2d((pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2)),
        nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        flat = convolutions(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(convolutions, nn.Linear(flat, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()), 84


def linear(shape):
    """Nothing before the head: the image or the features, flattened."""
    return nn.Flatten(), shape[0] * shape[1] * shape[2]


def resnet(shape, name, weights):
    """torchvision ResNet; ``resnet18_cifar`` has the CIFAR stem (3 x 3 convolution, stride 1, no pooling).

    ``weights``: local torchvision state dict or safetensors (its classifier head is ignored), or None.
    """
    from torchvision import models  # costs seconds; only this family needs it

    network = getattr(models, name.removesuffix("_cifar"))(weights=None)
    if name.endswith("_cifar"):
        network.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    elif shape[0] != 3:
        raise UserError(f"architecture {name} needs images of 3 channels, these have {shape[0]}: use mlp or lenet.")
    size = network.fc.in_features
    network.fc = nn.Identity()
    if weights:
        load_backbone(network, weights)
    return network, size


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """State dict in a local file of safetensors or torch."""
    return load_file(path) if path.endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True)


def load_backbone(network: nn.Module, path: str, head: str = "fc.") -> None:
    """Load local pre-trained weights, without those of the head, into a backbone.

    Raises UserError if the file is missing or does not fit.
    """
    try:
        network.load_state_dict({name: t for name, t in read_weights(path).items() if not name.startswith(head)})
    except Exception as error:  # a foreign file can fail in any way
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"weights {path} cannot be loaded into this architecture ({reason}); correct the path."
        ) from None


def network(name: str, shape: tuple[int, int, int], hidden_units=None, weights=None) -> tuple[nn.Module, int]:
    """A fresh network without head for normalised inputs of ``shape`` (C,H,W), and the size of its embedding."""
    if name == "mlp":
        return mlp(shape, hidden_units)
    if name in ("linear", "svm"):
        return linear(shape)
    return lenet(shape) if name == "lenet" else resnet(shape, name, weights)


def build(settings: dict, shape: tuple[int, int, int], n_classes: int, channel_mean, channel_std) -> Classifier:
    """A freshly initialised classifier for images of ``shape`` (C,H,W), drawn from torch's current random state."""
    crop = settings["augmentation"]["crop"]
    if crop and crop > min(shape[1:]):
        raise UserError(
            f"augmentation.crop {crop} is larger than the images ({shape[1]} x {shape[2]}); make it smaller."
        )
    input_shape = (shape[0], crop, crop) if crop else shape
    backbone, size = network(settings["architecture"], input_shape, settings["hidden_units"], settings["weights"])
    model = Classifier(backbone, size, n_classes, settings["dropout"], channel_mean, channel_std, crop)
    if settings["loss_prediction"]:
        from dagal.learners.loss_prediction import attach  # it needs Classifier

        model.loss_prediction, _ = attach(model, shape, settings["loss_prediction"]["width"])
    return model


def write(path: str | Path, model: nn.Module, about: dict) -> None:
    """Write weights, and what is needed to rebuild the network, as safetensors; appears under its name only when complete."""
    write_tensors(path, model.state_dict(), about)


def write_tensors(path: str | Path, tensors: dict[str, torch.Tensor], about: dict) -> None:
    metadata = {"dagal": json.dumps(about, sort_keys=True)}  # one key: the library writes several in random order
    temporary = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.tmp")
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, temporary, metadata)
    temporary.replace(path)


def read_about(path: str | Path) -> dict:
    """What `write` was told about a network."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["dagal"])


def save(path: str | Path, model: Classifier, settings: dict, shape: tuple, origin: dict) -> None:
    """Write a classifier for `load`."""
    write(path, model, {"learner": settings, "shape": shape, "classes": model.head.out_features, **origin})


def load(path: str | Path, device: torch.device) -> Classifier:
    """The classifier saved by `save`, in evaluation mode."""
    about = read_about(path)
    settings, shape = about["learner"] | {"weights": None}, tuple(about["shape"])  # the file itself holds the weights
    model = build(settings, shape, about["classes"], torch.zeros(shape[0]), torch.ones(shape[0]))
    model.load_state_dict(load_file(path))
    return model.to(device).eval()
