"""A person as the oracle: the plan up to the queries that wait, on made-up answers; data without labels; what a label costs and brings."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SMALL
from scipy.special import softmax

from dagal import artifacts, config, datasets
from dagal.acquisition.methods import QUERY
from dagal.errors import UserError
from dagal.inspect import labels
from dagal.labeling import agreement, answers, spending
from dagal.plan import Study, graph, waiting
from dagal.pool import SPLIT, make_split, unlabeled
from dagal.report import registry
from dagal.tasks.classification.calibration import RANGE, folds, temperature, tempered
from dagal.tasks.classification.measures import in_common, measured
from dagal.tasks.detection import answers as boxes
from dagal.tasks.segmentation import answers as masks

CLASSES = ["cat", "dog", "elk"]
PERSON = SMALL | {
    "dataset": {"name": "digits", "labels": "none"},
    "pool": {"initial": {"size": 3}},
    "budget": 2,
    "oracle": {"kind": "person", "classes": CLASSES},
    "methods": {"entropy": {}, "margin": {}},
}
ORIGIN = artifacts.provenance("test", {})


def study_of(**changes) -> Study:
    return Study(config.load(PERSON | changes))


# --------------------------------------------------------------------------------------------------------------- config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"methods": {"oracle": {}}},
            "'methods.oracle' reads the hidden labels, which nobody has where a person labels",
        ),
        ({"supervised": [10]}, "'supervised' needs labels of images that nobody was asked for"),
        ({"dataset": {"name": "digits"}}, "'dataset.labels' is missing"),
        ({"dataset": {"name": "digits", "labels": "some"}}, "is for image_folder and image_table only"),
        ({"pool": {"initial": {"size": 10, "kind": "balanced"}}}, "needs the class of every image"),
        (
            {"pool": {"initial": {"size": 3}, "imbalance": {"kind": "step", "factor": 0.1}}},
            "'pool.imbalance' is simulated",
        ),
        ({"oracle": {}}, "'dataset.labels' is for oracle.kind person only"),
        (
            {"oracle": {}, "dataset": {"name": "digits"}, "pool": {"initial": {"size": 3}, "test": 5}},
            "'pool.test' is for",
        ),
        ({"oracle": {"kind": "person", "classes": ["cat", "cat"]}}, "no value may repeat"),
        ({"oracle": {"kind": "person"}}, "'oracle.classes' is missing"),
        ({"oracle": {"kind": "person", "classes": CLASSES, "rate": 0.1}}, "is for simulated only"),
    ],
)
def test_what_a_person_cannot_answer_is_refused(changes, words):
    with pytest.raises(UserError, match="(?s)" + words.replace(".", r"\.")):
        study_of(**changes)


SEGMENTS = {
    "dataset": {"name": "scenes", "loader": "image_folder", "task": "segmentation", "labels": "none", "image_size": 64},
    "pool": {"initial": {"size": 3}, "test": 2},
    "learners": {"small": {"architecture": "segmenter_small", "epochs": 1}},
}
FRAMES = {
    "dataset": {"name": "film", "loader": "video_folder", "labels": "none"},
    "pool": {"initial": {"size": 3}, "test": 2},
    "learners": {"small": {"architecture": "faster_rcnn_small", "epochs": 1}},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (FRAMES | {"pool": {"initial": {"size": 3}}}, "'pool.test' is missing: a study of detection measures"),
        (FRAMES | {"dataset": {"name": "film", "loader": "mot"}}, "needs video_folder with 'labels: none'"),
        (
            SEGMENTS | {"dataset": {"name": "scenes", "loader": "mask_folder"}, "methods": {"random": {}}},
            "needs image_folder",
        ),
        (FRAMES | {"methods": {"oracle_fp": {}}}, "'methods.oracle_fp' reads the hidden labels"),
    ],
)
def test_frames_and_masks_have_rules_of_their_own(changes, words):
    with pytest.raises(UserError, match=words.replace(".", r"\.")):
        study_of(**changes)


@pytest.mark.parametrize("changes", [FRAMES | {"methods": {"temporal_coherence": {}}}, SEGMENTS])
def test_no_job_of_frames_or_masks_reads_the_truth(changes):
    study = study_of(**changes)
    jobs = graph.jobs(study, registry.targets(study))
    files = {file for reads in jobs.values() for file in reads}
    assert {Path(file).name for file in files if graph.made_by(study, file) is None} == {
        "answers.json", "initial_answers.json", "test_answers.json"
    }  # fmt: skip
    assert study.truth not in files and graph.counts(jobs)["evaluate"] == 1 + 2 * len(study.methods)


@pytest.mark.parametrize("held_out", [{"test": False, "validation": False}, {"test": True, "validation": True}])
def test_no_job_reads_the_truth(held_out):
    """All that is read is made by another job, but the files of answers."""
    study = Study(config.load(PERSON | {"stopping": {"kappa": {"size": 10, "cycles": 2}}}) | {"held_out": held_out})
    last = [study.file(study.node(0, method, 2), "predicted_labels.csv") for method in study.methods]
    jobs = graph.jobs(study, [*registry.targets(study), *last])
    files = {file for reads in jobs.values() for file in reads}
    brought = {Path(file).name for file in files if graph.made_by(study, file) is None}
    assert study.truth not in files and len(registry.items(study)) > 5
    assert brought == {"answers.json", "initial_answers.json", *(["test_answers.json"] if held_out["test"] else [])}
    counts = graph.counts(jobs)
    assert counts["evaluate"] == counts["pool_predictions"] == 5
    assert counts.get("cross_validation", 0) == (0 if held_out["test"] else 5)


# --------------------------------------------------------------------------------------------------------------- plan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a study runs whose split is drawn: images 0, 1, 2 first, 9 and 8 for testing."""
    monkeypatch.chdir(tmp_path)
    split = {"pool": [3, 4, 5, 6, 7], "initial": [0, 1, 2], "validation": [8], "test": [9]}
    artifacts.write("results/small/seed0/split.h5", SPLIT, ORIGIN, {name: np.array(ids) for name, ids in split.items()})
    return tmp_path


