"""Adversarial acquisition: a VAE hides from a discriminator which images are labeled; query where the discriminator sees it best.

One training for VAAL (Sinha et al., ICCV 2019), TA-VAAL (Kim et al., CVPR 2021) and SRAAL (Zhang et al., CVPR 2020). In all
three the discriminator's output D is the probability of "labeled": the query is the SMALLEST D.

TA-VAAL's text calls its auto-encoder a modified Wasserstein one (sec. 4.2). Its eq. 4 and its authors' code have the VAE that
is built here, with a divergence of each image's posterior; a Wasserstein auto-encoder has a penalty on the posterior of all images
together (MMD or adversarial) instead, of which the paper has no equation.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from dagal.acquisition.indicators import INDICATORS
from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.learners.checkpoints import Checkpoint
from dagal.learners.inference import Stored
from dagal.learners.optimizers import check_finite, stepper
from dagal.learners.segmenter import image_losses
from dagal.learners.vae import VAE, Discriminator, draw_rank_columns
from dagal.pace import Reporter
from dagal.seeding import seed_for

ADVERSARY = Kind(
    "adversary",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "discriminator": "probability of being labeled (n,) that the discriminator gives; the smallest are queried",
        "auc": "chance that the discriminator gives a labeled image more than an unlabeled one, after the training; scalar",
        "step": "last training step of each stretch (S,) over which losses are averaged",
        "reconstruction": "reconstruction loss of the VAE (S,)",
        "kl": "Kullback-Leibler divergence of the VAE (S,)",
        "adversarial": "adversarial loss of the VAE (S,)",
        "discriminator_loss": "loss of the discriminator (S,)",
        "supervised": "SRAAL: loss of the supervised learner (S,)",
        "supervised_kl": "SRAAL: Kullback-Leibler divergence of its latent (S,)",
    },
)

RECORDS = 200  # points of a loss curve at most
CHECKED_STEPS = 100  # between two looks at whether the losses are finite


class Adversary(nn.Module):
    """The VAE and the discriminator."""

    def __init__(self, vae: VAE, discriminator: Discriminator):
        super().__init__()
        self.vae = vae
        self.discriminator = discriminator


def reconstruction_loss(output: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """-E log p(x|z) of a Gaussian of variance 1, without its constant: half the squared error of an image, mean over images."""
    return (output - images).square().flatten(1).sum(1).mean() / 2


def kl_divergence(mean_B_D: torch.Tensor, log_variance_B_D: torch.Tensor) -> torch.Tensor:
    """KL of the posterior to the standard normal prior, in nats per image, mean over images."""
    return (mean_B_D.square() + log_variance_B_D.exp() - 1 - log_variance_B_D).sum(1).mean() / 2


def adversarial_loss(logit_L: torch.Tensor, logit_U: torch.Tensor) -> torch.Tensor:
    """-E log D(L) - E log D(U): for the VAE both pools are to look labeled, target 1 (TA-VAAL eq. 5, SRAAL eq. 6)."""
    return binary_cross_entropy_with_logits(logit_L, torch.ones_like(logit_L)) + binary_cross_entropy_with_logits(
        logit_U, torch.ones_like(logit_U)
    )


def discriminator_loss(logit_L: torch.Tensor, logit_U: torch.Tensor, target_U: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of D to 1 for the labeled and to ``target_U`` for the unlabeled: 0 in VAAL and TA-VAAL (eq. 6).

    SRAAL: `relabeled`.
    """
    return binary_cross_entropy_with_logits(logit_L, torch.ones_like(logit_L)) + binary_cross_entropy_with_logits(
        logit_U, target_U
    )


def relabeled(probs_B_C: np.ndarray, indicator: str) -> torch.Tensor:
    """Discriminator targets (B,) float32 of unlabeled samples from the learner's probabilities: 1 - indicator (SRAAL, sec. 3.3).

    SRAAL's text calls the unlabeled state 1 and replaces it by the indicator; its eq. 5 and 6, and this project, call the
    labeled state 1, so the target is the complement. A sample the learner is sure of (indicator 0) counts as labeled; the
    most uncertain ones keep VAAL's target 0, so the smallest D is uncertain and unlike the labeled ones. The printed eq. 5
    has log(Indicator - D), undefined for D above the indicator; with an indicator of 1 both are VAAL's log(1 - D).
    """
    return torch.from_numpy(1 - INDICATORS[indicator](probs_B_C)).float()


