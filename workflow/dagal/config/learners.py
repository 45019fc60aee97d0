"""Learners: networks with their training; which keys an architecture has."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dagal.config.fields import File, Mistake, Number, Section, Variants, Whole, check_ascending, part, setting
from dagal.learners import LATER_SETTINGS

Widths = Annotated[list[Annotated[Whole, Field(ge=1)]], Field(min_length=1)]
Precision = Literal["float32", "tf32", "bfloat16"]
Device = Literal["auto", "cpu"]
PRECISION = setting(
    "What networks are computed in. `tf32`: on a GPU the factors of products are rounded to 10 bits, on a CPU as `float32`. "
    "`bfloat16`: autocast, the fastest on recent GPUs, and very slow on a CPU without instructions for it.",
    "float32",
)
DEVICE = setting("`auto`: a GPU where there is one and the job is granted it, else the CPU.", "auto")
THREADS = setting("CPU threads of a job; part of the result, since the order of a sum changes its last bits.", 1, ge=1)


class Optimizer(Section):
    name: Literal["sgd", "adam"] = setting("Which optimiser.", "sgd", papers="all: `sgd`")
    lr: Number = setting(
        "Learning rate.", 0.02, gt=0, papers="000, 003: 0.02; 003 Tiny ImageNet: 0.01; 001: 0.001; 004: 0.1"
    )
    momentum: Number = setting("Momentum of `sgd`.", 0.9, ge=0, lt=1, papers="000, 003, 004: 0.9; 001: 0")
    weight_decay: Number = setting("Weight decay.", 0, ge=0, papers="001: 0.0001; 004: 0.0005")
    nesterov: bool = setting("Nesterov momentum of `sgd`.", False)


class Schedule(Section):
    name: Literal["constant", "multi_step", "cosine", "poly"] = setting(
        "`multi_step`: times `gamma` after each milestone; `cosine`: down to 0; `poly`: down to 0 by (1 - share of the epochs)^0.9.",
        "constant",
        papers="000, 003, 004: `multi_step`",
    )
    milestones: list[Annotated[Whole, Field(ge=1)]] = setting(
        "Epochs of `multi_step`.", [], papers="000, 003: 60, 80; 003 Tiny ImageNet: 10, 15, 20, 25; 004: 160"
    )
    gamma: Number = setting("Factor of `multi_step`.", 0.1, gt=0, papers="000: 0.2; 003: 0.5; 004: 0.1")

    def check(self, key: str) -> None:
        if (self.name == "multi_step") != bool(self.milestones):
            raise Mistake(
                key,
                f"has name {self.name!r} and milestones {self.milestones}: multi_step needs milestones, and only multi_step "
                "uses them.",
            )


class Augmentation(Section):
    pad: Whole = setting(
        "Zero padding in pixels before the random crop.",
        0,
        ge=0,
        papers="004: 2 (to 36 x 36); 000, 003 do not say how much",
    )
    crop: Whole | None = setting(
        "Side of the random crop, and of the centre crop outside training, where a segmenter sees whole images; by default the size of the "
        "images.",
        None,
        ge=1,
        papers="004 Cityscapes: 412",
    )
    flip: bool = setting("Horizontal flip with probability 1/2.", False, papers="000, 003, 004: `true`")
    resized_crop: list[Annotated[Number, Field(gt=0, le=1)]] | None = setting(
        "Least and largest share of the image that a random crop takes, before it is stretched to the whole (RandomResizedCrop); instead "
        "of `pad` and `crop`.",
        None,
        min_length=2,
        max_length=2,
        papers="003, ch. 5: 0.08, 1",
    )

    def check(self, key: str) -> None:
        if self.resized_crop and (self.pad or self.crop):
            raise Mistake(f"{key}.resized_crop", "is set beside pad or crop, another random crop; delete one of them.")
        if self.resized_crop:
            check_ascending(f"{key}.resized_crop", self.resized_crop)

    def plain(self) -> dict:
        """Without the key that came later, where it is not set: trainings without it stay what they were."""
        return {name: value for name, value in super().plain().items() if name != "resized_crop" or value is not None}


class LossPrediction(Section):
    loss: Literal["margin", "ranking"] = setting(
        "`margin`: LL4AL; `ranking`: TA-VAAL's ranker (LL_v2 of its ablation).", "margin", papers="004: both"
    )
    weight: Number = setting(
        "Weight of its loss beside the learner's (eta).", 1, gt=0, papers="004: 1; Caltech-101: 0.2"
    )
    share: Number = setting(
        "Share of the epochs after which something `stops`.",
        0.6,
        gt=0,
        le=1,
        papers="LL4AL: 0.6; 004: 0.8",
    )
    stops: Literal["backbone", "head", "both"] | None = setting(
        "What stops then. `backbone`: the loss no longer reaches it, and the head learns on; `head`: it no longer learns, and its loss "
        "still reaches the backbone; `both`: the loss ends.",
        None,
        otherwise="`backbone` for the margin loss, `both` for the ranking loss",
        papers="LL4AL, 004 sec. 7.2: `backbone`; 004, algorithm 1: `head`",
    )
    margin: Number = setting("Margin of the margin loss.", 1, ge=0, papers="LL4AL: 1")
    width: Whole = setting("Units per feature map.", 128, ge=1, papers="LL4AL: 128")


PREDICTION = setting(
    "Head that predicts the learner's own loss, for `learning_loss` and `ta_vaal`. Methods of a learner without it do not get "
    "it.",
    None,
    papers="004",
)


class PseudoLabels(Section):
    kind: Literal["two_model", "ceal"] = setting(
        "`two_model`: a model trained on the labels alone gives them, a second one learns them and asks among the other images; "
        "`ceal`: the model of the previous cycle gives them, and the query is among all.",
        papers="003, sec. 3.5; CEAL of 002",
    )


class TwoModel(PseudoLabels):
    certainty: Literal["dispersion", "entropy"] = setting(
        "The images of lowest label-dispersion over the epochs, or of lowest entropy, ties at random.",
        "dispersion",
        papers="003: both",
    )
    share: Number = setting(
        "Pseudo-labels of each cycle, as a share of all training images (initial set and pool).",
        0.1,
        gt=0,
        lt=1,
        papers="003: 0.1 and 0.25",
    )


class Ceal(PseudoLabels):
    threshold: Number = setting(
        "Images whose entropy (nats) is below get a pseudo-label.", 0.05, gt=0, papers="CEAL: 0.05"
    )
    decay: Number = setting(
        "Fall of the threshold per cycle after the first query.", 0.0033, ge=0, papers="CEAL: 0.0033"
    )


class FixMatch(Section):
    threshold: Number = setting(
        "Confidence from which the class predicted on the weakly augmented image is learnt on the strong one.",
        0.95,
        ge=0,
        lt=1,
        papers="Sohn et al.: 0.95",
    )
    ratio: Whole = setting(
        "Unlabeled images per labeled one in each step, drawn with replacement.", 7, ge=1, papers="Sohn et al.: 7"
    )
    weight: Number = setting("Weight of the consistency loss.", 1, gt=0, papers="Sohn et al.: 1")
    steps_per_epoch: Whole | None = setting(
        "Steps of full batches per epoch, the labeled set repeated as needed; by default one pass over the labeled set, whatever "
        "the pool.",
        None,
        ge=1,
    )


PSEUDO_LABELS = Variants("kind", lambda: {"two_model": TwoModel, "ceal": Ceal})


class Learner(Section):
    """What every learner that this project trains has; a task's own learner may have other keys."""

    architecture: str = setting(
        "`linear`: a linear classifier, of features or pixels; `svm`: a linear SVM, one class against the rest, whose "
        "probabilities are the softmax of its decision values; `resnet18_cifar` has a 3 x 3 stem for small images; the other "
        "ResNets are torchvision's and need colour images. For videos a Faster R-CNN, `faster_rcnn_small` (for small frames) or "
        "torchvision's with MobileNetV3 or ResNet-50.",
        papers="000, 003: ResNet-18; 001: LeNet, ResNet-18; 003 Tiny ImageNet: `resnet101`",
    )
    weights: File | None = setting(
        "Local pre-trained weights of a ResNet or a detector (torchvision state dict or safetensors; a head for other classes is "
        "ignored), or the `backbone.safetensors` of a SimSiam pre-training here, from which a ResNet is then trained end to end.",
        None,
        papers="003 Tiny ImageNet: ImageNet",
    )
    epochs: Whole | None = setting(
        "Passes over the labeled set; required, but for `svm`.",
        None,
        ge=1,
        papers="000, 001, 003: 100; 003 Tiny ImageNet: 30; 004: 200",
    )
    batch_size: Whole = setting(
        "Images per step; at least 2 for a ResNet, whose batch norm needs another; of a segmenter by default 4.",
        128,
        ge=1,
        papers="001: 64; 004: 128",
    )
    optimizer: Optimizer = part("Optimiser.", Optimizer)
    schedule: Schedule = part("Learning rate over the epochs.", Schedule)
    augmentation: Augmentation = part(
        "Random augmentation of the training images; the pool and the test set never see it.", Augmentation
    )
    warm_start: bool = setting(
        "Go on from the model of the previous cycle instead of training from scratch; cycle 0 starts from scratch. With two "
        "models each goes on from its own.",
        False,
        papers="003, ch. 2 and sec. 3.5: `true`",
    )
    precision: Precision = PRECISION
    device: Device = DEVICE
    threads: Whole = THREADS

    def check(self, key: str) -> None:
        self.check_epochs(key)
        if self.weights and not self.architecture.startswith(
            ("resnet", "faster_rcnn", "fcn", "deeplabv3", "lraspp", "drn")
        ):
            raise Mistake(
                f"{key}.weights",
                f"is set, but only ResNets, detectors and segmenters read weights, not {self.architecture!r}.",
            )
        if self.batch_size == 1 and self.architecture.startswith("resnet"):
            raise Mistake(
                f"{key}.batch_size",
                f"is 1, but {self.architecture!r} has batch norm, which needs at least 2 images per step; make it larger.",
            )

    def check_epochs(self, key: str) -> None:
        if self.epochs is None:
            raise Mistake(f"{key}.epochs", "is missing.")
        epochs = min(filter(None, (self.epochs, getattr(self, "initial_epochs", None))))
        if max(self.schedule.milestones, default=0) >= epochs:
            raise Mistake(
                f"{key}.schedule.milestones",
                f"is {self.schedule.milestones}: all must lie before the {epochs} epochs end.",
            )