def ask(study, method, cycle, ids):
    path = study.path(study.node(0, method, cycle), "query")
    artifacts.write(path, QUERY, ORIGIN, {"ids": np.array(ids, np.int64), "score": np.zeros(len(ids))})


def answer(*given, annotator="anna", **about):
    """(id, class or state) or a text for all of them."""
    about = {"annotator": annotator, "at": "2026-11-26T05:00:00+00:00", "source": "page"} | about
    states = {state: {"state": state} for state in answers.STATES}
    entries = [states.get(what) or {"state": "labeled", "label": what} for _, what in given]
    answers.append(
        answers.log_of("results/small"),
        [about | {"id": image} | entry for (image, _), entry in zip(given, entries, strict=True)],
    )


def waits(study) -> list[tuple]:
    return [(query.purpose, query.method, query.cycle) for query in waiting.reach(study).waiting]


def test_a_study_waits_for_its_test_and_initial_set_and_goes_on_from_where_it_ended(folder):
    study = study_of()
    assert waits(study) == [("test", None, 0), ("initial", None, 0)]
    assert waiting.reach(study).targets == ["results/small/seed0/split.h5"]
    answer((0, "cat"), (1, "dog"), (2, "unsure"), (8, "cat"))
    assert waits(study) == [("test", None, 0)]
    assert not Path(study.answers(0, "test")).exists() and Path(study.answers(0, "initial")).exists()
    answer((9, "elk"))
    found = waiting.reach(study)
    start = study.path(study.node(0, "entropy", 0), "metrics")
    assert found.waiting == [] and found.held_out == {"test": True, "validation": True}
    tables = [f"results/small/seed0/{method}/cycle1/query.csv" for method in ("entropy", "margin")]
    assert found.targets == ["results/small/seed0/split.h5", start, *tables]
    closed = artifacts.read_json(study.answers(0, "initial"))
    assert closed["ids"] == [0, 1, 2] and closed["class_names"] == CLASSES
    assert [one["label"] or one["state"] for one in closed["answers"]] == ["cat", "dog", "unsure"]
    assert artifacts.read_json(study.answers(0, "test"))["ids"] == [9, 8]


