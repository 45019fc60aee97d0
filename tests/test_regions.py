"""Regions: where they are, what is asked of and revealed about them, what it costs, and their scores, against plain recomputations."""

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import Workflow
from test_report import run
from test_segmentation import folder

from dagal import artifacts, config
from dagal.acquisition import pixel_scores
from dagal.acquisition.random_foreground import random_foreground
from dagal.errors import UserError
from dagal.plan import Study
from dagal.report import tables
from dagal.report.figures import class_iou, queried_regions, segmentation_costs
from dagal.report.tables import summary
from dagal.tasks.segmentation import TASK, answers, regions, signals

ORIGIN = artifacts.provenance("regions", {})
SHAPE = (12, 15)


def partition_file(path, maps, counts):
    artifacts.write(path, regions.REGIONS, ORIGIN, {"regions": np.array(maps, np.uint16), "counts": np.array(counts)})
    return str(path)


def truth_file(path, masks, n_classes=3):
    names = [f"class {label}" for label in range(n_classes)]
    artifacts.write(path, "truth", ORIGIN, {"masks": masks}, class_names=names)
    return path


@pytest.fixture
def divided(tmp_path):
    """Four images in 2 x 3 cells of 6 x 5 pixels, the last one for testing; and their masks."""
    path = partition_file(tmp_path / "regions.h5", regions.grid(*SHAPE, 2, 3)[None], [6, 6, 6, 0])
    masks = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (4, *SHAPE))
    return path, truth_file(tmp_path / "truth.h5", masks), masks


# ---------------------------------------------------------------------------------------------------- where they are


def test_cells_of_a_grid():
    cells = regions.grid(7, 10, 3, 4)
    assert cells[:, 0].tolist() == [0, 0, 0, 4, 4, 8, 8] and cells[0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    with pytest.raises(UserError, match="asks for 8 x 4 cells in images of 7 x 10 pixels"):
        regions.grid(7, 10, 8, 4)
    assert np.unique(regions.grid(12, 15, 2, 3), return_counts=True)[1].tolist() == [30] * 6


def test_superpixels_are_numbered_pieces_that_follow_colours():
    import cv2

    rng = np.random.default_rng(0)
    block_H_W = np.kron(np.arange(4).reshape(2, 2), np.ones((24, 32), int))
    image = (np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [200, 200, 0]])[block_H_W]).astype(np.uint8)
    image += rng.integers(0, 5, image.shape, np.uint8)
    found = regions.superpixels(image, 16, 10)
    np.testing.assert_array_equal(found, regions.superpixels(image.copy(), 16, 10))
    assert np.unique(found).tolist() == list(range(found.max() + 1)) and 8 <= found.max() + 1 <= 24
    for number in range(found.max() + 1):
        assert cv2.connectedComponents((found == number).astype(np.uint8), connectivity=4)[0] == 2
        assert len(np.unique(block_H_W[found == number])) == 1  # none lies across an edge


def test_ids_of_regions(tmp_path):
    path = partition_file(tmp_path / "x.h5", np.zeros((3, 2, 2)), [2, 4, 3])
    with artifacts.opened(path, regions.REGIONS) as file:
        partition = regions.Partition(file)
        assert partition.ids(np.array([0, 2])).tolist() == [0, 1, 8, 9, 10] and not len(
            partition.ids(np.array([], int))
        )
        image, number = partition.split(np.array([1, 10]))
        assert (image.tolist(), number.tolist()) == ([0, 2], [1, 2])
        assert [(image, of.tolist()) for image, of in signals.by_image(partition, np.array([1, 8, 10]))] == [
            (0, [1]),
            (2, [0, 2]),
        ]
        assert list(signals.by_image(partition, np.array([], int))) == []
        split = {"pool": np.array([0, 2]), "initial": np.array([1]), "test": np.array([7])}
        whole = regions.split_regions(split, partition, None, 0)
        assert whole["initial"].tolist() == [4, 5, 6, 7] and whole["pool"].tolist() == [0, 1, 8, 9, 10]
        drawn = [regions.split_regions(split, partition, 3, seed) for seed in range(300)]
        every = partition.ids(np.arange(3))
        for one in drawn:
            assert len(one["initial"]) == 3 and one["test"].tolist() == [7]
            np.testing.assert_array_equal(np.sort(np.concatenate([one["pool"], one["initial"]])), every)
        times = np.unique(np.concatenate([one["initial"] for one in drawn]), return_counts=True)[1]
        assert len(times) == 9 and times.min() > 60 and times.max() < 140  # 100 expected, 8 the standard deviation