class Classifier(Learner):
    label = "classifiers"
    backbone: str | None = setting(
        "Name of the backbone on whose features it learns (`linear`, `svm` and `mlp` do); by default it learns on the images.",
        None,
        papers="003, ch. 5",
    )
    starts_from: str | None = setting(
        "Name of the backbone with whose weights a ResNet of its architecture starts, to be trained on the images; by default from "
        "`weights`, or from scratch.",
        None,
        papers="002, semi-supervised methods; 003, ch. 5",
    )
    freeze: bool = setting(
        "Train the linear head alone, on augmented images that the backbone sees as it has started.",
        False,
        papers="003, ch. 5",
    )
    finetune_every: Whole | None = setting(
        "Whenever the labels reach a multiple of it, the learner's backbone (`triplet` or `cross_entropy`) is trained further on "
        "them; the branch sees its features from there on. Supervised baselines keep the first.",
        None,
        ge=1,
        papers="002, camera traps: 2000",
    )
    hidden_units: Widths = setting("Widths of the hidden layers of an `mlp`.", [128])
    dropout: Number = setting(
        "Dropout probability before the linear head, the same for all methods of the learner; `bald` needs it above 0.",
        0,
        ge=0,
        lt=1,
        papers="none says",
    )
    loss_prediction: LossPrediction | None = PREDICTION
    pseudo_labels: Annotated[Section | None, PSEUDO_LABELS] = setting(
        "Train also on unlabeled images, with classes that a model gives them; the truth measures them after the fact "
        "(`pseudo_labels.csv`).",
        None,
        papers="003, sec. 3.5",
    )
    compile: Literal["auto", "on", "off"] = setting(
        "Have PyTorch compile the network for its training, with CUDA graphs; the last bits of the results change. `auto`: a ResNet on "
        "a GPU whose training is long enough (performance.md), nothing on a CPU. The log says what was done.",
        LATER_SETTINGS["compile"],
    )
    deterministic: bool = setting(
        "Train with deterministic algorithms, the same bytes in each run; `false` lets a GPU take the fastest ones. A CPU is always "
        "deterministic.",
        LATER_SETTINGS["deterministic"],
    )
    fixmatch: FixMatch | None = setting(
        "Consistency training on the unlabeled images (FixMatch, without its moving average of the weights). Weak: the learner's "
        "own `augmentation`; strong: besides a shift of up to 1/8 of the side, contrast, brightness and cutout. Not for features "
        "of a backbone.",
        None,
        papers="Sohn et al. 2020",
    )

    def plain(self) -> dict:
        """Without the keys that came later, where they are not set."""
        later = ("starts_from", "freeze")
        return {name: value for name, value in super().plain().items() if name not in later or value}

    def check(self, key: str) -> None:
        super().check(key)
        if self.batch_size == 1 and self.loss_prediction:
            raise Mistake(
                f"{key}.batch_size", "is 1, but loss_prediction compares the images of a step; make it at least 2."
            )
        if self.freeze and not (self.starts_from or self.weights):
            raise Mistake(
                f"{key}.freeze", "is set, but nothing is learnt before: set starts_from or weights, or delete it."
            )
        if self.starts_from and (self.weights or self.backbone):
            raise Mistake(
                f"{key}.starts_from", "is set beside weights or backbone, which say something else; delete one of them."
            )
        if self.pseudo_labels and self.fixmatch:
            raise Mistake(
                key, "has both pseudo_labels and fixmatch, two ways to learn from the pool; delete one of them."
            )


