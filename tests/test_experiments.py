"""The published set-ups in experiments/: what they set is what their papers state."""

import functools
import hashlib
import json
import re
import shutil

import pytest
import yaml
from conftest import ROOT, SMALL, written

from dagal import config as of_config
from dagal import datasets
from dagal.config import check_pool, pool_size
from dagal.datasets import synthia_al

STUDIES = {path.stem: path for path in sorted((ROOT / "experiments").glob("*.yaml"))}
# whose content is known, at least its size; of Snapshot Serengeti a crop per image with animals (paper 002, table 1), less the test part
COUNTS = {
    "cifar10_jpeg": [5000] * 10,
    "caltech101": [8125],
    "snapshot_serengeti": [676_451],
    "snapshot_serengeti_images": [400_000],  # with a detection: their number is not printed
    "camera_traps_rendered": [608],
}

CIFAR = {
    "initial": 5000, "validation": 0, "budget": 2500, "cycles": 4, "seeds": 3, "architecture": "resnet18_cifar",
    "weights": None, "epochs": 100, "optimizer": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 0,
    "batch_size": 128, "schedule": "multi_step", "milestones": [60, 80], "pad": 4, "flip": True,
}  # fmt: skip
DISPERSION = CIFAR | {
    "kind": "random", "imbalance": "none", "factor": 1, "gamma": 0.2, "supervised": ["all"],
    "methods": ["random", "margin", "bald", "kcenter_greedy", "core_set", "vaal", "label_dispersion", "oracle"],
}  # fmt: skip
BALANCE = CIFAR | {
    "kind": "balanced",
    "gamma": 0.5,
    "methods": [
        "random", "entropy", "kcenter_greedy", "core_set", "entropy_cb", "entropy_pseudo_label", "kcenter_cb", "vaal", "vaal_cb",
    ],
}  # fmt: skip
TINY = BALANCE | {
    "initial": 9000, "validation": 10000, "budget": 4500, "architecture": "resnet101", "epochs": 30, "lr": 0.01,
    "weights": "data/raw/weights/resnet101.pth", "milestones": [10, 15, 20, 25],
    "methods": ["random", "entropy", "bald", "entropy_cb", "bald_cb"],
}  # fmt: skip
PUBLISHED = {f"label_dispersion_{name}": DISPERSION for name in ("cifar10", "cifar100")}
for tag, factor in {"if1": 1, "if03": 0.3, "if01": 0.1}.items():
    thinned = {"imbalance": "step" if factor < 1 else "none", "factor": factor}
    for name in ("cifar10", "cifar100", "tiny_imagenet"):
        PUBLISHED[f"class_balance_{name}_{tag}"] = (TINY if name == "tiny_imagenet" else BALANCE) | thinned
for times, factor in {"x10": 0.1, "x100": 0.01}.items():
    PUBLISHED[f"first_half_tiny_imagenet_{times}"] = TINY | {"imbalance": "first_half", "factor": factor}
CONSTRAINED = {
    "initial": 100, "kind": "balanced", "validation": 300, "imbalance": "none", "budget": 10, "cycles": 100, "seeds": 3,
    "architectures": ["lenet", "resnet18_cifar"], "epochs": 100, "optimizer": "sgd", "lr": 0.001, "momentum": 0,
    "weight_decay": 0.0001, "batch_size": 64, "schedule": "constant", "pad": 0, "flip": False, "supervised": [1100],
    "noise": {"kind": "none"},
    "methods": ["random", "entropy", "bald", "random_resnet18", "entropy_resnet18", "bald_resnet18"],
}  # fmt: skip
HIT = {"level": "image", "probability": 0.1}  # in the pool alone
for name in ("mnist", "fashion_mnist", "cifar10"):
    PUBLISHED[f"constrained_{name}"] = CONSTRAINED
    PUBLISHED[f"constrained_{name}_gaussian"] = CONSTRAINED | {"noise": HIT | {"kind": "gaussian", "sigma": 1}}
    PUBLISHED[f"constrained_{name}_salt_and_pepper"] = CONSTRAINED | {
        "noise": HIT | {"kind": "salt_and_pepper", "amount": 0.1}
    }
PUBLISHED["ideal_mnist"] = CONSTRAINED | {
    "initial": 1000, "validation": 5000, "budget": 1000, "cycles": 10, "supervised": [1100, 11000],
}  # fmt: skip
PUBLISHED["class_balance_cifar100_if1"] = BALANCE | {"methods": [*BALANCE["methods"], "entropy_cb_auto"]}

