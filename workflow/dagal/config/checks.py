"""What a key alone does not show: settings that contradict each other, the pool, and files that must be there."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dagal import datasets, tasks
from dagal.config.backbones import EMBEDDING_KINDS
from dagal.config.dataset import may_download, reads_files, same_labels
from dagal.config.fields import Mistake, did_you_mean
from dagal.config.loader import places_of
from dagal.config.study import GAINS
from dagal.datasets.source import PUBLISHED_COUNTS
from dagal.errors import UserError
from dagal.labeling import by_person

# architectures that learn on the features of a backbone
FEATURE_ARCHITECTURES = ("linear", "mlp", "svm")

PARTLY_LABELED = ("image_folder", "image_table")  # loaders of data of which some images may have a label

# loader of what people draw boxes in, or paint
UNLABELED_BY_TASK = {"detection": "video_folder", "segmentation": "image_folder"}

WITHOUT_CLASS = ("detection", "segmentation")  # whose images have no class of their own


def check_combinations(study: dict) -> None:
    """Raise Mistake for settings that contradict each other or would be ignored in silence."""
    if study["study"] == "datasets":
        raise Mistake("study", "is 'datasets', where the prepared data sets lie; take another name.")
    check_pool_settings(study)
    (check_person if by_person(study) else check_oracle)(study)
    if study["regions"] and study["task"] != "segmentation":
        raise Mistake("regions", f"is for segmentation only, not for {study['task']}; delete it.")
    if study["regions"] and by_person(study):
        raise Mistake("regions", "is for simulated annotators: people are asked for whole images; delete it.")
    check_stopping(study)
    check_repeats(study)
    check_sources(study)
    check_backbones(study)
    check_published(study)
    for name, learner in study["learners"].items():
        if learner.get("fixmatch") and (learner["backbone"] or study["dataset"]["loader"] == "two_moons"):
            raise Mistake(
                f"learners.{name}.fixmatch",
                "augments images, and neither the features of a backbone nor points are any; delete it.",
            )


def check_pool_settings(study: dict) -> None:
    """Imbalance, what videos allow, and a balanced set of published data."""
    pool, imbalance = study["pool"], study["pool"]["imbalance"]
    if (imbalance["kind"] == "none") != (imbalance["factor"] == 1):
        raise Mistake(
            "pool.imbalance",
            f"has kind {imbalance['kind']!r} and factor {imbalance['factor']}: an imbalance needs both a kind other than none and a "
            "factor below 1.",
        )
    if study["task"] in WITHOUT_CLASS:
        spread = ("kcenter", "kcenter_vae") if study["task"] == "segmentation" else ()
        for key, given, allowed in (
            ("pool.initial.kind", pool["initial"]["kind"], ("random", *spread)),
            ("pool.imbalance", imbalance["kind"], ("none",)),
        ):
            if given not in allowed:
                raise Mistake(
                    key,
                    f"is for images with one class each; those of a study of {study['task']} are drawn at random: delete it.",
                )
    if study["task"] == "detection" and pool["validation"]:
        raise Mistake("pool.validation", "is for images only, not for videos; delete it.")
    published = PUBLISHED_COUNTS.get(study["dataset"]["loader"])
    if published:
        check_balanced(study, len(published))


def check_balanced(study: dict, n_classes: int) -> None:
    """A balanced set holds every class."""
    initial = study["pool"]["initial"]
    if initial["kind"] == "balanced" and initial["size"] < n_classes:
        raise Mistake(
            "pool.initial.size",
            f"is {initial['size']}, but a balanced set of {n_classes} classes needs at least {n_classes} labels; make it larger or "
            "draw it with kind random.",
        )


def check_oracle(study: dict) -> None:
    """Annotators who err, noise in the images, and labels for all of them."""
    oracle = study["oracle"]
    if study["dataset"].get("labels"):
        raise Mistake(
            "dataset.labels", "is for oracle.kind person only; delete it, or set oracle: {kind: person, ...}."
        )
    if study["pool"].get("test"):
        raise Mistake("pool.test", "is for oracle.kind person only: the data set brings the test set; delete it.")
    if (oracle["noise"] == "none") != (oracle["rate"] == 0):
        raise Mistake(
            "oracle",
            f"has noise {oracle['noise']!r} and rate {oracle['rate']}: annotators who err need both a noise other than none and a "
            "rate above 0.",
        )
    for key, kind in (("oracle.noise", oracle["noise"]), ("pool.noise", study["pool"]["noise"]["kind"])):
        if study["task"] in WITHOUT_CLASS and kind != "none":
            raise Mistake(key, f"is for classification only, not for {study['task']}; delete it.")


def check_person(study: dict) -> None:
    """Nothing that needs the labels of images that nobody has labeled."""
    task, loader = study["task"], study["dataset"]["loader"]
    if tasks.find(task).told is None:
        raise Mistake("oracle.kind", f"is person, and nobody can be asked in a study of {task}; delete it.")
    if task in WITHOUT_CLASS:
        if loader != UNLABELED_BY_TASK[task] or study["dataset"].get("labels") != "none":
            raise Mistake(
                "dataset.loader",
                f"is {loader!r}, but where a person labels, a study of {task} needs {UNLABELED_BY_TASK[task]} with 'labels: none'.",
            )
        if not study["pool"].get("test"):
            raise Mistake("pool.test", f"is missing: a study of {task} measures its models on a test set.")
    if not study["dataset"].get("labels"):
        raise Mistake("dataset.labels", "is missing: say which labels there are already, none, some or test.")
    if study["dataset"]["labels"] == "some" and study["dataset"]["loader"] not in PARTLY_LABELED:
        raise Mistake(
            "dataset.labels", f"is some, which is for {' and '.join(PARTLY_LABELED)} only; take none or test."
        )
    if study["pool"]["initial"]["kind"] in ("balanced", "class_uniform"):
        raise Mistake(
            "pool.initial.kind",
            f"is {study['pool']['initial']['kind']}, which needs the class of every image; take random or kcenter.",
        )
    if study["pool"]["imbalance"]["kind"] != "none":
        raise Mistake("pool.imbalance", "is simulated by the class of every image, which nobody has; delete it.")
    if study["supervised"]:
        raise Mistake("supervised", "needs labels of images that nobody was asked for; delete it.")


def check_repeats(study: dict) -> None:
    if study["repeats"] and study["task"] in WITHOUT_CLASS:
        raise Mistake("repeats", f"is for images with one class each, not for {study['task']}; delete it.")
    if study["repeats"] and not study["cycles"]:
        raise Mistake("repeats", "trains the last models of chains again, but there are no cycles; delete it.")


def check_stopping(study: dict) -> None:
    """Stopping needs a classifier, cycles to stop in, and for a target accuracy a validation set."""
    stopping = study["stopping"]
    used = [f"stopping.{key}" for key, value in stopping.items() if value is not None]
    if not used:
        return
    if study["task"] in WITHOUT_CLASS:
        raise Mistake(used[0], f"is for classification only, not for {study['task']}; delete it.")
    if study["cycles"] == 0:
        raise Mistake(used[0], "is set, but with 'cycles' 0 there is nothing to stop; delete it.")
    for key in ("target_accuracy", "accuracy_change"):
        if stopping[key] and not study["pool"]["validation"]:
            raise Mistake(f"stopping.{key}", "is measured on the validation set: set 'pool.validation' above 0.")
    for key in ("kappa", "accuracy_change"):
        if stopping[key] and stopping[key]["cycles"] > study["cycles"]:
            raise Mistake(
                f"stopping.{key}.cycles",
                f"is {stopping[key]['cycles']}, but there are only {study['cycles']} cycles; make it smaller.",
            )


def check_sources(study: dict) -> None:
    """Embeddings are learnt on labeled images, of which none are the study's own."""
    own = study["dataset"]
    by_name = {own["name"]: own}
    for name, backbone in study["backbones"].items():
        if backbone["kind"] not in EMBEDDING_KINDS:
            continue
        key, source = f"backbones.{name}.source", backbone["source"]
        if source["loader"] in datasets.VIDEO_LOADERS or source["loader"] == "two_moons":
            raise Mistake(key, f"is {source['name']!r}, but an embedding is learnt on labeled images.")
        if source["name"] == own["name"] or same_labels(source, own):
            raise Mistake(key, "is the data set of the study, whose labels are hidden; name another one.")
        if by_name.setdefault(source["name"], source) != source:
            raise Mistake(key, "and another source have one name and different settings; rename one.")


