"""Every mistake in the config is one sentence that names the key, the value and what is allowed."""

import copy
import dataclasses
import sys
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
from conftest import SMALL, written
from pydantic import BaseModel

from dagal import tasks
from dagal.config import check_pool, load, pool_size
from dagal.errors import UserError
from dagal.registry import Registry

DEFAULT = written("config.yaml")
DIGITS_COUNTS = np.full(10, 140)


def changed(path: str, value, study: dict = DEFAULT):
    """The study with one dotted key set, or dropped for value ... ."""
    config = copy.deepcopy(study)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("budgets", 5, ["'budgets' is unknown", "did you mean 'budget'", "cycles"]),
        ("pool.inital", 5, ["'pool.inital' is unknown", "did you mean 'initial'", "imbalance"]),
        ("learners.mlp.optimizer.rate", 1, ["'learners.mlp.optimizer.rate' is unknown", "lr"]),
        ("budget", ..., ["'budget' is missing"]),
        ("pool.initial.size", ..., ["'pool.initial.size' is missing"]),
        ("budget", "ten", ["'budget' is 'ten'", "a whole number of at least 1"]),
        ("budget", 0, ["'budget' is 0", "at least 1"]),
        ("cycles", 2.5, ["'cycles' is 2.5", "a whole number"]),
        ("seeds", [0, 1, 0], ["'seeds' is [0, 1, 0]", "repeat"]),
        ("seeds", [], ["'seeds' is []", "a list of 1 or more whole numbers"]),
        ("seeds", [-1], ["'seeds' is [-1]", "at least 0"]),
        ("study", "my study", ["'study' is 'my study'", "letters"]),
        ("learners.a-b", {"architecture": "linear"}, ["'learners.a-b'", "letters"]),
        ("dataset.name", "cifar11", ["'dataset.name' is 'cifar11'", "'dataset.loader'", "image_folder"]),
        ("dataset.loader", "cifar", ["'dataset.loader' is 'cifar'", "cifar10"]),
        ("pool.imbalance.kind", "stepped", ["'stepped'", "step", "exponential"]),
        ("pool.imbalance.factor", 0, ["'pool.imbalance.factor' is 0", "above 0"]),
        ("learners.mlp.augmentation", {"pad": 2, "resized_crop": [0.08, 1]}, ["resized_crop' is set beside pad"]),
        ("learners.mlp.augmentation", {"resized_crop": [1, 0.5]}, ["give the smaller number first"]),
        ("learners.mlp.freeze", True, ["'learners.mlp.freeze' is set, but nothing is learnt before"]),
        ("learners.mlp.starts_from", "net", ["'learners.mlp.starts_from' is 'net'; allowed: none"]),
        ("learners.mlp.dropout", 1, ["'learners.mlp.dropout' is 1", "below 1"]),
        ("learners.mlp.architecture", "vgg", ["'vgg'", "resnet18_cifar"]),
        ("learners.mlp.dropout", 0, ["'methods.bald'", "draws", "dropout"]),
        ("methods", {}, ["'methods'", "at least 1"]),
        (
            "methods.entropi",
            None,
            ["'methods.entropi'", "did you mean 'entropy'", "kcenter_cb", "top_k", "class_balanced"],
        ),
        ("methods.entropy", {"select": "best"}, ["'methods.entropy.select' is 'best'", "top_k"]),
        (
            "methods.entropy",
            {"score_options": {"beta": 1}},
            ["'methods.entropy.score_options.beta' is no option of 'entropy'", "none"],
        ),
        ("methods.entropy", {"learner": "cnn"}, ["'cnn'", "mlp"]),
        ("methods.entropy", {"subset": -1}, ["'methods.entropy.subset' is -1", "at least 0"]),
        ("methods.start_entropy", {"score": "entropy"}, ["'methods.start_entropy'", "rename"]),
        ("study", "datasets", ["'study' is 'datasets'"]),
        ("pool.imbalance", {"factor": 0.1}, ["'none'", "0.1", "kind other than none"]),
        ("pool.imbalance", {"kind": "step"}, ["'step'", "factor below 1"]),
        ("learners.mlp.schedule", {"milestones": [3]}, ["'learners.mlp.schedule'", "multi_step"]),
        ("learners.mlp.schedule", {"name": "multi_step"}, ["'learners.mlp.schedule'", "needs milestones"]),
        ("learners.mlp.schedule", {"name": "multi_step", "milestones": [50]}, ["[50]", "before the 50 epochs"]),
        ("learners.mlp.weights", "resnet18.pth", ["'learners.mlp.weights'", "only ResNets", "mlp"]),
        ("stopping", {"target_accuracy": 0.9}, ["'stopping.target_accuracy'", "validation set", "'pool.validation'"]),
        ("stopping", {"target_accuracy": 1.2}, ["'stopping.target_accuracy' is 1.2", "at most 1"]),
        ("stopping", {"kappa": {"threshold": 1}}, ["'stopping.kappa.threshold' is 1", "below 1"]),
        ("stopping", {"accuracy_change": {"threshold": 0.01}}, ["'stopping.accuracy_change'", "'pool.validation'"]),
        ("stopping", {"accuracy_change": {}}, ["'stopping.accuracy_change.threshold' is missing"]),
        ("stopping", {"kapa": {}}, ["'stopping.kapa' is unknown", "did you mean 'kappa'"]),
        ("supervised", [100, 100], ["'supervised' is [100, 100]", "no value may repeat"]),
        ("supervised", ["every"], ["'supervised' is ['every']", "a whole number of at least 1, or all", "not 'every'"]),
        ("supervised", [0], ["'supervised' is [0]", "at least 1"]),
        ("learners.mlp.optimizer.lr", "1e-3", ["'1e-3'", "number", "text; write 1.0e-3 with a decimal point"]),
        ("methods.entropy", "top", ["'methods.entropy' is 'top'", "a mapping"]),
        ("pool", None, ["'pool' is nothing", "a mapping"]),
        ("pool", [1], ["'pool' is [1]", "a mapping"]),
        ("seeds", 3, ["'seeds' is 3", "a list"]),
        ("seeds", [2**63], ["below 2^63"]),
        ("budget", True, ["'budget' is true", "a whole number"]),
        ("learners.mlp.optimizer.lr", True, ["lr' is true", "a number above 0"]),
        ("learners.mlp.optimizer.lr", float("nan"), ["lr' is not a number (.nan)"]),
        ("learners.mlp.optimizer.lr", float("inf"), ["lr' is infinite (.inf)"]),
        ("learners.mlp.augmentation", {"flip": 1}, ["flip' is 1", "true or false"]),
        ("learners.mlp.batch_size", None, ["batch_size' is nothing"]),
        (
            "learners.mlp",
            {"architecture": "resnet18", "epochs": 1, "batch_size": 1},
            ["batch_size' is 1", "batch norm"],
        ),
        ("dataset.path", "~/digits", ["'dataset.path' is '~/digits'", "~ and $ are not replaced"]),
        ("dataset.path", "$HOME/digits", ["~ and $ are not replaced"]),
        ("dataset.task", "painting", ["'dataset.task' is 'painting'", "classification, detection"]),
        ("pool.initial", {"size": 9, "kind": "balanced"}, ["'pool.initial.size' is 9", "10 classes"]),
        ("methods.class_balanced", None, ["the selector 'class_balanced'", "write `select: class_balanced`"]),
        ("methods.entropy", {"select": "margin"}, ["'methods.entropy.select'", "the score 'margin'"]),
        (
            "methods.entropy_cb",
            {"select_options": {"weight": "heavy"}},
            ["'methods.entropy_cb.select_options.weight' is 'heavy'", "a number of at least 0 or auto"],
        ),
        ("methods.entropy_cb", {"select_options": {"weight": -1}}, ["weight' is -1"]),
        ("methods.entropy_cb", {"select_options": {"weight": float("nan")}}, ["weight' is not a number"]),
        ("methods.dal", {"select_options": {"hidden_units": [64, "wide"]}}, ["a list of whole numbers of at least 1"]),
        ("methods.typiclust", {"select_options": {"normalize": 1}}, ["normalize' is 1", "true or false"]),
    ],
)
def test_mistake_is_one_sentence(path, value, words):
    with pytest.raises(UserError) as caught:
        load(changed(path, value))
    message = str(caught.value)
    assert "\n" not in message
    lists_all_names = path in ("methods.entropi", "methods.entropy")
    assert len(message) < (1200 if lists_all_names else 400)
    for word in words:
        assert word in message


