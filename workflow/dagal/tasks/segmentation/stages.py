"""The steps of a study of segmentation, besides those that all tasks share (`dagal.plan.stages`)."""

from dataclasses import replace

from dagal.tasks import QUERY_CYCLE, Stage, adversaries, gpu, learner, needs, threads
from dagal.tasks.segmentation.signals import PIXEL_SIGNALS

OF_STUDY = ("initial", "answer")  # of `regions`, what is not of the regions themselves


def node_reads(study, at, *names: str) -> dict:
    files = {
        "regions": study.regions,
        "images": study.clean_images,
        "split": study.split(at.seed),
        "labeled": study.path(at.node, "labeled"),
    }
    return files | {name: study.path(at.node, name) for name in names}


def train_reads(study, at) -> dict:
    found = {"regions": [], "weights": study.learner_of(at.node)["weights"] or []}
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
    "regions": Stage(
        "regions",
        {"regions": "{regions}/regions.h5"},
        lambda study, at: {"images": study.clean_images},
        lambda study, at: {
            "regions": {key: value for key, value in study.settings["regions"].items() if key not in OF_STUDY}
        },
        needs=needs.frames(seconds=3),
        environment="torch",
    ),
    "true_pixels": Stage(
        "true_pixels",
        {"true_pixels": "{node}/true_pixels.h5"},
        lambda study, at: node_reads(study, at) | {"images": [], "truth": study.truth},
        needs=needs.frames(seconds=1),
    ),
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
    "queried": Stage(
        "queried",
        {"queried": "{node}/queried.h5"},
        lambda study, at: {
            "images": study.clean_images,
            "model": study.path(study.parent(at.node), "model"),
            "query": study.path(at.node, "query"),
            "regions": study.regions,
        },
        learner,
        where=lambda study: {"cycle": QUERY_CYCLE},
        needs=needs.frames(seconds=1),
        threads=threads,
        gpu=gpu,
        environment="torch",
    ),
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


def told_reads(study, at) -> dict:
    """What `evaluate` reads where a person labels."""
    return STAGES["evaluate"].reads(study, at) | {"truth": study.told(at.seed)}


BY_PERSON = {"evaluate": replace(STAGES["evaluate"], reads=told_reads)}
