"""Training from scratch, on images held on the device as uint8."""

import functools
import math
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from dagal import artifacts
from dagal.learners import architectures
from dagal.learners.architectures import Classifier
from dagal.learners.augmentation import random_crop_flip
from dagal.learners.inference import autocast, seen, to_tensor
from dagal.learners.loss_prediction import margin_loss, ranking_loss, taps, with_features
from dagal.learners.optimizers import learning_rate, stepper
from dagal.seeding import seed_for


def fit(
    model: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: dict,
    seed: int,
    after_epoch: Callable[[Classifier], None] = lambda model: None,
) -> dict[str, list[float]]:
    """Train in place for ``settings["epochs"]``; returns ``loss``, ``accuracy`` and ``learning_rate`` per epoch.

    With ``settings["loss_prediction"]`` its head learns along, weighted by ``weight``, and ``prediction_loss`` is returned too.
    After ``share`` of the epochs the margin loss no longer reaches the backbone (LL4AL, sec. 4.1), and the ranking loss ends
    altogether (TA-VAAL, sec. 4).

    ``images`` (L,C,H,W) uint8 and ``labels`` (L,) int64 lie on the model's device. Order, augmentation and dropout follow
    ``seed``. A last batch of a single image is left out of its epoch (batch norm cannot train on it).
    """
    prediction, head = settings["loss_prediction"], model.loss_prediction
    head_parameters = list(head.parameters()) if head else []
    of_head = set(map(id, head_parameters))
    step = stepper([p for p in model.parameters() if id(p) not in of_head], settings["optimizer"])
    if head:
        step_head, modules = stepper(head_parameters, settings["optimizer"]), taps(model)
        pair_loss = ranking_loss
        if prediction["loss"] == "margin":
            pair_loss = functools.partial(margin_loss, margin=prediction["margin"])
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = {"loss": [], "accuracy": [], "learning_rate": []} | ({"prediction_loss": []} if head else {})
    started = time.monotonic()
    for epoch in range(settings["epochs"]):
        lr = learning_rate(settings["optimizer"], settings["schedule"], epoch, settings["epochs"])
        model.train()
        joint = not head or epoch < prediction["share"] * settings["epochs"]
        with_head = head and (joint or prediction["loss"] == "margin")
        total_loss, total_prediction = torch.zeros((2,), device=images.device)
        correct = torch.zeros((), device=images.device)
        seen = 0
        for batch in torch.split(torch.randperm(len(images), generator=generator), settings["batch_size"]):
            if len(batch) == 1 and seen:
                continue
            batch = batch.to(images.device)
            augmented, target = random_crop_flip(images[batch], settings["augmentation"], generator), labels[batch]
            with autocast(images.device, settings["precision"]):
                if with_head:
                    logits, features = with_features(model, modules, augmented)
                    predicted = head(features, detach=not joint).float()
                else:
                    logits = model(augmented)
            loss = cross_entropy(logits.float(), target)
            if with_head:
                ranked = pair_loss(predicted, cross_entropy(logits.float(), target, reduction="none"))
                (loss + prediction["weight"] * ranked).backward()
                step_head(lr)
                total_prediction += ranked.detach() * len(batch)
            else:
                loss.backward()
            step(lr)
            total_loss += loss.detach() * len(batch)
            correct += (logits.argmax(1) == target).sum()
            seen += len(batch)
        history["loss"].append(total_loss.item() / seen)
        history["accuracy"].append(correct.item() / seen)
        history["learning_rate"].append(lr)
        if head:
            history["prediction_loss"].append(total_prediction.item() / seen if with_head else math.nan)
        after_epoch(model)
        print(
            f"epoch {epoch + 1}/{settings['epochs']}  loss {history['loss'][-1]:.4f}  accuracy "
            f"{history['accuracy'][-1]:.4f}  lr {lr:g}  {time.monotonic() - started:.1f} s",
            flush=True,
        )
    return history


def from_scratch(source, settings: dict, seed: int, purpose: tuple, device, after_epoch=lambda model: None):
    """Initialise and train a classifier on the artifacts ``source.seen`` (images or features), ``.split`` and ``.labeled``.

    Initialisation and training follow (seed, purpose). The purpose does not name the method: differences between the
    methods of a seed and cycle come from their labels alone. Returns the model and its history.
    """
    ids, labels = artifacts.read(source.labeled, "labeled", "ids", "labels")
    n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
    mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
    with seen(source.seen) as inputs:
        images = to_tensor(artifacts.rows(inputs, ids), device)
    if images.is_floating_point():  # the statistics are those of the pixels
        mean_C, std_C = torch.zeros(images.shape[1]), torch.ones(images.shape[1])
    torch.manual_seed(seed_for(seed, "initialise", *purpose))
    model = architectures.build(settings, tuple(images.shape[1:]), n_classes, mean_C, std_C).to(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"training on {len(labels):,} labels, {n_classes} classes, {parameters:,} parameters", flush=True)
    labels, seed = torch.from_numpy(labels).to(device), seed_for(seed, "train", *purpose)
    if settings["architecture"] == "svm":
        from dagal.learners import svm  # scikit-learn costs a second; only this learner needs it

        return model, svm.fit(model, images, labels, settings["C"], seed)
    return model, fit(model, images, labels, settings, seed, after_epoch)
