"""Camera traps: detections and annotations -> crops with species, a split that tears nothing apart, counts; a rendered survey."""

import copy
import csv
import json

import cv2
import h5py
import numpy as np
import pytest
from conftest import SMALL, Workflow

from dagal import artifacts, datasets
from dagal.__main__ import main
from dagal.config import load
from dagal.datasets import camera_traps as traps
from dagal.datasets.records import Records
from dagal.errors import UserError
from dagal.report.tables.counting import bin_of, count_accuracy, presence

ORIGIN = artifacts.provenance("dataset", {})
SIZE = 40, 20  # width, height
CATEGORIES = [{"id": 7, "name": "zebra"}, {"id": 0, "name": "Empty"}, {"id": 3, "name": "lion"}]
WHOLE = {"bbox": [0, 0, 40, 20]}


def annotation(image, species, **more):
    return {"image_id": image, "category_id": {"zebra": 7, "lion": 3, "empty": 0}[species], **more}


def detection(*box, conf=0.95, category="1"):
    return {"category": category, "conf": conf, "bbox": list(box)}


# image -> (location, annotations, detections)
SURVEY = {
    "a/0.jpg": ("hill", [annotation(0, "zebra", **WHOLE)], [detection(0, 0, 0.5, 1), detection(0, 0, 1, 1, conf=0.89)]),
    "a/1.jpg": ("hill", [annotation(1, "lion")], [detection(0.5, 0.5, 0.5, 0.5), detection(0, 0, 0.5, 0.5, conf=0.9)]),
    "b/2.jpg": ("lake", [annotation(2, "empty")], [detection(0.25, 0, 0.5, 1, conf=1.0)]),
    "b/3.jpg": ("lake", [], []),
    "c/4.jpg": ("wood", [annotation(4, "zebra", count="11-50"), annotation(4, "lion")], [detection(0, 0, 1, 1)]),
    "c/5.jpg": ("wood", [annotation(5, "lion", count=3)], [detection(0, 0, 1, 1, category="2")]),
}


@pytest.fixture
def survey(tmp_path):
    """Writes a survey, changed if asked for; returns the settings of its data set: strict, so that each mistake shows."""

    def write(change=lambda annotations, detections: None, **settings):
        rng = np.random.default_rng(0)
        annotations = {"images": [], "annotations": [], "categories": CATEGORIES}
        detections = {"images": [], "detection_categories": {"1": "animal", "2": "person"}}
        for number, (name, (location, told, found)) in enumerate(copy.deepcopy(SURVEY).items()):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name), np.full((SIZE[1], SIZE[0], 3), rng.integers(0, 255, 3), np.uint8))
            about = {"id": number, "file_name": name, "location": location, "width": SIZE[0], "height": SIZE[1]}
            annotations["images"].append(about)
            annotations["annotations"] += [{"id": 10 * number + i, **item} for i, item in enumerate(told)]
            detections["images"].append({"file": name, "detections": found})
        change(annotations, detections)
        (tmp_path / "annotations.json").write_text(json.dumps(annotations))
        (tmp_path / "detections.json").write_text(json.dumps(detections))
        dataset = {"name": "traps", "loader": "camera_trap", "path": str(tmp_path), "image_size": 8, "bad_records": 0}
        return load(STUDY | {"dataset": dataset | settings})["dataset"]

    return write


STUDY = {
    "study": "traps", "pool": {"initial": {"size": 1}}, "budget": 1, "cycles": 0, "seeds": [0],
    "learners": {"mlp": {"architecture": "mlp", "epochs": 1}}, "methods": {"random": None},
}  # fmt: skip


def test_settings_left_out_take_the_papers(survey, tmp_path):
    dataset = survey(image_size=None)
    assert (dataset["image_size"], dataset["confidence"]) == (256, None)
    assert dataset["detections"] == f"{tmp_path}/detections.json"
    with pytest.raises(UserError, match=r"'dataset\.confidence' is for camera_trap only"):
        load(STUDY | {"dataset": {"name": "digits", "confidence": 0.5}})


