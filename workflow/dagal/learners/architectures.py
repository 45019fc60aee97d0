"""Classifiers built from their settings, saved and loaded."""

from pathlib import Path

import torch

from dagal.errors import UserError
from dagal.learners import NETWORKS, loss_prediction, weights
from dagal.learners.classifier import Classifier
from dagal.learners.devices import place


def build(settings: dict, shape: tuple[int, int, int], n_classes: int, channel_mean, channel_std) -> Classifier:
    """A freshly initialised classifier for images of ``shape`` (C,H,W), drawn from torch's current random state."""
    crop = settings["augmentation"]["crop"]
    if crop and crop > min(shape[1:]):
        raise UserError(
            f"augmentation.crop {crop} is larger than the images ({shape[1]} x {shape[2]}); make it smaller."
        )
    input_shape = (shape[0], crop, crop) if crop else shape
    backbone, size = NETWORKS.find(settings["architecture"])(input_shape, settings)
    model = Classifier(backbone, size, n_classes, settings["dropout"], channel_mean, channel_std, crop)
    if settings["loss_prediction"]:
        model.loss_prediction, _ = loss_prediction.attach(model, shape, settings["loss_prediction"]["width"])
    return model


def save(path: str | Path, model: Classifier, settings: dict, shape: tuple, origin: dict) -> None:
    """Write a classifier for `load`."""
    weights.write(path, model, {"learner": settings, "shape": shape, "classes": model.head.out_features, **origin})


def load(path: str | Path, device: torch.device) -> Classifier:
    """The classifier saved by `save`, in evaluation mode."""
    about, tensors = weights.read(path)
    settings, shape = about["learner"] | {"weights": None}, tuple(about["shape"])  # the file itself holds the weights
    model = build(settings, shape, about["classes"], torch.zeros(shape[0]), torch.ones(shape[0]))
    model.load_state_dict(tensors)
    return place(model, device).eval()
