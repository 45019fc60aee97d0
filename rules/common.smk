"""Config, paths and input functions shared by all rules. Needs the config; makes no file."""

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
from dagal.config import EMBEDDING_KINDS, check_files, check_pool, load, pool_size, task
from dagal.errors import UserError


def known_pool_size(settings):
    """Size of the unlabeled pool: from the split, else from images.h5 where no class matters, else from what the raw data says of

    itself (a survey's annotations take seconds, and every job plans), else None.
    """
    split = Path(f"results/{settings['study']}/seed{settings['seeds'][0]}/split.h5")
    if split.exists():
        with artifacts.opened(split, "split") as file:
            if file.attrs["params_hash"] == artifacts.params_hash({"pool": settings["pool"]}):
                return len(file["pool"])
    if task(settings) == "detection":
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
        settings = load(config)
        check_files(settings)
        size = known_pool_size(settings)
        if size is not None:
            check_pool(settings, size)
        return settings
    except UserError as error:
        sys.exit(f"dagal: {error}")


CONFIG = checked_config()
TASK = task(CONFIG)
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

# backbones on which some method learns
BACKBONES = {
    name: CONFIG["backbones"][name]
    for name in dict.fromkeys(CONFIG["learners"][settings["learner"]].get("backbone") for settings in METHODS.values())
    if name
}
# learners with a random method and another to compare with it
RANDOM = {settings["learner"] for name, settings in METHODS.items() if name == "random" or name.startswith("random_")}
COMPARED = any(
    settings["learner"] in RANDOM and name != "random" and not name.startswith("random_")
    for name, settings in METHODS.items()
)
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
    if any(CONFIG["learners"][settings["learner"]]["pseudo_labels"] for settings in METHODS.values()):
        FIGURES["pseudo_labels"] = ("pseudo_labels", "pseudo_labels", "Analysis")
    if any(CONFIG["learners"][settings["learner"]]["loss_prediction"] for settings in METHODS.values()):
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


def initial_latents(wildcards):
    """Latents that the initial set is chosen on, if it is."""
    used = CONFIG["pool"]["initial"]["kind"] == "kcenter_vae"
    return f"{SEED}/latents.h5".format(**wildcards) if used else []


def adversary_signals(wildcards):
    """Signals that the training of an adversary reads, if any."""
    reads = methods.ADVERSARY_READS[CONFIG["adversaries"][wildcards.adversary]["kind"]]
    return f"{NODE}/signals.h5".format(**wildcards) if reads else []


def kcenter_code(wildcards):
    """A split depends on k-center only if its initial set is chosen by it."""
    used = CONFIG["pool"]["initial"]["kind"].startswith("kcenter")
    return modules(f"{WORKFLOW}/dagal/acquisition/kcenter.py") if used else []


def node(seed, branch, cycle):
    """Folder of one node of the chain."""
    return NODE.format(seed=seed, branch=branch, cycle=cycle)


def start(method):
    """Branch of cycle 0, shared by all methods with the same learner."""
    return f"start-{METHODS[method]['learner']}"


def branch_of(method, cycle):
    return method if cycle else start(method)


def parent(wildcards):
    """Folder of the previous cycle: the shared start before cycle 1, else the method's own."""
    return before(wildcards.seed, wildcards.branch, int(wildcards.cycle))


def learner(wildcards):
    """Training settings of a node; where the job runs does not belong to them, nor what it sees, an input, nor what only
    other nodes of the branch do."""
    apart = ("device", "backbone", "finetune_every")
    settings = {key: value for key, value in learner_of(wildcards.branch).items() if key not in apart}
    if wildcards.branch not in METHODS:
        settings["warm_start"] = False
    if not has_pseudo_labels(wildcards.branch, int(wildcards.cycle)) and "pseudo_labels" in settings:
        settings["pseudo_labels"] = None
    return settings


def learner_of(branch):
    """All settings of a branch's learner; a supervised baseline learns from labels alone."""
    settings = CONFIG["learners"][METHODS[branch]["learner"] if branch in METHODS else branch.split("-")[1]]
    without = ("pseudo_labels", "fixmatch") if branch.startswith("supervised") and branch not in METHODS else ()
    return {key: None if key in without else value for key, value in settings.items()}


