"""The pool: initial labeled set, validation set, noise and simulated imbalance; and the annotators."""

from typing import Literal

from dagal.config.fields import Number, Section, Whole, part, setting


class Initial(Section):
    size: Whole = setting("Number of labels.", ge=1, papers="000, 003: 10 %; 001: 100")
    kind: Literal["random", "class_uniform", "balanced", "kcenter", "kcenter_vae"] = setting(
        "`random`: every image alike; `class_uniform`: each draw picks a class, then an image of it; `balanced`: the same number "
        "of every class; `kcenter`: greedy k-center on thumbnails of the images; `kcenter_vae`: the same on the latents of a VAE "
        "of all training images (settings of `adversaries.vaal`).",
        "random",
        papers="000, 004: `random`; 001, 003: `balanced`; SRAAL: `kcenter_vae`",
    )
    start: Whole = setting("Number of random images from which `kcenter` starts.", 10, ge=1)


class Noise(Section):
    sparse = True
    kind: Literal["none", "gaussian", "salt_and_pepper"] = setting(
        "`salt_and_pepper`: black or white pixels.", "none", papers="001: both"
    )
    level: Literal["image", "pixel"] = setting(
        "`image`: each image is hit with the probability, as a whole; `pixel`: each pixel of every image is.",
        "image",
        papers="001: not clear",
    )
    probability: Number = setting("Probability that an image, or a pixel, is hit.", 0.1, ge=0, le=1, papers="001: 0.1")
    sigma: Number = setting("`gaussian`: standard deviation, in those of the channels.", 1, gt=0, papers="001: 1")
    amount: Number = setting(
        "`salt_and_pepper`: share of the pixels of a hit image that turn black or white; at the level of pixels all hit ones do.",
        0.1,
        gt=0,
        le=1,
        papers="001 does not say",
    )
    where: Literal["pool", "pool_and_test"] | None = setting(
        "Which images may be hit: those of the unlabeled pool, or those of the test set as well.",
        None,
        otherwise="`pool`",
        papers="001 does not say",
    )


class Imbalance(Section):
    kind: Literal["none", "step", "first_half", "exponential"] = setting(
        "`step`: the last half of the classes is thinned; `first_half`: the first half; `exponential`: class y of C keeps "
        "factor^(y/(C-1)).",
        "none",
        papers="003: `step`; 004: `first_half`",
    )
    factor: Number = setting(
        "Share of the rarest class that stays.", 1, gt=0, le=1, papers="003: IF = 1, 0.3, 0.1; 004: 0.1, 0.01"
    )
    where: Literal["rest", "all"] = setting(
        "`rest`: thin what the initial draw left; `all`: thin before the initial draw.",
        "rest",
        papers="003: `rest`; 004: `all`",
    )


class Pool(Section):
    initial: Initial = part("The labeled set of cycle 0.")
    validation: Whole = setting(
        "Training images held out, at random, before anything else is drawn. They are measured, never trained on or queried.",
        0,
        ge=0,
        papers="001: 300",
    )
    noise: Noise = part(
        "Noise added to the images of the unlabeled pool, drawn once per seed and stored in `seed<s>/images.h5`; Gaussian noise as "
        "numbers of 16 bits, which it needs below 0 and above 255.",
        Noise,
        papers="001, sec. 3.6",
    )
    imbalance: Imbalance = part("Which classes of the pool are thinned; the test set stays as it is.", Imbalance)


class Oracle(Section):
    noise: Literal["none", "symmetric", "pair"] = setting(
        "`symmetric`: a wrong label is any other class alike; `pair`: it is the next class (class-dependent).", "none"
    )
    rate: Number = setting("Probability that an annotator errs.", 0, ge=0, le=1)
    annotators: Whole = setting(
        "Annotators of each image; the class that most of them give is taken, ties at random.", 1, ge=1
    )
