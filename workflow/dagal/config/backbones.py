"""Backbones: networks that turn every image into features once; which keys a kind has."""

from functools import cache
from typing import Annotated, Literal

from pydantic import Field, create_model

from dagal.config.dataset import SOURCE
from dagal.config.fields import File, Mistake, Number, Section, Seed, Variants, Whole, check_ascending, setting
from dagal.config.learners import DEVICE, PRECISION, THREADS, Device, Precision, Widths
from dagal.learners import IMAGE_NETWORKS

EMBEDDING_KINDS = ("triplet", "cross_entropy")


class Backbone(Section):
    kind: Literal["file", "simsiam", "triplet", "cross_entropy"] = setting(
        "`file`: the user brings the weights; `simsiam`: pre-training on all training images without labels, also those of the "
        "validation set and those that `pool.imbalance` takes out of the pool; `triplet`, `cross_entropy`: an embedding learnt on "
        "a labeled `source`, by the triplet loss with random semi-hard negatives, or as the layer before the head of a classifier.",
        papers="003: `simsiam`; 002, camera traps: `triplet`, `cross_entropy`",
    )
    architecture: str = setting(
        "`mlp`, `lenet`, `resnet18_cifar`, `resnet18`, `resnet50` or `resnet101`; for `file` also any classifier of torchvision, "
        "of which the last linear layer is left out.",
        papers="003: ResNet-18",
    )
    precision: Precision = PRECISION
    device: Device = DEVICE
    threads: Whole = THREADS

    def check(self, key: str) -> None:
        if self.kind != "file" and self.architecture not in IMAGE_NETWORKS:
            raise Mistake(
                f"{key}.architecture", f"is {self.architecture!r}: must be one of {', '.join(IMAGE_NETWORKS)}."
            )
        for name in ("crop_scale", "blur_sigma"):
            check_ascending(f"{key}.{name}", getattr(self, name, (0, 0)))


class OfMlp(Section):
    """What a backbone with the architecture mlp has besides."""

    hidden_units: Widths = setting("Widths of the layers of an `mlp`; the last ones are the features.", [128])


class Weights(Section):
    weights: File | None = setting(
        "`file` (required), `triplet`, `cross_entropy` (a ResNet to start from): local weights (torchvision state dict or "
        "safetensors; those of the last linear layer are ignored).",
        None,
    )


class FileBackbone(Backbone, Weights):
    image_size: Whole | None = setting(
        "Resize every image to this many pixels, square, before it (most of torchvision's were trained at 224); by default they "
        "keep their size.",
        None,
        ge=1,
    )
    statistics: Literal["imagenet", "dataset"] = setting(
        "Mean and standard deviation by which the channels are normalised, those of ImageNet or of the training images.",
        "imagenet",
    )

    def check(self, key: str) -> None:
        super().check(key)
        if not self.weights:
            raise Mistake(f"{key}.weights", "is missing: give the file of the weights.")


class Trained(Backbone):
    """What is trained by stochastic gradient descent."""

    epochs: Whole = setting("Passes over the training images.", 800, ge=1, papers="003: 800")
    batch_size: Whole = setting("Images per step; an incomplete last batch is left out.", 512, ge=2, papers="003: 512")
    lr: Number = setting(
        "Learning rate of SGD per 256 images of a step, falling to 0 as a cosine.", 0.03, gt=0, papers="003: 0.03"
    )
    momentum: Number = setting("Momentum.", 0.9, ge=0, lt=1, papers="003: 0.9")
    weight_decay: Number = setting("Weight decay of all parameters.", 0.0001, ge=0, papers="003: 0.0001")
    seed: Seed = setting("Seed of the training; with `per_seed` that of the study is added.", 0)
    per_seed: bool = setting(
        "Train it once for each seed of a study, so that intervals know the chance of its training too. With `false` all seeds share "
        "one training, which costs less and may decide more than the choice of a method.",
        True,
    )
    flip: bool = setting(
        "Horizontal flip with probability 1/2; not for what has a handedness, as digits.", True, papers="003: `true`"
    )