def seen(wildcards):
    """What a branch's learner sees: the images, or their features by its backbone."""
    if not learner_of(wildcards.branch)["backbone"]:
        return IMAGES.format(**wildcards)
    return f"{newest_backbone(wildcards, int(wildcards.cycle))}/features.h5"


def newest_backbone(wildcards, last):
    """Folder of the backbone of a branch at cycle ``last``: of the node that fine-tuned it last, else its first one."""
    for cycle in range(last, -1, -1):
        branch = branch_of(wildcards.branch, cycle) if wildcards.branch in METHODS else wildcards.branch
        if finetuned(branch, cycle):
            return node(wildcards.seed, branch, cycle)
    return BACKBONE.format(backbone=learner_of(wildcards.branch)["backbone"], seed=wildcards.seed)


def finetuned(branch, cycle):
    """Whether a node trains its backbone further: its number of labels has reached a multiple of finetune_every."""
    every = learner_of(branch).get("finetune_every")
    if not every or (branch.startswith("supervised") and branch not in METHODS):
        return False
    labels = CONFIG["pool"]["initial"]["size"] + cycle * CONFIG["budget"]
    return labels // every > ((labels - CONFIG["budget"]) // every if cycle else 0)


def backbone(wildcards):
    """Settings of a backbone; where the job runs does not belong to them, nor its training further."""
    apart = ("device", "finetune_epochs", "finetune_lr")
    return {key: value for key, value in CONFIG["backbones"][wildcards.backbone].items() if key not in apart}


def backbone_to_finetune(wildcards):
    """All settings of the backbone of a branch, but where its jobs run."""
    settings = CONFIG["backbones"][learner_of(wildcards.branch)["backbone"]]
    return {key: value for key, value in settings.items() if key != "device"}


def source_file(kind):
    """Input function: images or truth of the data set that an embedding is learnt on."""
    return lambda wildcards: f"{SOURCE}/{kind}.h5".format(source=source_folder(BACKBONES[wildcards.backbone]["source"]))


def backbone_gpus(wildcards):
    return 0 if CONFIG["backbones"][wildcards.backbone]["device"] == "cpu" else 1


def backbone_threads(wildcards):
    return backbone(wildcards)["threads"]


def backbone_weights(wildcards):
    """The weights of a backbone: the user's, or those of its pre-training."""
    settings = CONFIG["backbones"][wildcards.backbone]
    return settings["weights"] if settings["kind"] == "file" else f"{BACKBONE}/backbone.safetensors".format(**wildcards)


def gpus(wildcards):
    return 0 if learner_of(wildcards.branch)["device"] == "cpu" else 1


def threads(wildcards):
    return learner(wildcards)["threads"]


def signals(wildcards):
    """Signals of the one pass over the pool: what the method reads; all of them at the start, so that a method added
    later finds what it needs without running the start again."""
    if wildcards.branch.startswith("start-"):
        kinds = {*methods.SIGNALS.values(), *sum(methods.ADVERSARY_READS.values(), [])}
        made = {name for kind, name in kinds if kind == "signals"}
        if not learner(wildcards)["loss_prediction"]:
            made -= {"predicted_loss", "labeled_predicted_loss"}
        made -= {"trajectory"} if learner(wildcards)["architecture"] == "svm" else methods.OF_SVM
        return sorted(made)
    if wildcards.branch not in METHODS:  # a supervised baseline, which asks for nothing
        return []
    found = methods.all_signals(METHODS[wildcards.branch], CONFIG["adversaries"])
    if "adversary" in dict(found):  # for the real loss beside D, after the fact
        found = sorted({*found, ("signals", "probabilities")})
    return [name for kind, name in found if kind == "signals"]


def artifact(method, kind):
    """Name of the file behind a kind of signal: a method's draws come from dropout or an ensemble, its coherence from a tracker."""
    if kind == "draws" and METHODS[method]["draws"] == "ensemble":
        return "ensemble"
    if kind == "adversary":
        return f"adversary_{METHODS[method]['adversary']}"
    return f"coherence_{METHODS[method]['tracker']}" if kind == "coherence" else kind