class Svm(Classifier):
    label = "svm"
    C: Number = setting(
        "Weight of the hinge loss; the larger, the less it is regularised.", 5, gt=0, papers="003, ch. 5: 5"
    )
    loss: Literal["hinge"] | None = setting(
        "`hinge`: the loss of an SVM with a linear kernel, which converges more slowly.",
        None,
        otherwise="squared hinge",
        papers="003, ch. 5: a linear kernel of scikit-learn",
    )

    def plain(self) -> dict:
        """Without the key that came later, where it is not set."""
        return {name: value for name, value in super().plain().items() if name != "loss" or value is not None}

    # keys of the training of networks: they stand in the resolved study with their defaults
    of_networks: ClassVar = (
        "epochs", "optimizer", "schedule", "augmentation", "dropout", "loss_prediction", "hidden_units", "warm_start", "fixmatch",
        "precision", "compile", "deterministic",
    )  # fmt: skip

    def check(self, key: str) -> None:
        for name in self.of_networks:
            if name in self.model_fields_set:
                raise Mistake(f"{key}.{name}", "is for networks, not for a svm; delete it.")
        super().check(key)
        if self.pseudo_labels and getattr(self.pseudo_labels, "certainty", None) == "dispersion":
            raise Mistake(
                f"{key}.pseudo_labels.certainty", "is dispersion, and a svm has no epochs; set it to entropy."
            )

    def check_epochs(self, key: str) -> None:
        """It has none."""


