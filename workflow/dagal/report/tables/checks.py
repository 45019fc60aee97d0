"""Files of all stages of a study -> checks.csv: what exposes a study that went wrong (`dagal.report.checks`)."""

from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.pool import thumbnails
from dagal.report import checks
from dagal.report.item import Item, classifies
from dagal.report.tables import adversaries
from dagal.stopping import last_cycles, passed_through

MOST_BYTES = 4 << 30  # of images that are compared with each other
APART = ("device", "threads", "compile", "deterministic")  # keys of learners that say how a job runs
BLOCK = 10_000  # images whose thumbnails are in memory with their colours
MOST_FEATURES = 2000  # images whose features are looked at


def make(job):
    source, params = job.input, job.params
    found = checks.baselines(params.methods, params.learners)
    found += checks.seeds(params.n_seeds, params.shared)
    found += initial_sets([*source.starts, *source.ends])
    found += checks.diverged(losses(source.histories))
    found += duplicates(source.images)
    if source.get("training_spread"):
        found += checks.training(artifacts.read_csv(source.training_spread))
    if params.classifies:
        found += of_classification(source)
    if source.adversaries:
        found += checks.adversaries(adversaries_of(source))
    artifacts.write_csv(job.output.checks, checks.Finding._fields, found)
    for one in found:
        if one.verdict != checks.OK:
            print(f"{one.verdict}: {one.sentence}")


