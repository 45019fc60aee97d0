"""The steps of a study of segmentation, besides those that all tasks share (`dagal.plan.stages`)."""

from dagal.tasks import Stage, adversaries, gpu, learner, needs, threads
from dagal.tasks.segmentation.signals import PIXEL_SIGNALS


def node_reads(study, at, *names: str) -> dict:
    files = {"images": study.clean_images, "split": study.split(at.seed), "labeled": study.path(at.node, "labeled")}
    return files | {name: study.path(at.node, name) for name in names}


def train_reads(study, at) -> dict:
    found = {"weights": study.learner_of(at.node)["weights"] or []}
    return node_reads(study, at) | found | {"parent": study.warm_start(at.node, "model.safetensors")}


def signal_settings(study, at) -> dict:
    """Which signals the methods of the branch read, and what they need."""
    read = {pair for method in study.asked_by(at.node) for pair in study.signals(method)}
    wanted = [name for name in PIXEL_SIGNALS.datasets if ("pixel_signals", name) in read]
    draws = {"draws": study.settings["signals"]["draws"]} if "bald" in wanted else {}
    return learner(study, at) | {"signals": wanted} | draws


def followed_reads(study, at) -> dict:
    """The history of a node, and what its training read, as one that did not record what is asked for is done once more."""
    return train_reads(study, at) | {"history": study.path(at.node, "history")}


def followed(kind: str) -> Stage:
    """What a node's training recorded of its pool after each epoch."""
    return Stage(
        "pixel_trajectory",
        {kind: f"{{node}}/{kind}.h5"},
        followed_reads,
        learner,
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
    )


STAGES = adversaries.STAGES | {
    "train": Stage(
        "train_segmenter",
        {
            "model": "{node}/model.safetensors",
            "history": "{node}/history.h5",
            "predictions": "{node}/predictions.h5",
        },
        train_reads,
        learner,
        log="{node}/train",
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "pixel_signals": Stage(
        "pixel_signals",
        {"pixel_signals": "{node}/pixel_signals.h5"},
        lambda study, at: node_reads(study, at, "model"),
        signal_settings,
        needs=needs.pool(),
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
    "pixel_trajectory": followed("pixel_trajectory"),
    "ranks": followed("ranks"),
    "evaluate": Stage(
        "evaluate_segmenter",
        {"metrics": "{node}/metrics.json"},
        lambda study, at: (
            {name: study.path(at.node, name) for name in ("predictions", "labeled")}
            | {"truth": study.truth, "split": study.split(at.seed)}
        ),
        log="{node}/evaluate",
        needs=needs.frames(seconds=2),
    ),
}