def signal_files(parts):
    """Input function: the parent's artifacts that the given parts (score, select) of the branch's method read."""

    def files(wildcards):
        settings, folder = METHODS[wildcards.branch], parent(wildcards)
        functions = [methods.find(part, settings[part]) for part in parts]
        kinds = {methods.SIGNALS[a][0] for f in functions for a in methods.inputs(f) if a in methods.SIGNALS}
        of_dataset = {"truth", "images"}
        paths = {kind: f"{DATASET}/{kind}.h5" for kind in sorted(kinds & of_dataset)}
        paths |= {kind: f"{folder}/{artifact(wildcards.branch, kind)}.h5" for kind in sorted(kinds - of_dataset)}
        if "select" in parts and wildcards.branch in AUTO_WEIGHT:
            paths["weight"] = f"{RESULTS}/lambda/{wildcards.branch}.json"
        return paths | {"labeled": f"{folder}/labeled.h5", "function": modules(*(methods.source(f) for f in functions))}

    return files


def first_query_files(wildcards):
    """What the first query of a method reads, for its first seed."""
    query = SimpleNamespace(seed=SEEDS[0], branch=wildcards.method, cycle=1)
    files = signal_files(["select"])(query)
    del files["weight"]
    return files | {
        "scores": f"{node(SEEDS[0], wildcards.method, 1)}/scores.h5",
        "signals": f"{parent(query)}/signals.h5",
    }


def stopped_before(made):
    """Input function: stopping.json of the node before, where chains may stop; ``made`` as in `stopped_at`."""
    return lambda wildcards: stopping_file(wildcards, parent(wildcards), made) if wildcards.branch in METHODS else []


def stopped_at(made):
    """Input function: stopping.json of the node itself, where chains may stop.

    ``made`` is what the job writes. A job that did its work keeps the result whatever is decided later; one that found its
    chain stopped left a link, and runs again when the decision changes.
    """
    return lambda wildcards: stopping_file(wildcards, NODE.format(**wildcards), made)


def stopping_file(wildcards, decided, made):
    if not STOPPING or for_lambda_study(wildcards, made):
        return []
    path = f"{decided}/stopping.json"
    return path if Path(f"{NODE}/{made}".format(**wildcards)).is_symlink() else ancient(path)


def for_lambda_study(wildcards, made):
    """Whether the lambda study reads what a job makes: it takes the first query of the first seed even of a chain that stops before."""
    scores = wildcards.branch in AUTO_WEIGHT and wildcards.cycle == "1" and made == "scores.h5"
    return int(wildcards.seed) == SEEDS[0] and (scores or wildcards.branch in map(start, AUTO_WEIGHT))


def stop_predictions(wildcards):
    """What the models of a node and of the one before predict on the stop set."""
    if not CONFIG["stopping"]["kappa"] or wildcards.branch not in METHODS:
        return []
    return [f"{folder}/stop_predictions.h5" for folder in (parent(wildcards), NODE.format(**wildcards))]


def stops():
    """stopping.json of every node: which of them a table has to leave out."""
    return all_nodes("stopping.json") if STOPPING else []


def baselines():
    """(learner, size, seed) of every supervised baseline, of the learners that some method uses."""
    used = dict.fromkeys(settings["learner"] for settings in METHODS.values())
    return [(name, size, seed) for name in used for size in CONFIG["supervised"] for seed in SEEDS]


def supervised_nodes(file):
    return [f"{node(seed, f'supervised{size}-{name}', 0)}/{file}" for name, size, seed in baselines()]


def tables():
    """Tables of supervised baselines and of stopping, if the study has them."""
    names = [name for name, used in (("supervised", CONFIG["supervised"]), ("stopping", STOPPING)) if used]
    return [f"{RESULTS}/{name}.csv" for name in names]


def all_nodes(file):
    """The file of every node of the study, the shared ones once."""
    branches = {(branch_of(method, cycle), cycle): None for method in METHODS for cycle in CYCLES}
    return [f"{node(seed, branch, cycle)}/{file}" for seed in SEEDS for branch, cycle in branches]


def finetuned_nodes():
    """Folder of every node that trains its backbone further, the shared ones once."""
    branches = {(branch_of(method, cycle), cycle): None for method in METHODS for cycle in CYCLES}
    return [node(seed, branch, cycle) for seed in SEEDS for branch, cycle in branches if finetuned(branch, cycle)]


def overview():
    """Learner of each method, and whether it can be used without the hidden labels."""
    return {
        method: {
            "learner": settings["learner"],
            "deployable": not artifact_kinds(method) & methods.SEALED,
        }
        for method, settings in METHODS.items()
    }


def before(seed, method, cycle):
    """Folder of the node whose model a query of the method reads."""
    return node(seed, branch_of(method, cycle - 1), cycle - 1)


