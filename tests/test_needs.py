"""What jobs ask of a machine: against networks whose products are counted, and what was measured; and how it grows."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SMALL
from snakemake.resources import Resource
from torch.utils.flop_counter import FlopCounterMode

from dagal import artifacts, config
from dagal.learners import NETWORKS, detector, inference
from dagal.plan import Study, record
from dagal.plan.check import size_of
from dagal.plan.rules import Rules
from dagal.tasks import needs
from dagal.tasks.needs import Size

DIGITS = Size(1797, 8, 8, 1, 10)


def counted(network, images) -> tuple[float, float]:
    """Multiply-adds of a pass, and numbers that a training keeps besides the weights; on the meta device nothing is computed."""
    weights, kept = {id(one) for one in network.parameters()}, []

    def keep(tensor):
        if tensor.is_floating_point() and id(tensor) not in weights:
            kept.append(tensor)
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        network(images)
    return counter.get_total_flops() / 2, sum({id(one): one.numel() for one in kept}.values())


@pytest.mark.parametrize(
    ("architecture", "side"),
    [("lenet", 32), ("resnet18_cifar", 32), ("resnet18", 224), ("resnet50", 224), ("resnet101", 224)],
)
def test_costs_of_networks_are_those_that_are_counted(architecture, side):
    shape = (3 if "resnet" in architecture else 1, side, side)
    network, features = NETWORKS.find(architecture)(shape, {"architecture": architecture, "weights": None})
    products, kept = counted(network.to("meta"), torch.zeros(2, *shape, device="meta"))
    found = needs.cost({"architecture": architecture}, Size(1, side, side, shape[0], 10))
    assert found.features == features
    assert found.products == pytest.approx(products / 2, rel=0.1)
    assert found.kept == pytest.approx(kept / 2, rel=0.25)


def test_a_small_detector_costs_what_is_counted():
    network = detector.SmallBackbone()
    products, kept = counted(network.to("meta"), torch.zeros(2, 3, 96, 128, device="meta"))
    found = needs.cost({"architecture": "faster_rcnn_small"}, Size(1, 96, 128, 3, 2))
    for counted_one, one in ((products, found.products), (kept, found.kept)):
        assert counted_one / 2 < one < 4 * counted_one / 2  # proposals and their heads besides


def rules(size=DIGITS, longest=None, local=True, **changes) -> Rules:
    study = Study(config.load(SMALL | changes))
    limits = {} if longest is None else {"runtime": Resource("runtime", longest)}
    workflow = SimpleNamespace(global_resources=limits, local_exec=local)
    return Rules(study, size, str, "python", False, workflow)


class At(dict):
    """Wildcards, as Snakemake hands them to functions."""

    def __getattr__(self, name):
        return self[name]


QUERY = At(seed="0", branch="entropy", cycle="1")
MB, MINUTES = "memory", "runtime"


def asked(plan, what, stage, wildcards=QUERY, attempt=1):
    return getattr(plan, what)(stage)(wildcards, attempt)


# docs/scale.md: MiB and seconds of one core; an mlp of 32 units, 2 epochs on 1,000 labels, at the start with a trajectory
SMALL_IMAGES, LARGE_IMAGES = Size(1_000_000, 32, 32, 3, 10), Size(100_000, 224, 224, 3, 10)
MEASURED = [
    ("dataset", SMALL_IMAGES, 170, 48.1), ("split", SMALL_IMAGES, 140, 28.6), ("signals", SMALL_IMAGES, 983, 42.9),
    ("train", SMALL_IMAGES, 930, 121), ("score", SMALL_IMAGES, 268, 2.7), ("select", SMALL_IMAGES, 100, 0.11),
    ("oracle", SMALL_IMAGES, 100, 0.11), ("dataset", LARGE_IMAGES, 148, 63.9), ("signals", LARGE_IMAGES, 1490, 780),
    ("train", LARGE_IMAGES, 1790, 1076), ("score", LARGE_IMAGES, 102, 0.66),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "size", "megabytes", "seconds"), MEASURED)
def test_jobs_ask_for_more_than_was_measured_but_not_for_a_machine(stage, size, megabytes, seconds):
    learner = SMALL["learners"]["mlp"] | {"hidden_units": [32], "epochs": 2}
    plan = rules(
        size,
        dataset={"name": "cifar10"},
        budget=1000,
        pool={"initial": {"size": 1000}},
        learners={"mlp": learner},
        methods={"entropy": {}, "label_dispersion": {}},
    )
    start = At(seed="0", branch="start-mlp", cycle="0")
    where = QUERY if stage in ("score", "select", "oracle") else start
    assert megabytes < asked(plan, MB, stage, where) < 6 * megabytes + 3000
    assert seconds / 60 < asked(plan, MINUTES, stage, where) < 20 * seconds / 60 + 130


def test_held_images_fit_into_the_memory_of_the_jobs():
    assert needs.HELD >= inference.HELD_BYTES


def test_requests_grow_with_labels_epochs_network_and_attempt():
    """A training of ResNet-18 by hand: 60 labels, 20 epochs, 3 x 545,000 multiply-adds per pixel, by 10^10 a second."""
    learner = SMALL["learners"]["mlp"] | {"architecture": "resnet18_cifar", "epochs": 20_000, "augmentation": {}}
    del learner["hidden_units"], learner["dropout"]
    plan = rules(Size(60_000, 32, 32, 3, 10), dataset={"name": "cifar10"}, learners={"net": learner}, cycles=4)
    places = [At(QUERY, cycle=str(cycle)) for cycle in (1, 4)]
    times = [asked(plan, MINUTES, "train", place) for place in places]
    seconds = [(20 + 10 * cycle) * 20_000 * (3 * 545_000 * 1024 / 1e10 + 3072 * 5e-8 + 0.01 / 32) for cycle in (1, 4)]
    passes = 60_000 * (545_000 * 1024 / 1e10 + 3072 * 5e-8)
    assert times == [10 * -(-(1 + 2 * (one + passes) / 60) // 10) for one in seconds]
    assert asked(plan, MINUTES, "train", places[0], attempt=3) == 3 * times[0]
    assert asked(plan, MB, "train", attempt=2) == 2 * asked(plan, MB, "train")
    assert asked(plan, MB, "train") > asked(rules(), MB, "train")
    assert asked(rules(Size(10**7, 8, 8, 1, 10)), MB, "select") > asked(rules(), MB, "select")


def test_a_gpu_job_has_memory_for_cuda():
    learner = SMALL["learners"]["mlp"]
    on_gpu = rules(learners={"mlp": learner | {"device": "auto"}})
    assert asked(on_gpu, MB, "train") - asked(rules(), MB, "train") == 5000
    assert asked(on_gpu, MB, "score") == asked(rules(), MB, "score")


def test_what_is_submitted_together_stays_below_the_limit_together():
    plan, free = rules(longest=60, local=False), rules(local=False)
    stages = ("score", "select", "oracle")
    for attempt in (1, 2, 3):
        assert sum(asked(plan, MINUTES, stage, attempt=attempt) for stage in stages) <= 60
    assert [asked(free, MINUTES, stage, attempt=3) for stage in stages] == [30, 90, 30]
    assert asked(plan, MINUTES, "train", attempt=9) == 60
    assert [plan.group(stage)(QUERY) for stage in stages] == ["query_0_entropy_1"] * 3


def test_where_jobs_share_a_selection_its_score_is_submitted_alone():
    """Else what lies between two jobs of a submission would be outside it. On one machine nothing is submitted."""
    plan = rules(local=False, methods={"entropy": {"shards": 2}})
    assert [plan.group(stage)(QUERY) for stage in ("score", "select", "oracle")] == [None, *["query_0_entropy_1"] * 2]
    assert rules().group("select")(QUERY) is None


@pytest.mark.parametrize(("here", "given", "expected"), [(True, {}, 6), (True, {"gpu": 1}, 1), (False, {}, None)])
def test_as_many_gpu_jobs_run_as_the_cards_hold(monkeypatch, here, given, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,3")
    limits = dict(given)
    workflow = SimpleNamespace(
        global_resources=limits,
        register_resource=limits.__setitem__,
        is_main_process=True,
        non_local_exec_or_dryrun=not here,
    )
    plan = Rules(Study(config.load(SMALL | {"jobs_per_gpu": 2})), DIGITS, str, "python", False, workflow)
    assert plan.gpu("train")(QUERY) == 0  # its learner is on the CPU
    assert limits.get("gpu") == expected


def test_sizes_are_those_of_the_images_or_of_what_is_known_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study(config.load(SMALL))
    assert size_of(study, None) == Size(100_000, 8, 8, 1, 10)
    assert size_of(study, 1000) == Size(2020, 8, 8, 1, 10)
    folder = {"name": "leaves", "loader": "image_folder", "image_size": 64}
    assert size_of(Study(config.load(SMALL | {"dataset": folder})), 1000) == Size(2020, 64, 64, 3, 100)
    images = {"images": np.zeros((5, 8, 7, 1), np.uint8)}
    artifacts.write(study.clean_images, "images", artifacts.provenance("dataset", {}), images)
    assert size_of(study, 1000) == Size(5, 8, 7, 1, 10)


def test_where_jobs_run_is_no_setting_of_results():
    one, other = (config.load(SMALL | {"jobs_per_gpu": jobs}) for jobs in (1, 4))
    assert one != other and list(record.parts(one)) == list(record.parts(other))


def test_what_is_stored_of_every_pixel_is_held():
    """Videos of 10 s of 25 frames of 100 x 200 pixels, three kinds."""
    about = {"seconds": [5, 10], "fps": 25}
    plain, asked = (
        needs.dataset(SimpleNamespace(settings={"dataset": about | more}), None, Size(1000, 100, 200, 3, 4))
        for more in ({}, {"per_pixel": ["masks", "instances", "depth"]})
    )
    assert asked.memory - plain.memory == 5 * 3 * 2 * 250 * 20_000
    assert asked.seconds == plain.seconds