def test_crops_their_species_and_where_they_are_from(survey, capsys):
    source = traps.camera_trap(survey())
    assert source.class_names == ["lion", "zebra", "empty"]  # by ids of the categories
    assert source.about["files"].tolist() == [name.encode() for name in SURVEY]
    assert source.about["detected"].tolist() == [1, 2, 1, 0, 1, 0]
    assert source.sealed["animals"].tolist() == [1, -1, 0, 0, -1, 3]
    rows = zip(source.about["source"], source.about["box"].tolist(), source.labels, strict=True)
    crops = sorted((int(image), box, source.class_names[label]) for image, box, label in rows)
    assert crops == [
        (0, [0, 0, 0.5, 1], "zebra"),
        (1, [0, 0, 0.5, 0.5], "lion"),
        (1, [0.5, 0.5, 1, 1], "lion"),
        (2, [0.25, 0, 0.75, 1], "empty"),  # a false alarm is labeled as what it shows
    ]
    assert not capsys.readouterr().out  # listing happens while a study is planned
    assert source.notes == ["left out 1 crops of images that show several species and say not where"]


def test_crops_are_cut_from_their_images_and_files_hold_all_of_it(survey, tmp_path):
    settings = survey()
    datasets.prepare(settings, tmp_path / "images.h5", tmp_path / "truth.h5", ORIGIN)
    with h5py.File(tmp_path / "images.h5") as file:
        assert file["images"].shape == (4, 8, 8, 3)
        for crop, source in zip(file["images"], file["source"], strict=True):
            name = file["files"][source].decode()
            original = cv2.cvtColor(cv2.imread(str(tmp_path / name)), cv2.COLOR_BGR2RGB)
            assert np.abs(crop.astype(int) - original[10, 20].astype(int)).max() <= 2
        assert set(file) >= {"images", "split", "source", "box", "confidence", "files", "detected"}
    with h5py.File(tmp_path / "truth.h5") as file:
        assert set(file) == {"labels", "animals"}
    assert datasets.train_counts(settings).sum() == traps.camera_trap(settings).n_train


def test_whole_images_instead_of_crops(survey):
    """One of each image with a detection, of the one species of its crops: c/4 shows two and b/2 none."""
    source = traps.camera_trap(survey(content="images"))
    assert [(source.files[row], source.class_names[source.labels[row]]) for row in np.argsort(source.files)] == [
        ("a/0.jpg", "zebra"), ("a/1.jpg", "lion"), ("b/2.jpg", "empty"),
    ]  # fmt: skip
    assert (source.about["box"] == [0, 0, 1, 1]).all()
    assert "left out 1 images that show several species" in source.notes
    images = dict(source.images)
    assert all(image.shape == (20, 40, 3) for image in images.values()) and len(images) == 3
    one, two = (0, "box", 0.9), (0, "other", 0.95)
    assert traps.whole_images([(*one, "lion"), (*two, "empty")]) == [(0, (0, 0, 1, 1), 0.95, "lion")]
    assert traps.whole_images([(*one, "lion"), (*two, None)]) == [(0, (0, 0, 1, 1), 0.95, None)]
    assert traps.whole_images([(*one, "lion"), (*two, "zebra")])[0][3] is None
    assert "content" not in survey()  # no earlier data set is prepared again


def test_crop_is_the_pixels_of_its_box(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), image)
    boxes = [(0.25, 0.1, 0.5, 0.9), (0.999, 0.999, 1.0, 1.0)]
    one, two = (crop for _, crop in traps.cropped(tmp_path, ["x.png"], [(0, box) for box in boxes]))
    np.testing.assert_array_equal(one[..., ::-1], image[2:18, 10:20])
    np.testing.assert_array_equal(two[..., ::-1], image[19:, 39:])  # a pixel at least


@pytest.mark.parametrize(
    ("animals", "species"),
    [
        ([], "empty"),
        ([("lion", None)], "lion"),
        ([("lion", None), ("lion", None)], "lion"),
        ([("lion", None), ("zebra", None)], None),
        ([("lion", (0.0, 0.0, 0.5, 1.0)), ("zebra", (0.1, 0.0, 1.0, 1.0))], "lion"),  # shares .5 and .4 of the area
        ([("zebra", (0.0, 0.0, 0.1, 0.1))], "zebra"),  # the whole animal lies in it
        ([("zebra", (0.4, 0.0, 1.0, 1.0))], "empty"),  # a fifth of the crop
        ([("zebra", (0.6, 0.0, 1.0, 1.0)), ("lion", None)], "lion"),
    ],
)
def test_species_of_a_crop(animals, species):
    assert traps.species_of((0.0, 0.0, 0.5, 1.0), animals) == species