def test_nothing_can_stop_without_cycles():
    with pytest.raises(UserError, match="'stopping.kappa.cycles' is 9, but there are only"):
        load(DEFAULT | {"stopping": {"kappa": {"cycles": 9}}})
    with pytest.raises(UserError, match="'stopping.kappa' is set, but with 'cycles' 0"):
        load(DEFAULT | {"cycles": 0, "stopping": {"kappa": {}}})


def test_stop_set_and_baselines_must_fit_the_pool():
    config = load(DEFAULT | {"stopping": {"kappa": {"size": 300}}, "supervised": [350, "all"]})
    check_pool(config, 300)  # and the 50 of the initial set
    with pytest.raises(UserError, match="'stopping.kappa.size' is 300, but the pool holds 299"):
        check_pool(config, 299)
    with pytest.raises(UserError, match="'supervised' asks for 351 labels, but pool and initial set hold 350"):
        check_pool(config | {"supervised": [351]}, 300)


def test_height_of_a_vae_is_for_images():
    """And for segmenters as well as for classifiers, whose studies are the same without it."""
    backbones = {"simsiam": {"kind": "simsiam", "architecture": "resnet18_cifar", "epochs": 1}}
    learner = {"architecture": "linear", "backbone": "simsiam", "epochs": 1}
    study = SMALL | {"backbones": backbones, "learners": {"frozen": learner}, "methods": {"vaal": {}}}
    assert "height" not in load(study)["adversaries"]["vaal"]
    with pytest.raises(
        UserError, match="'adversaries.vaal.height' is set, but the features of a backbone are no images"
    ):
        load(study | {"adversaries": {"vaal": {"height": 16}}})
    masks = written("experiments/segmentation_small.yaml") | {"methods": {"ta_vaal": {}}}
    with pytest.raises(UserError, match="reads predicted losses, but 'learners.small.loss_prediction' is not set"):
        load(masks)
    masks["learners"]["small"]["loss_prediction"] = {"loss": "ranking"}
    assert load(masks | {"adversaries": {"ta_vaal": {"height": 48}}})["adversaries"]["ta_vaal"]["height"] == 48
    with pytest.raises(UserError, match="'pool.initial.kind' is for images with one class each"):
        load(masks | {"pool": {"initial": {"size": 10, "kind": "balanced"}}})