# ----------------------------------------------------------------------------------------------------------- answers


def drawing(text):
    """A mask of a picture of digits; v stands for no class."""
    return np.array([[255 if one == "v" else int(one) for one in line] for line in text.split()], np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("000 000", 1),  # one class for all
        ("vvv vvv", 1),  # to say that there is none is a click as well
        ("0001 0001 0001 0001", 2 + 2),  # 2 classes, and a line from end to end
        ("000111 000111 000111 000111", 2 + 4),  # 2 classes, the 4 corners of one half
        ("00000 01110 01110 01110 00000", 2 + 4),
        ("0000000000 0111001110 0111001110 0111001110 0000000000", 3 + 4 + 4),
        ("00000 00000 00100 00000 00000", 2 + 1),  # a single pixel
        ("0000000 0111110 0122210 0122210 0122210 0111110 0000000", 3 + 4 + 4),  # the outer outline, and what is drawn over it
        ("1000000 1100000 1110000 1111000 1111100 1111110 0000000", 2 + 3),  # steps of one pixel are a slanted line
        ("0000v 0000v 0000v", 2 + 2),
    ],
)  # fmt: skip
def test_clicks_by_hand(text, expected):
    mask = drawing(text)
    assert regions.clicks(mask, np.ones_like(mask, bool)) == expected
    # as part of a larger image, where all else is something else
    around = np.pad(mask, 3, constant_values=9)
    inside = np.zeros_like(around, bool)
    inside[3:-3, 3:-3] = True
    assert regions.clicks(around, inside) == expected


def test_answers_reveal_the_regions_asked_for_and_nothing_else(divided):
    path, truth, masks = divided
    ids = np.array([7, 2, 6])  # number 1 of image 1, 2 of image 0, 0 of image 1
    with artifacts.opened(truth, "truth") as file:
        exact = TASK.ask(file, ids, {"answer": "exact"}, 0, regions=path)
        dominant = TASK.ask(file, ids, {"answer": "dominant"}, 0, regions=path)
    boxes = [(1, np.s_[:6, 5:10]), (0, np.s_[:6, 10:]), (1, np.s_[:6, :5])]
    expected, painted = np.full((2, *SHAPE), 255), np.full((2, *SHAPE), 255)
    for row, (image, box) in enumerate(boxes):
        expected[image][box] = masks[image][box]
        times = np.bincount(masks[image][box].ravel(), minlength=256)
        painted[image][box] = times.argmax()
        assert exact["pixels"][row].tolist() == times[:3].tolist()
        assert dominant["pixels"][row].tolist() == [30 * (label == times.argmax()) for label in range(3)]
        alone = masks[image][box]
        assert exact["clicks"][row] == regions.clicks(alone, np.ones_like(alone, bool)) > 1
    assert exact["images"].tolist() == [0, 1] and dominant["clicks"].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(exact["masks"], expected)
    np.testing.assert_array_equal(dominant["masks"], painted)


def test_masks_that_are_not_asked_for_change_no_answer(divided, tmp_path):
    path, truth, masks = divided
    other, flipped = np.array([0, 9]), masks.copy()
    for number, box in ((0, np.s_[:6, :5]), (3, np.s_[6:, :5])):
        image = {0: 0, 3: 1}[number]
        flipped[image][box] = 255 - flipped[image][box]
    flipped = 255 - flipped  # back where they are asked for, other elsewhere
    found = []
    for file in (truth, truth_file(tmp_path / "other.h5", flipped)):
        with artifacts.opened(file, "truth") as opened:
            found.append(TASK.ask(opened, other, {"answer": "exact"}, 0, regions=path))
    assert not np.array_equal(masks, flipped)
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], name)


def test_later_answers_stand_beside_earlier_ones(divided):
    path, truth, masks = divided
    steps = [np.array([2, 7]), np.array([3, 13]), np.array([0, 1, 4, 5])]
    with artifacts.opened(truth, "truth") as file:
        found = [TASK.ask(file, ids, {"answer": "exact"}, 0, regions=path) for ids in steps]
        together = TASK.ask(file, np.concatenate(steps), {"answer": "exact"}, 0, regions=path)
    joined = found[0] | {"cycle": np.zeros(2, int)}
    for later in found[1:]:
        joined = TASK.append(joined, later)
    for name, values in together.items():
        np.testing.assert_array_equal(joined[name], values, name)
    np.testing.assert_array_equal(joined["masks"][0], masks[0])  # all six of its regions


