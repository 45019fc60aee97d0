"""The config: schema with defaults, and what a schema cannot say. Every mistake is one sentence (UserError)."""

import copy
import difflib
import json
import re
from pathlib import Path

import numpy as np
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from dagal import datasets, tasks
from dagal.acquisition import methods
from dagal.errors import UserError
from dagal.learners import IMAGE_NETWORKS, pseudo_labels
from dagal.pool import make_split
from dagal.tasks.classification.signals import ADVERSARY_READS, OF_SVM

EMBEDDING_KINDS = ("triplet", "cross_entropy")
# architectures that learn on the features of a backbone
FEATURE_ARCHITECTURES = ("linear", "mlp", "svm")
SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"


def _fill_defaults(validator, properties, instance, schema):
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(name, copy.deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


Validator = extend(Draft202012Validator, {"properties": _fill_defaults})


def load(config: dict) -> dict:
    """A checked copy of the raw config with all defaults filled in and keys sorted (so that equal settings compare equal).

    The order of methods is kept. Raises UserError naming the key, the value and what is allowed.
    """
    config = json.loads(json.dumps(config, default=str))
    if isinstance(config.setdefault("adversaries", {}), dict):
        for kind in ADVERSARY_READS:
            config["adversaries"].setdefault(kind, {})
    if isinstance(config.get("methods"), dict):
        config["methods"] = {name: settings or {} for name, settings in config["methods"].items()}
    schema = yaml.safe_load(SCHEMA.read_text())
    given = copy.deepcopy(config)
    error = best_match(Validator(schema).iter_errors(config))
    if error:
        raise UserError(explain(error))
    complete_dataset(config["dataset"])
    complete_sources(config, schema)
    drop_foreign_keys(config, schema)
    check_svms(given)
    check_combinations(config)
    for name, adversary in config["adversaries"].items():
        if adversary.setdefault("kind", name) not in ADVERSARY_READS:
            raise UserError(f"config key 'adversaries.{name}.kind' is missing; allowed: {', '.join(ADVERSARY_READS)}.")
    config["methods"] = {name: complete_method(name, given, config) for name, given in config["methods"].items()}
    order = list(config["methods"])
    config["task"] = task(config)
    config = _sorted(config)
    config["methods"] = {name: config["methods"][name] for name in order}
    return config


def explain(error) -> str:
    """One sentence for a jsonschema error."""
    key, value, rule = ".".join(map(str, error.absolute_path)), error.instance, error.validator_value
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        unknown = next(name for name in value if name not in allowed)
        close = difflib.get_close_matches(unknown, allowed, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"config key {'.'.join(filter(None, (key, str(unknown))))!r} is unknown{hint}; allowed here: {', '.join(allowed)}."
    if error.validator == "required":
        missing = next(name for name in rule if name not in value)
        return f"config key {'.'.join(filter(None, (key, missing)))!r} is missing."
    requirement = {
        "type": lambda: f"must be of type {' or '.join([rule] if isinstance(rule, str) else rule)}",
        "enum": lambda: f"allowed: {', '.join(map(str, rule))}",
        "minimum": lambda: f"must be at least {rule}",
        "exclusiveMinimum": lambda: f"must be more than {rule}",
        "maximum": lambda: f"must be at most {rule}",
        "exclusiveMaximum": lambda: f"must be less than {rule}",
        "uniqueItems": lambda: "no value may repeat",
        "minItems": lambda: f"needs at least {rule}",
        "minProperties": lambda: f"needs at least {rule}",
        "pattern": lambda: "must be a number or all" if rule == "^all$" else "may hold only letters, digits and _",
    }.get(error.validator, lambda: error.message)()
    if error.validator == "type" and isinstance(value, str) and re.fullmatch(r"\d+e[+-]?\d+", value):
        requirement += ", but YAML reads this as text; write it with a decimal point, as in 1.0e-3"
    return f"config key {key or 'top level'!r} is {value!r}: {requirement}."


def task(config: dict) -> str:
    """What the study learns: classification or detection."""
    return datasets.task(config["dataset"]["loader"])


def drop_foreign_keys(config: dict, schema: dict) -> None:
    """Delete the defaults of keys that are for another task, loader, architecture or kind (``only`` in the schema).

    Raises UserError if one was set.
    """
    of_dataset = schema["properties"]["dataset"]
    sources = {f"backbones.{name}.source": part.get("source") for name, part in config["backbones"].items()}
    sections = [(place, part, of_dataset) for place, part in {"dataset": config["dataset"], **sources}.items() if part]
    for name in ("learner", "method", "backbone"):
        sections += [(f"{name}s.{key}", part, schema["$defs"][name]) for key, part in config[f"{name}s"].items()]
    for key, learner in config["learners"].items():
        if learner["pseudo_labels"]:
            about = schema["$defs"]["learner"]["properties"]["pseudo_labels"]
            sections.append((f"learners.{key}.pseudo_labels", learner["pseudo_labels"], about))
    for place, part, about in sections:
        loader = part.get("loader", config["dataset"]["loader"])
        own = {part[key] for key in ("architecture", "kind") if key in part}
        for key, rule in about["properties"].items():
            only = [rule["only"]] if isinstance(rule.get("only"), str) else rule.get("only", [])
            if key not in part or not only or own.union([loader, datasets.task(loader)]) & set(only):
                continue
            if part.pop(key) != rule["default"]:
                here = f"{' of '.join(sorted(own))} on " if own else ""
                raise UserError(
                    f"config key '{place}.{key}' is for {' or '.join(only)} only, not for {here}data set {loader!r}; delete it."
                )


def check_combinations(config: dict) -> None:
    """Settings that contradict each other or would be ignored in silence."""
    if config["study"] == "datasets":
        raise UserError("config key 'study' is 'datasets', where the prepared data sets lie; take another name.")
    imbalance = config["pool"]["imbalance"]
    if (imbalance["kind"] == "none") != (imbalance["factor"] == 1):
        raise UserError(
            f"config key 'pool.imbalance' has kind {imbalance['kind']!r} and factor {imbalance['factor']}: an imbalance "
            "needs both a kind other than none and a factor below 1."
        )
    detection = task(config) == "detection"
    if detection and (config["pool"]["initial"]["kind"], config["pool"]["validation"], imbalance["kind"]) != (
        "random",
        0,
        "none",
    ):
        raise UserError(
            "config key 'pool' may set only initial.size for videos, whose first frames are drawn at random."
        )
    dataset = config["dataset"]
    for key in ("classes", "test_fraction"):
        if dataset["loader"] == "synthia_al" and dataset[key] is not None:
            raise UserError(f"config key 'dataset.{key}' has no meaning for rendered videos (synthia_al); delete it.")
    oracle, noise = config["oracle"], config["pool"]["noise"]["kind"]
    if (oracle["noise"] == "none") != (oracle["rate"] == 0):
        raise UserError(
            f"config key 'oracle' has noise {oracle['noise']!r} and rate {oracle['rate']}: annotators who err need both a noise "
            "other than none and a rate above 0."
        )
    if detection and (oracle["noise"], noise) != ("none", "none"):
        raise UserError(
            "config keys 'oracle.noise' and 'pool.noise' are for classification only, not for videos; delete them."
        )
    check_stopping(config)
    if config["video"]["flow"] == "raft" and not config["video"]["flow_weights"]:
        raise UserError("config key 'video.flow' is raft, which needs local weights: set 'video.flow_weights'.")
    check_backbones(config)
    for name, learner in config["learners"].items():
        if learner["architecture"].startswith("faster_rcnn") != detection:
            raise UserError(
                f"config key 'learners.{name}.architecture' is {learner['architecture']!r}, but data set "
                f"{config['dataset']['loader']!r} needs a {'detector (faster_rcnn_...)' if detection else 'classifier'}."
            )
        key, schedule = f"config key 'learners.{name}", learner["schedule"]
        if learner["architecture"] != "svm" and learner["epochs"] is None:
            raise UserError(f"{key}.epochs' is missing.")
        if (schedule["name"] == "multi_step") != bool(schedule["milestones"]):
            raise UserError(
                f"{key}.schedule' has name {schedule['name']!r} and milestones {schedule['milestones']}: multi_step needs "
                "milestones, and only multi_step uses them."
            )
        epochs = min(filter(None, (learner["epochs"], learner.get("initial_epochs"))), default=None)
        if schedule["milestones"] and max(schedule["milestones"]) >= epochs:
            raise UserError(
                f"{key}.schedule.milestones' is {schedule['milestones']}: all must lie before the {epochs} epochs end."
            )
        if detection and (learner["augmentation"]["pad"] or learner["augmentation"]["crop"]):
            raise UserError(f"{key}.augmentation' may set only flip for a detector; delete pad and crop.")
        if not detection and learner["pseudo_labels"] and learner["fixmatch"]:
            raise UserError(
                f"{key}' has both pseudo_labels and fixmatch, two ways to learn from the pool; delete one of them."
            )
        if learner["architecture"] == "svm" and (learner["pseudo_labels"] or {}).get("certainty") == "dispersion":
            raise UserError(
                f"{key}.pseudo_labels.certainty' is dispersion, and a svm has no epochs; set it to entropy."
            )
        if not detection and learner["fixmatch"] and (learner["backbone"] or dataset["loader"] == "two_moons"):
            raise UserError(
                f"{key}.fixmatch' augments images, and neither the features of a backbone nor points are any; delete it."
            )
        if learner["weights"] and not learner["architecture"].startswith(("resnet", "faster_rcnn")):
            raise UserError(
                f"{key}.weights' is set, but only ResNets and detectors read weights, not {learner['architecture']!r}."
            )


def check_svms(given: dict) -> None:
    """Raise UserError if a key of the training of networks is given for an SVM."""
    foreign = ("epochs", "optimizer", "schedule", "augmentation", "dropout", "loss_prediction", "hidden_units")
    foreign += ("warm_start", "fixmatch", "precision")
    for name, learner in given["learners"].items():
        found = [key for key in foreign if key in learner]
        if learner["architecture"] == "svm" and found:
            raise UserError(f"config key 'learners.{name}.{found[0]}' is for networks, not for a svm; delete it.")


def check_backbones(config: dict) -> None:
    """Backbones, and the learners that see their features."""
    if config["backbones"] and (task(config) == "detection" or config["dataset"]["loader"] == "two_moons"):
        raise UserError(
            f"config key 'backbones' is for data sets of images, not for {config['dataset']['loader']!r}; delete it."
        )
    for name, backbone in config["backbones"].items():
        if backbone["kind"] == "file" and not backbone["weights"]:
            raise UserError(f"config key 'backbones.{name}.weights' is missing: give the file of the weights.")
        if backbone["kind"] != "file" and backbone["architecture"] not in IMAGE_NETWORKS:
            raise UserError(
                f"config key 'backbones.{name}.architecture' is {backbone['architecture']!r}; allowed: "
                f"{', '.join(IMAGE_NETWORKS)}."
            )
        if backbone["kind"] != "file" and backbone.get("weights") and not backbone["architecture"].startswith("resnet"):
            raise UserError(
                f"config key 'backbones.{name}.weights' is set, but only ResNets read weights, not {backbone['architecture']!r}."
            )
        for interval in ("crop_scale", "blur_sigma"):
            if interval in backbone and backbone[interval][0] > backbone[interval][1]:
                raise UserError(
                    f"config key 'backbones.{name}.{interval}' is {backbone[interval]}: give the smaller number first."
                )
    for name, learner in config["learners"].items():
        kind = config["backbones"].get(learner.get("backbone"), {}).get("kind")
        if learner.get("finetune_every") and kind not in EMBEDDING_KINDS:
            raise UserError(
                f"config key 'learners.{name}.finetune_every' is set, but only a backbone of kind {' or '.join(EMBEDDING_KINDS)} "
                "is trained further; delete it."
            )
        ceal = (learner.get("pseudo_labels") or {}).get("kind") == "ceal"
        if learner.get("finetune_every") and (learner["warm_start"] or ceal):
            raise UserError(
                f"config key 'learners.{name}.finetune_every' changes the features, which the model of the cycle before cannot read; "
                "delete warm_start, and pseudo_labels of kind ceal."
            )
        if not learner.get("backbone"):
            continue
        key = f"config key 'learners.{name}"
        if learner["backbone"] not in config["backbones"]:
            allowed = ", ".join(config["backbones"]) or "none, as there is no 'backbones'"
            raise UserError(f"{key}.backbone' is {learner['backbone']!r}; allowed: {allowed}.")
        if learner["architecture"] not in FEATURE_ARCHITECTURES:
            raise UserError(
                f"{key}.architecture' is {learner['architecture']!r}, but the features of a backbone are no images; allowed: "
                f"{', '.join(FEATURE_ARCHITECTURES)}."
            )
        if any(learner["augmentation"].values()):
            raise UserError(f"{key}.augmentation' is set, but the features of a backbone are no images; delete it.")


def check_files(config: dict) -> None:
    """Raise UserError if weights that the user is to bring are not there."""
    for name, backbone in config["backbones"].items():
        if backbone.get("weights") and not Path(backbone["weights"]).is_file():
            raise UserError(
                f"config key 'backbones.{name}.weights' is {backbone['weights']!r}, and there is no such file; put the weights there."
            )


def check_stopping(config: dict) -> None:
    """Stopping needs a classifier, cycles to stop in, and for a target accuracy a validation set."""
    stopping = config["stopping"]
    used = [f"'stopping.{key}'" for key, value in stopping.items() if value is not None]
    if not used:
        return
    if task(config) == "detection":
        raise UserError(f"config key {used[0]} is for classification only, not for videos; delete it.")
    if config["cycles"] == 0:
        raise UserError(f"config key {used[0]} is set, but with 'cycles' 0 there is nothing to stop; delete it.")
    if stopping["target_accuracy"] and not config["pool"]["validation"]:
        raise UserError(
            "config key 'stopping.target_accuracy' is measured on the validation set: set 'pool.validation' above 0."
        )
    if stopping["kappa"] and stopping["kappa"]["cycles"] > config["cycles"]:
        raise UserError(
            f"config key 'stopping.kappa.cycles' is {stopping['kappa']['cycles']}, but there are only {config['cycles']} cycles; "
            "make it smaller."
        )


def complete_dataset(dataset: dict) -> None:
    """Fill in loader and path."""
    dataset.setdefault("loader", dataset["name"])
    dataset.setdefault("path", f"data/raw/{dataset['name']}")
    loaders = (*datasets.LOADERS, *datasets.VIDEO_LOADERS)
    if dataset["loader"] not in loaders:
        raise UserError(
            f"config key 'dataset.name' is {dataset['name']!r}, which is no built-in data set: set 'dataset.loader' to one "
            f"of {', '.join(loaders)}."
        )
    if dataset["loader"] == "synthia_al":
        dataset["height"], dataset["width"] = dataset["height"] or 300, dataset["width"] or 400
    if dataset["loader"] == "camera_trap":
        for name in ("detections", "annotations"):
            dataset[name] = dataset[name] or f"{dataset['path']}/{name}.json"
        dataset["image_size"] = dataset["image_size"] or 256


def complete_sources(config: dict, schema: dict) -> None:
    """Check and fill in the source data sets of embeddings as the study's own, whose size of images they take. Raises UserError."""
    names = {config["dataset"]["name"]: config["dataset"]}
    for name, backbone in config["backbones"].items():
        if backbone["kind"] not in EMBEDDING_KINDS:
            continue
        key, source = f"backbones.{name}.source", backbone["source"]
        if not source:
            raise UserError(f"config key '{key}' is missing: name a labeled data set to learn the embedding on.")
        for size in ("image_size", "grayscale"):
            source.setdefault(size, config["dataset"].get(size))
        error = best_match(Validator({"$defs": schema["$defs"], **schema["properties"]["dataset"]}).iter_errors(source))
        if error:
            error.path.extendleft(reversed(key.split(".")))
            raise UserError(explain(error))
        complete_dataset(source)
        if datasets.task(source["loader"]) == "detection" or source["loader"] == "two_moons":
            raise UserError(f"config key '{key}' is {source['name']!r}, but an embedding is learnt on labeled images.")
        if source["name"] == config["dataset"]["name"] or same_labels(source, config["dataset"]):
            raise UserError(
                f"config key '{key}' is the data set of the study, whose labels are hidden; name another one."
            )
        if names.setdefault(source["name"], source) != source:
            raise UserError(f"config key '{key}' and another source have one name and different settings; rename one.")


def same_labels(one: dict, other: dict) -> bool:
    """Whether two data sets are the same published one, or are read from the same place."""
    if one["loader"] != other["loader"] or one["loader"] not in ("image_folder", "camera_trap"):
        return one["loader"] == other["loader"]
    places = [(one[key], other[key]) for key in ("path", "annotations") if one.get(key) and other.get(key)]
    return any(Path(place).resolve() == Path(another).resolve() for place, another in places)


def complete_method(name: str, given: dict, config: dict) -> dict:
    """The method's settings with score, selector and learner filled in and checked."""
    key = f"config key 'methods.{name}'"
    if name.startswith("start"):
        raise UserError(f"{key}: names that begin with 'start' are taken by the shared nodes of cycle 0; rename it.")
    settings = methods.compose(name, given, tasks.find(task(config)))
    for part in methods.HOMES:
        try:
            function = methods.find(part, settings[part], tasks.find(task(config)))
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
        allowed = methods.options(function)
        for option in settings[f"{part}_options"]:
            if option not in allowed:
                raise UserError(
                    f"{key}.{part}_options: {settings[part]!r} has no option {option!r}; "
                    f"allowed: {', '.join(allowed) or 'none'}."
                )
    if "adversary" in {kind for kind, _ in methods.signals(settings, tasks.find(task(config)))}:
        settings.setdefault("adversary", name)
        if settings["adversary"] not in config["adversaries"]:
            raise UserError(
                f"{key}.adversary is {settings['adversary']!r}; allowed: {', '.join(config['adversaries'])}."
            )
    elif "adversary" in settings:
        raise UserError(f"{key}.adversary is {settings['adversary']!r}, but the method reads none; delete it.")
    if settings.get("tracker", "flow") != "flow" and "coherence" not in {
        kind for kind, _ in methods.signals(settings, tasks.find(task(config)))
    }:
        raise UserError(f"{key}.tracker is {settings['tracker']!r}, but the method follows no detections; delete it.")
    if settings.get("tracker") == "true_flow" and config["dataset"]["loader"] != "synthia_al":
        raise UserError(
            f"{key}.tracker is true_flow, which only rendered videos (synthia_al) have; take flow or siamfc."
        )
    learners = list(config["learners"])
    if "learner" not in settings and len(learners) > 1:
        raise UserError(f"{key} must name its learner, as there are several; allowed: {', '.join(learners)}.")
    settings.setdefault("learner", learners[0])
    if settings["learner"] not in learners:
        raise UserError(f"{key}.learner is {settings['learner']!r}; allowed: {', '.join(learners)}.")
    learns_loss = {f"{part}predicted_loss" for part in ("", "labeled_")} & {
        name
        for _, name in [
            *methods.signals(settings, tasks.find(task(config))),
            *tasks.find(task(config)).reads_besides(settings, config),
        ]
    }
    if learns_loss and not config["learners"][settings["learner"]]["loss_prediction"]:
        raise UserError(
            f"{key} reads predicted losses, but 'learners.{settings['learner']}.loss_prediction' is null; set it, as in "
            "loss_prediction: {loss: margin}."
        )
    svm = config["learners"][settings["learner"]]["architecture"] == "svm"
    read = {name for _, name in methods.signals(settings, tasks.find(task(config)))}
    if read & OF_SVM and not svm:
        raise UserError(f"{key} reads the boundaries of an SVM: name a learner of architecture svm.")
    if svm and ("trajectory" in read or settings.get("draws") == "ensemble"):
        what = "a trajectory over epochs" if "trajectory" in read else "an ensemble"
        raise UserError(
            f"{key} reads {what}, which a svm, trained without epochs and chance, has not; name another learner."
        )
    reads_dropout = ("draws", "draws") in methods.signals(settings, tasks.find(task(config))) and settings.get(
        "draws"
    ) == "dropout"
    if reads_dropout and not config["learners"][settings["learner"]]["dropout"]:
        raise UserError(
            f"{key} reads stochastic draws, but 'learners.{settings['learner']}.dropout' is 0, which makes all draws "
            "equal; set it above 0."
        )
    return settings


def pool_size(config: dict, counts_C: np.ndarray) -> int:
    """Size of the unlabeled pool of the first seed, from the number of training images per class.

    Exact but for the chance in a random initial draw from a thinned pool. Raises UserError if a set cannot be drawn.
    """
    labels_N = np.repeat(np.arange(len(counts_C)), counts_C)
    try:
        split = make_split(np.zeros(len(labels_N)), labels_N, len(counts_C), config["pool"], config["seeds"][0])
    except UserError as error:
        raise UserError(f"config key 'pool': {error}") from None
    return len(split["pool"])


def check_pool(config: dict, size: int) -> None:
    """Raise UserError if the study asks for more labels than a pool of ``size`` images holds."""
    budget, cycles = config["budget"], config["cycles"]
    if size < 0:
        initial = config["pool"]["initial"]["size"]
        raise UserError(
            f"config key 'pool.initial.size' is {initial}, but there are only {initial + size} training images."
        )
    if budget > size and cycles:
        raise UserError(
            f"config key 'budget' is {budget}: the pool of {config['dataset']['name']} holds only {size} images."
        )
    if budget * cycles > size:
        raise UserError(
            f"config key 'cycles' is {cycles}: {cycles} x {budget} queries exceed the pool of {size} images; "
            f"at most {size // budget} cycles are possible."
        )
    kappa, available = config["stopping"]["kappa"], size + config["pool"]["initial"]["size"]
    if kappa and kappa["size"] > size:
        raise UserError(f"config key 'stopping.kappa.size' is {kappa['size']}, but the pool holds {size} images.")
    for n in config["supervised"]:
        if n != "all" and n > available:
            raise UserError(
                f"config key 'supervised' asks for {n} labels, but pool and initial set hold {available} images."
            )
    left = size - budget * cycles
    for name in dict.fromkeys(settings["learner"] for settings in config["methods"].values()):
        settings = config["learners"][name].get("pseudo_labels") or {}
        n_pseudo = pseudo_labels.number(settings.get("share", 0), size + config["pool"]["initial"]["size"])
        if n_pseudo > left:
            raise UserError(
                f"config key 'learners.{name}.pseudo_labels.share' asks for {n_pseudo} pseudo-labels beside the {budget} queries of "
                f"each cycle, but the last one leaves {left} unlabeled images; make the share, the budget or the cycles smaller."
            )


def _sorted(value):
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value