TA_VAAL = CIFAR | {
    "initial": 1000, "kind": "random", "imbalance": "none", "factor": 1, "budget": 1000, "cycles": 9, "seeds": 5, "epochs": 200,
    "lr": 0.1, "weight_decay": 0.0005, "milestones": [160], "gamma": 0.1, "pad": 2, "crop": None, "subset": 10, "eta": 1,
    "learner_losses": [None, "margin", "ranking"], "share": [0.6, 0.8], "stops": [None, "head"], "adversary_lr": 0.0005, "latent": 64,
    "discriminator_layers": 5, "beta": 1, "lambda": 1, "adversary_batch_size": 128, "adversary_steps": 10000,
    "methods": [
        "random", "loss_head_random", "bald", "kcenter_greedy", "learning_loss", "learning_loss_v2", "vaal", "vaal_ll", "ta_vaal",
    ],
}  # fmt: skip
for name, size in {"cifar10": 1000, "cifar100": 2000}.items():
    PUBLISHED[f"ta_vaal_{name}"] = TA_VAAL | {"initial": size, "budget": size}
    for times, factor in {"x10": 0.1, "x100": 0.01}.items():
        PUBLISHED[f"ta_vaal_{name}_{times}"] = TA_VAAL | {
            "initial": size, "budget": size, "cycles": 4, "imbalance": "first_half", "factor": factor,
        }  # fmt: skip
        PUBLISHED[f"first_half_{name}_{times}"] = PUBLISHED[f"ta_vaal_{name}_{times}"] | {
            "methods": [*TA_VAAL["methods"], "entropy", "entropy_cb", "kcenter_cb"],
        }  # fmt: skip
PUBLISHED["ta_vaal_cifar100_large_budget"] = TA_VAAL | {"initial": 5000, "budget": 2500, "cycles": 6}
for name in ("fashion_mnist", "svhn"):
    PUBLISHED[f"ta_vaal_{name}"] = TA_VAAL | {"pad": 0, "flip": False}
PUBLISHED["ta_vaal_caltech101"] = TA_VAAL | {
    "budget": 500, "cycles": 8, "architecture": "resnet18", "batch_size": 16, "lr": 0.01, "pad": 0, "eta": 0.2,
    "adversary_lr": 0.0001, "latent": 128, "lambda": 15, "adversary_batch_size": 16,
}  # fmt: skip

PUBLISHED["ta_vaal_cifar10_readings"] = TA_VAAL | {
    "learner_losses": [None, "ranking", "margin", "ranking"], "share": [0.6, 0.6, 0.8], "stops": ["backbone", None, "head"],
    "methods": [*TA_VAAL["methods"], "ta_vaal_algorithm", "ta_vaal_code", "vaal_code"],
}  # fmt: skip
SRAAL = TA_VAAL | {
    "initial": 5000, "kind": "kcenter_vae", "budget": 2500, "cycles": 6, "pad": 4, "subset": 0,
    "learner_losses": [None, "margin"], "share": [0.6], "stops": [None],
    "methods": ["random", "bald", "kcenter_greedy", "learning_loss", "vaal", "sraal"],
}  # fmt: skip
PUBLISHED["sraal_cifar10"] = SRAAL
PUBLISHED["sraal_cifar10_random"] = SRAAL | {"kind": "random"}
PUBLISHED["sraal_cifar100"] = SRAAL | {
    "methods": [
        *SRAAL["methods"], "sraal_without_indicator", "sraal_without_learner", "sraal_without_both", "sraal_entropy",
        "sraal_standard_deviation",
    ],
}  # fmt: skip
PUBLISHED["sraal_caltech101"] = SRAAL | {
    "initial": 812, "budget": 406, "architecture": "resnet18", "batch_size": 16, "lr": 0.01, "pad": 0, "adversary_lr": 0.0001,
    "latent": 128, "adversary_batch_size": 16,
}  # fmt: skip

