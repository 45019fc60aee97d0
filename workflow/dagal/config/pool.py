"""The pool: initial labeled set, validation set, noise and simulated imbalance; and the annotators."""

from typing import Annotated, Literal

from pydantic import Field

from dagal.config.fields import Number, Section, Variants, Whole, part, setting


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
    test: Whole | None = setting(
        "Images of a test set, with `oracle.kind: person` only: drawn at random before anything else and never by a method, the same for "
        "all seeds, and labeled first.",
        None,
        ge=1,
        otherwise="the labeled images of the test part of the data set, if it has some",
    )
    noise: Noise = part(
        "Noise added to the images of the unlabeled pool, drawn once per seed and stored in `seed<s>/images.h5`; Gaussian noise as "
        "numbers of 16 bits, which it needs below 0 and above 255.",
        Noise,
        papers="001, sec. 3.6",
    )
    imbalance: Imbalance = part("Which classes of the pool are thinned; the test set stays as it is.", Imbalance)

    def plain(self) -> dict:
        """Without a key that came later, where it is not set."""
        return {name: value for name, value in super().plain().items() if (name, value) != ("test", None)}


class Simulated(Section):
    label = "simulated"
    kind: Literal["simulated"] = setting(
        "Who labels: annotators that are simulated from the labels of the data set, or a person, for whom each chain of cycles waits "
        "at its query ([labeling](labeling.md)).",
        "simulated",
    )
    noise: Literal["none", "symmetric", "pair"] = setting(
        "`symmetric`: a wrong label is any other class alike; `pair`: it is the next class (class-dependent).", "none"
    )
    rate: Number = setting("Probability that an annotator errs.", 0, ge=0, le=1)
    annotators: Whole = setting(
        "Annotators of each image; the class that most of them give is taken, ties at random.", 1, ge=1
    )

    def plain(self) -> dict:
        """Without the kind, as settings were before there was another one."""
        return {name: value for name, value in super().plain().items() if name != "kind"}


class Person(Section):
    label = "person"
    kind: Literal["person"] = setting("Who labels.")
    classes: list[Annotated[str, Field(min_length=1, max_length=200)]] = setting(
        "Names of the classes. New ones may be added at the end while a study goes on, and none may be renamed, moved or deleted: "
        "models know a class from the next query of their chain on.",
        min_length=2,
        unique=True,
    )
    annotators: Whole = setting(
        "Annotators who must answer for each image; the answer of most of them counts, and a tie waits for a decision.",
        1,
        ge=1,
    )
    suggestions: bool = setting(
        "Whether the labeling page may show what the model takes an image for; it biases those who label.", False
    )


class OracleVariants(Variants):
    """Who labels; whoever says nothing has them simulated."""

    def prepare(self, value: dict, context: dict) -> dict:
        return {"kind": "simulated", **value}


ORACLE = OracleVariants("kind", lambda: {"simulated": Simulated, "person": Person})