class Detector(Learner):
    label = "detectors"
    initial_epochs: Whole | None = setting("Passes over the labeled set in cycle 0.", None, ge=1, otherwise="`epochs`")
    score_threshold: Number = setting(
        "Detections with a lower score are dropped.", 0.5, ge=0, lt=1, papers="003, ch. 2: 0.5"
    )
    nms_threshold: Number = setting(
        "Of two detections of a class that overlap more than this (IoU), the better one stays.", 0.5, gt=0, le=1
    )

    def check(self, key: str) -> None:
        super().check(key)
        if self.augmentation.pad or self.augmentation.crop or self.augmentation.resized_crop:
            raise Mistake(f"{key}.augmentation", "may set only flip for a detector; delete pad, crop and resized_crop.")


class Segmenter(Learner):
    label = "segmenters"
    batch_size: Whole = setting("Images per step.", 4, ge=2, papers="004 Cityscapes: 4")
    random_scale: list[Annotated[Number, Field(gt=0, le=4)]] = setting(
        "Least and largest factor by which the images of a step are scaled at random before the crop.",
        [1, 1],
        min_length=2,
        max_length=2,
    )
    dropout: Number = setting("Probability with which whole maps are dropped before the head.", 0, ge=0, lt=1)
    class_weights: Literal["none", "median"] = setting(
        "Weights of the classes in the loss. `median`: the median share of a class among the labeled pixels by its own share.",
        "none",
    )
    loss_prediction: LossPrediction | None = PREDICTION

    def plain(self) -> dict:
        """Without the key that came later, where it is not set."""
        return {
            name: value for name, value in super().plain().items() if name != "loss_prediction" or value is not None
        }

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("pad", "resized_crop"):
            if getattr(self.augmentation, name):
                raise Mistake(
                    f"{key}.augmentation.{name}",
                    "has no meaning for a segmenter, whose crop is padded as needed; delete it.",
                )
        check_ascending(f"{key}.random_scale", self.random_scale)
