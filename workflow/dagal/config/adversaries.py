"""Adversarial trainings: VAE and discriminator."""

from typing import Literal

from dagal.config.fields import Number, Section, Whole, setting


class Adversary(Section):
    kind: Literal["vaal", "ta_vaal", "sraal"] | None = setting(
        "`ta_vaal` is conditioned on predicted losses, `sraal` relabels the unlabeled by their uncertainty.",
        None,
        otherwise="same as the name",
    )
    steps: Whole = setting(
        "Training steps, whatever the size of the pool.", 10000, ge=1, papers="none says: 004 counts epochs"
    )
    added_steps: Whole = setting(
        "More steps in each further cycle, as where epochs over a growing pool of labels are counted.",
        0,
        ge=0,
        papers="004's code: about 781 besides 8,593",
    )
    subset: Whole = setting(
        "Train, on the side of the unlabeled, on a random subset of this many budgets alone, which is the one that a method with "
        "the same `subset` ranks; 0 trains on the whole pool.",
        0,
        ge=0,
        papers="004's code: 10",
    )
    batch_size: Whole = setting("Images of each pool per step.", 128, ge=2, papers="004: 128")
    height: Whole | None = setting(
        "Height in pixels to which the VAE gets the images scaled down, the width in proportion; by default it sees them as they are stored.",
        None,
        ge=8,
        papers="none says; 004 Cityscapes: crops of 412 x 412",
    )
    vae_steps: Whole = setting("Updates of the VAE per step.", 2, ge=1, papers="VAAL's code: 2; 004's code: 1")
    discriminator_steps: Whole = setting(
        "Updates of the discriminator per step.", 1, ge=1, papers="code of VAAL and of 004: 1"
    )
    lr: Number = setting("Learning rate of both (Adam).", 0.0005, gt=0, papers="004: 0.0005; Caltech-101: 0.0001")
    latent: Whole = setting(
        "Dimensions of the latent.", 64, ge=1, papers="004: 64; Caltech-101: 128; code of VAAL and of 004: 32"
    )
    channels: Whole = setting(
        "Channels of the first convolution of the VAE, doubled up to 8 times; hidden units where images are smaller than 8 pixels.",
        128,
        ge=1,
        papers="VAAL: 128",
    )
    discriminator_layers: Whole = setting("Layers of the discriminator.", 5, ge=1, papers="004: 5; its code: 3")
    discriminator_units: Whole = setting("Units of each of them.", 512, ge=1, papers="VAAL: 512")
    reduction: Literal["mean", "sum"] = setting(
        "Whether the squared error is a mean over the values of an image (and the divergence one over the latent), or half their sum.",
        "mean",
        papers="004's code: mean; VAAL's: mean error, divergence summed over batch and latent",
    )
    beta: Number = setting(
        "Weight of the Kullback-Leibler divergence; for points 0.1 or less, for features of a backbone, whose variance is small, "
        "0.01 or so.",
        1,
        ge=0,
        papers="004: 1; VAAL's code: 4096 of means, as it sums over the batch of 128 and 32 latents",
    )
    weight: Number = setting(
        "Weight of the adversarial loss of the VAE (lambda).", 1, ge=0, papers="004: 1; Caltech-101: 15"
    )
    ranks: Literal["last", "joint", "random"] = setting(
        "`ta_vaal`: the ranks that it is trained on. `last`: those of the finished learner; `joint`: those of each epoch of the "
        "learner in turn, random ones in the first; `random`: random ones throughout. The query is by the last ones.",
        "last",
        papers="004, algorithm 1: joint; its code: last",
    )
    discriminator_rank: Literal["normalised", "raw"] = setting(
        "`ta_vaal`: whether the discriminator sees the predicted loss through a sigmoid, as the decoder does, or as it is.",
        "normalised",
        papers="004: normalised; its code: raw",
    )
    unsupervised_weight: Number = setting(
        "`sraal`: weight of reconstruction and divergence.", 1, ge=0, papers="SRAAL: lambda 1"
    )
    supervised_weight: Number = setting(
        "`sraal`: weight of the supervised learner; 0 leaves it out.", 1, ge=0, papers="SRAAL: lambda 2"
    )
    supervised_beta: Number = setting(
        "`sraal`: weight of the divergence of its latent.",
        0.01,
        ge=0,
        papers="SRAAL prints 1, at which nothing is learnt",
    )
    indicator: Literal["sraal", "entropy", "standard_deviation", "least_confidence", "binary"] = setting(
        "`sraal`: how unlabeled a sample counts; `binary` is 1 for all.", "sraal", papers="SRAAL: its own"
    )

    def plain(self) -> dict:
        """Without the key that came later, where it is not set."""
        return {name: value for name, value in super().plain().items() if name != "height" or value is not None}
