"""Input functions and settings of the jobs of one node, or of what all nodes share. Makes no file."""


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


def without(settings, *keys):
    return {key: value for key, value in settings.items() if key not in keys}


def learner(wildcards):
    """Training settings of a node; where the job runs does not belong to them, nor what it sees, an input, nor what only
    other nodes of the branch do."""
    settings = without(learner_of(wildcards.branch), "device", "backbone", "finetune_every")
    if wildcards.branch not in METHODS:
        settings["warm_start"] = False
    if not has_pseudo_labels(wildcards.branch, int(wildcards.cycle)) and "pseudo_labels" in settings:
        settings["pseudo_labels"] = None
    return settings


def learner_of(branch):
    """All settings of a branch's learner; a supervised baseline learns from labels alone."""
    settings = CONFIG["learners"][METHODS[branch]["learner"] if branch in METHODS else branch.split("-")[1]]
    labels_alone = dict.fromkeys(settings.keys() & {"pseudo_labels", "fixmatch"}) if is_baseline(branch) else {}
    return settings | labels_alone


def is_baseline(branch):
    """Whether a branch is a supervised baseline; a method may be called supervised, too."""
    return branch.startswith("supervised") and branch not in METHODS


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
    if not every or is_baseline(branch):
        return False
    labels = CONFIG["pool"]["initial"]["size"] + cycle * CONFIG["budget"]
    return labels // every > ((labels - CONFIG["budget"]) // every if cycle else 0)


def backbone(wildcards):
    """Settings of a backbone; where the job runs does not belong to them, nor its training further."""
    return without(CONFIG["backbones"][wildcards.backbone], "device", "finetune_epochs", "finetune_lr")


def backbone_to_finetune(wildcards):
    """All settings of the backbone of a branch, but where its jobs run."""
    return without(CONFIG["backbones"][learner_of(wildcards.branch)["backbone"]], "device")


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


def before(seed, method, cycle):
    """Folder of the node whose model a query of the method reads."""
    return node(seed, branch_of(method, cycle - 1), cycle - 1)


def parent_model(file="model.safetensors"):
    """Input function: the model of the previous cycle that a warm start goes on from."""

    def path(wildcards):
        return f"{parent(wildcards)}/{file}" if learner(wildcards)["warm_start"] else []

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


def flow_files(wildcards):
    """Optical flow of all videos that a tracker follows."""
    return flow_shards(FLOWS[wildcards.tracker])


def flow_shards(flow, ending="h5"):
    """The files of all shards of a kind of optical flow."""
    return expand(f"{FLOW}.{ending}", flow=flow, shard=range(CONFIG["video"]["shards"]))


def artifact_kinds(method):
    return {kind for kind, _ in methods.signals(METHODS[method])}
