"""What the tables and figures of a whole study read: lists of its nodes and of their files. Makes no file."""


def stops():
    """stopping.json of every node: which of them a table has to leave out."""
    return all_nodes("stopping.json") if STOPPING else []


def baselines():
    """(learner, size, seed) of every supervised baseline, of the learners that some method uses."""
    return [(name, size, seed) for name in LEARNERS for size in CONFIG["supervised"] for seed in SEEDS]


def supervised_nodes(file):
    return [f"{node(seed, f'supervised{size}-{name}', 0)}/{file}" for name, size, seed in baselines()]


def tables():
    """Tables of supervised baselines and of stopping, if the study has them."""
    names = [name for name, used in (("supervised", CONFIG["supervised"]), ("stopping", STOPPING)) if used]
    return [f"{RESULTS}/{name}.csv" for name in names]


def all_nodes(file, which=lambda branch, cycle: True):
    """The file of every node of the study, or of those that ``which`` picks; the shared ones once."""
    branches = {(branch_of(method, cycle), cycle): None for method in METHODS for cycle in CYCLES}
    return [f"{node(seed, *place)}/{file}" for seed in SEEDS for place in branches if which(*place)]


def overview():
    """Learner of each method, and whether it can be used without the hidden labels."""
    return {
        method: {
            "learner": settings["learner"],
            "deployable": not artifact_kinds(method) & methods.SEALED,
        }
        for method, settings in METHODS.items()
    }


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
    found += all_nodes("finetune.benchmark.tsv", finetuned)
    for method, seed, cycle in pseudo_labeled_nodes():
        folder = node(seed, branch_of(method, cycle), cycle)
        jobs = ("train_labeled_only", "pseudo_labels") if two_model(method) else ("pseudo_labels",)
        found += [f"{folder}/{job}.benchmark.tsv" for job in jobs]
    for name, settings in BACKBONES.items():
        jobs = {"simsiam": ["pretrain"], "file": []}.get(settings["kind"], ["embedding"])
        own = [start(method) for method in METHODS if learner_of(method)["backbone"] == name]
        # nothing sees its first features where every start is fine-tuned
        if CONFIG["supervised"] or not all(finetuned(branch, 0) for branch in own):
            jobs = [*jobs, "features"]
        folders = dict.fromkeys(BACKBONE.format(backbone=name, seed=seed) for seed in SEEDS)
        found += [f"{folder}/{job}.benchmark.tsv" for folder in folders for job in jobs]
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


def pseudo_labeled_nodes():
    """(method, seed, cycle) of every model that is trained on pseudo-labels."""
    return [
        (method, seed, cycle)
        for method in METHODS
        for seed in SEEDS
        for cycle in CYCLES
        if has_pseudo_labels(method, cycle)
    ]


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


def figures(wildcards):
    """Everything drawn; a point of two_moons is no picture."""
    found = [f"{RESULTS}/figures/{name}.png" for name in FIGURES]
    pictured = TASK == "classification" and CONFIG["cycles"] and CONFIG["dataset"]["loader"] != "two_moons"
    return [*found, f"{RESULTS}/figures/selected.png"] if pictured else found
