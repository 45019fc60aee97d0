"""A study: all of its sections."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from dagal import tasks
from dagal.config.adversaries import Adversary
from dagal.config.backbones import BACKBONE
from dagal.config.dataset import DATASET
from dagal.config.fields import (
    Mistake,
    Name,
    Number,
    Section,
    Seed,
    Variants,
    Whole,
    of_64_bits,
    part,
    setting,
    shown,
    whole,
)
from dagal.config.methods import METHOD
from dagal.config.pool import ORACLE, Pool, Simulated
from dagal.config.video import Video


class LearnerVariants(Variants):
    """The sections of architectures, those of the study's task."""

    def choose(self, value: dict, key: str, context: dict) -> tuple[str, type[Section]]:
        architecture, section = super().choose(value, key, context)
        task = context["dataset"].task
        own = learners_of(task)
        if architecture not in own:
            raise Mistake(
                f"{key}.architecture",
                f"is {architecture!r}, which is no architecture for {task}; must be one of {', '.join(own)}.",
            )
        return architecture, section


def learners_of(task: str) -> dict[str, type[Section]]:
    """Architecture -> its section, of a task."""
    learners = tasks.find(task).learners
    return {architecture: learners.find(architecture) for architecture in learners}


def learners() -> dict[str, type[Section]]:
    """Architecture -> its section, of all tasks."""
    return {name: section for task in tasks.TASKS for name, section in learners_of(task).items()}


LEARNER = LearnerVariants("architecture", learners)


def count_or_all(value: object) -> object:
    value = whole(value)
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value if value == "all" else of_64_bits(value)
    raise ValueError(f"each must be a whole number of at least 1, or all, and not {shown(value)}.")


Size = Annotated[
    object,
    AfterValidator(count_or_all),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}),
]


class Signals(Section):
    draws: Whole = setting("Passes with dropout, for `bald`.", 20, ge=2, papers="none says")
    members: Whole = setting("Number of models of a deep ensemble, the node's own included.", 5, ge=2, le=1000)
    noises: Whole = setting("Noises in the weights, for `noise_stability`, a pass over the pool each.", 10, ge=1)
    noise_scale: Number = setting(
        "Norm of a noise, as a share of that of the weights of each layer.",
        0.001,
        gt=0,
        papers="NoiseStability's code: 0.001",
    )
    batch_size: Whole = setting("Images per batch of a pass over the pool.", 512, ge=1)
    shards: Whole = setting(
        "Jobs over which the pass for `signals.h5` is spread, each over a part of the pool; the file is the same for any number "
        "([scale](scale.md)).",
        1,
        ge=1,
        le=10_000,
    )


class Kappa(Section):
    threshold: Number = setting("Cohen's kappa must be above this.", 0.99, ge=0, lt=1, papers="0.99")
    cycles: Whole = setting("In how many cycles in a row.", 3, ge=1, papers="3")
    size: Whole = setting(
        "Images of the stop set, drawn from the pool once per seed. Their labels are not used, and they stay in the pool.",
        2000,
        ge=1,
        papers="2000",
    )


class AccuracyChange(Section):
    threshold: Number = setting("The accuracy must change by less than this, up or down.", gt=0, le=1)
    cycles: Whole = setting("In how many cycles in a row.", 1, ge=1)


class Stopping(Section):
    target_accuracy: Number | None = setting(
        "Stop at a model with this accuracy on the validation set, which `pool.validation` must provide.",
        None,
        gt=0,
        le=1,
    )
    kappa: Kappa | None = setting(
        "Stabilizing Predictions: stop when consecutive models agree on a fixed stop set.",
        None,
        papers="Bloodgood and Vijay-Shanker 2009",
    )
    accuracy_change: AccuracyChange | None = setting(
        "Stop when the accuracy on the validation set, which `pool.validation` must provide, hardly changes any more.",
        None,
        papers="002, sec. 3.4: a minimum threshold",
    )