VIDEO = {
    "kind": "random", "validation": 0, "imbalance": "none", "seeds": 3, "architecture": "faster_rcnn_resnet50",
    "weights": "data/raw/weights/fasterrcnn_resnet50_fpn_coco.pth", "warm_start": True, "batch_size": 12, "optimizer": "sgd",
    "momentum": 0.9, "schedule": "multi_step", "gamma": 0.2, "score_threshold": 0.5, "nms_threshold": 0.5,
    "supervised": ["all"],
}  # fmt: skip
PUBLISHED["synthia_al"] = VIDEO | {
    "initial": 2008, "budget": 2008, "cycles": 5, "lr": 0.02, "epochs": 10, "milestones": [5, 7],
    "methods": [
        "random", "random_r", "least_confidence", "margin", "entropy", "oracle_fp", "oracle_fn", "temporal_coherence",
        "temporal_coherence_siamfc", "temporal_coherence_features",
    ],
}  # fmt: skip
PUBLISHED["imagenet_vid"] = VIDEO | {
    "initial": 2580, "budget": 2580, "cycles": 4, "lr": 0.001, "epochs": 6, "milestones": [3, 5],
    "methods": ["random", "random_r", "least_confidence", "margin", "entropy", "temporal_coherence"],
}  # fmt: skip
PUBLISHED["camera_traps"] = {
    "initial": 1000, "kind": "random", "validation": 0, "imbalance": "none", "budget": 100, "cycles": 290, "seeds": 1,
    "architecture": "mlp", "hidden_units": [100], "finetune_every": 2000,
    "methods": [
        "random", "least_confidence", "margin", "entropy", "informative_diverse", "margin_cluster_mean", "kcenter_greedy",
    ],
}  # fmt: skip
PUBLISHED["camera_traps_cross_entropy"] = PUBLISHED["camera_traps"] | {"methods": ["random", "kcenter_greedy"]}
PUBLISHED["camera_traps_full_images"] = PUBLISHED["camera_traps"]

# thesis 003, ch. 5: initial set and budget, in percent of the training images
LOW_BUDGET = {
    f"low_budget_{name}_{tag}": round(n_train * percent / 100)
    for name, n_train, percents in (
        ("cifar10", 50_000, {"01": 0.1, "02": 0.2, "1": 1, "2": 2, "10": 10}),
        ("cifar100", 50_000, {"1": 1, "2": 2, "10": 10}),
        ("tiny_imagenet", 90_000, {"1": 1, "2": 2, "10": 10}),
    )
    for tag, percent in percents.items()
}
for name in ("cifar10", "cifar100"):
    PUBLISHED[f"two_model_{name}"] = CIFAR | {
        "kind": "random", "imbalance": "none", "factor": 1, "cycles": 5, "gamma": 0.2, "warm_start": True,
        "pseudo_labels": {
            "ceal": ("ceal", None, None), "dispersion_10": ("two_model", "dispersion", 0.1),
            "dispersion_25": ("two_model", "dispersion", 0.25), "entropy_10": ("two_model", "entropy", 0.1),
            "entropy_25": ("two_model", "entropy", 0.25),
        },
        "methods": [
            "random", "entropy", "core_set", "ceal", "two_model_dispersion_10", "two_model_dispersion_25",
            "two_model_entropy_10", "two_model_entropy_25", "two_model_dispersion_both",
        ],
    }  # fmt: skip


@functools.cache
def load(name: str) -> dict:
    """A study of experiments/ with all defaults."""
    return of_config.load(STUDIES[name])


def settings_of(name: str) -> dict:
    """What a paper's section on its set-up states, from the config with defaults filled in."""
    config = load(name)
    learner, *others = config["learners"].values()
    for other in others:
        assert alike(other) == alike(learner)
    pool, optimizer, schedule = config["pool"], learner["optimizer"], learner["schedule"]
    return {
        "initial": pool["initial"]["size"], "kind": pool["initial"]["kind"], "validation": pool["validation"],
        "imbalance": pool["imbalance"]["kind"], "factor": pool["imbalance"]["factor"],
        "budget": config["budget"], "cycles": config["cycles"], "seeds": len(config["seeds"]),
        "methods": list(config["methods"]), "optimizer": optimizer["name"], "schedule": schedule["name"],
        "architectures": [settings["architecture"] for settings in config["learners"].values()],
        "pseudo_labels": pseudo_labels_of(config), "supervised": config["supervised"], "noise": applied_noise(pool["noise"]),
    } | {
        key: value for part in (learner, optimizer, schedule, learner["augmentation"]) for key, value in part.items()
        if key not in ("name", "optimizer", "schedule", "pseudo_labels")
    } | (adversarial_settings(config) if any(other["loss_prediction"] for other in others) else {})  # fmt: skip


def alike(learner: dict) -> dict:
    """What all learners of a study share: all but loss prediction and pseudo-labels, or the architecture and where it is trained."""
    return learner | dict.fromkeys(("loss_prediction", "pseudo_labels", "architecture", "device"))


