"""Config, names and paths that all rules share, and the code that each job depends on. Needs the config; makes no file."""

import ast
import functools
import sys
from pathlib import Path
from types import SimpleNamespace

WORKFLOW = Path(workflow.current_basedir).parent / "workflow"
sys.path.insert(0, str(WORKFLOW))
sys.setrecursionlimit(10_000)  # 120 cycles are a chain of 600 jobs

from dagal import artifacts, datasets
from dagal.acquisition import methods
from dagal.config import check_files, check_pool, load, pool_size
from dagal.config.backbones import EMBEDDING_KINDS
from dagal.errors import UserError


def known_pool_size(settings):
    """Size of the unlabeled pool, or None if nothing tells it yet: what is prepared is asked before the raw data.

    images.h5 serves where no class matters; a survey's annotations take seconds to read, and every job plans.
    """
    split = Path(f"results/{settings['study']}/seed{settings['seeds'][0]}/split.h5")
    if split.exists():
        with artifacts.opened(split, "split") as file:
            if file.attrs["params_hash"] == artifacts.params_hash({"pool": settings["pool"]}):
                return len(file["pool"])
    if settings["task"] == "detection":
        if settings["dataset"]["loader"] != "synthia_al":
            return None
        from dagal.datasets import synthia_al

        return synthia_al.n_training_frames(settings["dataset"]) - settings["pool"]["initial"]["size"]
    images = Path(f"results/datasets/{settings['dataset']['name']}/images.h5")
    by_class = settings["pool"]["imbalance"]["kind"] != "none" or settings["pool"]["initial"]["kind"] == "balanced"
    if images.exists() and not by_class:
        with artifacts.opened(images, "images") as file:
            if file.attrs["params_hash"] == artifacts.params_hash({"dataset": settings["dataset"]}):
                return pool_size(settings, [(file["split"][()] == 0).sum()])
    counts = datasets.train_counts(settings["dataset"])
    return None if counts is None else pool_size(settings, counts)


def source_folder(source):
    """A source takes the size of the study's images: the name is left to studies on the source itself, in their size."""
    size = [f"{source['image_size']}px"] if source["image_size"] else []
    return "_".join([source["name"], *size, *(["gray"] if source["grayscale"] else [])])


def checked_config():
    """The config with defaults; a mistake ends the run with one sentence before any job starts."""
    try:
        settings = load(workflow.overwrite_configfiles or "config.yaml", dict(workflow.config_settings.config))
        check_files(settings)
        size = known_pool_size(settings)
        if size is not None:
            check_pool(settings, size)
        return settings
    except UserError as error:
        sys.exit(f"dagal: {error}")


CONFIG = checked_config()
TASK = CONFIG["task"]
STUDY = CONFIG["study"]
METHODS = CONFIG["methods"]
SEEDS = CONFIG["seeds"]
CYCLES = range(CONFIG["cycles"] + 1)
STOPPING = any(CONFIG["stopping"].values())
RESULTS = f"results/{STUDY}"
DATASET = f"results/datasets/{CONFIG['dataset']['name']}"
SEED = f"{RESULTS}/seed{{seed}}"
# with noise in the pool, every seed has images of its own
IMAGES = f"{DATASET}/images.h5" if CONFIG["pool"]["noise"]["kind"] == "none" else f"{SEED}/images.h5"
BACKBONE = f"{Path(IMAGES).parent}/backbones/{{backbone}}"
START = f"{SEED}/start-{{learner}}/cycle0"
NODE = f"{SEED}/{{branch}}/cycle{{cycle}}"
QUERY_CYCLE = r"[1-9]\d*"
NOTHING = "(?!)"  # a wildcard that matches no name

# those that some method uses
LEARNERS = {settings["learner"]: CONFIG["learners"][settings["learner"]] for settings in METHODS.values()}
BACKBONES = {
    settings["backbone"]: CONFIG["backbones"][settings["backbone"]]
    for settings in LEARNERS.values()
    if settings.get("backbone")
}
# learners with a random method and another to compare with it
RANDOM = {settings["learner"] for name, settings in METHODS.items() if methods.is_random(name)}
COMPARED = any(settings["learner"] in RANDOM and not methods.is_random(name) for name, settings in METHODS.items())
SIMSIAM = [name for name, settings in BACKBONES.items() if settings["kind"] == "simsiam"]
EMBEDDINGS = [name for name, settings in BACKBONES.items() if settings["kind"] in EMBEDDING_KINDS]
# labeled data sets that embeddings are learnt on; none is the study's own
SOURCES = {source_folder(BACKBONES[name]["source"]): BACKBONES[name]["source"] for name in EMBEDDINGS}
SOURCE = "results/datasets/{source}"