class SimSiam(Trained):
    projection: Widths = setting(
        "Widths of the layers of the projection MLP; the last is that of the output.",
        [2048, 2048],
        papers="SimSiam on CIFAR: 2 layers of 2048",
    )
    prediction: Whole = setting("Hidden units of the prediction MLP.", 512, ge=1, papers="SimSiam: 512")
    crop_scale: list[Annotated[Number, Field(gt=0, le=1)]] = setting(
        "Least and largest share of the image that a random crop takes, before it is resized to the whole.",
        [0.2, 1],
        min_length=2,
        max_length=2,
        papers="003: 0.2, 1",
    )
    jitter: list[Annotated[Number, Field(ge=0)]] = setting(
        "Strengths of the colour jitter: brightness, contrast, and for colour images saturation and hue.",
        [0.4, 0.4, 0.4, 0.1],
        min_length=4,
        max_length=4,
        papers="003: 0.4, 0.4, 0.4, 0.1",
    )
    jitter_probability: Number = setting("Probability of the colour jitter.", 0.8, ge=0, le=1, papers="003: 0.8")
    grayscale_probability: Number = setting(
        "Probability that a colour image turns gray.", 0.2, ge=0, le=1, papers="003: 0.2"
    )
    blur_sigma: list[Annotated[Number, Field(gt=0)]] = setting(
        "Least and largest standard deviation of the Gaussian blur, in pixels.",
        [0.1, 2],
        min_length=2,
        max_length=2,
        papers="003: 0.1, 2",
    )
    blur_probability: Number = setting("Probability of the blur.", 0.5, ge=0, le=1, papers="SimSiam: 0.5; on CIFAR 0")
    knn_every: Whole = setting(
        "Epochs between two looks at the nearest neighbours of some training images, from which the report draws the accuracy "
        "over the epochs.",
        20,
        ge=1,
    )
    knn_neighbours: Whole = setting("Neighbours of each of them.", 20, ge=1)
    knn_queries: Whole = setting("Number of these images.", 1000, ge=1)


class Embedding(Trained, Weights):
    source: Annotated[Section | None, SOURCE] = setting(
        "Labeled data set that the embedding is learnt on (its training part), settings as in `dataset`, whose `image_size` and "
        "`grayscale` it takes. Its labels are not hidden.",
        None,
        otherwise="required",
        papers="002, camera traps: eMammal",
    )
    embedding: Whole = setting(
        "Number of features, a linear layer behind the architecture.", 256, ge=1, papers="002, camera traps: 256"
    )
    finetune_epochs: Whole = setting(
        "Passes over the labeled set where a learner's `finetune_every` trains the embedding further.", 10, ge=1
    )
    finetune_lr: Number = setting("Learning rate there, as `lr`.", 0.003, gt=0)

    def check(self, key: str) -> None:
        super().check(key)
        if self.weights and not self.architecture.startswith("resnet"):
            raise Mistake(f"{key}.weights", f"is set, but only ResNets read weights, not {self.architecture!r}.")
        if self.source is None:
            raise Mistake(f"{key}.source", "is missing: name a labeled data set to learn the embedding on.")


class Triplet(Embedding):
    margin: Number = setting(
        "Margin, of squared distances between vectors of length 1.", 0.2, gt=0, papers="FaceNet: 0.2"
    )
    images_per_class: Whole = setting(
        "Images of each class that a batch takes; more where the classes are too few to fill it.", 4, ge=2
    )


class CrossEntropy(Embedding):
    pass


KINDS = {"file": FileBackbone, "simsiam": SimSiam, "triplet": Triplet, "cross_entropy": CrossEntropy}


@cache
def of_mlp(section: type[Backbone]) -> type[Backbone]:
    """A kind's section with the keys of an mlp."""
    return create_model(f"{section.__name__}OfMlp", __base__=(section, OfMlp))


class BackboneVariants(Variants):
    """The sections of kinds, with the keys of an mlp where the architecture is one."""

    def choose(self, value: dict, key: str, context: dict) -> tuple[str, type[Section]]:
        kind, section = super().choose(value, key, context)
        architecture = value.get("architecture")
        return f"{kind} of {architecture}", of_mlp(section) if architecture == "mlp" else section

    def sections(self) -> list[type[Section]]:
        return [*super().sections(), OfMlp]

    def rules(self) -> list[tuple[list[str], list[str]]]:
        return [(kinds, [*names, *OfMlp.model_fields]) for kinds, names in super().rules()]

    def owners(self, name: str) -> dict[str, type[Section]]:
        return super().owners(name) or ({"mlp": OfMlp} if name in OfMlp.model_fields else {})


BACKBONE = BackboneVariants("kind", lambda: KINDS)
