"""Checks of a study: every planted fault is found, and a sound study raises none."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SMALL, written

from dagal import artifacts
from dagal.config import load
from dagal.datasets.source import IMAGES, TRUTH
from dagal.learners.training import HISTORY
from dagal.plan import Study
from dagal.pool import SPLIT
from dagal.report import checks
from dagal.report.registry import ITEMS
from dagal.report.tables.checks import duplicates
from dagal.tasks import find
from dagal.tasks.classification.signals import PREDICTIONS, SIGNALS_FILE

ORIGIN = artifacts.provenance("test", {})
RNG = np.random.default_rng(0)
CLASSES = 4
POOL, INITIAL, TEST = np.arange(20, 300), np.arange(20), np.arange(300, 500)


def verdicts(found):
    return {one.check: one.verdict for one in found}


# ---- functions


def test_gap_is_over_the_classes_of_the_test_set_by_brute_force():
    """A pool of 9 to 1, a test set of 1 to 1: each image of the pool weighs as its class does in the test set."""
    pool, test = np.repeat([0, 1, 2], [90, 10, 5]), np.repeat([0, 1, 3], [50, 50, 8])
    right_pool, right_test = RNG.random(105) < 0.6, RNG.random(108) < 0.7
    weights = {0: 0.5, 1: 0.5}
    expected = [
        sum(weight * np.mean([r for label, r in zip(labels, right, strict=True) if label == c]) for c, weight in weights.items())
        for labels, right in ((pool, right_pool), (test, right_test))
    ]  # fmt: skip
    found = checks.gap(pool, right_pool, test, right_test)
    assert found[:2] == pytest.approx(expected)
    assert np.isnan(checks.gap(np.array([0]), np.array([True]), np.array([1]), np.array([True]))).all()


def test_error_of_a_gap_by_simulation():
    pool, test, accuracy = np.repeat([0, 1], [60, 30]), np.repeat([0, 1], [50, 100]), np.array([0.6, 0.8])
    drawn = [
        checks.gap(pool, RNG.random(90) < accuracy[pool], test, RNG.random(150) < accuracy[test]) for _ in range(800)
    ]
    pools, tests, errors = np.transpose(drawn)
    assert (pools - tests).std() == pytest.approx(errors.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("seeds", "verdict", "word"),
    [
        ([(0.8, 0.75, 0.02), (0.7, 0.75, 0.02)], "ok", "as right"),
        ([(0.8, 0.75, 0.02), (0.99, 0.75, 0.02)], "warning", "hidden labels"),
        ([(0.99, 0.6, 0.02)], "bad", "hidden labels"),
        ([(0.5, 0.95, 0.03)], "bad", "test images"),
        ([(0.5, 0.95, 0.15)], "ok", "as right"),  # so few images tell nothing
    ],
)
def test_leaks_show_between_pool_and_test(seeds, verdict, word):
    (found,) = checks.pool_against_test({"start-mlp": seeds})
    assert found.verdict == verdict and word in found.sentence


PLAIN = {"architecture": "mlp", "dropout": 0.0, "device": "cpu"}


@pytest.mark.parametrize(
    ("methods", "learners", "words"),
    [
        ({"random": "a", "entropy": "a"}, {"a": PLAIN}, None),
        ({"random": "a", "bald": "b"}, {"a": PLAIN, "b": PLAIN | {"dropout": 0.5}}, ["bald", "another dropout"]),
        ({"random": "a", "bald": "b"}, {"a": PLAIN, "b": PLAIN | {"loss_prediction": {}}}, ["another loss_prediction"]),
        ({"random": "a", "bald": "b", "random_b": "b"}, {"a": PLAIN, "b": PLAIN | {"dropout": 0.5}}, None),
        ({"entropy": "a"}, {"a": PLAIN}, ["no random method"]),
    ],
)
def test_a_random_baseline_that_learns_otherwise(methods, learners, words):
    (found,) = checks.baselines(methods, learners)
    assert found.verdict == ("ok" if words is None else "warning")
    assert all(word in found.sentence for word in words or [])


def test_different_initial_sets():
    same = {("start-mlp", 0): np.array([1, 2]), ("a", 0): np.array([2, 1]), ("a", 1): np.array([5, 6])}
    assert verdicts(checks.initial_sets(same)) == {"initial sets": "ok"}
    (found,) = checks.initial_sets(same | {("b", 0): np.array([1, 3])})
    assert (found.verdict, found.where, found.value) == ("bad", "b", "2 ids")


def test_duplicates_of_images():
    train, test = RNG.integers(0, 256, (50, 4, 4, 1), np.uint8), RNG.integers(0, 256, (200, 4, 4, 1), np.uint8)
    assert verdicts(checks.duplicates(checks.digests(train), checks.digests(test))) == {"duplicates": "ok"}
    test[7] = train[3]
    (found,) = checks.duplicates(checks.digests(train), checks.digests(test))
    assert (found.verdict, found.value) == ("warning", "1")
    test[10:12] = train[4:6]
    assert verdicts(checks.duplicates(checks.digests(train), checks.digests(test))) == {"duplicates": "bad"}


def test_images_that_are_nearly_equal_by_brute_force():
    train = RNG.integers(0, 256, (60, 8, 16)).astype(np.uint8)
    test = RNG.integers(0, 256, (40, 8, 16)).astype(np.uint8)
    for k, noise in enumerate(np.linspace(0, 8, 20)):  # some nearer than the limit, some farther
        test[k] = np.clip(train[k] + RNG.normal(0, noise, (8, 16)), 0, 255)
    train[50], test[30] = 100, 101  # these show nothing
    distance = np.sqrt(((train[None].astype(float) - test[:, None]) ** 2).mean((2, 3)))
    expected = (distance <= checks.ALIKE).any(1)
    expected[30] = False
    assert checks.nearly_equal(train, test).tolist() == expected.tolist() and 3 < expected.sum() < 15
    assert verdicts(checks.near_duplicates(2, 40)) == {"near duplicates": "warning"}
    assert verdicts(checks.near_duplicates(0, 40)) == {"near duplicates": "ok"}


@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 34, 3), (33, 16, 1)])
def test_an_image_that_was_stored_again_is_found_and_one_below_8_pixels_not_looked_at(shape, tmp_path):
    smooth = np.kron(np.random.default_rng(4).integers(0, 256, (30, 7, 7, shape[2])), np.ones((1, 5, 5, 1)))
    images = smooth[:, : shape[0], : shape[1]].astype(np.uint8)
    images[25] = np.clip(images[3].astype(int) + 1, 0, 255)  # brighter by a gray level
    data = {"images": images, "split": (np.arange(30) >= 20).astype(np.uint8)}
    artifacts.write(tmp_path / "images.h5", IMAGES, ORIGIN, data)
    found = {one.check: one.value for one in duplicates(str(tmp_path / "images.h5"))}
    assert found == {"duplicates": "", "near duplicates": "1"}
    artifacts.write(tmp_path / "small.h5", IMAGES, ORIGIN, data | {"images": images[:, :7]})
    assert [one.check for one in duplicates(str(tmp_path / "small.h5"))] == ["duplicates"]


def test_a_loss_that_is_no_number():
    losses = {("a", 0, 1): np.array([1.0, 0.5]), ("b", 0, 1): np.array([1.0, np.nan]), ("b", 1, 2): np.array([np.inf])}
    (found,) = checks.diverged(losses)
    assert (found.where, found.value, found.verdict) == (
        "b",
        "2 models",
        "bad",
    ) and "cycle 1 of seed 0" in found.sentence
    assert verdicts(checks.diverged({("a", 0, 1): np.array([1.0])})) == {"diverged": "ok"}


def test_a_model_at_chance():
    limit = 0.1 + 2 * (0.09 / 900) ** 0.5  # .12
    assert verdicts(checks.at_chance({("a", 0): limit + 0.001}, 10, 900)) == {"chance": "ok"}
    (found,) = checks.at_chance({("a", 0): 0.5, ("a", 1): limit - 0.001, ("a", 2): 0.1}, 10, 900)
    assert (found.verdict, found.value, found.where) == ("bad", "0.100", "a") and "seed 2" in found.sentence


@pytest.mark.parametrize(
    ("outputs", "loss", "kl", "area", "expected"),
    [
        (RNG.random(99), 1.386, 5.0, 0.7, ["ok"]),
        (RNG.random(99), 1.386, 5.0, 0.5, ["ok"]),  # the VAE has won
        (np.full(99, 0.5), 1.386, 5.0, 0.5, ["bad"]),
        (np.linspace(0.5, 0.5005, 99), 1.386, 5.0, 0.55, ["bad"]),
        (np.linspace(0.5, 0.5005, 99), 1.386, 5.0, 0.8, ["ok"]),  # small differences that mean something
        (np.full(99, 0.5), 1.2, 5.0, 0.9, ["bad"]),
        (np.full(99, np.nan), 1.386, 5.0, np.nan, ["bad"]),
        (RNG.random(99), 1e-4, 5.0, 0.99, ["warning"]),
        (RNG.random(99), 0.3, 5.0, 1.0, ["warning"]),  # the loss has other targets, those of SRAAL
        (RNG.random(99), 1.2, 1e-6, 0.7, ["bad"]),
        (np.zeros(99), 0.0, 0.0, 0.5, ["bad", "warning", "bad"]),
    ],
)
def test_a_collapsed_adversary(outputs, loss, kl, area, expected):
    end = outputs, np.array([1.4, loss]), np.array([9, kl]), area
    found = checks.adversaries({("vaal", 0, 1): end})
    assert [one.verdict for one in found] == expected


def test_adversaries_of_a_method_are_one_finding():
    sound = RNG.random(99), np.array([1.3]), np.array([5.0]), 0.62
    ends = {("vaal", seed, cycle): sound for seed in (0, 1) for cycle in (1, 2)}
    (found,) = checks.adversaries(ends)
    assert "4 adversaries" in found.sentence and "0.62 to 0.62" in found.sentence
    certain = {("vaal", 1, cycle): (*sound[:3], 1.0) for cycle in (1, 2)}
    (found,) = checks.adversaries(ends | certain)
    assert found.where == "vaal" and "2 of 4 trainings, first in cycle 1 of seed 1" in found.sentence


def test_a_collapsed_backbone():
    features = RNG.normal(0, 1, (500, 16))
    assert (
        checks.spread_of_directions(features) == pytest.approx(1, abs=0.01) and checks.backbone("net", features) == []
    )
    assert checks.backbone("net", np.abs(features)) == []  # behind a ReLU
    line = np.ones((500, 16)) * RNG.random((500, 1))
    assert [one.verdict for one in checks.backbone("net", line)] == ["bad"]
    assert [one.verdict for one in checks.backbone("net", np.zeros((9, 4)))] == ["bad"]
    assert [one.verdict for one in checks.backbone("net", np.ones((500, 16)) + 0.075 * features)] == ["warning"]
    unit = features / np.linalg.norm(features, axis=1)[:, None]
    pairs = ((unit[:, None] - unit[None]) ** 2).sum(-1).mean() / 2  # half the mean squared distance of two directions
    assert checks.spread_of_directions(features) == pytest.approx(pairs**0.5)


def test_queries_of_one_class():
    mixed, alone = np.array([0, 1, 2] * 4), np.zeros(12, np.int64)
    share = {0: 0.4}
    assert verdicts(checks.one_class({("a", 0): [mixed, mixed]}, share)) == {"one class": "ok"}
    (found,) = checks.one_class({("a", 0): [mixed, alone]}, share)
    assert (found.verdict, found.value) == ("warning", "1 of 2")
    assert verdicts(checks.one_class({("a", 0): [alone, alone]}, share)) == {"one class": "bad"}
    assert verdicts(checks.one_class({("a", 0): [alone]}, {0: 0.99})) == {"one class": "ok"}  # as chance has it


def test_seeds_that_tell_nothing():
    assert verdicts(checks.seeds(3, [])) == {"seeds": "ok"}
    assert verdicts(checks.seeds(1, ["net"])) == {"seeds": "warning"}
    (found,) = checks.seeds(3, ["net"])
    assert found.verdict == "warning" and "backbones.net.per_seed" in found.sentence


# ---- the table of a study


def planted(folder, fault=""):
    """Files of a study of two seeds with one query of `entropy` and `random`, sound but for the fault; inputs by name."""
    labels = np.arange(500) % CLASSES
    images = np.random.default_rng(1).integers(0, 256, (500, 4, 4, 1), np.uint8)
    if fault == "duplicates":
        images[TEST[:9]] = images[POOL[:9]]
    paths = {name: str(folder / f"{name}.h5") for name in ("images", "truth")}
    artifacts.write(
        paths["images"], IMAGES, ORIGIN, {"images": images, "split": (np.arange(500) >= 300).astype(np.uint8)}
    )
    names = [str(c) for c in range(CLASSES)]
    artifacts.write(paths["truth"], TRUTH, ORIGIN, {"labels": labels}, class_names=names)
    lists = {name: [] for name in ("splits", "starts", "ends", "histories", "metrics", "signals", "predictions")}

    def put(kind, path, name, data, **attributes):
        path.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write(path, kind, ORIGIN, data, **attributes)
        lists[name].append(str(path))

    for seed in (0, 1):
        rng, place = np.random.default_rng(seed), folder / f"seed{seed}"
        put(
            SPLIT,
            place / "split.h5",
            "splits",
            {"pool": POOL, "initial": INITIAL, "validation": POOL[:0], "test": TEST},
        )

        def probabilities(ids, accuracy, rng=rng):
            right = rng.random(len(ids)) < accuracy
            return np.eye(CLASSES)[(labels[ids] + ~right) % CLASSES]

        for branch, cycle in (("start-mlp", 0), ("random", 1), ("entropy", 1)):
            node, initial = place / branch / f"cycle{cycle}", INITIAL
            if fault == "initial sets" and branch == "entropy":
                initial = INITIAL + 1
            asked = POOL[2 * seed : 2 * seed + 12]
            if fault == "one class" and branch == "entropy":
                asked = POOL[labels[POOL] == 0][:12]
            ids = np.concatenate([initial, asked if cycle else asked[:0]])
            known = {"ids": ids, "labels": labels[ids], "cycle": np.repeat([0, 1], [20, len(ids) - 20])}
            put(
                find("classification").labeled,
                node / "labeled.h5",
                "ends" if cycle else "starts",
                known,
                class_names=names,
            )
            loss = np.array([1.0, np.nan if fault == "diverged" and branch == "entropy" else 0.5])
            put(HISTORY, node / "history.h5", "histories", {"loss": loss})
            if cycle:
                at_chance = fault == "chance" and branch == "random" and seed == 1
                artifacts.write_json(node / "metrics.json", {"balanced_accuracy": 0.25 if at_chance else 0.8})
                lists["metrics"].append(str(node / "metrics.json"))
            else:
                accuracy = 1.0 if fault == "pool against test" and seed == 1 else 0.65
                data = {"ids": POOL, "probabilities": probabilities(POOL, accuracy)}
                put(SIGNALS_FILE, node / "signals.h5", "signals", data)
                data = {"ids": TEST, "probabilities": probabilities(TEST, 0.6)}
                put(PREDICTIONS, node / "predictions.h5", "predictions", data)
    files = {name: folder / f"{place}.h5" for name, place in (
        ("adversaries", "seed0/start-mlp/cycle0/adversary_vaal"), ("features", "backbones/net/features"),
    )}  # fmt: skip
    sound = {"discriminator": np.linspace(0, 1, len(POOL)), "discriminator_loss": [1.3], "kl": [4.0], "auc": 0.6}
    artifacts.write(folder / "seed0/start-mlp/cycle0/adversary_small.h5", "adversary", ORIGIN, sound)
    files["features"].parent.mkdir(parents=True)
    outputs = np.full(len(POOL), 0.5) if fault == "adversary" else np.linspace(0, 1, len(POOL))
    data = {"discriminator": outputs, "discriminator_loss": np.array([1.4, 1.3]), "kl": np.array([9.0, 4.0])}
    data["auc"] = 0.5
    artifacts.write(files["adversaries"], "adversary", ORIGIN, data)
    features = np.ones((500, 8)) if fault == "backbone" else np.random.default_rng(2).normal(0, 1, (500, 8))
    artifacts.write(files["features"], "features", ORIGIN, {"features": features})
    spread = folder / "training_spread.csv"
    header = ["method", "reference", "difference", "difference_sd"]
    artifacts.write_csv(spread, header, [["entropy", "random", 0.05, 0.06 if fault == "training" else 0.01]])
    lists |= {name: [str(path)] for name, path in files.items()}
    lists["adversaries"].append(str(folder / "seed0/start-mlp/cycle0/adversary_small.h5"))  # of the same node
    return paths | lists | {"training_spread": str(spread), "stop_records": []}


FAULTS = ["", "duplicates", "initial sets", "one class", "diverged", "chance", "pool against test", "random baseline"]
FAULTS += ["adversary", "backbone", "training", "seeds"]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_planted_fault_is_found_and_a_sound_study_raises_none(fault, tmp_path):
    learners = {"mlp": PLAIN, "other": PLAIN | {"dropout": 0.5}}
    methods = {"random": "mlp", "entropy": "other" if fault == "random baseline" else "mlp"}
    shared = ["net"] if fault == "seeds" else []
    params = {"methods": methods, "learners": learners, "n_seeds": 2, "shared": shared, "classifies": True}
    output = SimpleNamespace(checks=str(tmp_path / "checks.csv"))
    given = planted(tmp_path, fault)
    source = SimpleNamespace(get=given.get, **given)
    ITEMS.find("checks").make(SimpleNamespace(input=source, output=output, params=SimpleNamespace(**params)))
    rows = artifacts.read_csv(output.checks)
    assert {row["check"] for row in rows if row["verdict"] != "ok"} == {fault} - {""}
    assert {row["check"] for row in rows} == {*FAULTS[1:]}
    (of_adversaries,) = (row["sentence"] for row in rows if row["check"] == "adversary")
    assert ("2 adversaries", "vaal of start-mlp")[fault == "adversary"] in of_adversaries


def test_what_is_read_of_each_task():
    images = SMALL | {"methods": {"random": {}, "entropy": {}, "vaal": {}}, "seeds": [0, 1]}
    found = ITEMS.find("checks").reads(Study(load(images)), None)
    assert [path for path in found["signals"] if "cycle1" in path] == [
        f"results/small/seed{seed}/{method}/cycle1/signals.h5" for seed in (0, 1) for method in ("entropy",)
    ]
    assert "device" not in ITEMS.find("checks").settings(Study(load(images)), None)["learners"]["mlp"]
    assert len(found["adversaries"]) == 4 and len(found["ends"]) == 6 and len(found["histories"]) == 2 * (1 + 3 * 2)
    videos = ITEMS.find("checks").reads(Study(load(written("experiments/video_small.yaml"))), None)
    assert set(videos) == {"images", "starts", "ends", "histories", "adversaries", "stop_records"}
    masks = Study(
        load(written("experiments/segmentation_small.yaml") | {"methods": {"vaal": {}}, "seeds": [0], "cycles": 1})
    )
    (of_masks,) = ITEMS.find("checks").reads(masks, None)["adversaries"]
    assert of_masks.endswith("/cycle0/adversary_vaal.h5") and ITEMS.find("adversary_auc").when(masks)
