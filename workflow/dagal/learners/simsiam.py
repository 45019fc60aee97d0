"""SimSiam: features learnt without labels from two views of each image (Chen & He, CVPR 2021; thesis 003, sec. 5.3.2)."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, normalize

from dagal.artifacts import Kind
from dagal.learners import NETWORKS
from dagal.learners.backbones import Backbone
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.devices import place
from dagal.learners.inference import Stored, autocast, each
from dagal.learners.optimizers import check_finite, learning_rate, stepper
from dagal.learners.views import view
from dagal.pace import of_epochs
from dagal.seeding import seed_for

PRETRAINING = Kind(
    "pretraining",
    1,
    {
        "loss": "mean loss of each epoch (E,)",
        "output_std": "standard deviation of the normalised outputs of each epoch (E,), mean over their channels",
        "learning_rate": "learning rate of each epoch (E,)",
        "knn_epochs": "epochs (K,) after which neighbours were looked for, 0 before the first",
        "queries": "ids of the training images (Q,) whose neighbours these are",
        "neighbours": "ids of the nearest training images (K,Q,k) of each query, nearest first",
        "similarities": "cosine similarity of each neighbour (K,Q,k)",
    },
)

QUERY_BLOCK = 128  # queries whose similarities to all images are in memory at a time
COLLAPSED = 0.1  # below this share of 1/sqrt(d) the outputs count as one point


class SimSiam(nn.Module):
    """Projections z and predictions p (B,d) of standardised images.

    ``projection``: widths of the layers of the projection MLP, batch norm after each, ReLU between them; the last is d.
    ``prediction``: hidden units of the prediction MLP, batch norm and ReLU in the middle only; None leaves it out (p = z).
    """

    def __init__(self, network: nn.Module, size: int, projection: list[int], prediction: int | None):
        super().__init__()
        self.network = network
        layers = []
        for units in projection:
            layers += [nn.Linear(size, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
            size = units
        self.projection = nn.Sequential(*layers[:-1])
        self.prediction = nn.Identity()
        if prediction:
            self.prediction = nn.Sequential(
                nn.Linear(size, prediction, bias=False),
                nn.BatchNorm1d(prediction),
                nn.ReLU(),
                nn.Linear(prediction, size),
            )

    def forward(self, standardised):
        projected = self.projection(self.network(standardised))
        return projected, self.prediction(projected)


def loss(z_1, p_1, z_2, p_2, stop_gradient: bool = True) -> torch.Tensor:
    """D(p_1, z_2) / 2 + D(p_2, z_1) / 2, D the negative cosine, mean over the batch; no gradient through z (eq. 5.1, 5.2)."""
    if stop_gradient:
        z_1, z_2 = z_1.detach(), z_2.detach()
    return -(cosine_similarity(p_1, z_2).mean() + cosine_similarity(p_2, z_1).mean()) / 2


def output_std(z_B_D: torch.Tensor) -> torch.Tensor:
    """Standard deviation over the batch of z / |z|, mean over its d channels: 1/sqrt(d) if spread evenly, 0 if collapsed (sec. 4.1)."""
    return normalize(z_B_D).std(0, correction=0).mean()


@torch.no_grad()
def nearest(features_N_D: torch.Tensor, queries_Q: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (Q,k) int64 and cosine similarities (Q,k) float32 of the k nearest to each query but itself, nearest first."""
    directions = normalize(features_N_D)
    queries = torch.from_numpy(queries_Q).to(directions.device)
    values, positions = [], []
    for block in queries.split(QUERY_BLOCK):
        similarity_B_N = directions[block] @ directions.T
        similarity_B_N[torch.arange(len(block), device=directions.device), block] = -torch.inf
        for found, part in zip((values, positions), similarity_B_N.topk(k, dim=1), strict=True):
            found.append(part.cpu().numpy())
    return np.concatenate(positions), np.concatenate(values)


