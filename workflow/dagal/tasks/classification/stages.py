"""The steps of a study of classification, besides those that all tasks share (`dagal.plan.stages`)."""

from dataclasses import replace

from dagal import datasets
from dagal.learners import NETWORKS, SOLVERS
from dagal.tasks import QUERY_CYCLE, Stage, adversaries, any_of, gpu, learner, needs, threads
from dagal.tasks.classification.signals import OF_SVM, SIGNALS

EMBEDDINGS = ("triplet", "cross_entropy")  # kinds of backbones that are learnt on a labeled source


def backbone(study, at) -> dict:
    """Settings of a backbone; where the job runs does not belong to them, nor its training further.

    One for each seed is trained as another with a seed of its own would be.
    """
    settings = without(study.backbones[at.backbone], "device", "finetune_epochs", "finetune_lr", "per_seed")
    return {"backbone": settings | ({"seed": settings["seed"] + at.seed} if study.is_per_seed(at.backbone) else {})}


def trained(*kinds: str):
    """`Stage.where` of the training of backbones of these kinds."""
    return lambda study: {"backbone": rf"({any_of(study.backbones_of(*kinds))})(-seed\d+)?"}


def without(settings: dict, *keys) -> dict:
    return {key: value for key, value in settings.items() if key not in keys}


def batch_size(study, at) -> dict:
    return {"batch_size": study.settings["signals"]["batch_size"]}


def backbone_threads(study, at) -> int:
    return study.backbones[at.backbone]["threads"]


def backbone_gpu(study, at) -> int:
    return 0 if study.backbones[at.backbone]["device"] == "cpu" else 1


def network(study, at):
    architecture = study.learner_of(at.node)["architecture"]
    return [NETWORKS.get(architecture), *filter(None, [SOLVERS.get(architecture)])]


def backbone_network(study, at):
    return [NETWORKS.get(study.backbones[at.backbone]["architecture"])]


def pool(study, at) -> dict:
    """What a pass over the unlabeled pool of a node reads."""
    files = {name: study.path(at.node, name) for name in ("labeled", "model")}
    return {"inputs": study.learner_input(at.node), "split": study.split(at.seed), **files}


# ------------------------------------------------------------------------------------------------- data and backbones


def noisy_images(study, at) -> dict:
    return {"images": study.clean_images, "split": study.split(at.seed)}


def embedding_reads(study, at) -> dict:
    source = study.source_folder(study.backbones[at.backbone]["source"])
    files = {kind: f"{source}/{kind}.h5" for kind in ("images", "truth")}
    return files | {"weights": study.backbones[at.backbone]["weights"] or []}


def features_reads(study, at) -> dict:
    return {"images": study.images(at.seed), "backbone": study.weights_of_backbone(at)}


def finetune_reads(study, at) -> dict:
    before = study.newest_backbone(at.node, at.node.cycle - 1)
    return {
        "images": study.images(at.seed),
        "labeled": study.path(at.node, "labeled"),
        "backbone": f"{before}/backbone.safetensors",
    }


def finetune_settings(study, at) -> dict:
    return {"backbone": without(study.backbones[study.learner_of(at.node)["backbone"]], "device", "per_seed")}


# ------------------------------------------------------------------------------------------------------------- training


def train_reads(study, at) -> dict:
    kappa = study.settings["stopping"]["kappa"]
    return labeled_only_reads(study, at) | {
        "pseudo": study.path(at.node, "pseudo_labels") if study.has_pseudo_labels(at.node) else [],
        "parent": study.warm_start(at.node, "model.safetensors"),
        "stop_set": study.stop_set(at.seed) if kappa else [],
    }


def labeled_only_reads(study, at) -> dict:
    return {
        "inputs": study.learner_input(at.node),
        "split": study.split(at.seed),
        "labeled": study.path(at.node, "labeled"),
        "parent": study.warm_start(at.node, "labeled_only.safetensors"),
        "weights": study.weights(at.node),
    }


def labeled_only_settings(study, at) -> dict:
    settings = study.training_settings(at.node)
    trajectory = settings["pseudo_labels"]["certainty"] == "dispersion"
    return {"learner": settings | {"pseudo_labels": None}, "trajectory": trajectory}


def teacher(study, node) -> str:
    """The model that gives pseudo-labels: the one trained on the labels alone, or the one of the previous cycle (CEAL)."""
    if study.is_two_model(node.branch):
        return study.file(node, "labeled_only.safetensors")
    return study.path(study.parent(node), "model")


def pseudo_label_reads(study, at) -> dict:
    return {
        "inputs": study.learner_input(at.node),
        "split": study.split(at.seed),
        "labeled": study.path(at.node, "labeled"),
        "teacher": teacher(study, at.node),
        "history": study.file(at.node, "labeled_only_history.h5") if study.is_two_model(at.node.branch) else [],
    }


