"""What jobs need of a machine, estimated from the sizes of the data, the network and its training: memory, and time.

Estimates for a scheduler of a cluster, which kills what takes more: on the safe side of what was measured (docs/clusters.md), and asked for
anew, with more, when it was not enough. No result depends on them.
"""

from dataclasses import dataclass
from typing import NamedTuple

# multiply-adds per second of one thread and of a GPU, a third or so of what was measured of a CPU; no GPU was measured
CPU, GPU = 1e10, 1e12
VALUE_SECONDS = 5e-8  # to read a value of an image and make a float of it
STEP_SECONDS = 0.01  # of a step of a training, besides its products
STREAMED = 320e6  # bytes of a pass over images that are read block by block (`dagal.learners.inference.stream`)
HELD = 2.2e9  # bytes of images that are held at most where they are read again and again (HELD_BYTES there)


class Need(NamedTuple):
    """Bytes that a job holds besides its libraries, and seconds that it takes besides loading them."""

    memory: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Size:
    """Of a data set: its images (N), their shape (H,W,C), and its classes."""

    images: int
    height: int
    width: int
    channels: int
    classes: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def values(self) -> int:
        return self.pixels * self.channels


class Cost(NamedTuple):
    """Of a network, per image: values that it sees, multiply-adds, numbers kept for a step of training, size of the embedding."""

    values: float
    products: float
    kept: float
    features: float


# architecture -> multiply-adds and kept numbers per pixel, size of the embedding (tests/test_needs.py counts them)
PER_PIXEL = {
    "lenet": (410, 38, 84),
    "resnet18_cifar": (545_000, 1_200, 512),
    "resnet18": (36_500, 100, 512),
    "resnet50": (82_500, 450, 2048),
    "resnet101": (157_000, 650, 2048),
    "faster_rcnn_small": (8_000, 100, 192),
    "faster_rcnn_mobilenet": (35_000, 350, 1024),
    "faster_rcnn_resnet50": (250_000, 700, 1024),
    "segmenter_small": (12_000, 120, 64),
    "drn_d_22": (250_000, 400, 512),
    "fcn_resnet50": (550_000, 900, 2048),
    "deeplabv3_resnet50": (650_000, 900, 2048),
    "deeplabv3_mobilenet": (40_000, 300, 960),
    "lraspp_mobilenet": (8_000, 300, 168),
}


def cost(settings: dict, size: Size, seen: Cost | None = None) -> Cost:
    """Of the network of a learner or backbone, on the images of a data set or on the features of a backbone."""
    values, architecture = (seen.features if seen else size.values), settings["architecture"]
    if architecture == "mlp":
        widths = [values, *settings["hidden_units"], size.classes]
        products = sum(above * below for above, below in zip(widths, widths[1:], strict=False))
        found = Cost(values, products, 2 * sum(widths), widths[-2])
    elif architecture in ("linear", "svm"):
        found = Cost(values, values * size.classes, values, values)
    else:  # of the architectures of torchvision that a backbone from a file may have, the largest known one stands for all
        products, kept, features = PER_PIXEL.get(architecture, PER_PIXEL["resnet101"])
        pixels = max(size.pixels, (settings.get("image_size") or 0) ** 2)
        found = Cost(values, products * pixels, kept * pixels, settings.get("embedding") or features)
    return found


def of_learner(study, node, size: Size) -> Cost:
    """`cost` of a node's learner."""
    settings = study.learner_of(node)
    backbone = settings.get("backbone")
    return cost(settings, size, cost(study.backbones[backbone], size) if backbone else None)


def rate(settings: dict) -> float:
    """Multiply-adds per second of a job of a learner or backbone, on a GPU unless its settings say otherwise."""
    return CPU * settings.get("threads", 1) if settings.get("device") == "cpu" else GPU


def labels(study, node, size: Size) -> int:
    """Labels of a node."""
    wanted = node.branch.size or study.settings["pool"]["initial"]["size"] + node.cycle * study.settings["budget"]
    return size.images if wanted == "all" else min(wanted, size.images)


def held(images: float, values: float) -> float:
    """Bytes of images that are read again and again."""
    return min(images * values, HELD)


def steps(n: float, settings: dict, one: Cost, speed: float) -> Need:
    """Of a training that sees n images, batch by batch."""
    batch = settings["batch_size"]
    seconds = n * (3 * one.products / speed + one.values * VALUE_SECONDS) + n / batch * STEP_SECONDS
    return Need(4 * batch * (one.kept + one.values), seconds)


