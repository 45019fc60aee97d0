"""Embeddings learnt with labels: the triplet loss, or the layer before the head of a classifier (camera traps, 002)."""

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dagal.errors import UserError
from dagal.learners.augmentation import random_crop_flip
from dagal.learners.backbones import Backbone
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.devices import send
from dagal.learners.inference import Stored, autocast
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.pace import of_epochs
from dagal.seeding import seed_for


def squared_distances(embeddings_B_D: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances (B,B) of embeddings of length 1, the d of Schroff et al. 2015."""
    return (2 - 2 * embeddings_B_D @ embeddings_B_D.T).clamp(min=0)


def semi_hard_triplets(
    distances_B_B: torch.Tensor, labels_B: torch.Tensor, margin: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Anchor, positive and negative (T,) positions: for every pair of a class one random n with d(a,p) < d(a,n) < d(a,p) + margin.

    Norouzzadeh et al. 2019, S1, random semi-hard negatives. Pairs without such a negative are left out.
    """
    same_B_B = labels_B[:, None] == labels_B
    pairs_B_B = same_B_B.clone().fill_diagonal_(False)
    anchor, positive = pairs_B_B.nonzero(as_tuple=True)
    to_positive_P, to_all_P_B = distances_B_B[anchor, positive][:, None], distances_B_B[anchor]
    semi_hard_P_B = ~same_B_B[anchor] & (to_all_P_B > to_positive_P) & (to_all_P_B < to_positive_P + margin)
    drawn_P_B = torch.rand(semi_hard_P_B.shape, generator=generator).to(distances_B_B.device)
    best_P, negative = torch.where(semi_hard_P_B, drawn_P_B, -1.0).max(1)
    found = best_P >= 0
    return anchor[found], positive[found], negative[found]


def triplet_loss(
    embeddings_B_D: torch.Tensor, labels_B: torch.Tensor, margin: float, generator: torch.Generator
) -> torch.Tensor:
    """Mean over `semi_hard_triplets` of max(d(a,p) - d(a,n) + margin, 0) (eq. 1 of S1); 0 without any."""
    distances_B_B = squared_distances(embeddings_B_D)
    anchor, positive, negative = semi_hard_triplets(distances_B_B.detach(), labels_B, margin, generator)
    losses_T = torch.relu(distances_B_B[anchor, positive] - distances_B_B[anchor, negative] + margin)
    return losses_T.sum() / max(len(losses_T), 1)


def batches(labels_N: np.ndarray, settings: dict, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Positions (B,) of the batches of one epoch.

    ``cross_entropy``: a shuffle, cut up. ``triplet``: batches of randomly drawn classes and ``images_per_class`` images of each
    (Hermans et al. 2017, sec. 2), or pairs would be rare; more of each where the classes are too few to fill a batch, all of
    those that have fewer, none twice. An epoch ends with the batch that brings it to N images.
    """
    n, size = len(labels_N), settings["batch_size"]
    if settings["kind"] == "cross_entropy":
        yield from (batch for batch in torch.split(torch.randperm(n, generator=generator), size) if len(batch) > 1)
        return
    members = [torch.from_numpy(np.flatnonzero(labels_N == label)) for label in np.unique(labels_N)]
    each, passed = max(settings["images_per_class"], size // len(members)), 0
    while passed < n:
        order = torch.randperm(len(members), generator=generator)[: max(2, size // each)]
        drawn = [members[c][torch.randperm(len(members[c]), generator=generator)[:each]] for c in order.tolist()]
        passed += sum(map(len, drawn))
        yield torch.cat(drawn)


def train(
    backbone: Backbone,
    images: torch.Tensor | Stored,
    labels_N: np.ndarray,
    settings: dict,
    epochs: int,
    lr: float,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train in place on labeled images; returns the mean loss of each epoch.

    ``images`` are uint8 (N,C,H,W), held on the device or stored. SGD at ``lr`` per 256 images of a step, falling
    to 0 as a cosine; flips if ``flip``. With ``cross_entropy`` a linear head is learnt along and dropped. With a ``checkpoint``
    it goes on where it was stored. Raises UserError if there are fewer than two classes, or the training diverges.
    """
    classes, labels_N = np.unique(labels_N, return_inverse=True)
    if len(classes) < 2:
        raise UserError("an embedding is learnt from images of several classes, these are of one; label more.")
    torch.manual_seed(seed_for(seed, "embedding"))
    generator = torch.Generator().manual_seed(seed_for(seed, "embedding", "batches"))
    head = nn.Linear(settings["embedding"], len(classes)).to(device)
    parameters = [*backbone.parameters(), *(head.parameters() if settings["kind"] == "cross_entropy" else ())]
    optimizer = {name: settings[name] for name in ("momentum", "weight_decay")} | {"name": "sgd", "nesterov": False}
    optimizer["lr"] = lr * settings["batch_size"] / 256
    state = []
    step, labels = stepper(parameters, optimizer, state), torch.from_numpy(labels_N)
    augmentation = {"pad": 0, "crop": None, "flip": settings["flip"]}
    history, started = [], time.monotonic()
    both = nn.ModuleDict({"backbone": backbone, "head": head})
    first = checkpoint.follow(both, state, generator, loss=history) if checkpoint else 0
    for epoch in range(first, epochs):
        backbone.train()
        rate = learning_rate(optimizer, {"name": "cosine"}, epoch, epochs)
        total, n = torch.zeros((), device=device), 0
        for positions in batches(labels_N, settings, generator):
            augmented = random_crop_flip(images[send(positions, device)], augmentation, generator)
            target = send(labels[positions], device)
            with autocast(device, settings["precision"]):
                embeddings_B_D = backbone(augmented)
            if settings["kind"] == "triplet":
                loss = triplet_loss(embeddings_B_D.float(), target, settings["margin"], generator)
            else:
                loss = cross_entropy(head(embeddings_B_D.float()), target)
            loss.backward()
            step(rate)
            total, n = total + loss.detach(), n + 1
        history.append(total.item() / n)
        last = parameters if epoch + 1 == epochs else ()
        check_finite(history[-1:], f"epoch {epoch + 1} of {epochs}", f"lr of the backbone ({lr:g} now)", last)
        print(
            f"epoch {epoch + 1}/{epochs}  loss {history[-1]:.4f}  lr {rate:g}  "
            + of_epochs(epoch + 1, epochs, started, len(labels_N), first),
            flush=True,
        )
        if checkpoint:
            checkpoint.after(epoch + 1)
    backbone.eval()
    return history