@pytest.mark.parametrize(
    ("counts", "number"),
    [
        ([], 0),
        ([("lion", 1)], 1),
        ([("lion", 1), ("lion", 1), ("zebra", 1)], 3),  # a box each
        ([("lion", 3), ("lion", 3), ("lion", 3)], 3),  # boxes that all tell the number of the image
        ([("lion", 11), ("zebra", 2)], 13),
        ([("lion", 2), ("zebra", -1)], -1),
    ],
)
def test_number_of_animals(counts, number):
    assert traps.number_of_animals(counts) == number


@pytest.mark.parametrize(
    ("value", "boxed", "count"),
    [
        (4, False, 4), ("4", True, 4), ("11-50", False, 11), ("51+", False, 51), (None, True, 1), (None, False, -1),
        ("many", False, -1), (-1, False, -1), (0, True, 1),
    ],
)  # fmt: skip
def test_count_of_an_annotation(value, boxed, count):
    assert traps.count_of(value, boxed) == count


@pytest.mark.parametrize("seed", range(20))
def test_test_part_is_whole_groups_and_about_its_share(seed):
    rng = np.random.default_rng(seed)
    groups = rng.choice([f"place{i}" for i in range(rng.integers(2, 30))], 300).tolist()
    fraction = rng.uniform(0.05, 0.9)
    is_test = traps.drawn_groups(groups, fraction, "here")
    sizes = {name: groups.count(name) for name in set(groups)}
    tested = {name for name, test in zip(groups, is_test, strict=True) if test}
    assert 0 < len(tested) < len(sizes) or len(sizes) == 1
    assert all((name in tested) == test for name, test in zip(groups, is_test, strict=True))
    assert is_test.sum() < fraction * 300 + max(sizes.values())
    assert is_test.sum() >= fraction * 300 or len(tested) == len(sizes) - 1


def test_location_else_sequence_else_image_is_kept_together(survey):
    def without(*keys):
        def change(annotations, detections):
            for image in annotations["images"]:
                image["seq_id"] = f"{image['location']}-night"
                for key in keys:
                    del image[key]

        return change

    def groups(settings):
        _, photos, _ = traps.read_annotations(traps.Path(settings["annotations"]), settings, Records(settings))
        return [photo.group for photo in photos.values()]

    assert groups(survey())[:3] == ["location hill", "location hill", "location lake"]
    nights = ["sequence hill-night", "sequence hill-night", "sequence lake-night"]
    assert groups(survey(without("location")))[:3] == nights
    assert groups(survey(without("location", "seq_id")))[:3] == [None] * 3
    source = traps.camera_trap(survey(without("location", "seq_id")))
    parts = [set(source.about["source"][part]) for part in (slice(source.n_train), slice(source.n_train, None))]
    assert all(parts) and not parts[0] & parts[1]


@pytest.mark.parametrize("seq_id", [None, "hill"])  # no name of a location
def test_images_without_location_leave_the_others_with_theirs(survey, monkeypatch, seq_id):
    def change(annotations, detections):
        annotations["images"][2] |= {"location": None, "seq_id": seq_id}

    drawn = []
    monkeypatch.setattr(traps, "drawn_groups", lambda groups, *_: drawn.extend(groups) or np.arange(4) == 3)
    source = traps.camera_trap(survey(change))
    alone = "sequence hill" if seq_id else "image 000000002"
    assert drawn == ["location hill"] * 3 + [alone]
    assert any(line.startswith("1 crops have no location: ") for line in source.notes)


def test_coco_boxes_are_detections_too(survey, tmp_path):
    """Those of the annotations themselves: a perfect detector."""
    settings = survey(detections=str(tmp_path / "annotations.json"))
    source = traps.camera_trap(survey(lambda a, d: a["annotations"][-1].update(bbox=[20, 10, 20, 10]), **settings))
    assert source.about["detected"].tolist() == [1, 0, 0, 0, 0, 1]
    assert sorted(source.about["box"].tolist()) == [[0, 0, 1, 1], [0.5, 0.5, 1, 1]]


