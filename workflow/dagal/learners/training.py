"""Training on images held on the device as uint8: from scratch, or going on from a model."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dagal import artifacts, pace
from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.learners import SOLVERS, architectures, compilation, loss_prediction
from dagal.learners.augmentation import random_crop_flip
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.classifier import Classifier
from dagal.learners.devices import place, send
from dagal.learners.fixmatch import consistency_loss, strong_augmentation
from dagal.learners.inference import (
    Stored,
    autocast,
    images_of,
    inputs_of,
    predicted_classes,
    predicted_losses,
    to_tensor,
)
from dagal.learners.loss_prediction import PAIR_LOSSES, taps, with_features
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.pool import unlabeled
from dagal.seeding import seed_for

HISTORY = Kind(
    "history",
    1,
    {
        "loss": "mean training loss of each epoch (E,)",
        "accuracy": "training accuracy of each epoch (E,)",
        "prediction_loss": "loss of the loss prediction in each epoch (E,), NaN where it is not trained",
        "learning_rate": "learning rate of each epoch (E,)",
        "consistency_loss": "FixMatch: mean consistency loss of each epoch (E,), before its weight",
        "confident": "FixMatch: share of the unlabeled images whose pseudo-label counted in each epoch (E,)",
        "ids": "unlabeled ids (n,), ascending; absent where nothing is recorded of them",
        "trajectory": "class predicted for each unlabeled id after each epoch (E,n)",
        "predicted_loss": "loss predicted for each unlabeled id after each epoch (E,n), where an adversary is trained on its ranks",
        "labeled_predicted_loss": "the same for each labeled id, ascending (E,L)",
    },
)


def batches(n: int, batch_size: int, steps: int | None, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Positions of each step of an epoch: a random order of n images, or as many orders as ``steps`` full batches need."""
    if steps is None:
        return torch.split(torch.randperm(n, generator=generator), batch_size)
    orders = [torch.randperm(n, generator=generator) for _ in range(-(-steps * batch_size // n))]
    return torch.split(torch.cat(orders)[: steps * batch_size], batch_size)


def views(pool: torch.Tensor, n: int, augmentation: dict, generator: torch.Generator) -> list[torch.Tensor]:
    """FixMatch's weak and strong views of n images of the pool (N,C,H,W), drawn with replacement."""
    drawn = pool[send(torch.randint(len(pool), (n,), generator=generator), pool.device)]
    return [augment(drawn, augmentation, generator) for augment in (random_crop_flip, strong_augmentation)]


def fit(
    model: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: dict,
    seed: int,
    after_epoch: Callable[[Classifier], None] = lambda model: None,
    pool: torch.Tensor | Stored | None = None,
    checkpoint: Checkpoint | None = None,
) -> dict[str, list[float]]:
    """Train in place for ``settings["epochs"]``; returns ``loss``, ``accuracy`` and ``learning_rate`` per epoch.

    With ``settings["loss_prediction"]`` its head learns along, weighted by ``weight``, and ``prediction_loss`` is returned too.
    After ``share`` of the epochs something ``stops``. "backbone": the loss no longer reaches the backbone, and the head learns on
    (LL4AL, sec. 4.1, and TA-VAAL, sec. 7.2: after epoch 120 of 200, for both losses). "head": the head no longer learns, and the
    loss still reaches the backbone, as TA-VAAL's algorithm 1 prints it, after .8 of the epochs. "both": the loss ends; neither
    paper has that. Not given: "backbone" for the margin loss, "both" for the ranking loss.

    With ``settings["fixmatch"]`` every step also sees ``ratio`` times as many images of ``pool`` (n,C,H,W), drawn with replacement,
    weakly (as all images are) and strongly augmented, in one pass with the labeled ones; ``consistency_loss`` and ``confident``
    (the share of them over the threshold) are returned too.

    With ``settings["freeze"]`` the backbone stays as it is, batch norm included.

    ``images`` (L,C,H,W) uint8 and ``labels`` (L,) int64 lie on the model's device. Order, augmentation and dropout follow
    ``seed``. A last batch of a single image is left out of its epoch (batch norm cannot train on it), unless all batches are.
    Raises UserError if the training diverges, or if batch norm has a single value per channel to work on. The device is
    waited for once per epoch, for what is printed. With a ``checkpoint`` it goes on where it was stored, and ends the same.
    """
    prediction, head = settings["loss_prediction"], model.loss_prediction
    fixmatch = settings["fixmatch"] if pool is not None and len(pool) else None
    repeated = fixmatch and fixmatch["steps_per_epoch"]
    frozen = settings.get("freeze", False)
    model.backbone.requires_grad_(not frozen)
    apart = ("loss_prediction.", "backbone.") if frozen else ("loss_prediction.",)
    network, state = [p for name, p in model.named_parameters() if not name.startswith(apart)], []
    step = stepper(network, settings["optimizer"], state)
    if head:
        step_head, modules = stepper(list(head.parameters()), settings["optimizer"], state), taps(model)
        pair_loss = PAIR_LOSSES[prediction["loss"]](prediction)
    steps = settings["epochs"] * (repeated or -(-len(images) // settings["batch_size"]))
    compilation.compile_if_it_pays(model, settings, images.device, steps)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = {"loss": [], "accuracy": [], "learning_rate": []} | ({"prediction_loss": []} if head else {})
    history |= {"consistency_loss": [], "confident": []} if fixmatch else {}
    started = time.monotonic()
    done = checkpoint.follow(model, state, generator, **history) if checkpoint else 0
    for epoch in range(done, settings["epochs"]):
        lr = learning_rate(settings["optimizer"], settings["schedule"], epoch, settings["epochs"])
        model.train()
        model.backbone.train(not frozen)
        if head:
            stopped = loss_prediction.stopped(prediction, epoch, settings["epochs"])
            head.requires_grad_(stopped != "head")
        with_head = head and stopped != "both"
        totals, n_images = {}, 0
        order = batches(len(images), settings["batch_size"], repeated, generator)
        for batch in order:
            n = len(batch)
            if n == 1 and n_images and settings["batch_size"] > 1:
                continue
            batch = send(batch, images.device)
            inputs, target = random_crop_flip(images[batch], settings["augmentation"], generator), labels[batch]
            if fixmatch:
                inputs = torch.cat([inputs, *views(pool, fixmatch["ratio"] * n, settings["augmentation"], generator)])
            with autocast(images.device, settings["precision"]), several_values(settings, images):
                if with_head:
                    logits, features = with_features(model, modules, inputs)
                    predicted = head(features, detach=stopped == "backbone").float()[:n]
                else:
                    logits = compilation.run(model, inputs, n == len(order[0]))
            logits, of_pool = logits.float().split([n, len(inputs) - n])
            objective = loss = cross_entropy(logits, target)
            sums = {"loss": loss.detach() * n, "accuracy": (logits.argmax(1) == target).sum()}
            if fixmatch:
                loss, confident = consistency_loss(*of_pool.chunk(2), fixmatch["threshold"])
                objective = objective + fixmatch["weight"] * loss
                sums |= {"consistency_loss": loss.detach() * n, "confident": confident * n}
            if with_head:
                loss = pair_loss(predicted, cross_entropy(logits, target, reduction="none"))
                objective = objective + prediction["weight"] * loss
                sums["prediction_loss"] = loss.detach() * n
            objective.backward()
            if with_head and stopped != "head":
                step_head(lr)
            step(lr)
            totals = {name: totals.get(name, 0) + value for name, value in sums.items()}
            n_images += n
        values = (torch.stack(list(totals.values())).double() / n_images).tolist()
        means = dict(zip(totals, values, strict=True)) | {"learning_rate": lr}
        for name in history:
            history[name].append(means.get(name, math.nan))
        losses = [means["loss"], *([means["prediction_loss"]] if with_head else [])]
        last = model.parameters() if epoch + 1 == settings["epochs"] else ()
        check_finite(
            losses, f"epoch {epoch + 1} of {settings['epochs']}", f"optimizer.lr of the learner ({lr:g} now)", last
        )
        after_epoch(model)
        print(
            f"epoch {epoch + 1}/{settings['epochs']}  loss {means['loss']:.4f}  accuracy {means['accuracy']:.4f}  lr {lr:g}  "
            + pace.of_epochs(epoch + 1, settings["epochs"], started, n_images, done),
            flush=True,
        )
        if checkpoint:
            checkpoint.after(epoch + 1)
    return history


@contextmanager
def several_values(settings: dict, images: torch.Tensor) -> Iterator[None]:
    """Make one sentence of batch norm's complaint that an image of few pixels, alone in its batch, leaves it one value per channel."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        height, width = images.shape[2:]
        raise UserError(
            f"architecture {settings['architecture']} cannot be trained on {len(images)} label{'s' if len(images) > 1 else ''} of "
            f"{height} x {width} pixels, as its batch norm needs more than one value per channel: label more "
            "(pool.initial.size), take larger images or another architecture."
        ) from None


def fit_node(
    source, settings: dict, seed: int, purpose: tuple, device, after_epoch=lambda model: None, checkpoint=None
):
    """`fit_on` the inputs of a node, ``source.inputs``, which stay open: a large pool is read while it is trained on."""
    with inputs_of(source.inputs) as inputs:
        return fit_on(inputs, source, settings, seed, purpose, device, after_epoch, checkpoint)


def fit_on(inputs, source, settings: dict, seed: int, purpose: tuple, device, after_epoch, checkpoint):
    """Train a classifier on ``inputs`` (images or features) and the artifacts ``source.split`` and ``.labeled`` of a node.

    Where the source has them: on the pseudo-labels ``.pseudo`` besides, and going on from the model ``.parent``. FixMatch also
    sees the images without label. Initialisation and training follow (seed, purpose). The purpose does not name the method:
    differences between the methods of a seed and cycle come from their labels alone. Returns the model and its history.
    """
    ids, labels = artifacts.read(source.labeled, "labeled", "ids", "labels")
    n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
    mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
    content = f"{len(labels):,} labels"
    if source.get("pseudo"):
        pseudo = artifacts.read(source.pseudo, "pseudo_labels", "ids", "labels")
        ids, labels = np.concatenate([ids, pseudo[0]]), np.concatenate([labels, pseudo[1]])
        content += f" and {len(pseudo[0]):,} pseudo-labels"
    pool = None
    images = to_tensor(artifacts.rows(inputs, ids), device)
    if settings["fixmatch"]:
        pool = images_of(inputs, unlabeled(source.split, source.labeled), device)
        content += f" and {len(pool):,} images without label"
    if images.is_floating_point():  # the statistics are those of the pixels
        mean_C, std_C = torch.zeros(images.shape[1]), torch.ones(images.shape[1])
    torch.manual_seed(seed_for(seed, "initialise", *purpose))
    if source.get("parent"):
        model = architectures.load(source.parent, device)
    else:
        model = place(architectures.build(settings, tuple(images.shape[1:]), n_classes, mean_C, std_C), device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"training on {content}, {n_classes} classes, {parameters:,} parameters", flush=True)
    labels, seed = torch.from_numpy(labels).to(device), seed_for(seed, "train", *purpose)
    if settings["architecture"] in SOLVERS:
        return model, SOLVERS.find(settings["architecture"])(model, images, labels, settings, seed)
    return model, fit(model, images, labels, settings, seed, after_epoch, pool, checkpoint)


# kind of file -> its data sets in the history: what the model says after each epoch, and whether of the labeled images
FOLLOWED = {
    "trajectory": {"trajectory": (predicted_classes, False)},
    "ranks": {"predicted_loss": (predicted_losses, False), "labeled_predicted_loss": (predicted_losses, True)},
}


def fit_following(
    source, settings: dict, seed: int, cycle: int, device, ids: np.ndarray, kinds: list[str], checkpoint=None
):
    """`fit_node`, with what its model says of the unlabeled ``ids`` (n,) after each epoch in the history, by `FOLLOWED`.

    ``kinds``: "trajectory", the class predicted for each (E,n), and "ranks", the loss predicted for each, and for each labeled id,
    ascending (E,L). The images are held on the device as far as they fit (`images_of`).
    """
    parts = {name: part for kind in kinds for name, part in FOLLOWED[kind].items()}
    values = {name: [] for name in parts}
    with inputs_of(source.inputs) as inputs:
        images = {False: images_of(inputs, ids, device)}
        if "ranks" in kinds:
            images[True] = images_of(inputs, np.sort(artifacts.read(source.labeled, "labeled", "ids")[0]), device)
        if checkpoint:
            checkpoint.lists |= values

        def follow(model):
            for name, (says, labeled) in parts.items():
                of_epoch = says(model, images[labeled], 4 * settings["batch_size"], settings["precision"])
                values[name].append(of_epoch)

        model, history = fit_on(inputs, source, settings, seed, (cycle,), device, follow, checkpoint)
    found = {name: np.stack([row.cpu().numpy() for row in rows]) for name, rows in values.items()}
    return model, history | {"ids": ids} | found