def pseudo_labels_of(config: dict) -> dict:
    """Kind, certainty and share of the learners with pseudo-labels."""
    parts = {name: learner.get("pseudo_labels") for name, learner in config["learners"].items()}
    return {name: tuple(map(part.get, ("kind", "certainty", "share"))) for name, part in parts.items() if part}


def applied_noise(noise: dict) -> dict:
    """The settings that the kind of noise uses."""
    used = {
        "none": (),
        "gaussian": ("level", "probability", "sigma"),
        "salt_and_pepper": ("level", "probability", "amount"),
    }
    return {key: noise[key] for key in ("kind", *used[noise["kind"]], *noise.keys() & {"where"})}


def adversarial_settings(config: dict) -> dict:
    """What papers 004 and 002 (SRAAL) state of loss predictions and adversaries."""
    adversary = config["adversaries"]["vaal"]
    predictions = [learner["loss_prediction"] for learner in config["learners"].values()]
    (eta,) = {prediction["weight"] for prediction in predictions if prediction}
    (subset,) = {settings["subset"] for settings in config["methods"].values() if settings["score"] != "random"}
    return {
        "learner_losses": [prediction and prediction["loss"] for prediction in predictions],
        "share": [prediction["share"] for prediction in predictions if prediction],
        "stops": [prediction["stops"] for prediction in predictions if prediction],
        "eta": eta, "subset": subset, "adversary_lr": adversary["lr"], "latent": adversary["latent"],
        "discriminator_layers": adversary["discriminator_layers"], "beta": adversary["beta"], "lambda": adversary["weight"],
        "adversary_batch_size": adversary["batch_size"], "adversary_steps": adversary["steps"],
    }  # fmt: skip


def counts_of(config: dict):
    """Training images per class."""
    counts = COUNTS.get(config["dataset"]["name"])
    return datasets.train_counts(config["dataset"]) if counts is None else counts


def test_ablation_of_ta_vaal():
    """Paper 004, fig. 6: each method of the ablation lacks what it should."""
    for name in PUBLISHED:
        if name.startswith("ta_vaal"):
            config = load(name)
            parts = {}
            for method in ("loss_head_random", "learning_loss", "learning_loss_v2", "vaal", "vaal_ll", "ta_vaal"):
                settings = config["methods"][method]
                prediction = config["learners"][settings["learner"]]["loss_prediction"]
                parts[method] = (prediction and prediction["loss"], settings.get("adversary"), settings["score"])
            assert parts == {
                "loss_head_random": ("margin", None, "random"),
                "learning_loss": ("margin", None, "predicted_loss"),
                "learning_loss_v2": ("ranking", None, "predicted_loss"),
                "vaal": (None, "vaal", "unlike_labeled"),
                "vaal_ll": ("margin", "ta_vaal", "unlike_labeled"),
                "ta_vaal": ("ranking", "ta_vaal", "unlike_labeled"),
            }
            adversaries = config["adversaries"]
            assert adversaries["vaal"] | {"kind": "ta_vaal"} == adversaries["ta_vaal"]


def adversaries_of(name: str) -> dict:
    """Settings of the adversary of each method that has one."""
    config = load(name)
    methods = {method: settings.get("adversary") for method, settings in config["methods"].items()}
    return {method: config["adversaries"][adversary] for method, adversary in methods.items() if adversary}