def test_of_coco_categories_only_animals_count(survey):
    def coco(annotations, detections):
        items = [
            (0, 1, [0, 0, 20, 20], 0.95),
            (2, 1, [0, 0, 20, 20], 0.8),
            (4, 2, [0, 0, 4, 4], 1),
            (3, 1, [0, 0, 40, 20.2], 1),
        ]
        names = ("image_id", "category_id", "bbox", "score")
        detections |= {"annotations": [dict(zip(names, item, strict=True)) for item in items]}
        detections |= {
            "images": annotations["images"],
            "categories": [{"id": 1, "name": "animal"}, {"id": 2, "name": "car"}],
        }

    source = traps.camera_trap(survey(coco))
    assert source.about["detected"].tolist() == [1, 0, 0, 1, 0, 0]
    assert source.about["box"].max() == 1  # cut at the edge


def test_images_without_result_are_left_out(survey):
    def change(annotations, detections):
        detections["images"][0] |= {"detections": None, "failure": "Failure image access"}
        detections["images"][1]["failure"] = "Failure image open"
        del annotations["images"][5], annotations["annotations"][4:]
        detections["images"][2]["file"] = ".\\b\\2.jpg"

    source = traps.camera_trap(survey(change, test_fraction=0.5) | {"confidence": 0})
    assert source.about["files"].tolist() == [b"b/2.jpg", b"b/3.jpg", b"c/4.jpg"]
    assert "left out 3 images that have no result in one of the two files" in source.notes