def query_jobs(method):
    """Jobs on the node before a query that the query needs besides training, by the names of their benchmark files."""
    kinds = dict(methods.all_signals(METHODS[method], CONFIG["adversaries"])).keys() - {"truth", "images"}
    found = [artifact(method, kind) for kind in sorted(kinds)]
    if {"coherence", "errors"} & kinds:
        found.append("detections")
    if "coherence" in kinds:
        found.append(f"tracks_{METHODS[method]['tracker']}")
    if "ensemble" in found:
        found += [f"member{member}" for member in range(1, CONFIG["signals"]["members"])]
    return list(dict.fromkeys(found))


def benchmarks(wildcards):
    """Benchmark file of every heavy job of the study."""
    found = all_nodes("train.benchmark.tsv") + supervised_nodes("train.benchmark.tsv")
    found += [f"{folder}/finetune.benchmark.tsv" for folder in finetuned_nodes()]
    for method, seed, cycle in pseudo_labeled_nodes():
        folder = node(seed, branch_of(method, cycle), cycle)
        jobs = ("train_labeled_only", "pseudo_labels") if two_model(method) else ("pseudo_labels",)
        found += [f"{folder}/{job}.benchmark.tsv" for job in jobs]
    for name, settings in BACKBONES.items():
        job = {"simsiam": ["pretrain"], "file": []}.get(settings["kind"], ["embedding"])
        folders = dict.fromkeys(BACKBONE.format(backbone=name, seed=seed) for seed in SEEDS)
        found += [f"{folder}/{part}.benchmark.tsv" for folder in folders for part in (*job, "features")]
    for seed in SEEDS:
        for method in METHODS:
            for cycle in CYCLES[1:]:
                folder = before(seed, method, cycle)
                found += [f"{folder}/{job}.benchmark.tsv" for job in query_jobs(method)]
                found += [f"{node(seed, method, cycle)}/{part}.benchmark.tsv" for part in methods.HOMES]
    return sorted(set(found))


def first_scores(wildcards):
    """Scores that every method gives the pool with the initial model, and that model's own predictions."""
    pairs = [(seed, method) for seed in SEEDS for method in METHODS]
    return {
        "scores": [f"{node(seed, method, 1)}/scores.h5" for seed, method in pairs],
        "signals": [f"{node(seed, start(method), 0)}/signals.h5" for seed, method in pairs],
    }


def last_queries(wildcards):
    """Of every method's last query, for the first seed: the model that scored it, what it asked, what is labeled after it."""
    seed, last = SEEDS[0], CYCLES[-1]
    return {
        "models": [f"{before(seed, method, last)}/model.safetensors" for method in METHODS],
        "queries": [f"{node(seed, method, last)}/query.h5" for method in METHODS],
        "labeled": [f"{node(seed, method, last)}/labeled.h5" for method in METHODS],
    }


def adversary_queries():
    """(method, seed, cycle) of every query by an adversary."""
    reading = [method for method in METHODS if "adversary" in artifact_kinds(method)]
    return [(method, seed, cycle) for method in reading for seed in SEEDS for cycle in CYCLES[1:]]


def last_adversaries():
    """Those of the first seed's last cycle."""
    return [query for query in adversary_queries() if query[1:] == (SEEDS[0], CYCLES[-1])]


def adversary_files(wildcards):
    """All adversaries of the study; for `last_adversaries` also the pool's signals and what was queried."""
    paths = {
        (method, seed, cycle): f"{before(seed, method, cycle)}/{artifact(method, 'adversary')}.h5"
        for method, seed, cycle in adversary_queries()
    }
    return {
        "adversaries": list(paths.values()),
        "last": [paths[query] for query in last_adversaries()],
        "signals": [f"{before(seed, method, cycle)}/signals.h5" for method, seed, cycle in last_adversaries()],
        "queries": [f"{node(seed, method, cycle)}/query.h5" for method, seed, cycle in last_adversaries()],
    }


def predicting_nodes():
    """(learner, node) of the first and the last models that predict their own loss."""
    found = []
    for method, settings in METHODS.items():
        if CONFIG["learners"][settings["learner"]]["loss_prediction"]:
            for cycle in (CYCLES[0], CYCLES[-1]):
                found += [(settings["learner"], node(seed, branch_of(method, cycle), cycle)) for seed in SEEDS]
    return list(dict.fromkeys(found))