def test_adversaries_of_the_authors_code():
    """VAAL: 100 epochs of 50,000 images, divergence summed over batch and latents. TA-VAAL: 100 of (1,000 (c + 1) + 10,000)."""
    found = adversaries_of("ta_vaal_cifar10_readings")
    vaal, code = found["vaal_code"], found["ta_vaal_code"]
    n, latent = vaal["batch_size"], vaal["latent"]
    assert (vaal["steps"], latent, vaal["beta"], vaal["weight"]) == (50_000 * 100 // n, 32, n * latent, 1)
    assert (vaal["vae_steps"], vaal["discriminator_steps"], vaal["discriminator_layers"]) == (2, 1, 5)
    for cycle in range(9):
        assert abs(code["steps"] + cycle * code["added_steps"] - (1000 * (cycle + 1) + 10_000) * 100 / n) < 3
    assert (code["latent"], code["beta"], code["weight"], code["vae_steps"], code["discriminator_steps"]) == (
        32,
        1,
        1,
        1,
        1,
    )
    assert (code["discriminator_layers"], code["discriminator_units"], code["lr"]) == (3, 512, 0.0005)
    assert (code["ranks"], code["discriminator_rank"], code["subset"]) == ("last", "raw", 10)
    assert found["ta_vaal_algorithm"]["ranks"] == "joint"
    for name in ("cifar10", "cifar100"):
        assert adversaries_of(f"label_dispersion_{name}")["vaal"] == vaal
    for name in ("cifar10", "cifar10_random", "cifar100", "caltech101"):
        vaal = adversaries_of(f"sraal_{name}")["vaal"]
        assert (vaal["latent"], vaal["beta"]) == (32, vaal["batch_size"] * 32)


def test_ablation_and_indicators_of_sraal():
    """Paper 002, SRAAL, fig. 7 and table 1: each differs from the whole in what its name says."""
    found = {name: adversary for name, adversary in adversaries_of("sraal_cifar100").items() if name != "vaal"}
    whole = found["sraal"]
    assert {name: dict(set(adversary.items()) - set(whole.items())) for name, adversary in found.items()} == {
        "sraal": {},
        "sraal_without_indicator": {"indicator": "binary"},
        "sraal_without_learner": {"supervised_weight": 0},
        "sraal_without_both": {"indicator": "binary", "supervised_weight": 0},
        "sraal_entropy": {"indicator": "entropy"},
        "sraal_standard_deviation": {"indicator": "standard_deviation"},
    }
    assert (whole["indicator"], whole["supervised_weight"], whole["unsupervised_weight"]) == ("sraal", 1, 1)


@pytest.mark.parametrize(
    ("name", "kind"), [("camera_traps", "triplet"), ("camera_traps_cross_entropy", "cross_entropy")]
)
def test_embeddings_of_camera_traps(name, kind):
    """Paper 002, sec. 3.1 and 4.3.1: ResNet-50, 256 features of crops of 256 pixels above a confidence of .9, learnt on eMammal."""
    config = load(name)
    (backbone,) = config["backbones"].values()
    assert (backbone["kind"], backbone["architecture"], backbone["embedding"]) == (kind, "resnet50", 256)
    for dataset in (config["dataset"], backbone["source"]):
        assert (dataset["loader"], dataset["confidence"], dataset["image_size"]) == ("camera_trap", 0.9, 256)
    assert backbone["source"]["name"] == "emammal"
    other = load("camera_traps")
    assert all(config[key] == other[key] for key in ("dataset", "pool", "budget", "cycles"))


@pytest.mark.parametrize("name", STUDIES)
def test_study_is_valid_and_fits_its_pool(name):
    config = load(name)
    assert config["study"] == name  # the results are found under the name of the file
    if config["task"] == "segmentation":
        images = {"cityscapes": 2975, "camvid_masks": 367}.get(config["dataset"]["name"])
        images = images or synthia_al.n_training_frames(config["dataset"])
        of_regions = config["regions"] and config["regions"]["initial"] == "regions"
        check_pool(config, images if of_regions else images - config["pool"]["initial"]["size"])
        return
    if config["task"] == "detection":
        frames = {"imagenet_vid": 129_000, "camvid": 468}.get(config["dataset"]["name"])
        frames = frames or synthia_al.n_training_frames(config["dataset"])
        check_pool(config, frames - config["pool"]["initial"]["size"])
        return
    check_pool(config, pool_size(config, counts_of(config)))


@pytest.mark.parametrize("name", STUDIES)
def test_study_says_where_it_comes_from(name):
    comment = re.split(r"^(?!#)", STUDIES[name].read_text(), maxsplit=1, flags=re.M)[0]
    assert "Raw data:" in comment
    if name in {*PUBLISHED, *LOW_BUDGET}:
        assert re.search(r"\((paper|thesis) 00\d\)", comment)
        assert all(word in comment for word in ("sec", "fig.", "Asked:", "Published", "Where this deviates"))


def test_no_study_or_guide_waits_for_a_later_part():
    texts = [*(ROOT / "experiments").rglob("*.yaml"), *(ROOT / "docs").glob("*.md")]
    waiting = r"later\s+(#\s+)?part|are not among the methods"
    assert len(texts) > 50 and [path.name for path in texts if re.search(waiting, path.read_text())] == []


def test_weight_of_every_class_balanced_method():
    """Lambda of the authors' code where it has one, else chosen by its sweep; CIFAR-100 draws fig. 4.4 of thesis 003."""
    found = {}
    for name in PUBLISHED:
        if name.startswith("class_balance_"):
            methods = load(name)["methods"]
            weights = {method: about["select_options"].get("weight") for method, about in methods.items()}
            found[name] = {method: weight for method, weight in weights.items() if weight is not None}
    for tag in ("if1", "if03", "if01"):
        ours = {"entropy_cb": 0.6, "kcenter_cb": 0.5, "vaal_cb": "auto"}
        assert found[f"class_balance_cifar10_{tag}"] == ours
        auto = {"entropy_cb_auto": "auto"} if tag == "if1" else {}
        assert found[f"class_balance_cifar100_{tag}"] == ours | {"entropy_cb": 2} | auto
        assert found[f"class_balance_tiny_imagenet_{tag}"] == {"entropy_cb": "auto", "bald_cb": "auto"}


def test_frames_of_the_rendered_set_are_those_of_the_table():
    """Thesis 003, table 2.1: 197 training sequences, 96K frames; 2 % of those there are, per cycle."""
    config = load("synthia_al")
    n_frames = synthia_al.n_training_frames(config["dataset"])
    assert abs(n_frames / 96_000 - 1) < 0.1
    assert config["budget"] == config["pool"]["initial"]["size"] == round(0.02 * n_frames)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    found, expected = settings_of(name), PUBLISHED[name]
    assert {key: found[key] for key in expected} == expected


# of the resolved settings, without those that no job depends on: finished jobs are known by them
DIGESTS = {
    "label_dispersion_cifar10": "e987df7dc0acdd3f",
    "class_balance_tiny_imagenet_if01": "7e14d819677ef3d0",
    "ta_vaal_caltech101": "57e89bddc314c375",
    "low_budget_tiny_imagenet_10": "2fc74b297e770a97",
    "synthia_al": "9ad6a65cc8687a3c",
    "camera_traps": "13f7fa46afca1d98",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_resolved_settings_stay_what_they_are(name):
    """To the byte, order of methods and 1 or 1.0 included: a changed default or type would repeat weeks of work."""
    settings = {
        key: value for key, value in load(name).items() if key not in ("task", "jobs_per_gpu", "regions", "published")
    }
    # what came later and is in no job's settings while it is not used
    assert settings["stopping"].pop("accuracy_change") is None
    assert settings.pop("repeats") == 0
    for key in ("noises", "noise_scale"):
        del settings["signals"][key]
    text = json.dumps(settings)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[name]


def test_every_study_is_pinned():
    others = {
        "cifar10_smoke", "digits_class_balance", "digits_simsiam", "digits_two_model", "video_small", "camvid", "two_moons",
        "camera_traps_miniature", "segmentation_small", "camvid_segmentation", "cityscapes", "sraal_cityscapes",
        "label_digits", "segmentation_regions", "camvid_regions",
    }  # fmt: skip
    assert set(STUDIES) == {*PUBLISHED, *LOW_BUDGET, *others}


def test_only_the_set_up_of_the_thesis_has_junctions():
    """Rendered data of all others stay what they were, their settings too."""
    assert load("synthia_al")["dataset"]["junctions"] == 0.5
    for name in ("video_small", "segmentation_small"):
        assert not {"junctions", "per_pixel"} & {*load(name)["dataset"]}


def test_cityscapes_of_task_aware_vaal():
    """Paper 004, sec. 4.4 and table 1."""
    config = load("cityscapes")
    assert (config["pool"]["initial"]["size"], config["budget"], len(config["seeds"])) == (200, 200, 3)
    for learner, eta in (("drn", None), ("drn_ll", 0.1), ("drn_ranker", 0.1)):
        about = config["learners"][learner]
        optimizer, crop = about["optimizer"], about["augmentation"]["crop"]
        assert (about["epochs"], about["batch_size"], optimizer["name"], optimizer["lr"], crop) == (
            100,
            4,
            "sgd",
            0.001,
            412,
        )
        assert about.get("loss_prediction", {"weight": None})["weight"] == eta
    for name in ("vaal", "ta_vaal"):
        about = config["adversaries"][name]
        assert [about[key] for key in ("latent", "lr", "weight", "beta", "batch_size", "discriminator_layers")] == [
            128, 0.0001, 25, 1, 4, 5,
        ]  # fmt: skip
    learners = {name: method["learner"] for name, method in config["methods"].items()}
    assert (learners.pop("learning_loss"), learners.pop("ta_vaal"), set(learners.values())) == (
        "drn_ll",
        "drn_ranker",
        {"drn"},
    )


def test_cityscapes_of_sraal():
    """Paper 002, sec. 4.2, with the sizes of VAAL: 10 % and 5 % a cycle of 2,975 images, up to 40 %."""
    config = load("sraal_cityscapes")
    initial = config["pool"]["initial"]
    assert (initial["size"], config["budget"], config["cycles"], initial["kind"]) == (300, 150, 6, "kcenter_vae")
    assert abs((300 + 6 * 150) / 2975 - 0.4) < 0.01
    assert list(config["methods"]) == ["random", "bald", "kcenter_greedy", "vaal", "sraal"]
    sraal = config["adversaries"]["sraal"]
    assert (sraal["indicator"], sraal["unsupervised_weight"], sraal["supervised_weight"], sraal["weight"]) == (
        "sraal",
        1,
        1,
        1,
    )


@pytest.mark.parametrize("name", LOW_BUDGET)
def test_low_budget_settings(name):
    """Thesis 003, sec. 5.4: initial set = budget per cycle, frozen features and from scratch alike; 50 % is reached by 5 x 10 %."""
    config, size = load(name), LOW_BUDGET[name]
    initial, methods = config["pool"]["initial"], config["methods"]
    assert (initial["size"], initial["kind"], config["budget"], config["cycles"]) == (size, "balanced", size, 4)
    n_train = 90_000 if "tiny" in name else 50_000
    assert pool_size(config, counts_of(config)) == n_train - size
    backbone = config["backbones"]["simsiam"]
    architecture = "resnet18" if "tiny" in name else "resnet18_cifar"
    assert {key: backbone[key] for key in ("architecture", "epochs", "batch_size", "lr", "momentum", "weight_decay")} == {
        "architecture": architecture, "epochs": 800, "batch_size": 512, "lr": 0.03, "momentum": 0.9, "weight_decay": 0.0001,
    }  # fmt: skip
    frozen, svm, scratch = (config["learners"][learner] for learner in ("frozen", "svm", "scratch"))
    assert frozen["backbone"] == svm["backbone"] == "simsiam" and scratch["backbone"] is None
    assert (frozen["architecture"], frozen["epochs"], frozen["batch_size"], frozen["schedule"]["name"]) == (
        "linear",
        100,
        256,
        "cosine",
    )
    assert frozen["optimizer"] == {"name": "sgd", "lr": 30, "momentum": 0.9, "weight_decay": 0, "nesterov": False}
    assert (svm["architecture"], svm["C"]) == ("svm", 5)
    assert (scratch["architecture"], scratch["epochs"]) == (architecture, 100)
    on_images, augmentation = (
        config["learners"]["frozen_on_images"],
        {"pad": 0, "crop": None, "flip": True, "resized_crop": [0.08, 1]},
    )
    assert (on_images["starts_from"], on_images["freeze"], on_images["architecture"]) == ("simsiam", True, architecture)
    assert on_images["optimizer"] == frozen["optimizer"] and on_images["schedule"] == frozen["schedule"]
    assert on_images["augmentation"] == scratch["augmentation"] == augmentation
    asked = {
        learner: [(m["score"], m["select"], m.get("adversary")) for m in methods.values() if m["learner"] == learner]
        for learner in ("frozen", "frozen_on_images", "svm", "scratch")
    }
    kcenter = ("distance_to_labeled", "kcenter_greedy", None)
    alike = [("random", "top_k", None), ("entropy", "top_k", None), kcenter]
    assert asked["frozen"] == [*alike, ("unlike_labeled", "top_k", "features")]
    assert asked["scratch"] == asked["frozen_on_images"] == [*alike, ("unlike_labeled", "top_k", "vaal")]
    assert asked["svm"] == [("random", "top_k", None), ("svm_min_margin", "top_k", None)]
    assert len(config["seeds"]) == 3


def test_pools_of_class_balance():
    """Thinned are the last half of the classes in what the initial draw left: 4,500 each of CIFAR-10."""
    sizes = {}
    for name in PUBLISHED.keys() - {"synthia_al", "imagenet_vid"}:
        config = load(name)
        sizes[name] = pool_size(config, counts_of(config))
    assert sizes["class_balance_cifar10_if1"] == 45000
    assert sizes["class_balance_cifar10_if03"] == 5 * 4500 + 5 * 1350
    assert sizes["class_balance_cifar10_if01"] == 5 * 4500 + 5 * 450
    assert sizes["class_balance_cifar100_if01"] == 50 * 450 + 50 * 45
    assert sizes["class_balance_tiny_imagenet_if1"] == 90000 - 9000
    assert sizes["ta_vaal_cifar10_x100"] == 5 * 5000 + 5 * 50 - 1000
    assert sizes["ta_vaal_caltech101"] == 8125 - 1000


def keys(value, prefix=""):
    """Dotted keys of a config; the name of a learner is none of its keys."""
    if not isinstance(value, dict):
        return {prefix}
    names = {name: "*" if prefix == "learners" else name for name in value}
    return set().union(*(keys(value[name], f"{prefix}.{shown}".strip(".")) for name, shown in names.items()))


def test_smoke_study_has_the_keys_of_the_published_one():
    """Only where the data lie, the device and the methods, with what these train, differ."""
    free = re.compile(r"dataset\.|methods\.|adversaries\.|published$|learners\.\*\.device$")
    smoke, published = (
        {key for key in keys(written(f"experiments/{name}.yaml")) if not free.match(key)}
        for name in ("cifar10_smoke", "class_balance_cifar10_if01")
    )
    assert smoke == published
    assert load("cifar10_smoke")["pool"]["imbalance"] == load("class_balance_cifar10_if01")["pool"]["imbalance"]


def test_it_is_told_where_weights_are_from():
    readme = (ROOT / "data/README.md").read_text()
    networks = [
        part for config in map(load, STUDIES) for key in ("learners", "backbones") for part in config[key].values()
    ]
    used = {part["weights"] for part in networks if part.get("weights")}
    assert used and [path for path in used if f"`{path}`" not in readme] == []


def test_studies_of_a_data_set_share_it():
    """The prepared data set lies under its name alone: other settings would overwrite it."""
    found = {}
    for config in [of_config.load(ROOT / "config.yaml"), *map(load, STUDIES)]:
        name = config["dataset"]["name"]
        sources = [backbone["source"] for backbone in config["backbones"].values() if backbone.get("source")]
        for dataset in (config["dataset"], *sources):
            assert found.setdefault(dataset["name"], dataset) == dataset
        for key, backbone in config["backbones"].items():  # these lie beside it
            assert found.setdefault((name, key), backbone) == backbone


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "cifar10_smoke",
        "label_dispersion_cifar10",
        "constrained_mnist",
        "synthia_al",
        "ta_vaal_cifar10",
        "camera_traps_miniature",
        "two_model_cifar10",
        "low_budget_cifar10_1",
    ],
)
def test_study_plans(workflow, name):
    workflow.config, config = STUDIES[name], load(name)
    planned = workflow.counted()
    queries = len(config["seeds"]) * len(config["methods"]) * config["cycles"]
    assert planned["score"] == planned["select"] == planned["oracle"] == queries
    starts = len(config["seeds"]) * len(config["learners"]) * (1 + len(config["supervised"]))
    assert planned["train"] == planned["evaluate"] == queries + starts