class LambdaStudy(Section):
    weights: list[Annotated[Number, Field(ge=0)]] = setting(
        "Weights to try, ascending.",
        [0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3],
        min_length=2,
        unique=True,
        papers="003: 0 to 3",
    )
    tolerance: Number = setting(
        "A fall of the L1 loss counts if it is more than this share of its range.", 0.02, ge=0, le=1
    )


class Plots(Section):
    sparse = True
    dpi: Whole = setting("Resolution.", 150, ge=30, le=1200)
    band: Literal["sd", "se", "interval"] | None = setting(
        "Band around the means of learning curves: one standard deviation over the seeds, one standard error, or the 95 % interval.",
        None,
        otherwise="`sd`",
        papers="001: `se`; 000, 003, 004: `sd`",
    )
    interval: Literal["t", "bootstrap"] | None = setting(
        "The 95 % intervals of tables and bands: by Student's t, or by a bootstrap, which is too narrow at few seeds.",
        None,
        otherwise="`t`",
    )


def fractions(value: object) -> object:
    for name, numbers in value.items() if isinstance(value, dict) else ():
        if not (isinstance(numbers, list) and all(map(is_fraction, numbers))):
            raise ValueError(
                f"{name} must have a list of fractions of 1, such as [0.9074] for 90.74 %, and not {shown(numbers)}."
            )
    return value


def is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1


Printed = Annotated[
    dict[str, list],
    BeforeValidator(fractions),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "number", "minimum": -1, "maximum": 1}},
        }
    ),
]
GAINS = ("gain_over_random", "gain_over_plain")  # what gains.csv has against each of them


class Published(Section):
    source: str = setting("Where it is printed: the paper with its table, figure or section.")
    measure: str = setting(
        "What was measured: `accuracy`, `mean_ap` or `mean_iou`, that of the study's task; `error` (1 - accuracy); "
        f"{' or '.join(f'`{name}`' for name in GAINS)}, differences of it at the same labels, as in `gains.csv`."
    )
    labels: list[Size] = setting(
        "Numbers of labels that were trained on; `all` is for supervised baselines.", min_length=1, unique=True
    )
    methods: Printed = setting(
        "Method -> its value at each of `labels`, a fraction of 1 as in `metrics.csv`: 0.9074 for 90.74 %.", {}
    )
    learners: Printed = setting("Learner -> the values of its supervised baselines, in the same way.", {})

    def check(self, key: str) -> None:
        if not self.methods and not self.learners:
            raise Mistake(key, "names neither methods nor learners; give the values of some.")
        if self.methods and "all" in self.labels:
            raise Mistake(
                f"{key}.labels",
                "holds all, which no method asks for; put the values of learners into an entry of their own.",
            )
        if self.learners and self.measure in GAINS:
            raise Mistake(f"{key}.learners", f"has no {self.measure}: supervised baselines are compared with nothing.")
        for section in ("methods", "learners"):
            for name, values in getattr(self, section).items():
                if len(values) != len(self.labels):
                    raise Mistake(
                        f"{key}.{section}.{name}",
                        f"has {len(values)} value(s) for {len(self.labels)} number(s) of labels; give one for each.",
                    )


class Regions(Section):
    kind: str = setting("Cells of a grid, or superpixels, by SLIC.")
    initial: Literal["images", "regions"] = setting(
        "What `pool.initial.size` counts: whole images, all of whose regions are then labeled, or regions drawn at random from all images.",
        "images",
    )
    answer: Literal["exact", "dominant"] = setting(
        "What annotators say of a region: the class of each of its pixels, or with one click the class of most of them, which all of them "
        "then get.",
        "exact",
        papers="Cai et al. 2021: both",
    )


class Grid(Regions):
    label = "grid"
    rows: Whole = setting("Cells from top to bottom.", ge=1, le=255)
    columns: Whole = setting("Cells from left to right.", ge=1, le=255)