def passes(n: float, batch: int, one: Cost, speed: float, times: float = 1) -> Need:
    """Of passes over n images, without gradients."""
    memory = STREAMED + 4 * batch * (2 * one.values + one.kept / 4)
    return Need(memory, n * (times * one.products / speed + one.values * VALUE_SECONDS))


def total(*needs: Need) -> Need:
    """Of things done one after the other, none of which is given back."""
    return Need(sum(need.memory for need in needs), sum(need.seconds for need in needs))


# ------------------------------------------------------------------------------------------------ `needs` of the stages


def dataset(study, at, size: Size) -> Need:
    """Listing raw data holds their annotations; decoding is slower than anything else that is done with the values.

    What is rendered for every pixel is held for five videos, at most 2 bytes each.
    """
    about = study.settings["dataset"]
    dense = 0.0
    if kinds := about.get("per_pixel"):
        dense = 5 * 2 * len(kinds) * about["seconds"][1] * about["fps"] * size.pixels
    return Need(1e9 + 1e3 * size.images + dense, size.images * (0.002 + 4 * VALUE_SECONDS * size.values))


def train(study, at, size: Size) -> Need:
    node, settings = at.node, study.learner_of(at.node)
    one, speed, n, epochs = (
        of_learner(study, node, size),
        rate(settings),
        labels(study, node, size),
        epochs_of(settings),
    )
    read = {kind for method in study.asked_by(node) for kind, _ in study.signals(method)}
    followed = bool(read & {"trajectory", "pixel_trajectory", "ranks"})
    pseudo, fixmatch = settings.get("pseudo_labels"), settings.get("fixmatch")
    if pseudo:  # of the pool by CEAL what is certain enough, at most all of it
        n += size.images * pseudo.get("share", 1)
    seen = n * epochs
    if fixmatch:
        every = (fixmatch["steps_per_epoch"] or n / settings["batch_size"]) * settings["batch_size"] * epochs
        seen = every * (1 + fixmatch["ratio"])
    found = [steps(seen, settings, one, speed), passes(size.images, 4 * settings["batch_size"], one, speed)]
    found.append(Need(held(n, one.values)))
    if followed or pseudo:
        found.append(passes(size.images * epochs, 4 * settings["batch_size"], one, speed))
        found.append(Need(8 * epochs * size.images))
    if followed or fixmatch:
        found.append(Need(held(size.images, one.values)))
    return total(*found)


def epochs_of(settings: dict) -> int:
    """Passes of a training over its labels; of a solver, about as many as it takes."""
    return max(settings.get("epochs") or 100, settings.get("initial_epochs") or 0)


def pool(times=lambda study, size: 1):
    """Of ``times`` passes of a node's model over its unlabeled pool."""

    def need(study, at, size: Size) -> Need:
        batch = study.settings["signals"]["batch_size"]
        return passes(
            size.images, batch, of_learner(study, at.node, size), rate(study.learner_of(at.node)), times(study, size)
        )

    return need


def adversary(study, at, size: Size) -> Need:
    """A VAE of convolutions on two pools, and its discriminator."""
    settings = study.settings["adversaries"][getattr(at, "adversary", "vaal")]
    one = of_learner(study, at.node, size) if at.node else Cost(size.values, 0, 0, 0)
    width = settings["channels"]
    scale = (settings.get("height", size.height) / size.height) ** 2
    pixels, one = scale * size.pixels, one._replace(values=scale * one.values)
    network = Cost(one.values, 12 * width**2 * pixels, 3 * width * pixels, settings["latent"])
    last = settings["steps"] + study.settings["cycles"] * settings["added_steps"]
    seen = 2 * settings["batch_size"] * last * (settings["vae_steps"] + settings["discriminator_steps"])
    speed = rate(study.learner_of(at.node)) if at.node else GPU
    joint = at.node and settings["kind"] == "ta_vaal" and settings["ranks"] == "joint"
    kept = 12 * size.images * epochs_of(study.learner_of(at.node)) if joint else 0  # ranks of all epochs
    training = steps(seen, settings, network, speed)
    return total(
        training,
        passes(size.images, settings["batch_size"], network, speed),
        Need(held(size.images, one.values) + kept),
    )