def test_whole_images_cost_clicks_too(divided):
    _, truth, masks = divided
    with artifacts.opened(truth, "truth") as file:
        found = TASK.ask(file, np.array([2, 0]), {}, 0)
        np.testing.assert_array_equal(next(found["masks"].blocks()), masks[[2, 0]])
    assert found["clicks"].tolist() == [regions.clicks(masks[k], np.ones(SHAPE, bool)) for k in (2, 0)]
    assert TASK.append(found, found)["clicks"].tolist() == 2 * found["clicks"].tolist()
    file = h5py.File("x", "w", driver="core", backing_store=False)
    file["ids"] = [2, 0]
    assert answers.images_of(file).tolist() == [2, 0]
    file["images"] = [0]
    assert answers.images_of(file).tolist() == [0]


# ------------------------------------------------------------------------------------------------------------ scores


def test_best_versus_second_best_and_its_class_balance_as_printed():
    assert signals.best_versus_second_best(np.array([[0.5, 0.3, 0.2]])) == pytest.approx(0.6)
    dominant = np.array([0] * 3 + [1] * 7)
    found = pixel_scores.class_balanced_ratio(np.ones(10), dominant, 4)
    assert found[0] == pytest.approx(0.7408, abs=1e-4) and found[9] == pytest.approx(np.exp(-0.7))


def test_impurity_by_hand():
    """5 pixels of one class and 4 of another around the centre are .2333 of the most that 19 classes can be; one class is pure."""
    probs = np.full((19, 3, 3), 0.5 / 18)
    probs[3].flat[:5], probs[7].flat[5:] = 0.5, 0.5
    probs /= probs.sum(0)
    unsure = -(probs * np.log(probs)).sum(0).mean() / np.log(19)
    assert signals.impurity(probs)[1, 1] / unsure == pytest.approx(0.2333, abs=5e-5)
    pure = np.full((19, 3, 3), 0.5 / 18)
    pure[3] = 0.5
    assert not signals.impurity(pure).any()


def test_impurity_is_that_of_every_window():
    probs = np.random.default_rng(1).dirichlet(np.ones(4), (7, 9)).transpose(2, 0, 1).astype(np.float32)
    found, predicted, wide = signals.impurity(probs), probs.argmax(0), probs.astype(float)
    unsure = -(wide * np.log(wide)).sum(0) / np.log(4)
    for (y, x), value in np.ndenumerate(found):
        box = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        share = np.unique(predicted[box], return_counts=True)[1] / predicted[box].size
        assert value == pytest.approx(-(share * np.log(share)).sum() / np.log(4) * unsure[box].mean(), rel=1e-9)


def test_signals_of_regions_are_means_over_their_pixels(monkeypatch):
    monkeypatch.setattr(signals, "BLOCK", 7)
    probs = np.random.default_rng(2).dirichlet(np.ones(4), SHAPE).transpose(2, 0, 1).astype(np.float32)
    cells, numbers = regions.grid(*SHAPE, 2, 3), np.array([1, 2, 5])
    found = signals.of_regions(probs, cells, numbers, signals.OF_PROBABILITIES)
    for row, number in enumerate(numbers.tolist()):
        inside = probs[:, cells == number].astype(float)
        p = np.sort(inside, 0)
        expected = {
            "least_confidence": np.mean(1 - p[-1]), "margin": np.mean(p[-2] - p[-1]), "ratio": np.mean(p[-2] / p[-1]),
            "entropy": np.mean(-(p * np.log(p)).sum(0)), "class_shares": inside.mean(1),
            "dominant": np.bincount(inside.argmax(0)).argmax(), "impurity": signals.impurity(probs)[cells == number].mean(),
        }  # fmt: skip
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][row], value, rtol=1e-6, err_msg=name)
    whole = signals.of_image(probs, signals.OF_PROBABILITIES)
    alone = signals.of_regions(probs, np.zeros(SHAPE, int), np.array([0]), signals.OF_PROBABILITIES)
    for name in signals.OF_PROBABILITIES:
        np.testing.assert_allclose(alone[name][0], whole[name], rtol=1e-6, err_msg=name)


def test_true_pixels_of_regions():
    mask = drawing("0012v 11222")
    found = signals.class_pixels(mask, regions.grid(2, 5, 1, 2), 3)
    assert found.tolist() == [[2, 3, 1], [0, 0, 3]]