# figure -> (function that draws it, table it is drawn from, category in the report)
FIGURES = {
    "learning_curves": ("learning_curves", "metrics", "Results"),
    "class_distribution": ("class_distribution", "classes", "Results"),
}
if CONFIG["dataset"]["loader"] == "camera_trap":
    FIGURES["counting"] = ("counting", "counting", "Analysis")
AUTO_WEIGHT = []
if STOPPING:
    FIGURES["stopping"] = ("stopping", "stopping_cycles", "Results")
if CONFIG["cycles"] and TASK == "classification":
    FIGURES["informativeness"] = ("informativeness", "informativeness", "Analysis")
    for name in ("class_entropy", "selection_costs"):
        FIGURES[name] = (name, name, "Analysis")
    if any("adversary" in dict(methods.signals(settings)) for settings in METHODS.values()):
        FIGURES["adversary_losses"] = ("adversary_losses", "adversary_losses", "Analysis")
        for name in ("discriminator_histogram", "loss_against_discriminator"):
            FIGURES[name] = (name, "discriminator", "Analysis")
    if any(settings["pseudo_labels"] for settings in LEARNERS.values()):
        FIGURES["pseudo_labels"] = ("pseudo_labels", "pseudo_labels", "Analysis")
    if any(settings["loss_prediction"] for settings in LEARNERS.values()):
        FIGURES["prediction_loss"] = ("prediction_loss", "prediction_loss", "Analysis")
    if "label_dispersion" in METHODS:
        FIGURES["dispersion_histogram"] = ("dispersion_histogram", "dispersion", "Analysis")
    if CONFIG["dataset"]["loader"] == "two_moons":
        FIGURES["decision_boundary"] = ("decision_boundary", "decision_boundary", "Analysis")
    AUTO_WEIGHT = [method for method in METHODS if METHODS[method]["select_options"].get("weight") == "auto"]
    for method in AUTO_WEIGHT:
        FIGURES[f"lambda_{method}"] = ("lambda_study", f"lambda/{method}", "Analysis")
if SIMSIAM:
    FIGURES["pretraining"] = ("pretraining", "knn", "Analysis")
if BACKBONES and COMPARED and CONFIG["cycles"]:
    FIGURES["break_even"] = ("break_even", "break_even", "Analysis")


# what performance is measured by, then the other numbers of a node
MEASURED = {
    "classification": ["accuracy", "balanced_accuracy", "validation_accuracy", "l1_score"],
    "detection": ["mean_ap", "boxes", "false_positives_per_frame", "false_negatives_per_frame"],
}
# tracker of temporal coherence -> optical flow behind it
FLOW = f"{DATASET}/flow_{{flow}}_stride{CONFIG['video']['flow_stride']}/{{shard}}of{CONFIG['video']['shards']}"
FLOWS = {"flow": CONFIG["video"]["flow"], "true_flow": "true"}


wildcard_constraints:
    adversary=r"\w+",
    backbone=r"\w+",
    flow=r"dis|raft|true",
    tracker=r"flow|siamfc|true_flow",
    shard=r"\d+",
    seed=r"\d+",
    cycle=r"\d+",
    learner=r"\w+",
    size=r"\d+|all",
    member=r"[1-9]\d*",
    branch=r"(start|supervised(\d+|all))-\w+|(?!start)\w+",


def code(script):
    """What a rule's script runs, as an input of the rule: editing any of it reruns the rule."""
    return modules(f"{WORKFLOW}/scripts/{script}.py", f"{WORKFLOW}/scripts/job.py")


@functools.cache
def modules(*paths):
    """Python files and every library module that they import, directly or not."""
    found, waiting = [], [Path(path) for path in paths]
    while waiting:
        path = waiting.pop()
        if path in found or not path.exists():
            continue
        found.append(path)
        waiting += imported(path)
    return sorted(map(str, found))


@functools.cache
def imported(path):
    """Files that a Python file would import if its imports were all of the library."""
    found = []
    for statement in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names = [statement.module, *(f"{statement.module}.{alias.name}" for alias in statement.names)]
        for name in names:
            target = WORKFLOW.joinpath(*name.split("."))
            found += [target.with_suffix(".py"), target / "__init__.py"]
    return found