def test_queries_that_share_an_image_ask_for_it_once_and_closed_ones_never_change(folder):
    study = study_of()
    answer(*((image, "cat") for image in (0, 1, 2, 8, 9)))
    ask(study, "entropy", 1, [4, 3])
    ask(study, "margin", 1, [3, 5])
    told = waiting.write(study)
    assert "the query of entropy in cycle 1 (seed 0) waits for 2 of 2 labels: " in told[0]
    assert told[-1].startswith("3 images wait for their labels, each asked for once: `dagal label results/small`")
    written = artifacts.read_json("results/small/waiting.json")
    assert [query["ids"] for query in written["queries"]] == [[4, 3], [3, 5]] and written["class_names"] == CLASSES
    answer((4, "dog"), (3, "elk"))
    closed = Path(study.answers(study.node(0, "entropy", 1)))
    assert waits(study) == [("query", "margin", 1)] and closed.exists()
    before = closed.read_bytes()
    answer((5, "no_class"), (3, "cat"), annotator="ben", at="2026-11-26T06:00:00+00:00")
    assert waiting.reach(study).cycles == {(0, "entropy"): 1, (0, "margin"): 0} and closed.read_bytes() == before
    (query,) = artifacts.read_json("results/small/waiting.json")["queries"][1:]
    assert query["left"] == [3, 5]
    waiting.write(study)
    (query,) = artifacts.read_json("results/small/waiting.json")["queries"]
    assert (query["left"], query["conflicts"]) == ([3], [3])  # two annotators, two classes


def test_a_query_that_was_made_anew_is_opened_again(folder):
    study = study_of(methods={"entropy": {}})
    answer(*((image, "cat") for image in (0, 1, 2, 8, 9, 3, 4)))
    ask(study, "entropy", 1, [4, 3])
    assert waits(study) == []
    ask(study, "entropy", 1, [4, 5])
    assert waits(study) == [("query", "entropy", 1)] and waiting.reach(study).waiting[0].ids == [4, 5]


def test_a_new_class_is_known_from_the_next_query_on(folder):
    answer(*((image, "cat") for image in (0, 1, 2, 8, 9)))
    study = study_of(methods={"entropy": {}})
    assert waits(study) == []
    study = study_of(methods={"entropy": {}}, oracle={"kind": "person", "classes": [*CLASSES, "fox"]})
    told = waiting.write(study)
    assert told[0] == "fox is new: the models of entropy (seed 0) know it from cycle 1 on"
    ask(study, "entropy", 1, [4, 3])
    answer((4, "fox"), (3, "cat"))
    assert waits(study) == []
    assert artifacts.read_json(study.answers(study.node(0, "entropy", 1)))["class_names"] == [*CLASSES, "fox"]
    assert artifacts.read_json(study.answers(0, "initial"))["class_names"] == CLASSES
    with pytest.raises(UserError, match="was answered with cat, dog, elk: keep these in this order"):
        waits(study_of(oracle={"kind": "person", "classes": ["dog", "cat", "elk"]}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([(0, "gnu"), (1, "cat"), (2, "cat")], "has 'gnu' for image 0, which is none of oracle.classes"),
        ([(0, "unsure"), (1, "no_class"), (2, "unsure")], "has no image with a label"),
    ],
)
def test_answers_that_nothing_can_be_learnt_from_are_told(folder, given, words):
    answer(*given)
    with pytest.raises(UserError, match=words):
        waits(study_of())