def test_random_that_knows_the_foreground():
    pixels = np.array([[90, 10, 0], [100, 0, 0], [70, 0, 30], [100, 0, 0], [100, 0, 0]])
    first = [random_foreground(pixels, 1, np.random.default_rng(k), share=1.0)[0] for k in range(400)]
    times = np.bincount(first, minlength=5)
    assert times[[1, 3, 4]].tolist() == [0, 0, 0] and 70 < times[0] < 130  # 100 expected
    assert set(random_foreground(pixels, 3, np.random.default_rng(0), share=0.66)) > {0, 2}  # round(1.98) of 3
    assert set(random_foreground(pixels, 1, np.random.default_rng(0), share=1.0, background=[0, 1])) == {2}
    nothing = np.array([[5, 0], [6, 0], [7, 0]])
    assert sorted(random_foreground(nothing, 3, np.random.default_rng(0))) == [0, 1, 2]
    alike = [random_foreground(pixels, 1, np.random.default_rng(k), share=0.0)[0] for k in range(500)]
    assert np.bincount(alike).min() > 60  # 100 expected


# ----------------------------------------------------------------------------------------------------------- pictures


def test_regions_over_their_image():
    image, cells = np.full((4, 6, 3), 200, np.uint8), regions.grid(4, 6, 1, 3)
    found = queried_regions.over(image, cells, np.array([0, 2]))
    yellow = (found == queried_regions.EDGE).all(-1)
    assert yellow.tolist() == [[False, True, False, False, True, False]] * 4  # at the borders to what is not asked for
    assert (found[:, 2:4] == 70).all() and (found[:, [0, 5]] == 200).all()
    both = queried_regions.over(image, cells, np.array([0, 1]))  # and between two regions
    assert (both == queried_regions.EDGE).all(-1)[0].tolist() == [False, True, True, True, False, False]


def test_costs_and_classes_are_drawn_as_they_are(tmp_path):
    rows = [
        {"study": "s", "method": method, "seed": seed, "cycle": cycle, "mean_iou": 0.1 * cycle + 0.01 * seed,
         "labeled_images": 10, "labeled_pixels": 100 * cycle, "clicks": 10 * cycle + 2 * seed, "deployable": method != "knows"}
        for method in ("random", "knows") for seed in (0, 1) for cycle in (0, 1, 2)
    ]  # fmt: skip
    files = {name: str(tmp_path / f"{name}.csv") for name in ("metrics", "summary", "labels_needed")}
    table = pd.DataFrame(rows).assign(labels=lambda of: 5 + of["cycle"], learner="small")
    tables.write(files["metrics"], table, "%.6f")
    run(summary.make, files, files, measure="mean_iou", interval="t", costs=["labeled_pixels", "clicks"])
    found = tables.read(files["summary"]).set_index("method").loc["random"]
    assert (found["labels"], found["labeled_pixels"], found["clicks"]) == (7, 200, 21)
    found = tables.read(files["labels_needed"]).set_index(["method", "mean_iou"]).loc[("random", 0.1)]
    # of the two seeds, on straight lines from .0 to .1 and from .01 to .11: all of the way, and .9 of it
    assert (found["labels"], found["labeled_pixels"], found["clicks"]) == (5.95, 95, (10 + 2 + 9) / 2)
    figure = segmentation_costs.curves(pd.DataFrame(rows), tmp_path / "costs.png", 50)
    axes = dict(zip(segmentation_costs.COSTS, figure.axes, strict=True))
    for cost, expected in (("clicks", [1, 11, 21]), ("labeled_pixels", [0, 100, 200])):
        for line in axes[cost].get_lines()[:2]:
            np.testing.assert_allclose(line.get_xdata(), expected)
            np.testing.assert_allclose(line.get_ydata(), [0.005, 0.105, 0.205])
    rows = [
        {"method": "random", "seed": seed, "cycle": cycle, "class_name": name, "iou": iou + 0.1 * seed}
        for seed in (0, 1) for cycle in (0, 1) for name, iou in (("sky", 0.2 + 0.5 * cycle), ("car", np.nan))
    ]  # fmt: skip
    figure = class_iou.bars(pd.DataFrame(rows), tmp_path / "classes.png", 50)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights[0] == pytest.approx(0.75) and np.isnan(heights[1])  # of the last cycle


# ------------------------------------------------------------------------------------------------------------ studies