def parent_model(file="model.safetensors"):
    """Input function: the model of the previous cycle that a warm start goes on from."""

    def path(wildcards):
        warm = learner(wildcards)["warm_start"]
        return f"{parent(wildcards)}/{file}".format(**wildcards) if warm else []

    return path


def two_model(branch):
    """Whether a branch follows the two-model framework."""
    settings = learner_of(branch).get("pseudo_labels")
    return bool(settings) and settings["kind"] == "two_model"


def has_pseudo_labels(branch, cycle):
    """Whether a model is trained on pseudo-labels; CEAL takes them from the previous cycle's model, so its first has none."""
    return two_model(branch) or (cycle > 0 and bool(learner_of(branch).get("pseudo_labels")))


def pseudo_labels(wildcards):
    """Pseudo-labels that a model is trained on, if any."""
    used = has_pseudo_labels(wildcards.branch, int(wildcards.cycle))
    return f"{NODE}/pseudo_labels.h5".format(**wildcards) if used else []


def withheld(wildcards):
    """Pseudo-labels whose images a query leaves out, if any: those that its model was trained on in the two-model framework."""
    return f"{parent(wildcards)}/pseudo_labels.h5" if two_model(wildcards.branch) else []


def labeled_only(file):
    """Input function: a file of the model that the two-model framework trains on the labels alone, if the branch follows it."""

    def path(wildcards):
        return f"{NODE}/labeled_only{file}".format(**wildcards) if two_model(wildcards.branch) else []

    return path


def teacher(wildcards):
    """The model that gives pseudo-labels: the one trained on the labels alone, or the one of the previous cycle (CEAL)."""
    return labeled_only(".safetensors")(wildcards) or f"{parent(wildcards)}/model.safetensors"


def pseudo_labeled_nodes():
    """(method, seed, cycle) of every model that is trained on pseudo-labels."""
    return [
        (method, seed, cycle)
        for method in METHODS
        for seed in SEEDS
        for cycle in CYCLES
        if has_pseudo_labels(method, cycle)
    ]


def flow_files(wildcards):
    """Optical flow of all videos that a tracker follows."""
    return flow_shards(FLOWS[wildcards.tracker])


def flow_shards(flow, ending="h5"):
    """The files of all shards of a kind of optical flow."""
    return expand(f"{FLOW}.{ending}", flow=flow, shard=range(CONFIG["video"]["shards"]))


def trackers():
    """Trackers whose estimates of the first errors are checked: those of the methods, and both flows where the truth is known."""
    used = {METHODS[method]["tracker"] for method in METHODS if "coherence" in artifact_kinds(method)}
    if used and CONFIG["dataset"]["loader"] == "synthia_al":
        used |= {"flow", "true_flow"}
    return sorted(used)


def followed_learners():
    """Learners whose detections some method follows."""
    return list(
        dict.fromkeys(METHODS[method]["learner"] for method in METHODS if "coherence" in artifact_kinds(method))
    )


def first_nodes(file):
    """The file of every start node whose detections some method follows."""
    return [f"{node(seed, f'start-{name}', 0)}/{file}" for seed in SEEDS for name in followed_learners()]


def video_tables():
    """What a study of videos shows besides its curves."""
    if TASK == "classification":
        return []
    made = [f"{DATASET}/scenes.png"]
    if trackers() and CONFIG["cycles"]:
        made += [f"{RESULTS}/coherence_quality.csv", f"{RESULTS}/video_costs.csv"]
        names = [f"{name}_seed{SEEDS[0]}_{tracker}" for name in followed_learners() for tracker in trackers()]
        made += [f"{RESULTS}/pictures/{name}.{ending}" for name in names for ending in ("png", "gif")]
        if CONFIG["dataset"]["loader"] == "synthia_al":
            made.append(f"{RESULTS}/flow_error.csv")
    return made


def artifact_kinds(method):
    return {kind for kind, _ in methods.signals(METHODS[method])}


def figures(wildcards):
    """Everything drawn; a point of two_moons is no picture."""
    found = [f"{RESULTS}/figures/{name}.png" for name in FIGURES]
    pictured = TASK == "classification" and CONFIG["cycles"] and CONFIG["dataset"]["loader"] != "two_moons"
    return [*found, f"{RESULTS}/figures/selected.png"] if pictured else found