def test_a_correction_says_what_it_changes_and_opens_it(folder):
    study = study_of()
    answer(*((image, "cat") for image in range(10)))
    ask(study, "entropy", 1, [4, 3])
    ask(study, "entropy", 2, [5, 6])
    ask(study, "margin", 1, [3, 5])
    assert waits(study) == []
    artifacts.write_json("results/small/study.json", {"settings": study.settings})
    artifacts.write("results/datasets/digits/images.h5", "images", ORIGIN, {"split": np.zeros(10, np.uint8)})
    told = labels.relabel("results/small", 3, "dog", yes=False)
    assert told == [
        "the query of entropy in cycle 1 (seed 0) has image 3: the models of entropy (seed 0) from cycle 1 to 2 are trained again, and "
        "later queries asked anew",
        "the query of margin in cycle 1 (seed 0) has image 3: the models of margin (seed 0) from cycle 1 to 2 are trained again, and "
        "later queries asked anew",
        "nothing is changed yet: do it by --yes",
    ]
    node = [study.node(0, "entropy", cycle) for cycle in (1, 2)]
    assert Path(study.answers(node[1])).exists()
    labels.relabel("results/small", 3, "dog", yes=True)
    assert not Path(study.answers(node[1])).exists() and not Path(study.path(node[1], "query")).exists()
    found = waiting.reach(study)
    assert found.waiting == [] and found.cycles == {(0, "entropy"): 1, (0, "margin"): 1}
    assert artifacts.read_json(study.answers(node[0]))["answers"][1]["label"] == "dog"
    assert "all models of seed 0 are measured again" in labels.relabel("results/small", 9, "unsure", yes=False)[0]
    assert "nothing is made again" in labels.relabel("results/small", 7, "dog", yes=False)[0]
    for image, label in ((10, "cat"), (3, "gnu")):
        with pytest.raises(UserError, match="no id of an image|none of the classes"):
            labels.relabel("results/small", image, label, yes=True)


def test_one_screen_says_what_labels_cost_and_bring_and_what_waits(folder):
    study = study_of(methods={"entropy": {}})
    answer(*((image, "cat") for image in (0, 1, 2, 8, 9)), seconds=6.0, suggestion="dog")
    answer((3, "cat"), (4, "cat"), seconds=6.0, suggestion="cat")
    ask(study, "entropy", 1, [4, 3])
    ask(study, "entropy", 2, [5, 6])
    about = {"accuracy": None, "agreement": 0.5, "unanswered": 1}
    for cycle, (n, accuracy, kappa) in enumerate([(10, 0.4, None), (20, 0.5, 0.9), (40, 0.9, 1.0)]):
        metrics = about | {"labels": n, "cross_validated_accuracy": accuracy, "kappa": kappa}
        artifacts.write_json(study.path(study.node(0, "entropy", cycle), "metrics"), metrics)
    told = labels.screen(study)
    assert told[0] == (  # cycle 2 is of another query than the one that waits
        "entropy, seed 0: 20 labels, cross validated accuracy 0.500, 1 asked for in vain, 2 more may bring +0.014, 50% of the "
        "predictions as before"
    )
    assert told[1:3] == [
        "7 answers, 600 an hour; the 2 that are left take about 12 s",
        "2 of 7 suggestions were accepted (29%)",
    ]
    assert "cycle 2 (seed 0) waits for 2 of 2 labels" in told[3]
    stable = labels.chain(
        "entropy", [about | {"labels": 1, "kappa": kappa} for kappa in (None, 0.995, 1.0, 1.0)], None, 2
    )
    assert stable.endswith("the predictions have stabilized: kappa 0.9950, 1.0000, 1.0000 is above 0.99 in 3 cycles")


# --------------------------------------------------------------------------------------------------------------- votes


@pytest.mark.parametrize(
    ("given", "annotators", "expected"),
    [
        ({}, 1, ("waiting", None)),
        ({"a": "cat"}, 1, ("decided", "cat")),
        ({"a": "cat"}, 2, ("waiting", None)),
        ({"a": "cat", "b": "cat"}, 2, ("decided", "cat")),
        ({"a": "cat", "b": "dog"}, 2, ("conflict", None)),
        ({"a": "cat", "b": "dog", "c": "dog"}, 2, ("decided", "dog")),
        ({"a": "cat", "b": "dog", "c": "elk"}, 2, ("conflict", None)),
        ({"a": "cat", "b": "dog", "decision": "elk"}, 2, ("decided", "elk")),
        ({"decision": "elk"}, 3, ("decided", "elk")),
    ],
)
def test_most_annotators_decide_and_a_tie_waits(given, annotators, expected):
    about = {"state": "labeled", "boxes": None, "mask": None, "at": "2026-11-26T05:00:00+00:00"}
    found = agreement.decided(
        {name: about | {"label": label, "source": name} for name, label in given.items()}, annotators
    )
    assert (found[0], found[1] and found[1]["label"]) == expected