VIDEO = written("experiments/video_small.yaml")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("dataset.image_size", 32, ["'dataset.image_size' is for images only", "synthia_al"]),
        ("dataset.scale", 0, ["'dataset.scale' is 0", "above 0"]),
        ("dataset.seconds", [3], ["'dataset.seconds'"]),
        ("dataset.loader", "camvid", ["'dataset.scale' is for synthia_al only", "camvid"]),
        ("dataset.loader", "digits", ["'dataset.height' is for synthia_al or videos or masks only", "digits"]),
        ("pool.validation", 5, ["'pool.validation'", "not for videos"]),
        ("pool.initial.kind", "balanced", ["'pool.initial.kind'", "one class each"]),
        ("learners.detector.architecture", "mlp", ["'learners.detector.architecture' is 'mlp'", "faster_rcnn"]),
        (
            "learners.detector.dropout",
            0.5,
            ["'learners.detector.dropout' is for classifiers or segmenters only, not for faster_rcnn_small"],
        ),
        ("learners.detector.score_threshold", 1, ["'learners.detector.score_threshold' is 1", "below 1"]),
        (
            "methods.bald",
            None,
            ["'methods.bald'", "the score 'bald' of classification", "detection", "temporal_coherence"],
        ),
        ("methods.entropy", {"draws": "ensemble"}, ["'methods.entropy.draws' is for classification only"]),
        ("methods.entropy", {"select": "kcenter_greedy"}, ["'methods.entropy.select'", "of classification", "top_k"]),
        ("methods.entropy", {"tracker": "sort"}, ["'sort'", "siamfc"]),
        (
            "methods.entropy",
            {"select_options": {"neighbours": 2}},
            ["is no option of 'temporal_spread'", "did you mean 'neighbors'"],
        ),
        ("dataset.classes", ["car"], ["'dataset.classes' has no meaning", "synthia_al"]),
        ("dataset.test_fraction", 0.5, ["'dataset.test_fraction' has no meaning"]),
        ("learners.detector.augmentation", {"pad": 4}, ["'learners.detector.augmentation' may set only flip"]),
        ("methods.entropy", {"tracker": "siamfc"}, ["'methods.entropy.tracker' is 'siamfc'", "follows no detections"]),
        ("stopping", {"kappa": {}}, ["'stopping.kappa' is for classification only"]),
        ("video.flow", "raft", ["'video.flow' is raft", "'video.flow_weights'"]),
        ("video.flow", "pwc", ["'pwc'", "dis"]),
    ],
)
def test_mistake_in_a_study_of_videos_is_one_sentence(path, value, words):
    with pytest.raises(UserError) as caught:
        load(changed(path, value, VIDEO))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    for word in words:
        assert word in message