class Superpixels(Regions):
    label = "superpixels"
    number: Whole = setting("Superpixels per image, about.", ge=2, le=10_000, papers="Cai et al. 2021: 2048, by SEEDS")
    compactness: Number = setting("How square they are, rather than of one colour.", 10, gt=0)


REGIONS = Variants("kind", lambda: {"grid": Grid, "superpixels": Superpixels})


class Study(Section):
    study: Name = setting("Name of the study; its results are in `results/<study>`.")
    dataset: Annotated[Section, DATASET] = part(
        "The images. Prepared once, shared by all studies that use the same name."
    )
    pool: Pool = part("Initial labeled set, validation set and simulated imbalance, drawn once per seed.")
    budget: Whole = setting("Labels queried per cycle.", ge=1, papers="000, 003: 5 % of the training images; 001: 10")
    cycles: Whole = setting(
        "Number of query cycles. One model more is trained, on the initial set; 0 trains only that.",
        ge=0,
        le=10_000,
        papers="000, 003: 4; 001: 100",
    )
    seeds: list[Seed] = setting(
        "Independent repeats. Each draws its own initial set, which all methods of the seed share.",
        min_length=1,
        unique=True,
        papers="all: 3 repeats or more",
    )
    oracle: Annotated[Section, ORACLE] = part(
        "Who labels: simulated annotators of classes, who may err (test and validation sets keep their true labels), or a person.",
        Simulated,
    )
    regions: Annotated[Section | None, REGIONS] = setting(
        "Segmentation: parts of images that are asked for instead of whole images, and what `budget` then counts "
        "([segmentation](segmentation.md#regions)).",
        None,
    )
    backbones: dict[str, Annotated[Section, BACKBONE]] = part(
        "Frozen networks by name, which a learner names to learn on their features.", dict, papers="003, ch. 5"
    )
    learners: dict[str, Annotated[BaseModel, LEARNER]] = setting(
        "Networks with their training, by name. Every method uses the only one, or the one that it names.", min_length=1
    )
    methods: dict[str, Annotated[Section, METHOD]] = setting(
        "Acquisition methods by name; a name alone stands for the score of that name. No name begins with `start`.",
        min_length=1,
    )
    adversaries: dict[str, Adversary] = part(
        "Adversarial trainings by name, each run once per cycle of the methods that read it; `vaal`, `ta_vaal` and `sraal` exist without being listed.",
        dict,
    )
    signals: Signals = part("How the signals of a model are computed.", Signals)
    video: Video = part("Optical flow and temporal coherence of videos.", Video)
    stopping: Stopping = part(
        "When a chain of cycles stops before its last one; it then trains and scores nothing further. Raising a target later trains only what is new. Set it before the first run, as every training reads it. Figures of the last query leave out the chains that stopped before it.",
        Stopping,
        papers="002, sec. 3.4",
    )
    supervised: list[Size] = setting(
        "Numbers of labels of supervised baselines, or `all`: one more model per learner and seed each, trained on labels drawn at random from pool and initial set, with the noise, annotators and training that the methods have.",
        [],
        unique=True,
        papers="001: 1100",
    )
    repeats: Whole = setting(
        "How often the last model of every chain is trained once more, on the same labels by another seed of the training: the spread "
        "that training alone causes, in `training_spread.csv`. For classification.",
        0,
        ge=0,
        le=1000,
    )
    lambda_study: LambdaStudy = part(
        "How `weight: auto` is chosen: the first query of the first seed at every weight; the smallest weight after which the L1 loss no longer falls.",
        LambdaStudy,
        papers="003, secs. 4.4.1 and 4.5.1",
    )
    published: list[Published] = setting(
        "Numbers that a paper printed, shown beside the measured ones in `published.csv` and on the page; no result depends on them "
        "([published numbers](studies.md#published-numbers)).",
        [],
    )
    plots: Plots = part("Appearance of the figures.", Plots)
    jobs_per_gpu: Whole = setting(
        "Jobs that may share a GPU at once, which small networks leave idle; no result depends on it ([clusters](clusters.md)).",
        1,
        ge=1,
    )