def member_reads(study, at) -> dict:
    return labeled_only_reads(study, at) | {
        "pseudo": study.path(at.node, "pseudo_labels") if study.has_pseudo_labels(at.node) else [],
        "parent": study.warm_start(at.node, f"member{at.member}.safetensors"),
    }


def repeat_reads(study, at) -> dict:
    return without(train_reads(study, at), "stop_set")


def evaluate_reads(study, at) -> dict:
    node, two_model = at.node, study.is_two_model(at.node.branch)
    return {
        "predictions": study.path(node, "predictions"),
        "labeled": study.path(node, "labeled"),
        "pseudo": study.path(node, "pseudo_labels") if study.has_pseudo_labels(node) else [],
        "labeled_only": study.file(node, "labeled_only_predictions.h5") if two_model else [],
        "split": study.split(at.seed),
        "truth": study.truth,
    }


# -------------------------------------------------------------------------------------------------------------- signals


def recorded(study, node) -> list[str]:
    """Data sets of the signals.h5 of a node: what the method reads.

    At a start, all that one pass over the pool tells, so that a method added later finds what it needs.
    """
    branch = node.branch
    if branch.kind == "start":
        names = {name for kind, name in SIGNALS.values() if kind == "signals"} | {*adversaries.LOSSES}
        settings = study.learner_of(node)
        if not settings["loss_prediction"]:
            names -= {"predicted_loss", "labeled_predicted_loss"}
        names -= set() if settings["architecture"] == "svm" else OF_SVM
        return sorted(names)
    if branch.kind == "supervised":  # a baseline asks for nothing
        return []
    found = study.signals(branch.method)
    if "adversary" in dict(found):  # for the real loss beside D, after the fact
        found = sorted({*found, ("signals", "probabilities")})
    return [name for kind, name in found if kind == "signals"]


def followed_reads(study, at) -> dict:
    """The history of a node, and what its training read, as one that did not record what is asked for is done once more."""
    return train_reads(study, at) | {"history": study.path(at.node, "history")}


def shards(study) -> list[str]:
    """Numbers of the jobs that share the pass for signals.h5; none where a single job does it."""
    count = study.settings["signals"]["shards"]
    return [str(shard) for shard in range(count)] if count > 1 else []


def signals_reads(study, at) -> dict:
    files = pool(study, at)
    if not shards(study):
        return files
    # what the jobs have computed, instead of what it is computed from
    parts = [study.file(at.node, f"signals_shard{shard}.h5") for shard in shards(study)]
    return {name: files[name] for name in ("split", "labeled")} | {"shards": parts}


def signals_settings(study, at) -> dict:
    return {"signals": recorded(study, at.node)} | learner(study, at) | batch_size(study, at)


def shard_settings(study, at) -> dict:
    return signals_settings(study, at) | {"shards": len(shards(study))}


def draws_settings(study, at) -> dict:
    return {"draws": study.settings["signals"]["draws"]} | batch_size(study, at)


def noise_settings(study, at) -> dict:
    about = study.settings["signals"]
    return {"noises": about["noises"], "noise_scale": about["noise_scale"]} | batch_size(study, at)


def ensemble_reads(study, at) -> dict:
    files = pool(study, at)
    members = [study.file(at.node, f"member{k}.safetensors") for k in range(1, study.settings["signals"]["members"])]
    return files | {"models": [files.pop("model"), *members]}


# ------------------------------------------------------------------------------------------------------ a person labels


def assess_reads(study, at) -> dict:
    """What the models of a node and of the one before predict, and what people told of its test, validation or labeled images."""
    node, parent = at.node, study.parent(at.node)
    return {
        "predictions": study.path(node, "predictions"),
        "labeled": study.path(node, "labeled"),
        "split": study.split(at.seed),
        "truth": study.told(at.seed) if any(study.held_out.values()) else [],
        "cross_validation": [] if study.held_out["test"] else study.file(node, "cross_validation.h5"),
        "pool": [study.file(one, "pool_predictions.h5") for one in (parent, node) if one],
    }


def folds_reads(study, at) -> dict:
    files = pool(study, at)
    del files["model"]
    return files | {"weights": study.learner_of(at.node)["weights"] or []}


def predicted_labels_reads(study, at) -> dict:
    """The probabilities are calibrated on the validation set, or else by cross-validation."""
    node, has_validation = at.node, study.held_out["validation"]
    return {
        "images": study.clean_images,
        "labeled": study.path(node, "labeled"),
        "pool": study.file(node, "pool_predictions.h5"),
        "split": study.split(at.seed),
        "predictions": study.path(node, "predictions") if has_validation else [],
        "truth": study.told(at.seed) if has_validation else [],
        "cross_validation": [] if has_validation else study.file(node, "cross_validation.h5"),
    }


# ----------------------------------------------------------------------------------------- balance, stopping, analyses