def test_nothing_of_the_default_study_leaks_into_another(workflow):
    """The default study lies where Snakemake looks for it; only what another study names is planned."""
    shutil.copy(ROOT / "config.yaml", workflow.folder)
    workflow.write(
        SMALL
        | {"study": "minimal", "dataset": {"name": "mnist", "download": True}, "cycles": 1, "methods": {"random": None}}
    )
    done = workflow.snakemake("--dry-run")
    output = done.stdout + done.stderr
    assert set(re.findall(r"results/(?:datasets/)?(\w+)", output)) == {"minimal", "mnist"}
    assert set(re.findall(r"seed(\d+)/([\w-]+)/cycle(\d+)", output)) == {("0", "start-mlp", "0"), ("0", "random", "1")}


def test_workflow_catalog_finds_the_workflow(workflow):
    """It looks for workflow/Snakefile and says from a file of its own how the workflow is deployed."""
    workflow.write(SMALL)
    expected = workflow.planned()
    assert workflow.planned("--snakefile", str(ROOT / "workflow" / "Snakefile")) == expected
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage == {"software-stack-deployment": {"conda": True}, "report": True}


def test_example_study_of_the_readme_is_valid():
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "config" / "README.md").read_text(), re.S)
    config = of_config.load(yaml.safe_load(example))
    assert config["dataset"]["loader"] == "image_folder"
    assert list(config["methods"]) == ["random", "entropy", "diverse", "entropy_of_some"]