def check_backbones(study: dict) -> None:
    """Backbones, and the learners that see their features."""
    backbones = study["backbones"]
    if backbones and (study["task"] in WITHOUT_CLASS or study["dataset"]["loader"] == "two_moons"):
        raise Mistake("backbones", f"is for data sets of images, not for {study['dataset']['loader']!r}; delete it.")
    for name, learner in study["learners"].items():
        key = f"learners.{name}"
        if learner.get("finetune_every"):
            check_finetuning(key, learner, backbones)
        for name in ("backbone", "starts_from"):
            if learner.get(name) and learner[name] not in backbones:
                allowed = ", ".join(backbones) or "none, as there is no 'backbones'"
                raise Mistake(f"{key}.{name}", f"is {learner[name]!r}; allowed: {allowed}.")
        if start := learner.get("starts_from"):
            own, given = learner["architecture"], backbones[start]["architecture"]
            if own != given or not own.startswith("resnet"):
                raise Mistake(
                    f"{key}.starts_from",
                    f"is {start!r}, whose architecture is {given!r}: a learner of architecture {own!r} cannot start from its "
                    "weights; only a ResNet can, from the same one.",
                )
        if not learner.get("backbone"):
            continue
        if learner["architecture"] not in FEATURE_ARCHITECTURES:
            raise Mistake(
                f"{key}.architecture",
                f"is {learner['architecture']!r}, but the features of a backbone are no images; allowed: "
                f"{', '.join(FEATURE_ARCHITECTURES)}.",
            )
        if any(learner["augmentation"].values()):
            raise Mistake(f"{key}.augmentation", "is set, but the features of a backbone are no images; delete it.")