# ---------------------------------------------------------------------------------------------------- data and the pool


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))


def prepared(settings: dict, folder: Path) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Files, parts, and label by file, of what a loader wrote."""
    settings = config.load(PERSON | {"dataset": settings})["dataset"]
    images, given = folder / "images.h5", folder / "given.h5"
    datasets.prepare(settings, images, given, ORIGIN)
    file, split = artifacts.read(images, "images", "file", "split")
    ids, of_ids = artifacts.read(given, "given", "ids", "labels")
    names = artifacts.attributes(given, "given")["class_names"]
    files = [name.decode() for name in file]
    free = len(files) - len(np.setdiff1d(np.flatnonzero(split), [])) + len(np.setdiff1d(np.flatnonzero(split), ids))
    assert datasets.train_counts(settings).tolist() == [free]
    return files, split, {files[i]: str(names[label]) for i, label in zip(ids, of_ids, strict=True)}


def test_a_folder_in_which_some_images_have_a_class(tmp_path):
    raw = tmp_path / "raw"
    for place, name in enumerate(
        ["a.png", "cat/b.png", "dog/x/c.png", "unlabeled/d.png", "test/cat/e.png", "test/f.png"]
    ):
        picture(raw / name, 10 * place)
    settings = {"name": "raw", "loader": "image_folder", "path": str(raw)}
    files, split, given = prepared(settings | {"labels": "some"}, tmp_path)
    assert files == ["a.png", "cat/b.png", "dog/x/c.png", "unlabeled/d.png", "test/cat/e.png", "test/f.png"]
    assert split.tolist() == [0, 0, 0, 0, 1, 1]
    assert given == {"cat/b.png": "cat", "dog/x/c.png": "dog", "test/cat/e.png": "cat"}
    assert prepared(settings | {"labels": "none"}, tmp_path)[2] == {}
    with pytest.raises(UserError, match=r"holds no image \("):
        (tmp_path / "empty").mkdir()
        prepared(settings | {"labels": "none", "path": str(tmp_path / "empty")}, tmp_path)


@pytest.mark.parametrize("labels", ["some", "none"])
def test_a_table_in_which_cells_are_empty(tmp_path, labels):
    for place, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", 10 * place)
    header, ends = ("path,label,split", ["cat,train", ",", "dog,test"]) if labels == "some" else ("path", [None] * 3)
    rows = [name + (f".png,{end}" if end else ".png") for name, end in zip("abc", ends, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join([header, *rows]).replace(",\n", ",train\n"))
    settings = {"name": "raw", "loader": "image_table", "path": str(tmp_path / "table.csv"), "labels": labels}
    files, split, given = prepared(settings, tmp_path)
    assert files == ["a.png", "b.png", "c.png"] and split.tolist() == [0, 0, int(labels == "some")]
    assert given == ({"a.png": "cat", "c.png": "dog"} if labels == "some" else {})


def test_frames_without_boxes(tmp_path):
    for place, name in enumerate(["a/0.png", "a/1.png", "b/0.png"]):
        path = tmp_path / "film" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((40, 48, 3), 20 * place, np.uint8))
    settings = study_of(**FRAMES | {"dataset": FRAMES["dataset"] | {"path": str(tmp_path / "film")}}).settings[
        "dataset"
    ]
    datasets.prepare(settings, tmp_path / "images.h5", tmp_path / "given.h5", ORIGIN)
    images, split, video = artifacts.read(tmp_path / "images.h5", "images", "images", "split", "video")
    assert images.shape == (3, 40, 48, 3) and split.tolist() == [0, 0, 0] and video.tolist() == [0, 0, 1]
    assert artifacts.read(tmp_path / "given.h5", "given", "ids")[0].tolist() == []


def test_boxes_that_people_drew():
    given = [{"boxes": [[1, 2, 3, 4, "dog"], [0, 0, 9, 9, "cat"]]}, {"boxes": []}, {"boxes": [[5, 5, 6, 6, "elk"]]}]
    told = boxes.told(given, CLASSES, Path())
    assert told["offsets"].tolist() == [0, 2, 2, 3] and told["box_labels"].tolist() == [1, 0, 2]
    assert boxes.append(told, boxes.told([], CLASSES, Path()))["offsets"].tolist() == [0, 2, 2, 3]
    ids = np.array([4, 0, 2])
    known = boxes.known(told, ids, ids, 6)
    assert known["offsets"].tolist() == [0, 0, 0, 1, 1, 3, 3]
    assert known["boxes"].tolist() == [[5, 5, 6, 6], [1, 2, 3, 4], [0, 0, 9, 9]] and known["box_labels"].tolist() == [
        2,
        1,
        0,
    ]
    with pytest.raises(UserError, match="image 5 of the test set has no label"):
        boxes.known(told, ids, np.array([4, 0, 5, 2]), 6)


def test_masks_that_people_painted(tmp_path):
    mask = np.array([[0, 1], [255, 2]], np.uint8)
    cv2.imwrite(str(tmp_path / "3-1.png"), mask)
    told = masks.told([{"mask": "3-1.png"}], CLASSES, tmp_path)
    np.testing.assert_array_equal(next(told["masks"].blocks()), mask[None])
    assert told["pixels"].tolist() == [[1, 1, 1]]
    known = masks.known(told, np.array([1]), np.array([1]), 3)["masks"]
    assert (known[[0, 2]] == 255).all() and (known[1] == mask).all()
    more = masks.told([{"mask": "3-1.png"}], [*CLASSES, "fox"], tmp_path)
    assert masks.append(told, more)["pixels"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    assert masks.append(told, masks.told([], [*CLASSES, "fox"], tmp_path))["pixels"].tolist() == [[1, 1, 1, 0]]
    for name, classes in (("3-1.png", CLASSES[:2]), ("4-1.png", CLASSES)):
        with pytest.raises(UserError, match=f"{name} is no mask with a number of a class"):
            masks.told([{"mask": name}], classes, tmp_path)


def test_given_labels_are_the_first_ones_and_the_test_set_is_that_of_all_seeds():
    split_N = np.array([0] * 20 + [1] * 5)
    settings = {"initial": {"size": 6, "kind": "random"}, "imbalance": {"kind": "none", "factor": 1, "where": "rest"}}
    settings |= {"validation": 2, "test": 3}
    given = np.array([4, 7, 21, 23])  # two for training, two for testing
    splits = [make_split(split_N, np.zeros(25, np.int64), 0, settings, seed, given=given) for seed in range(4)]
    for split in splits:
        assert sorted(np.concatenate(list(split.values()))) == list(range(25))
        assert [len(split[name]) for name in ("test", "validation", "initial")] == [5, 2, 6 + 0]
        assert {21, 23} <= {*split["test"]} and {4, 7} <= {*split["initial"], *split["validation"]}
        np.testing.assert_array_equal(split["test"], splits[0]["test"])
    assert len({tuple(split["initial"]) for split in splits}) > 1
    every = make_split(
        split_N,
        np.zeros(25, np.int64),
        1,
        settings | {"initial": {"size": 1, "kind": "random"}, "validation": 0},
        0,
        given=given,
    )
    assert every["initial"].tolist() == [4, 7]


def test_images_without_an_answer_are_not_asked_for_again(folder):
    artifacts.write("labeled.h5", "labeled", ORIGIN, {"ids": np.array([3]), "unanswered": np.array([5, 4])})
    assert unlabeled("results/small/seed0/split.h5", "labeled.h5").tolist() == [6, 7]


# --------------------------------------------------------------------------------------------- what models tell people


def test_temperature_is_that_of_a_grid_and_keeps_the_classes():
    rng = np.random.default_rng(0)
    logits_N_C = rng.normal(size=(300, 4)) * 4
    labels_N = np.array([rng.choice(4, p=p) for p in softmax(logits_N_C / 3, axis=1)])
    probs_N_C = softmax(logits_N_C, axis=1)
    grid = np.exp(np.linspace(*np.log(RANGE), 2001))
    loss = [-np.log(softmax(logits_N_C / one, axis=1)[np.arange(300), labels_N]).mean() for one in grid]
    found = temperature(probs_N_C, labels_N)
    assert found == pytest.approx(grid[np.argmin(loss)], rel=0.01) and 2 < found < 4.5
    np.testing.assert_allclose(tempered(probs_N_C, found), softmax(logits_N_C / found, axis=1), atol=1e-9)
    assert temperature(probs_N_C[:0], labels_N[:0]) == 1.0


def test_folds_are_even_in_all_and_in_each_class():
    labels_L = np.random.default_rng(1).integers(0, 3, 43)
    fold_L = folds(labels_L, np.random.default_rng(2))
    assert np.ptp(np.bincount(fold_L, minlength=5)) <= 1
    assert all(np.ptp(np.bincount(fold_L[labels_L == label], minlength=5)) <= 1 for label in range(3))
    assert sorted(folds(np.array([1, 1]), np.random.default_rng(0))) == [0, 1]


def test_measures_without_a_test_set_are_unknown():
    nothing = np.zeros(0, np.int64)
    found = measured(nothing, nothing, nothing.astype(bool), np.array([0, 0, 1]), CLASSES)
    assert found["accuracy"] is None and found["balanced_accuracy"] is None and found["validation_accuracy"] is None
    assert found["labels_per_class"] == [2, 1, 0] and found["accuracy_per_class"] == [None] * 3
    found = measured(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([True, True, False]), np.array([0, 1]), CLASSES)
    assert (found["accuracy"], found["balanced_accuracy"], found["validation_accuracy"]) == (0.5, 0.5, 1.0)


def test_models_are_compared_on_what_both_saw():
    before = [np.array([1, 2, 5]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])]
    now = [np.array([2, 5, 7]), np.array([[0.1, 0.9, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])]
    assert [found.tolist() for found in in_common(before, now)] == [[1, 0], [1, 2]]


def test_pace_suggestions_and_the_gain_of_a_batch():
    about = {
        "state": "labeled",
        "source": "page",
        "suggestion": None,
        "label": "cat",
        "annotator": "anna",
        "seconds": None,
    }
    log = [about | {"at": f"2026-11-26T05:0{minute}:00+00:00"} for minute in (0, 1, 3)]
    log += [about | {"at": "2026-11-26T07:00:00+00:00"}, about | {"at": "2026-11-26T05:00:30+00:00", "source": "given"}]
    assert spending.seconds_per_answer(log) == 90.0  # a minute, two minutes, and a pause
    assert spending.seconds_per_answer([*log, log[0] | {"seconds": 2.5}]) == 2.5
    assert spending.seconds_per_answer(log[-1:]) is None
    shown = [
        about | {"suggestion": "cat"},
        about | {"suggestion": "dog"},
        about | {"suggestion": "cat", "state": "unsure"},
    ]
    assert spending.accepted([*log, *shown]) == (1, 2)
    # 0.1 with each doubling of the labels
    assert spending.expected_gain([50, 10, 20, 40], [None, 0.5, 0.6, 0.7], 40) == pytest.approx(0.1)
    assert spending.expected_gain([10], [0.5], 10) is None


def test_a_first_study_of_a_folder_of_images_is_valid(tmp_path, monkeypatch):
    from dagal.config.commands import new

    monkeypatch.chdir(tmp_path)
    picture(Path("photos/a.png"), 3)
    assert "pets.yaml is written" in new("pets", "photos", ["cat", "dog: brown"])
    loaded = config.load("pets.yaml")
    assert loaded["oracle"]["classes"] == ["cat", "dog: brown"] and loaded["dataset"]["path"] == "photos"
    for images, classes in (("photos", ["cat"]), ("elsewhere", ["cat", "dog"])):
        with pytest.raises(UserError, match="names of two classes|is not there"):
            new("others", images, classes)