def backbone(views: int):
    """Of the training of a backbone that sees ``views`` of each image."""

    def need(study, at, size: Size) -> Need:
        settings = study.backbones[at.backbone]
        one, speed = cost(settings, size), rate(settings)
        seen = views * size.images * settings["epochs"]
        return total(
            steps(seen, settings | {"batch_size": views * settings["batch_size"]}, one, speed),
            Need(held(size.images, one.values)),
        )

    return need


def features(study, at, size: Size) -> Need:
    settings = study.backbones[at.backbone]
    return passes(size.images, 128, cost(settings, size), rate(settings))


def finetune(study, at, size: Size) -> Need:
    settings = study.backbones[study.learner_of(at.node)["backbone"]]
    one, speed, n = cost(settings, size), rate(study.learner_of(at.node)), labels(study, at.node, size)
    training = steps(n * settings["finetune_epochs"], settings, one, speed)
    return total(training, passes(size.images, 128, one, speed), Need(held(n, one.values)))


def siamfc(study, at, size: Size) -> Need:
    """The crops of 64 pairs of each rendered clip, each seen in every epoch: 12 million multiply-adds, three times as many to train."""
    settings = study.settings["video"]["siamfc"]
    pairs = 64 * settings["clips"]
    return Need(STREAMED + 35e3 * pairs, 6 * settings["clips"] + pairs * settings["epochs"] * 36e6 / CPU)


def siamfc_labeled(study, at, size: Size) -> Need:
    """As `siamfc`, of a pair for each object of the labeled frames, of which five are taken to be in each."""
    pairs = 5 * labels(study, at.node, size)
    return Need(
        STREAMED + 35e3 * pairs, 0.01 * pairs + pairs * study.settings["video"]["siamfc"]["epochs"] * 36e6 / CPU
    )


def row(study, method: str, size: Size) -> float:
    """Numbers that a method reads of each candidate."""
    settings, signals = study.methods[method], study.settings["signals"]
    learner = study.settings["learners"][settings["learner"]]
    node = study.node(study.seeds[0], method, 0)
    passes_of = {"dropout": signals["draws"], "ensemble": signals["members"]}
    passes_of["ensemble_dropout"] = passes_of["dropout"] * passes_of["ensemble"]
    numbers = {
        "probabilities": lambda: size.classes,
        "logits": lambda: size.classes,
        "embeddings": lambda: of_learner(study, node, size).features,
        "trajectory": lambda: epochs_of(learner),
        "changes": lambda: size.classes * signals["noises"],
        "draws": lambda: size.classes * passes_of[settings["draws"]],
    }
    return sum(numbers[name]() if name in numbers else 1 for _, name in study.signals(method))


def candidates(study, size: Size) -> int:
    """What may be asked for: images, or about as many regions as they have."""
    regions = study.settings["regions"]
    if not regions:
        return size.images
    return size.images * (
        regions["number"] if regions["kind"] == "superpixels" else regions["rows"] * regions["columns"]
    )


def score(study, at, size: Size) -> Need:
    """In float64, and as much again."""
    numbers, n = row(study, at.node.branch.method, size), candidates(study, size)
    return Need(n * (64 + 16 * numbers), n * 1e-7 * (100 + numbers))


def select(study, at, size: Size) -> Need:
    """Scores are read besides; each pick looks at all candidates once, and some selectors solve a problem that takes minutes."""
    method = at.node.branch.method if at.node else at.method
    numbers = row(study, method, size)
    picks, n = study.settings["budget"], candidates(study, size)
    return Need(n * (128 + 24 * numbers), 600 + n * picks * (numbers + 20) * 2e-9)


def split(study, at, size: Size) -> Need:
    """Latents of all images where the first labels are spread over them."""
    return Need(1_000 * size.images, 1e-3 * size.images)


def answers(study, at, size: Size) -> Need:
    """The classes of some images, or the predictions for those of the test set."""
    return Need(16 * size.images * size.classes, 1e-4 * size.images)


def noise(study, at, size: Size) -> Need:
    return Need(STREAMED, 4 * VALUE_SECONDS * size.images * size.values)


def frames(seconds: float):
    """Of work on frames one by one, which takes so long per megapixel of each."""
    return lambda study, at, size: Need(
        STREAMED + 200 * size.pixels + 4e3 * size.images, seconds * size.images * size.pixels / 1e6
    )


def report(study, at, size: Size) -> Need:
    """Some tables hold what a model tells of all images."""
    return Need(16 * size.images * size.classes, 600)