def sweep_reads(study, at) -> dict:
    """What the first query of a method reads, for its first seed."""
    first = study.node(study.seeds[0], at.method, 1)
    files = study.signal_files(first, "select")
    del files["weight"]
    parent = study.parent(first)
    return files | {"scores": study.path(first, "scores"), "signals": study.path(parent, "signals")}


def sweep_settings(study, at) -> dict:
    method, about = study.methods[at.method], study.settings["lambda_study"]
    return {
        "select": method["select"],
        "options": method["select_options"],
        "weights": about["weights"],
        "tolerance": about["tolerance"],
        "budget": study.settings["budget"],
        "seed": study.seeds[0],
    }


def sweep_looks_up(study, at):
    names = [study.methods[at.method]["select"], "top_k", "pseudo_label"]
    return [found for name in names for found in study.looked_up("select", name)] + study.looked_up_signal("probs_N_C")


def stopping_reads(study, at) -> dict:
    """What the models of a node and of the one before predict on the stop set, and what was recorded before."""
    node, parent = at.node, study.parent(at.node)
    pair = [study.file(one, "stop_predictions.h5") for one in (parent, node) if parent]
    return {
        "metrics": study.path(node, "metrics"),
        "predictions": pair if study.settings["stopping"]["kappa"] else [],
        "stop_record": study.path(parent, "stopping") if parent else [],
    }


def stopping_settings(study, at) -> dict:
    about = study.settings["stopping"]
    later = {"accuracy_change": about["accuracy_change"]} if about["accuracy_change"] else {}
    return {"target_accuracy": about["target_accuracy"], "kappa": without(about["kappa"] or {}, "size")} | later


def stop_predictions(study) -> dict:
    return {"stop_predictions": "{node}/stop_predictions.h5"} if study.settings["stopping"]["kappa"] else {}


def of_pool(script: str, file: str, settings=batch_size, **changes) -> Stage:
    """A pass of a node's model over its unlabeled pool."""
    return Stage(
        **{
            "script": script,
            "writes": {script: f"{{node}}/{file}.h5"},
            "reads": pool,
            "settings": lambda study, at: learner(study, at) | settings(study, at),
            "looks_up": network,
            "threads": threads,
            "gpu": gpu,
            "needs": needs.pool(),
            "environment": "torch",
            "stopped_by": "here",
        }
        | changes
    )


def followed(kind: str) -> Stage:
    """What a node's training recorded of its pool after each epoch."""
    return of_pool(
        "trajectory",
        kind,
        reads=followed_reads,
        settings=lambda study, at: {},
        writes={kind: f"{{node}}/{kind}.h5"},
        needs=needs.train,
    )