def check_finetuning(key: str, learner: dict, backbones: dict) -> None:
    """Only embeddings are trained further, and nothing may then rest on the features of the cycle before."""
    if backbones.get(learner["backbone"], {}).get("kind") not in EMBEDDING_KINDS:
        raise Mistake(
            f"{key}.finetune_every",
            f"is set, but only a backbone of kind {' or '.join(EMBEDDING_KINDS)} is trained further; delete it.",
        )
    if learner["warm_start"] or (learner["pseudo_labels"] or {}).get("kind") == "ceal":
        raise Mistake(
            f"{key}.finetune_every",
            "changes the features, which the model of the cycle before cannot read; delete warm_start, and pseudo_labels of kind "
            "ceal.",
        )


def check_published(study: dict) -> None:
    """Published numbers are of methods, learners and measures that the study has."""
    own = tasks.find(study["task"]).measures[0]
    allowed = [own, *(["error"] if own == "accuracy" else []), *GAINS]
    for n, entry in enumerate(study["published"]):
        if entry["measure"] not in allowed:
            raise Mistake(
                f"published.{n}.measure",
                f"is {entry['measure']!r}{did_you_mean(entry['measure'], allowed)}; allowed: {', '.join(allowed)}.",
            )
        for section in ("methods", "learners"):
            for name in entry[section]:
                if name not in study[section]:
                    raise Mistake(
                        f"published.{n}.{section}",
                        f"names {name!r}, which the study does not have{did_you_mean(name, list(study[section]))}; allowed: "
                        f"{', '.join(study[section])}.",
                    )