def ranks_of(predicted_N: np.ndarray, settings: dict) -> torch.Tensor:
    """Ranks (2,N) that the decoder and the discriminator see, from the losses (N,) float32 that the learner predicts.

    Both see them through a sigmoid (TA-VAAL, sec. 3.2); with the ``discriminator_rank`` "raw" the discriminator sees them as they are,
    as in its authors' code.
    """
    predicted_N = torch.from_numpy(predicted_N)
    normalised_N = torch.sigmoid(predicted_N)
    return torch.stack([normalised_N, predicted_N if settings["discriminator_rank"] == "raw" else normalised_N])


def ranks_of_steps(which: str, last: tuple, epochs: Sequence[tuple]) -> list[tuple | None]:
    """The ``ranks`` of `train` by their setting: "last", those of the finished learner; "random", random ones throughout; "joint",
    random ones for the first epoch of the learner, and for each further one those after the epoch before (TA-VAAL, algorithm 1).
    """
    return {"last": [last], "random": [None], "joint": [None, *epochs[:-1]]}[which]


def build(
    settings: dict,
    shape,
    n_classes: int = 0,
    channel_mean=None,
    channel_std=None,
    conditional: bool = True,
    dense: bool = False,
):
    """A fresh `Adversary` for images of ``shape`` (C,H,W), drawn from torch's current random state; settings as in `train`.

    ``n_classes``, and ``dense`` for a class for every pixel, only count for SRAAL with a supervised learner (``supervised_weight``
    above 0).
    """
    ranked = conditional and settings["kind"] == "ta_vaal"
    supervised = n_classes if settings["kind"] == "sraal" and settings["supervised_weight"] else 0
    latent = settings["latent"]
    adversary = Adversary(
        VAE(shape, latent, ranked, settings["channels"], channel_mean, channel_std, supervised, dense),
        Discriminator(
            2 * latent if supervised else latent,
            ranked,
            settings["discriminator_layers"],
            settings["discriminator_units"],
        ),
    )
    draw_rank_columns(adversary)
    return adversary


def shuffled(size: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Endless batches of exactly ``batch_size`` positions, cut from one shuffle of the pool after another."""
    rest = torch.empty(0, dtype=torch.int64)
    while True:
        while len(rest) < batch_size:
            rest = torch.cat([rest, torch.randperm(size, generator=generator)])
        yield rest[:batch_size]
        rest = rest[batch_size:]


def unified(posteriors) -> torch.Tensor:
    """What the discriminator sees: the posteriors' means, concatenated. No noise, so training and scoring agree."""
    return torch.cat([mean for mean, _ in posteriors], 1)


def sample(posterior, generator: torch.Generator) -> torch.Tensor:
    """One draw of each posterior; the noise is made on the CPU, so every device sees the same."""
    mean, log_variance = posterior
    return mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=generator).to(mean.device)


def vae_losses(adversary: Adversary, images, ranks, labels_L, streams: dict) -> tuple[dict, torch.Tensor]:
    """Every term of the VAE's loss on normalised images, first half labeled, second unlabeled; and the latents D sees.

    ``ranks``: those that the decoder sees, and those that the discriminator sees. ``reconstruction`` and ``kl`` are sums of the two
    pools' means (TA-VAAL eq. 4); ``supervised`` and ``supervised_kl``, of the labeled half alone (SRAAL eq. 2), only with a
    supervised learner.
    """
    vae, n = adversary.vae, len(images) // 2
    posteriors = vae.encode(images)
    output = vae.decode(sample(posteriors[0], streams["noise"]), ranks[0])
    latents_B_D = unified(posteriors)
    losses = {
        "reconstruction": reconstruction_loss(output[:n], images[:n]) + reconstruction_loss(output[n:], images[n:]),
        "kl": sum(kl_divergence(mean, log_variance) for mean, log_variance in halves(posteriors[0], n)),
        "adversarial": adversarial_loss(*adversary.discriminator(latents_B_D, ranks[1]).split(n)),
    }
    if vae.classifier is not None:
        posterior_L = next(halves(posteriors[1], n))
        logits = vae.classifier(sample(posterior_L, streams["supervised noise"]))
        losses["supervised"] = supervised_loss(logits, labels_L)
        losses["supervised_kl"] = kl_divergence(*posterior_L)
    return losses, latents_B_D