STUDY = {
    "study": "regions",
    "dataset": {"name": "scenes", "loader": "mask_folder", "path": "x"},
    "pool": {"initial": {"size": 2}},
    "budget": 4,
    "cycles": 1,
    "seeds": [0],
    "learners": {"small": {"architecture": "segmenter_small", "epochs": 2, "dropout": 0.2, "device": "cpu"}},
    "methods": dict.fromkeys(["random", "entropy_cb", "random_foreground"]),
}
GRID = {"kind": "grid", "rows": 2, "columns": 3}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"regions": GRID | {"number": 3}}, "regions.number.*is for superpixels only"),
        ({"regions": {"kind": "grid", "rows": 2}}, "regions.columns.*is missing"),
        ({"regions": GRID, "methods": {"core_set": None}}, "methods.core_set.*reads embeddings of whole images"),
        ({"regions": GRID, "dataset": {"name": "digits"}, "learners": {"small": {"architecture": "linear", "epochs": 1}}}, "regions.*is for segmentation only"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(changes, said):
    with pytest.raises(UserError, match=said):
        config.load(STUDY | changes)


def test_pools_of_regions_are_counted_in_regions():
    config.check_pool(config.load(STUDY | {"regions": GRID, "budget": 18}), 3)
    with pytest.raises(UserError, match="budget' is 19: the pool of scenes holds only 18 regions"):
        config.check_pool(config.load(STUDY | {"regions": GRID, "budget": 19}), 3)
    drawn = config.load(STUDY | {"regions": GRID | {"initial": "regions"}, "budget": 17})
    with pytest.raises(UserError, match="holds only 16 regions"):  # two of the eighteen are the initial set
        config.check_pool(drawn, 3)


def test_what_knows_the_truth_is_not_deployable_and_images_are_asked_as_before():
    study = Study(config.load(STUDY))
    told = {name: about["deployable"] for name, about in study.overview().items()}
    assert told == {"random": True, "entropy_cb": True, "random_foreground": False}
    node = study.node(0, "random", 1)
    at = study.at({"branch": "random", "cycle": "1", "seed": "0"})
    assert study.regions == [] and study.stage("oracle").settings(study, at) == {"oracle": study.settings["oracle"]}
    assert study.stage("split").settings(study, at) == {"pool": study.settings["pool"]}
    study = Study(config.load(STUDY | {"regions": GRID}))
    assert study.regions == "results/datasets/scenes/regions_grid_2_3/regions.h5"
    assert study.stage("oracle").reads(study, at)["regions"] == study.regions and node.cycle == 1


@pytest.mark.slow
def test_a_study_asks_for_regions_and_learns_from_nothing_else(tmp_path):
    methods = ("best_versus_second_best_cb", "random_foreground")
    workflow = Workflow(tmp_path / "work")
    workflow.folder.mkdir()
    raw = folder(tmp_path / "raw", 5)
    study = {
        "dataset": STUDY["dataset"] | {"path": str(raw)},
        "regions": GRID | {"answer": "dominant"},
        "methods": dict.fromkeys(methods),
    }
    workflow.write(STUDY | study)
    results = workflow.folder / "results/regions/seed0"
    workflow.snakemake("--cores", "2", *(f"results/regions/seed0/{name}/cycle1/metrics.json" for name in methods))
    (initial, pool), (cells,) = (
        artifacts.read(results / "split.h5", "split", "initial", "pool"),
        artifacts.read(workflow.folder / "results/datasets/scenes/regions_grid_2_3/regions.h5", "regions", "regions"),
    )
    assert len(initial) == 2 * 6 and len(pool) == 3 * 6
    (truth,) = artifacts.read(workflow.folder / "results/datasets/scenes/truth.h5", "truth", "masks")
    for name in methods:
        (query,) = artifacts.read(results / f"{name}/cycle1/query.h5", "query", "ids")
        ids, images, masks = artifacts.read(results / f"{name}/cycle1/labeled.h5", "labeled", "ids", "images", "masks")
        assert set(query) <= set(pool) and ids.tolist() == [*initial, *query]
        known = {image: set(ids[ids // 6 == image] % 6) for image in images.tolist()}
        for image, mask in zip(images.tolist(), masks, strict=True):
            for number in range(6):
                inside = cells[0] == number
                most = np.bincount(truth[image][inside]).argmax()
                assert (mask[inside] == (most if number in known[image] else 255)).all()
        metrics = artifacts.read_json(results / f"{name}/cycle1/metrics.json")
        assert (metrics["labels"], metrics["clicks"], metrics["labeled_images"]) == (16, 16, len(images))
        table = artifacts.read_csv(results / f"{name}/cycle1/query.csv")
        assert [6 * int(row["image"]) + int(row["region"]) for row in table] == query.tolist()