def check_files(study: dict) -> None:
    """Raise UserError if raw data or weights that the user is to bring are not there."""
    datasets_of = {"dataset": study["dataset"]} | {
        f"backbones.{name}.source": backbone["source"]
        for name, backbone in study["backbones"].items()
        if backbone.get("source")
    }
    with places_of(study):
        for key, dataset in datasets_of.items():
            prepared = Path(f"results/datasets/{dataset['name']}/images.h5")
            if reads_files(dataset) and not Path(dataset["path"]).exists() and not prepared.exists():
                download = f", or set '{key}.download' to true" if may_download(dataset["loader"]) else ""
                raise Mistake(
                    f"{key}.path",
                    f"is {dataset['path']!r}, and there is nothing; put the raw data there (data/README.md){download}.",
                )
        for section in ("learners", "backbones"):
            for name, network in study[section].items():
                if network.get("weights") and not Path(network["weights"]).is_file():
                    raise Mistake(
                        f"{section}.{name}.weights",
                        f"is {network['weights']!r}, and there is no such file; put the weights there.",
                    )
        if study["video"]["flow_weights"] and not Path(study["video"]["flow_weights"]).is_file():
            raise Mistake(
                "video.flow_weights",
                f"is {study['video']['flow_weights']!r}, and there is no such file; put the weights there.",
            )


def pool_size(study: dict, counts_C: np.ndarray | Sequence[int]) -> int:
    """Size of the unlabeled pool of the first seed, from the number of training images per class.

    Exact but for the chance in a random initial draw from a thinned pool. Raises UserError if a set cannot be drawn.
    """
    from dagal.pool import make_split

    labels_N = np.repeat(np.arange(len(counts_C)), counts_C)
    with places_of(study):
        check_balanced(study, len(counts_C))
        try:
            given = labels_N[:0] if by_person(study) else None
            split = make_split(
                np.zeros(len(labels_N)), labels_N, len(counts_C), study["pool"], study["seeds"][0], given=given
            )
        except UserError as error:
            raise Mistake("pool", f"cannot be drawn: {error}") from None
    return len(split["pool"])


def check_pool(study: dict, size: int) -> None:
    """Raise UserError if the study asks for more labels than a pool of ``size`` images holds.

    Where the initial set is of regions, these are all images. How many superpixels they have is known when these are made.
    """
    with places_of(study):
        _check_pool(study, size)


def _check_pool(study: dict, size: int) -> None:
    from dagal.learners import pseudo_labels

    budget, cycles, initial = study["budget"], study["cycles"], study["pool"]["initial"]["size"]
    what, regions = "images", study["regions"]
    if regions and regions["kind"] == "superpixels":
        return
    if regions:
        what, per_image = "regions", regions["rows"] * regions["columns"]
        of_regions = regions["initial"] == "regions"
        size, initial = (size * per_image - initial, initial) if of_regions else (size * per_image, initial * per_image)
    available = size + initial
    if size < 0:
        raise Mistake("pool.initial.size", f"is {initial}, but there are only {available} training {what}.")
    if budget > size and cycles:
        raise Mistake("budget", f"is {budget}: the pool of {study['dataset']['name']} holds only {size} {what}.")
    if budget * cycles > size:
        raise Mistake(
            "cycles",
            f"is {cycles}: {cycles} x {budget} queries exceed the pool of {size} {what}; at most {size // budget} cycles are "
            "possible.",
        )
    kappa = study["stopping"]["kappa"]
    if kappa and kappa["size"] > size:
        raise Mistake("stopping.kappa.size", f"is {kappa['size']}, but the pool holds {size} images.")
    for n in study["supervised"]:
        if n != "all" and n > available:
            raise Mistake("supervised", f"asks for {n} labels, but pool and initial set hold {available} {what}.")
    left = size - budget * cycles
    for name in dict.fromkeys(settings["learner"] for settings in study["methods"].values()):
        settings = study["learners"][name].get("pseudo_labels") or {}
        n_pseudo = pseudo_labels.number(settings.get("share", 0), available)
        if n_pseudo > left:
            raise Mistake(
                f"learners.{name}.pseudo_labels.share",
                f"asks for {n_pseudo} pseudo-labels beside the {budget} queries of each cycle, but the last one leaves {left} "
                "unlabeled images; make the share, the budget or the cycles smaller.",
            )