def supervised_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-E log p(y|z) of the supervised learner: of classes (B,), or of masks (B,H,W) the mean over the pixels with a class."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels)
    return image_losses(logits, labels, logits.new_ones(logits.shape[1])).mean()


def halves(posterior, n: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The posterior of the labeled half of a batch, then of the unlabeled half."""
    return zip(*(part.split(n) for part in posterior), strict=True)


def objective(losses: dict, settings: dict, n_values: int):
    """What the VAE minimises: reconstruction + beta kl + weight adversarial (TA-VAAL, sec. 3.3).

    With the ``reduction`` "mean" the squared error is a mean over the ``n_values`` of an image, and the divergence one over the
    dimensions of the latent, as in the code of TA-VAAL's authors, so that beta and weight mean the same at any size (VAAL's code
    sums the divergence over batch and latent: its beta of 1 is one of batch_size latent of means); with "sum", half the sum and
    the sum. A beta and a weight of means are those of sums times 2 latent / n_values and 2 / n_values.

    SRAAL (eq. 7): unsupervised_weight on the first two, and + supervised_weight (supervised + supervised_beta supervised_kl).
    Its eq. 2 has no supervised_beta, i.e. 1; but what the classifier gains by its latent, that latent's KL exceeds, so at 1 a
    latent of pure noise is optimal and nothing is learnt. It must be well below 1.
    """
    reconstruction, kl = losses["reconstruction"], losses["kl"]
    if settings["reduction"] == "mean":
        reconstruction, kl = 2 / n_values * reconstruction, kl / settings["latent"]
    total = reconstruction + settings["beta"] * kl
    if settings["kind"] == "sraal":
        total = settings["unsupervised_weight"] * total
    if "supervised" in losses:
        supervised = losses["supervised"] + settings["supervised_beta"] * losses["supervised_kl"]
        total = total + settings["supervised_weight"] * supervised
    return total + settings["weight"] * losses["adversarial"]


def train(
    images_L: torch.Tensor | Stored,
    images_U: torch.Tensor | Stored,
    settings: dict,
    seed: int,
    device: torch.device,
    *,
    labels_L: np.ndarray | torch.Tensor | Stored | None = None,
    ranks: Sequence[tuple[torch.Tensor, torch.Tensor] | None] = (None,),
    probs_U: np.ndarray | None = None,
    channel_mean=None,
    channel_std=None,
    conditional: bool = True,
    checkpoint: Checkpoint | None = None,
) -> tuple[Adversary, dict[str, list[float]]]:
    """Train from scratch; returns the networks in evaluation mode, and the losses over the steps.

    Images are uint8 tensors (n,C,H,W) on any device, or stored ones. ``ta_vaal`` reads ``ranks``, pairs (2,L) and (2,U) of
    `ranks_of`, among which the steps are divided evenly and in order; None: uniform random numbers, as the paper has it in the
    first epoch. A single pair is that of the finished learner; those of its epochs make the joint training of the paper's algorithm
    1, where each epoch of the learner is one of VAE and discriminator. ``conditional=False`` removes the rank, which leaves VAAL.
    ``sraal`` reads ``labels_L``, classes (L,) int64 or masks (L,H,W) uint8 of the size of the images, and the learner's class
    probabilities ``probs_U`` (U,C), of an image with masks the means over its pixels (its sec. 3.3), on which the indicator is computed
    batch by batch.

    ``settings``: ``kind`` (vaal, ta_vaal, sraal), ``steps``, ``batch_size`` (of each pool), ``vae_steps`` and
    ``discriminator_steps`` of each step, ``lr`` (Adam), ``latent``, ``channels`` (base width of the VAE),
    ``discriminator_layers``, ``discriminator_units``, ``reduction`` (see `objective`), ``beta`` (of the KL), ``weight`` (lambda of
    the adversarial loss); sraal: also ``unsupervised_weight``, ``supervised_weight`` (0: no supervised learner),
    ``supervised_beta``, ``indicator`` (a name of `INDICATORS`). Give the statistics of the channels: at beta 1 of sums the VAE
    keeps only directions of the normalised images whose variance is above 1, which many pixels share, and a point has none of;
    points need a beta of .1 or so.

    Both pools pass the VAE in one batch: batch statistics of their own would show or hide the pool by themselves. A step's
    first update of the discriminator reuses the latents of its last update of the VAE, each further one draws a batch. The
    history holds ``step``, the terms of `vae_losses` and ``discriminator``: means over at most 200 stretches of the training.
    O(steps batch_size), whatever the pool. With a ``checkpoint`` it goes on where it was stored. Raises UserError if a pool is empty.
    """
    if not (len(images_L) and len(images_U)):
        raise UserError("an adversarial method needs labeled and unlabeled images; here one of the two pools is empty.")
    sraal = settings["kind"] == "sraal"
    torch.manual_seed(seed_for(seed, "networks"))
    n_classes, dense = (probs_U.shape[1], len(labels_L.shape) > 1) if sraal else (0, False)
    shape = tuple(images_L.shape[1:])
    adversary = build(settings, shape, n_classes, channel_mean, channel_std, conditional, dense).to(device).train()
    vae, discriminator = adversary.vae, adversary.discriminator
    vae_parameters, discriminator_parameters = list(vae.parameters()), list(discriminator.parameters())
    adam = {"name": "adam", "weight_decay": 0.0}
    state = []
    step_vae, step_discriminator = stepper(vae_parameters, adam, state), stepper(discriminator_parameters, adam, state)

    # a stream for each purpose: what one kind draws and another does not moves none of the others
    purposes = ("labeled", "unlabeled", "noise", "supervised noise", "ranks")
    streams = {purpose: torch.Generator().manual_seed(seed_for(seed, purpose)) for purpose in purposes}
    n = settings["batch_size"]
    order_L = shuffled(len(images_L), n, streams["labeled"])
    order_U = shuffled(len(images_U), n, streams["unlabeled"])
    ranked = vae.condition.rank is not None
    if vae.classifier is not None and not isinstance(labels_L, Stored):
        labels_L = torch.as_tensor(labels_L, device="cpu")

    def draw(step):
        """Normalised images and ranks (2,2n) of both pools, L first, labels of L, targets of U."""
        at_L, at_U = next(order_L), next(order_U)
        images = torch.cat([images_L[at_L].to(device), images_U[at_U].to(device)])
        seen, labels = (None, None), None
        if ranked:
            now = ranks[step * len(ranks) // settings["steps"]]
            if now is None:
                seen = torch.rand(2 * n, generator=streams["ranks"]).expand(2, -1).to(device)
            else:
                seen = torch.cat([now[0][:, at_L], now[1][:, at_U]], 1).to(device)
        if vae.classifier is not None:
            labels = labels_L[at_L].to(device)
        target_U = relabeled(probs_U[at_U.numpy()], settings["indicator"]) if sraal else torch.zeros(n)
        return vae.normalise(images), seen, labels, target_U.to(device)

    names = ["reconstruction", "kl", "adversarial"]
    names += ["supervised", "supervised_kl"] if vae.classifier is not None else []
    names += ["discriminator"]
    values, report = [], Reporter(settings["steps"], "steps")
    noises = [streams[purpose] for purpose in ("noise", "supervised noise", "ranks")]
    done = checkpoint.follow(adversary, state, *noises, values=values) if checkpoint else 0
    for _ in range(done * (settings["vae_steps"] + settings["discriminator_steps"] - 1)):  # the images that they saw
        next(order_L), next(order_U)
    for step in range(done, settings["steps"]):
        for _ in range(settings["vae_steps"]):
            images, seen, labels, target_U = draw(step)
            losses, latents_B_D = vae_losses(adversary, images, seen, labels, streams)
            objective(losses, settings, images[0].numel()).backward(inputs=vae_parameters)
            step_vae(settings["lr"])
        for again in range(settings["discriminator_steps"]):
            if again:
                images, seen, _, target_U = draw(step)
                with torch.no_grad():
                    latents_B_D = unified(vae.encode(images))
            logit_L, logit_U = discriminator(latents_B_D.detach(), seen[1]).split(n)
            losses["discriminator"] = discriminator_loss(logit_L, logit_U, target_U)
            losses["discriminator"].backward()
            step_discriminator(settings["lr"])
        values.append(torch.stack([losses[name] for name in names]).detach())
        if (step + 1) % CHECKED_STEPS == 0 or step + 1 == settings["steps"]:
            newest = torch.stack(values[-CHECKED_STEPS:]).sum(0).tolist()
            key = f"lr of the adversary ({settings['lr']:g} now)"
            check_finite(newest, f"step {step + 1:,} of {settings['steps']:,} or shortly before", key)
        report(step + 1, partial(said, names, values[-1]))
        if checkpoint:
            checkpoint.after(step + 1)
    return adversary.eval(), _history(torch.stack([row.to(device) for row in values]).double().cpu(), names)


def said(names: Iterable[str], values: torch.Tensor) -> str:
    return "".join(f"  {name} {value:.4f}" for name, value in zip(names, values.tolist(), strict=True))


def _history(values: torch.Tensor, names: list[str]) -> dict[str, list[float]]:
    """Means over stretches of equal length (the last may be shorter); ``step`` is the last step of each, from 1."""
    stretches = values.split(-(-len(values) // RECORDS))
    last = np.cumsum([len(stretch) for stretch in stretches]).tolist()
    means = torch.stack([stretch.mean(0) for stretch in stretches])
    return {"step": last} | {name: means[:, column].tolist() for column, name in enumerate(names)}


@torch.no_grad()
def _encoded(adversary: Adversary, batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Latent means (B,D) of batches of uint8 images."""
    adversary.eval()
    for images in batches:
        yield unified(adversary.vae.encode(adversary.vae.normalise(images)))