def of_classification(source) -> list[checks.Finding]:
    """What only a study of classes can be asked."""
    with artifacts.opened(source.truth, "truth") as file:
        labels_N, n_classes = file["labels"][()], len(artifacts.attribute(file, "class_names"))
    pools, tests = {}, {}
    for path in source.splits:
        seed = int(path.split("/")[-2].removeprefix("seed"))
        pools[seed], tests[seed] = artifacts.read(path, "split", "pool", "test")
    last_cycle = last_cycles(source.stop_records)

    found = checks.pool_against_test(models(source, labels_N, tests, last_cycle))
    finals, queries = {}, {}
    for path in source.ends:
        seed, method, _ = artifacts.node(path)
        ids, cycle = artifacts.read(path, "labeled", "ids", "cycle")
        queries[method, seed] = [labels_N[ids[cycle == one]] for one in np.unique(cycle[cycle > 0])]
    for path in source.metrics:
        seed, method, _ = artifacts.node(path)
        finals[method, seed] = artifacts.read_json(path)["balanced_accuracy"]
    found += checks.at_chance(finals, n_classes, min(len(ids) for ids in tests.values()))
    largest = {seed: np.bincount(labels_N[pool]).max() / len(pool) for seed, pool in pools.items()}
    found += checks.one_class(queries, largest)

    collapsed = []
    for path in source.features:
        with artifacts.opened(path, "features", cached=False) as file:
            n = len(file["features"])
            sample = artifacts.rows(file["features"], np.arange(0, n, max(1, n // MOST_FEATURES)))
        collapsed += checks.backbone(path.split("/")[-2], sample.reshape(len(sample), -1))
    if source.features:
        found += checks.or_well("backbone", collapsed, "The features of every backbone tell images apart.")
    return found


def models(source, labels_N, tests: dict, last_cycle: dict) -> dict[str, list[tuple]]:
    """Branch -> `checks.gap` of each seed: of the first models over the whole pool, and of those before the last query.

    Of the latter, over what was left when the chain ended; of a chain that stopped there is no such pass.
    """
    ends = {artifacts.node(path)[:2]: path for path in source.ends}
    found = {}
    for signals, predictions in zip(source.signals, source.predictions, strict=True):
        seed, branch, cycle = artifacts.node(signals)
        if passed_through(last_cycle, seed, branch, cycle + 1):
            continue
        ids, probs_N_C = artifacts.read(signals, "signals", "ids", "probabilities")
        never = np.ones(len(ids), bool)
        if (seed, branch) in ends:
            never = ~np.isin(ids, artifacts.read(ends[seed, branch], "labeled", "ids")[0])
        held_out, test_probs_N_C = artifacts.read(predictions, "predictions", "ids", "probabilities")
        is_test = np.isin(held_out, tests[seed])
        pool, test = labels_N[ids[never]], labels_N[held_out[is_test]]
        correct = probs_N_C[never].argmax(1) == pool, test_probs_N_C[is_test].argmax(1) == test
        one = checks.gap(pool, correct[0], test, correct[1])
        if np.isfinite(one).all():
            found.setdefault(branch, []).append(one)
    return found


def initial_sets(paths: list[str]) -> list[checks.Finding]:
    """`checks.initial_sets` of labeled.h5 of the starts and of the ends of chains."""
    first = {}
    for path in paths:
        seed, branch, _ = artifacts.node(path)
        ids, cycle = artifacts.read(path, "labeled", "ids", "cycle")
        first[branch, seed] = ids[cycle == 0]
    return checks.initial_sets(first)


def losses(paths: list[str]) -> dict[tuple[str, int, int], np.ndarray]:
    """(Branch, seed, cycle) of each model -> its loss after every epoch."""
    found = {}
    for path in paths:
        seed, branch, cycle = artifacts.node(path)
        (found[branch, seed, cycle],) = artifacts.read(path, "history", "loss")
    return found


def adversaries_of(source) -> dict[tuple[str, int, int], list]:
    """What `checks.adversaries` takes; a branch may have several adversaries."""
    last_cycle, found = last_cycles(source.stop_records), {}
    for path in source.adversaries:
        seed, branch, cycle = artifacts.node(path)
        if not passed_through(last_cycle, seed, branch, cycle + 1):
            name = f"{Path(path).stem.removeprefix('adversary_')} of {branch}"
            names = "discriminator", "discriminator_loss", "kl", "auc"
            found[name, seed, cycle] = artifacts.read(path, "adversary", *names)
    return found


def duplicates(path: str) -> list[checks.Finding]:
    """`checks.duplicates` and `checks.near_duplicates` between the published parts of the images; the latter from 8 x 8 pixels on."""
    if Path(path).stat().st_size > MOST_BYTES:
        sentence = f"The images take more than {MOST_BYTES >> 30} GiB and were not compared with each other."
        return [checks.Finding("duplicates", "test set", "", "", checks.OK, sentence)]
    with artifacts.opened(path, "images", cached=False) as file:
        images, part_N = file["images"], file["split"][()]
        block = max(1, (8 << 20) // max(1, int(np.prod(images.shape[1:]))))
        digests = [
            one for first in range(0, len(images), block) for one in checks.digests(images[first : first + block])
        ]
        small = min(images.shape[1:3]) < 8
        gray_N_H_W = None if small else np.concatenate([gray(images, first) for first in range(0, len(images), BLOCK)])
    train, test = (np.flatnonzero(part_N == part) for part in (0, 1))
    known = {digests[k] for k in train}
    found = checks.duplicates([digests[k] for k in train], [digests[k] for k in test])
    if not small:
        others = np.array([k for k in test if digests[k] not in known], np.int64)
        alike = checks.nearly_equal(gray_N_H_W[train], gray_N_H_W[others])
        found += checks.near_duplicates(int(alike.sum()), len(test))
    return found


def gray(images, first: int) -> np.ndarray:
    """Thumbnails (B,H,W) uint8 of a block of images, without colour, H and W multiples of 4 up to 16."""
    height, width, channels = images.shape[1:]
    size = -(-max(height, width) // 16)
    rows, columns = height // size, width // size
    ids = np.arange(first, min(first + BLOCK, len(images)))
    cells = thumbnails(images, ids).reshape(len(ids), rows, columns, channels)
    return np.clip(np.round(cells.mean(3)), 0, 255).astype(np.uint8)[:, : rows // 4 * 4, : columns // 4 * 4]


def shared_backbones(study) -> list[str]:
    """Backbones that are trained once for several seeds."""
    noise = study.settings["pool"]["noise"]["kind"] != "none"  # then each seed has images, and so trainings, of its own
    trained = [name for name, about in study.backbones.items() if about["kind"] != "file"]
    return [] if noise else [name for name in trained if not study.is_per_seed(name)]


def reads(study, at):
    chains = [(seed, method) for seed in study.seeds for method in study.methods]
    ends = [study.node(seed, method, study.cycles[-1]) for seed, method in chains]
    starts = [node for node in study.nodes() if node.branch.kind == "start"]
    found = {
        "images": study.clean_images,
        "starts": [study.path(node, "labeled") for node in starts],
        "ends": [study.path(node, "labeled") for node in ends],
        "histories": [study.path(node, "history") for node in study.nodes()],
        "adversaries": sorted({adversaries.adversary(study, *one) for one in adversaries.queries(study)}),
        "stop_records": study.stop_records(),
    }
    if not classifies(study):
        return found
    before = [study.parent(node) for node in ends if ("signals", "probabilities") in study.signals(node.branch.method)]
    looked_at = list(dict.fromkeys([*starts, *before]))
    return found | {
        "truth": study.truth,
        "splits": [study.split(seed) for seed in study.seeds],
        "metrics": [study.path(node, "metrics") for node in ends],
        "signals": [study.path(node, "signals") for node in looked_at],
        "predictions": [study.path(node, "predictions") for node in looked_at],
        "training_spread": study.table("training_spread") if study.settings["repeats"] else [],
        "features": sorted({study.learner_input(node) for node in starts if study.learner_of(node).get("backbone")}),
    }


def settings(study, at):
    return {
        "methods": {name: about["learner"] for name, about in study.methods.items()},
        "learners": {
            name: {key: value for key, value in about.items() if key not in APART}
            for name, about in study.learners.items()
        },
        "n_seeds": len(study.seeds),
        "shared": shared_backbones(study),
        "classifies": classifies(study),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"checks": "{results}/checks.csv"},
    settings=settings,
    when=lambda study: study.settings["cycles"] > 0 and "history" in study.steps["train"].writes,
    caption="""
    What would expose a study that went wrong, a line per finding (``verdict``: ok, warning, bad): accuracy on images of the pool that
    were never queried against the test set; a random method with another learner; different first labels; test images among the
    training images; models that diverged or learnt nothing; adversaries or backbones that collapsed; queries of a single class.
    """,
    category="Tables",
    labels={"checks": "checks of the study"},
)