def cut_off(annotations, detections):
    detections["images"][0]["detections"] = [{"conf": 1, "category": "1", "bbox": [0, 0]}]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a, d: d["images"][0]["detections"][0].update(category="9"), "a detection in a/0.jpg of .*category '9' is not in its categories"),
        (lambda a, d: a["annotations"][0].update(category_id=99), "annotation 0 of a/0.jpg in .*category 99 is not in its categories"),
        (lambda a, d: d["images"][1]["detections"][0].update(bbox=[0.5, 0.5, 0.6, 0.5]), "in a/1.jpg .*a box that is none or outside"),
        (lambda a, d: d["images"][1]["detections"][0].update(bbox=[12, 3, 40, 50]), "in a/1.jpg .*a box that is none or outside"),
        (lambda a, d: d["images"][1]["detections"][0].update(bbox=[0.5, 0.5, 0, 0.5]), "in a/1.jpg .*a box that is none"),
        (lambda a, d: d["images"][1]["detections"][0].update(bbox=[float("nan"), 0, 1, 1]), "in a/1.jpg .*a box that is none"),
        (lambda a, d: d["images"][1]["detections"][0].update(bbox=[]), r"in a/1.jpg .*box \[\] is not four numbers"),
        (lambda a, d: a["annotations"][0].update(bbox=[30, 0, 20, 20]), "of a/0.jpg .*a box that is none or outside"),
        (lambda a, d: a["images"][0].pop("width"), "of a/0.jpg .*no width and height of the image"),
        (lambda a, d: a["images"][0].update(width=None), "of a/0.jpg .*no width and height of the image"),
        (lambda a, d: d.update(detection_categories={"1": "car"}), "has no category animal"),
        (lambda a, d: d["images"][1].update(file="a/0.jpg"), "lists a/0.jpg twice"),
        (lambda a, d: a["images"][1].update(file_name="a/0.jpg"), "lists a/0.jpg .*twice"),
        (lambda a, d: a.pop("categories"), "is no COCO"),
        (lambda a, d: a["annotations"][0].update(image_id=77), "annotation 0 in .*there is no image 77"),
        (lambda a, d: d.pop("images"), "has no list of images"),
        (lambda a, d: d["images"][0].pop("file"), "image 1 in .*it has no 'file'"),
        (cut_off, r"in a/0.jpg .*box \[0, 0\] is not four numbers"),
        (lambda a, d: [i.update(file=f"/abs/{i['file']}") for i in d["images"]], "No image of .* --output_relative_filenames"),
        (lambda a, d: [i.update(detections=[]) for i in d["images"]], "has no animal above confidence 0.9"),
        (lambda a, d: [i.update(location=1) for i in a["images"]], "single location"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(survey, change, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        traps.camera_trap(survey(change))
    assert "\n" not in str(error.value)


def test_damaged_or_missing_files_are_one_sentence(survey, tmp_path):
    settings = survey()
    paths = tmp_path / "images.h5", tmp_path / "truth.h5"
    (tmp_path / "a/0.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a/0\.jpg cannot be decoded"):
        datasets.prepare(settings, *paths, ORIGIN)
    (tmp_path / "a/0.jpg").unlink()
    with pytest.raises(UserError, match=r"a/0\.jpg has detections but cannot be read"):
        datasets.prepare(settings, *paths, ORIGIN)
    assert not any(path.exists() for path in paths)
    text = (tmp_path / "detections.json").read_text()
    (tmp_path / "detections.json").write_text(text[:-20])
    with pytest.raises(UserError, match=r"detections\.json is not JSON"):
        traps.camera_trap(settings)
    (tmp_path / "detections.json").unlink()
    with pytest.raises(UserError, match=r"detections\.json cannot be read"):
        traps.camera_trap(settings)


@pytest.mark.slow
def test_prepared_crops_are_counted_without_the_surveys_files(survey, tmp_path):
    """While a study is planned, and each of its jobs plans it: the two files are gone, and what images.h5 says is known."""
    settings = survey()
    folder = tmp_path / "results/datasets/traps"
    origin = artifacts.provenance("dataset", {"dataset": settings})
    datasets.prepare(settings, folder / "images.h5", folder / "truth.h5", origin)
    (split,) = artifacts.read(folder / "images.h5", "images", "split")
    for name in ("annotations.json", "detections.json"):
        (tmp_path / name).unlink()
    workflow, pool = Workflow(tmp_path), np.sum(split == 0) - 1

    def said(**changes):
        workflow.write(STUDY | {"dataset": settings} | changes)
        return workflow.snakemake("--dry-run", check=False).stderr

    assert f"the pool of traps holds only {pool} images" in said(budget=4, cycles=1)
    assert "holds only" not in said(budget=4, cycles=1, dataset=settings | {"confidence": 0.5})  # prepared otherwise
    imbalance = {"kind": "step", "factor": 0.5}  # needs the classes
    assert "holds only" not in said(budget=4, cycles=1, pool={"initial": {"size": 1}, "imbalance": imbalance})


# counts


def test_published_confusion_gives_the_published_measures():
    """Table 1 of the paper: 91.71 % accuracy, 84.47 % precision, 84.23 % recall."""
    numbers = [2_219_404, 131_288, 133_769, 714_276]
    animals, detected = np.repeat([0, 0, -1, 1], numbers), np.repeat([0, 2, 0, 1], numbers)
    rows = {name: value for name, _, _, value in presence(animals, detected)}
    assert [rows[name] for name in ("true_empty", "false_animal", "false_empty", "true_animal")] == numbers
    found = [round(100 * rows[name], 2) for name in ("accuracy", "precision", "recall")]
    np.testing.assert_allclose(found, [91.71, 84.47, 84.23], atol=0.011)


def test_bins():
    assert bin_of(np.array([0, 1, 9, 10, 11, 50, 51, 1000])).tolist() == [0, 1, 9, 10, 11, 11, 12, 12]


def test_count_accuracy_by_hand():
    true = np.array([1, 1, 1, 3, 10, 12, 60, 0, -1])
    seen = np.array([1, 2, 0, 5, 11, 49, 11, 4, 7])
    rows = {(measure, number): (n, value) for measure, number, n, value in count_accuracy(true, seen)}
    assert rows["exact", "all"] == (7, 2 / 7)  # 1 as 1, 12 as 49
    assert rows["within_one", "all"] == (7, 5 / 7)  # and 1 as 2, 10 as 11-50, 51+ as 11-50
    assert rows["exact", "1"] == (3, 1 / 3)
    assert rows["within_one", "1"] == (3, 2 / 3)  # 0 is no neighbour of 1: nothing was counted
    assert rows["within_one", "3"] == (1, 0)
    assert rows["exact", "11-50"] == (1, 1)
    assert rows["exact", "51+"] == (1, 0)
    assert rows["exact", "2"] == (0, None)


def test_measures_over_nothing_are_empty():
    rows = {name: value for name, _, _, value in presence(np.zeros(3, int), np.zeros(3, int))}
    assert (rows["accuracy"], rows["precision"], rows["recall"]) == (1, None, None)


# the rendered survey


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered") / "survey"
    assert main(["camera-traps", str(folder), "--images", "60"]) == 0
    return folder


def test_rendered_survey_is_read_and_holds_what_it_should(rendered):
    dataset = {"name": "survey", "loader": "camera_trap", "path": str(rendered), "image_size": 16}
    source = traps.camera_trap(load(STUDY | {"dataset": dataset})["dataset"])
    assert len(source.class_names) == 9
    assert len(set(source.labels)) > 4
    animals, detected = source.sealed["animals"], source.about["detected"]
    assert len(animals) == 60 and (animals == 0).sum() > 10 and animals.max() > 4
    rows = {name: value for name, number, _, value in presence(animals, detected) if number == "all"}
    assert rows["accuracy"] > 0.9
    (exact, *_), within = (
        [value for measure, _, _, value in count_accuracy(animals, detected) if measure == name]
        for name in ("exact", "within_one")
    )
    assert 0.4 < exact < within[0] < 1  # herds hide some of theirs
    for _, crop in source.images:
        assert crop.dtype == np.uint8 and crop.std() > 1


def test_rendered_survey_is_the_same_again_and_another_for_another_seed(rendered, tmp_path):
    for name, seed in (("again", 0), ("other", 1)):
        main(["camera-traps", str(tmp_path / name), "--images", "20", "--seed", str(seed)])
    for file in sorted((tmp_path / "again").rglob("*.jpg")):
        name = file.relative_to(tmp_path / "again")
        assert file.read_bytes() == (rendered / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_rendering_refuses_to_overwrite(rendered, capsys):
    assert main(["camera-traps", str(rendered)]) == 2
    assert "exists: delete it" in capsys.readouterr().err
    assert main(["camera-traps", f"{rendered}2", "--images", "3"]) == 2


@pytest.mark.slow
def test_survey_becomes_a_study_with_counts(rendered, tmp_path):
    """Both strategies of the paper on crops, and the table of counts."""
    workflow = Workflow(tmp_path)
    dataset = {"name": "survey", "loader": "camera_trap", "path": str(rendered), "image_size": 16}
    pool = {"initial": {"size": 20}}
    methods = {"informative_diverse": {}, "margin_cluster_mean": {}}
    workflow.write(SMALL | {"study": "traps", "dataset": dataset, "pool": pool, "cycles": 1, "methods": methods})
    workflow.snakemake("--cores", "2")
    results = tmp_path / "results"
    (animals_S,) = artifacts.read(results / "datasets/survey/truth.h5", "truth", "animals")
    detected_S, box_N_4 = artifacts.read(results / "datasets/survey/images.h5", "images", "detected", "box")
    with (results / "traps/counting.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = json.loads((rendered / "annotations.json").read_text())
    empty = next(c["id"] for c in told["categories"] if c["name"] == "empty")
    assert (animals_S == 0).sum() == sum(a["category_id"] == empty for a in told["annotations"])
    exact = next(row for row in rows if (row["measure"], row["bin"]) == ("exact", "all"))
    assert float(exact["value"]) == np.mean(
        animals_S[animals_S > 0] == detected_S[animals_S > 0]
    )  # herds of 10 at most
    assert len(rows) == 4 + 3 + 2 * 13
    found = json.loads((rendered / "detections.json").read_text())["images"]
    assert detected_S.tolist() == [
        sum(d["conf"] >= 0.9 for d in image["detections"]) for image in sorted(found, key=lambda i: i["file"])
    ]
    assert (box_N_4[:, :2] < box_N_4[:, 2:]).all()
    assert (results / "traps/figures/counting.png").stat().st_size > 10_000
    for method in methods:
        (ids,) = artifacts.read(results / f"traps/seed0/{method}/cycle1/query.h5", "query", "ids")
        assert len(set(ids)) == 10