@torch.no_grad()
def discriminate(adversary: Adversary, batches: Iterable[torch.Tensor], ranks: np.ndarray | None = None) -> np.ndarray:
    """D in 0..1, shape (N,) float32, of batches of uint8 images on the networks' device, at the latents' means: query the smallest.

    ``ranks`` (N,) that the discriminator sees, in the order of the images, for a network with a rank; without them every image gets
    1/2, the mean of the random ranks of `train`.
    """
    done, parts = 0, []
    for latents_B_D in _encoded(adversary, batches):
        size = len(latents_B_D)
        given = np.full(size, 0.5) if ranks is None else ranks[done : done + size]
        ranks_B = torch.as_tensor(given, dtype=torch.float32, device=latents_B_D.device)
        parts.append(torch.sigmoid(adversary.discriminator(latents_B_D, ranks_B)).cpu().numpy())
        done += size
    return np.concatenate(parts)


def told_apart(looks_labeled_L: np.ndarray, looks_labeled_U: np.ndarray) -> float:
    """How well D tells labeled from unlabeled images: the area under its ROC curve, nan if an output is.

    The chance that a labeled image gets more than an unlabeled one, half of it if both get the same: 1/2 where the VAE hides the pools, 1
    where D never errs.
    """
    if not (np.isfinite(looks_labeled_L).all() and np.isfinite(looks_labeled_U).all()):
        return np.nan
    is_labeled = np.repeat([1, 0], [len(looks_labeled_L), len(looks_labeled_U)])
    return float(roc_auc_score(is_labeled, np.concatenate([looks_labeled_L, looks_labeled_U])))


def latents(adversary: Adversary, batches: Iterable[torch.Tensor]) -> np.ndarray:
    """Latent means (N,D) float32 of batches of uint8 images: ``latent`` unsupervised ones, then the supervised ones if any."""
    return np.concatenate([latents_B_D.cpu().numpy() for latents_B_D in _encoded(adversary, batches)])