def train(
    images: torch.Tensor | Stored,
    settings: dict,
    channel_mean,
    channel_std,
    checkpoint: Checkpoint | None = None,
    stop_gradient: bool = True,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> tuple[Backbone, dict[str, np.ndarray]]:
    """Pre-train on uint8 images (N,C,H,W), held on the device or stored; returns the backbone and what happened.

    The history holds ``loss``, ``output_std`` and ``learning_rate`` (E,); ``knn_epochs`` (K,), ``queries`` (Q,), and of each
    query the ``neighbours`` (K,Q,k) (positions in ``images``) and their ``similarities``, before the training, every
    ``knn_every`` epochs and at the end. The queries are a fixed random sample of the images, each of which is not its own
    neighbour: no labels, no test images.

    ``settings``: ``architecture``, ``projection``, ``prediction``, ``epochs``, ``batch_size``, ``lr`` (per 256 images),
    ``momentum``, ``weight_decay``, ``seed``, ``precision``, ``knn_every``, ``knn_neighbours``, ``knn_queries``, and those of `view`.
    The random numbers of an epoch follow (seed, epoch). With a ``checkpoint`` it goes on where it was stored. An epoch leaves out the
    last batch if it is not full; fewer images than a batch make one.
    """
    device, epochs, batch_size = images.device, settings["epochs"], min(settings["batch_size"], len(images))
    torch.manual_seed(seed_for(settings["seed"], "simsiam", "initialise"))
    network, size = NETWORKS.find(settings["architecture"])(tuple(images.shape[1:]), settings | {"weights": None})
    model = place(SimSiam(network, size, settings["projection"], settings["prediction"]), device)
    backbone = Backbone(network, images.shape[1], None, channel_mean, channel_std).to(device)
    state = []
    step = stepper(list(model.parameters()), {"name": "sgd", "nesterov": False} | settings, state)
    optimizer, schedule = {"lr": settings["lr"] * batch_size / 256}, {"name": "cosine"}

    sample = torch.Generator().manual_seed(seed_for(settings["seed"], "simsiam", "queries"))
    queries = np.sort(torch.randperm(len(images), generator=sample)[: settings["knn_queries"]].numpy())
    k = min(settings["knn_neighbours"], len(images) - 1)
    history = {name: [] for name in ("loss", "output_std", "learning_rate", "knn_epochs", "neighbours", "similarities")}

    def look_at_neighbours(epoch):
        backbone.eval()
        with torch.no_grad(), autocast(device, settings["precision"]):
            features = torch.cat([backbone(batch).float() for batch in images.split(2 * batch_size)])
        for name, value in zip(
            ("knn_epochs", "neighbours", "similarities"), (epoch, *nearest(features, queries, k)), strict=True
        ):
            history[name].append(np.asarray(value))

    first = checkpoint.follow(model, state, **history) if checkpoint else 0
    if not first:
        look_at_neighbours(0)
    spread, started, warned = settings["projection"][-1] ** -0.5, time.monotonic(), False
    for epoch in range(first, epochs):
        model.train()
        generator = torch.Generator().manual_seed(seed_for(settings["seed"], "simsiam", "epoch", epoch))
        lr = learning_rate(optimizer, schedule, epoch, epochs)
        totals, steps = torch.zeros(2, device=device), len(images) // batch_size
        order = torch.randperm(len(images), generator=generator)
        for batch in each(images, order.split(batch_size)[:steps]):
            with autocast(device, settings["precision"]):
                outputs = []
                for _ in range(2):  # batch norm sees one view at a time
                    standardised = (view(batch, settings, generator) - backbone.channel_mean) / backbone.channel_std
                    outputs += [output.float() for output in model(standardised)]
            objective = loss(*outputs, stop_gradient=stop_gradient)
            objective.backward()
            step(lr)
            totals += torch.stack([objective.detach(), output_std(outputs[0].detach())])
        for name, value in zip(("loss", "output_std", "learning_rate"), (*(totals / steps).tolist(), lr), strict=True):
            history[name].append(np.float64(value))
        last = model.parameters() if epoch + 1 == epochs else ()
        setting = f"lr of the backbone ({settings['lr']:g} now)"
        check_finite(history["loss"][-1:], f"epoch {epoch + 1} of {epochs}", setting, last)
        if (epoch + 1) % settings["knn_every"] == 0 or epoch + 1 == epochs:
            look_at_neighbours(epoch + 1)
        print(
            f"epoch {epoch + 1}/{epochs}  loss {history['loss'][-1]:.4f}  output std {history['output_std'][-1]:.4f} "
            f"(1/sqrt(d) = {spread:.4f})  lr {lr:g}  "
            + of_epochs(epoch + 1, epochs, started, steps * batch_size, first),
            flush=True,
        )
        if not warned and history["output_std"][-1] < COLLAPSED * spread:
            warned = True
            print(
                "warning: the outputs have collapsed to nearly one point, and such features are worth nothing; try another "
                "learning rate, more images per step or wider layers.",
                flush=True,
            )
        if checkpoint:
            checkpoint.after(epoch + 1)
        after_epoch(epoch + 1)
    return backbone.eval(), {name: np.stack(values) for name, values in history.items()} | {"queries": queries}
