"""Adversarial trainings as steps of the DAG: the same for every task that has class probabilities, and a discriminator as a signal."""

from collections.abc import Mapping

from dagal.artifacts import Kind
from dagal.tasks import Stage, gpu, needs, threads

KINDS = ("vaal", "ta_vaal", "sraal")
LOSSES = ("labeled_predicted_loss", "predicted_loss")  # beside the probabilities, of a learner that predicts its loss

RANKS = Kind(
    "ranks",
    1,
    {
        "ids": "unlabeled ids (n,), ascending",
        "predicted_loss": "loss that the learner predicts for itself after each training epoch (E,n)",
        "labeled_predicted_loss": "the same for the labeled ids, ascending (E,L)",
    },
)


def training_reads(adversary: dict, signals: Mapping) -> list[tuple[str, str]]:
    """(kind of file, data set) that a training of these settings reads, in a task with these signals."""
    kind, probabilities = signals["probs_N_C"]
    joint = [("ranks", name) for name in LOSSES] if adversary["ranks"] == "joint" else []
    ranks = [(kind, name) for name in LOSSES] + joint
    return {"vaal": [], "ta_vaal": ranks, "sraal": [(kind, probabilities)]}[adversary["kind"]]


def reads_besides(signals: Mapping, method: dict, settings: dict) -> list[tuple[str, str]]:
    """`Task.reads_besides` of a task with these signals: what the training of the method's adversary reads, if it has one."""
    adversary = method.get("adversary")
    return training_reads(settings["adversaries"][adversary], signals) if adversary else []


def file_of(method: dict, kind: str) -> str:
    """`Task.file_of`: a study may have several adversaries."""
    return f"adversary_{method['adversary']}" if kind == "adversary" else kind


def files(study, at) -> dict:
    signals = study.task.signals
    kinds = {kind for kind, _ in training_reads(study.settings["adversaries"][at.adversary], signals)}
    told = {"signals": signals["probs_N_C"][0], "ranks": "ranks"}
    return {
        "inputs": study.learner_input(at.node),
        "split": study.split(at.seed),
        "labeled": study.path(at.node, "labeled"),
    } | {name: study.file(at.node, f"{kind}.h5") if kind in kinds else [] for name, kind in told.items()}


def settings(study, at) -> dict:
    about = study.settings["adversaries"][at.adversary]
    return {"adversary": about, "ranked": about["subset"] * study.settings["budget"], "threads": threads(study, at)}


STAGES = {
    "latents": Stage(
        "latents",
        {"latents": "{seed_folder}/latents.h5"},
        lambda study, at: {"images": study.clean_images},
        lambda study, at: {"adversary": study.settings["adversaries"]["vaal"]},
        gpu=lambda study, at: 1,
        environment="torch",
        needs=needs.adversary,
    ),
    "adversary": Stage(
        "adversary",
        {"adversary": "{node}/adversary_{adversary}.h5"},
        files,
        settings,
        lambda study, at: study.looked_up_signal("probs_N_C"),
        needs=needs.adversary,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="here",
    ),
}