STAGES = adversaries.STAGES | {
    "noisy_images": Stage(
        "noisy_images",
        {"images": "{seed_folder}/images.h5"},
        noisy_images,
        lambda study, at: {"noise": study.settings["pool"]["noise"]},
        log="{seed_folder}/noisy_images",
        needs=needs.noise,
    ),
    "source_dataset": Stage(
        "dataset",
        {"images": "{source}/images.h5", "truth": "{source}/truth.h5"},
        settings=lambda study, at: {"dataset": study.sources[at.source]},
        looks_up=lambda study, at: datasets.looked_up(study.sources[at.source]),
        where=lambda study: {"source": any_of(study.sources)},
        log="{source}/dataset",
        environment="torch",
        needs=needs.dataset,
    ),
    "pretrain": Stage(
        "pretrain",
        {"backbone": "{backbone}/backbone.safetensors", "pretraining": "{backbone}/pretraining.h5"},
        lambda study, at: {"images": study.images(at.seed)},
        backbone,
        backbone_network,
        where=trained("simsiam"),
        log="{backbone}/pretrain",
        needs=needs.backbone(views=2),
        threads=backbone_threads,
        gpu=backbone_gpu,
        environment="torch",
    ),
    "embedding": Stage(
        "embedding",
        {"backbone": "{backbone}/backbone.safetensors"},
        embedding_reads,
        backbone,
        backbone_network,
        where=trained(*EMBEDDINGS),
        log="{backbone}/embedding",
        needs=needs.backbone(views=1),
        threads=backbone_threads,
        gpu=backbone_gpu,
        environment="torch",
    ),
    "features": Stage(
        "features",
        {"features": "{backbone}/features.h5"},
        features_reads,
        backbone,
        backbone_network,
        needs=needs.features,
        threads=backbone_threads,
        gpu=backbone_gpu,
        environment="torch",
    ),
    "finetune": Stage(
        "finetune",
        {"backbone": "{node}/backbone.safetensors", "features": "{node}/features.h5"},
        finetune_reads,
        finetune_settings,
        lambda study, at: [NETWORKS.get(study.backbones[study.learner_of(at.node)["backbone"]]["architecture"])],
        log="{node}/finetune",
        needs=needs.finetune,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="before",
    ),
    "train": Stage(
        "train",
        {
            "model": "{node}/model.safetensors",
            "history": "{node}/history.h5",
            "predictions": "{node}/predictions.h5",
        },
        train_reads,
        learner,
        network,
        writes_besides=stop_predictions,
        log="{node}/train",
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="before",
        goes_on=True,
    ),
    "repeat": Stage(
        "repeat",
        {"predictions": "{node}/repeat{repeat}.h5"},
        repeat_reads,
        learner,
        network,
        where=lambda study: {"cycle": QUERY_CYCLE},
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="before",
    ),
    "train_labeled_only": Stage(
        "train",
        {
            "model": "{node}/labeled_only.safetensors",
            "history": "{node}/labeled_only_history.h5",
            "predictions": "{node}/labeled_only_predictions.h5",
        },
        labeled_only_reads,
        labeled_only_settings,
        network,
        log="{node}/train_labeled_only",
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="before",
    ),
    "pseudo_labels": of_pool(
        "pseudo_labels", "pseudo_labels", reads=pseudo_label_reads, stopped_by="before", log="{node}/pseudo_labels"
    ),
    "evaluate": Stage(
        "evaluate",
        {"metrics": "{node}/metrics.json"},
        evaluate_reads,
        log="{node}/evaluate",
        needs=needs.answers,
        stopped_by="before",
        goes_on=True,
    ),
    "signals": of_pool(
        "signals",
        "signals",
        reads=signals_reads,
        settings=signals_settings,
        gpu=lambda study, at: 0 if shards(study) else gpu(study, at),
    ),
    "signals_shard": of_pool(
        "signals",
        "signals_shard{shard}",
        settings=shard_settings,
        where=lambda study: {"shard": any_of(shards(study))},
    ),
    "trajectory": followed("trajectory"),
    "ranks": followed("ranks"),
    "draws": of_pool(
        "draws",
        "draws",
        settings=draws_settings,
        needs=needs.pool(lambda study, size: study.settings["signals"]["draws"]),
    ),
    "member": Stage(
        "member",
        {"model": "{node}/member{member}.safetensors"},
        member_reads,
        learner,
        network,
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="here",
    ),
    "ensemble": of_pool(
        "ensemble",
        "ensemble",
        reads=ensemble_reads,
        needs=needs.pool(lambda study, size: study.settings["signals"]["members"]),
    ),
    "ensemble_dropout": of_pool(
        "draws",
        "ensemble_dropout",
        reads=ensemble_reads,
        settings=draws_settings,
        needs=needs.pool(lambda study, size: study.settings["signals"]["draws"] * study.settings["signals"]["members"]),
    ),
    "noise": of_pool(
        "noise",
        "noise",
        settings=noise_settings,
        needs=needs.pool(lambda study, size: 1 + study.settings["signals"]["noises"]),
    ),
    "head": Stage(
        "head",
        {"head": "{node}/head.h5"},
        lambda study, at: {"model": study.path(at.node, "model")},
        environment="torch",
        stopped_by="here",
    ),
    # DeepFool: some steps, of a backward pass for each class
    "boundary": of_pool("boundary", "boundary", needs=needs.pool(lambda study, size: 10 * size.classes)),
    "lambda_sweep": Stage(
        "lambda_sweep",
        {"sweep": "{results}/lambda/{method}.h5", "chosen": "{results}/lambda/{method}.json"},
        sweep_reads,
        sweep_settings,
        sweep_looks_up,
        log="{results}/lambda/{method}.sweep",
        needs=needs.select,
    ),
    "stop_set": Stage(
        "stop_set",
        {"stop_set": "{seed_folder}/stop_set.h5"},
        lambda study, at: {"split": study.split(at.seed)},
        lambda study, at: {"size": (study.settings["stopping"]["kappa"] or {}).get("size")},
    ),
    "stopping": Stage(
        "stopping",
        {"stopping": "{node}/stopping.json"},
        stopping_reads,
        stopping_settings,
        goes_on=True,
    ),
}

BY_PERSON = {
    "pool_predictions": of_pool("pool_predictions", "pool_predictions", stopped_by="before", goes_on=True),
    "cross_validation": Stage(
        "cross_validation",
        {"cross_validation": "{node}/cross_validation.h5"},
        folds_reads,
        learner,
        network,
        needs=needs.train,
        threads=threads,
        gpu=gpu,
        environment="torch",
        stopped_by="before",
        goes_on=True,
    ),
    "evaluate": replace(STAGES["evaluate"], script="assess", reads=assess_reads),
    "predicted_labels": Stage(
        "predicted_labels",
        {"table": "{node}/predicted_labels.csv"},
        predicted_labels_reads,
        needs=needs.answers,
    ),
}