def test_initial_set_larger_than_the_rendered_videos():
    with pytest.raises(UserError, match="'pool.initial.size' is 80, but there are only 60 training images"):
        check_pool(load(VIDEO), -20)


def test_true_motion_is_for_rendered_videos_only():
    config = changed("methods.temporal_coherence", {"tracker": "true_flow"}, VIDEO)
    assert load(config)["methods"]["temporal_coherence"]["tracker"] == "true_flow"
    config["dataset"] = {"name": "mine", "loader": "video_folder"}
    with pytest.raises(UserError, match="true_flow, which only rendered videos"):
        load(config)


def test_a_detector_for_images_is_refused():
    with pytest.raises(
        UserError,
        match="learners.mlp.architecture' is 'faster_rcnn_small', which is no architecture for classification",
    ):
        load(changed("learners.mlp.architecture", "faster_rcnn_small"))
    with pytest.raises(UserError, match="'methods.temporal_coherence'"):
        load(changed("methods.temporal_coherence", None))
    with pytest.raises(UserError, match="'methods.entropy.tracker' is for detection only"):
        load(changed("methods.entropy", {"tracker": "siamfc"}))


def test_several_learners_must_be_named():
    config = changed("learners.lenet", {"architecture": "lenet", "epochs": 1})
    with pytest.raises(UserError, match="methods.random' must name its learner.*mlp, lenet"):
        load(config)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("budget", 2000, ["'budget' is 2000", "pool"]),
        ("cycles", 100, ["'cycles' is 100", "at most"]),
        ("pool.initial.size", 5000, ["'pool'", "5000"]),
        ("pool.validation", 5000, ["'pool'", "5000"]),
        ("pool.initial", {"size": 1399, "kind": "balanced"}, ["'budget'", "0 images"]),
    ],
)
def test_study_larger_than_pool(path, value, words):
    config = load(changed(path, value))
    with pytest.raises(UserError) as caught:
        check_pool(config, pool_size(config, DIGITS_COUNTS))
    for word in words:
        assert word in str(caught.value)


def test_pool_check_counts_the_thinned_pool():
    """step with factor .1 after 50 balanced: 5 x 135 + 5 x floor(13.5 + .5) = 745 images, so 14 cycles of 50."""
    config = changed("pool.initial.kind", "balanced")
    assert pool_size(load(config), DIGITS_COUNTS) == 745
    config["cycles"] = 14
    check_pool(load(config), 745)
    config["cycles"] = 15
    with pytest.raises(UserError, match="pool of 745 images; at most 14 cycles"):
        check_pool(load(config), 745)


def test_whole_numbers_may_be_written_with_a_point():
    config = load(changed("budget", 50.0) | {"seeds": [0.0, 1]})
    assert str([config["budget"], config["seeds"]]) == "[50, [0, 1]]"
    given = load(changed("methods.typiclust", {"select_options": {"neighbors": 5.0}}))["methods"]["typiclust"]
    assert str(given["select_options"]) == "{'neighbors': 5}"


def test_options_are_kept_as_they_are_written():
    """Their numbers are part of what a job depends on: 2 and 2.0 are different text."""
    options = {"weight": 2}, {"weight": 2.0}, {"weight": "auto"}
    for given in options:
        assert str(
            load(changed("methods.entropy_cb", {"select_options": given}))["methods"]["entropy_cb"]["select_options"]
        ) == str(given)


def test_task_is_a_key_of_the_data_set_and_stands_at_the_top():
    for task in (None, "classification"):
        config = load(changed("dataset.task", task))
        assert config["task"] == "classification" and "task" not in config["dataset"]
    assert load(VIDEO)["task"] == "detection"


class Ridge(BaseModel, extra="forbid"):
    """The learner of a made-up task."""

    architecture: Literal["ridge"]
    alpha: float = 1.0


def test_a_task_brings_its_own_learners(monkeypatch):
    """Without a line in dagal.config."""
    task = dataclasses.replace(
        tasks.find("classification"), name="regression", learners=Registry(ridge=f"{__name__}:Ridge")
    )
    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(TASK=task))
    monkeypatch.setitem(tasks.TASKS, "regression", "made_up:TASK")
    study = changed("dataset.task", "regression") | {
        "learners": {"ridge": {"architecture": "ridge"}}, "methods": {"random": None, "kcenter_greedy": None},
    }  # fmt: skip
    config = load(study)
    assert (config["task"], config["learners"]) == ("regression", {"ridge": {"alpha": 1.0, "architecture": "ridge"}})
    assert config["methods"]["random"]["learner"] == "ridge"
    with pytest.raises(
        UserError, match="'learners.mlp.architecture' is 'mlp', which is no architecture for regression"
    ):
        load(study | {"learners": DEFAULT["learners"]})
    with pytest.raises(UserError, match="'learners.ridge.alpha' is 'steep': must be a number"):
        load(study | {"learners": {"ridge": {"architecture": "ridge", "alpha": "steep"}}})


def test_keys_of_another_variant_may_stand_at_their_default():
    """A file that extends another sets to null what its own architecture does not have."""
    assert load(changed("learners.mlp.C", 5)) == load(DEFAULT)


def test_defaults_are_filled_in_and_the_input_is_untouched():
    before = copy.deepcopy(DEFAULT)
    config = load(DEFAULT)
    assert before == DEFAULT
    assert config["pool"]["validation"] == 0
    assert config["learners"]["mlp"]["augmentation"] == {"crop": None, "flip": False, "pad": 0}
    assert config["dataset"] | {"loader": "digits", "path": "data/raw/digits"} == config["dataset"]
    assert config["methods"]["entropy"] == {
        "score": "entropy", "select": "top_k", "score_options": {}, "select_options": {}, "subset": 0, "shards": 1, "learner": "mlp",
        "draws": "dropout",
    }  # fmt: skip
    assert config["methods"]["kcenter_greedy"]["select"] == "kcenter_greedy"
    assert config["methods"]["oracle"]["score"] == "misclassified"
    assert list(config["methods"]) == list(DEFAULT["methods"])


def test_order_of_keys_changes_nothing():
    """Snakemake compares parameters by their text: a reordered config must not rerun anything."""
    config = copy.deepcopy(DEFAULT)
    config["learners"]["mlp"] = dict(reversed(config["learners"]["mlp"].items()))
    config = dict(reversed(config.items()))
    assert str(load(config)["learners"]) == str(load(DEFAULT)["learners"])
    assert str(load(config)["pool"]) == str(load(DEFAULT)["pool"])
