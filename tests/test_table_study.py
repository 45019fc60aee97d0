"""A study from a CSV of paths with groups, from end to end: parts of whole groups, ids that lead to files, and a change that is told."""

import csv

import cv2
import numpy as np
import pytest
from conftest import SMALL, Workflow

from dagal import artifacts

pytestmark = pytest.mark.slow
N, OF_A_PATIENT = 96, 4


def image(number):
    """Class = number % 3, in the brightness; the number itself in the first pixel."""
    pixels = np.random.default_rng(number).integers(0, 60, (8, 8), dtype=np.uint8) + np.uint8(80 * (number % 3))
    pixels[0, 0] = number
    return pixels


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("table"))
    raw = workflow.folder / "data/raw/clinic"
    (raw / "scans").mkdir(parents=True)
    rows = []
    for number in range(N):
        name = f"scans/{number:03} of ä.png"
        cv2.imwrite(str(raw / name), image(number))
        rows.append([name, "NA" if number % 3 == 0 else f"grade {number % 3}", f"patient {number // OF_A_PATIENT}"])
    with (raw / "images.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "group"], *rows])
    dataset = {"name": "clinic", "loader": "image_table", "path": "data/raw/clinic/images.csv", "grayscale": True}
    study = {"dataset": dataset, "pool": {"initial": {"size": 12}, "validation": 10}, "cycles": 1, "budget": 5}
    workflow.write(SMALL | study)
    workflow.snakemake("--cores", "2")
    return workflow


def test_nothing_of_a_patient_is_in_two_parts(finished):
    results = finished.folder / "results"
    group, files, images = artifacts.read(results / "datasets/clinic/images.h5", "images", "group", "file", "images")
    names = ("pool", "initial", "validation", "test")
    pool, initial, validation, test = artifacts.read(results / "small/seed0/split.h5", "split", *names)
    parts = [{*group[pool], *group[initial]}, {*group[validation]}, {*group[test]}]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert len(pool) + len(initial) + len(validation) + len(test) == N
    assert len(validation) == 8 and len(test) == 20  # whole patients
    numbers = [int(file.split(b"/")[1][:3]) for file in files]
    np.testing.assert_array_equal(images[:, 0, 0, 0], numbers)
    np.testing.assert_array_equal([group[numbers.index(n)] == group[numbers.index(n // 4 * 4)] for n in range(N)], True)


@pytest.mark.parametrize("method", ["random", "entropy"])
def test_queried_ids_lead_to_their_files(finished, method):
    folder = finished.folder / f"results/small/seed0/{method}/cycle1"
    ids, score = artifacts.read(folder / "query.h5", "query", "ids", "score")
    (images,) = artifacts.read(finished.folder / "results/datasets/clinic/images.h5", "images", "images")
    with (folder / "query.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["order"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [int(row["id"]) for row in rows] == ids.tolist() and [float(row["score"]) for row in rows] == score.tolist()
    for row in rows:
        pixels = cv2.imread(str(finished.folder / "data/raw/clinic" / row["file"]), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(pixels, images[int(row["id"]), ..., 0])
    if method == "random":
        assert {row["predicted_class"] for row in rows} == {""}
        return
    start = finished.folder / "results/small/seed0/start-mlp/cycle0/signals.h5"
    signal_ids, probs_N_C = artifacts.read(start, "signals", "ids", "probabilities")
    for row in rows:
        probs_C = probs_N_C[signal_ids.tolist().index(int(row["id"]))]
        assert row["predicted_class"] == ["NA", "grade 1", "grade 2"][probs_C.argmax()]
        assert float(row["probability"]) == pytest.approx(probs_C.max(), abs=1e-6)
        entropy = -(probs_C.astype(float) * np.log(probs_C)).sum()
        assert float(row["score"]) == pytest.approx(entropy, rel=1e-4)


def test_files_are_shown_and_drawn(finished):
    query = "results/small/seed0/entropy/cycle1/query.h5"
    ids, _ = artifacts.read(finished.folder / query, "query", "ids", "score")
    (files,) = artifacts.read(finished.folder / "results/datasets/clinic/images.h5", "images", "file")
    shown = finished.dagal("show", query)
    assert all(files[i].decode() in shown for i in ids)
    assert "5 of 5 images drawn" in finished.dagal("sheet", query)
    sheet = cv2.imread(str(finished.folder / query.replace(".h5", ".png")))
    # 8 x 8 pixels enlarged 12 times, 3 columns, two lines below each
    assert sheet.shape == (2 * (96 + 36) + 4, 3 * (96 + 4) + 4, 3)
    (images,) = artifacts.read(finished.folder / "results/datasets/clinic/images.h5", "images", "images")
    np.testing.assert_array_equal(sheet[4 : 4 + 96 : 12, 4 : 4 + 96 : 12, 0], images[ids[0], ..., 0])


def test_a_class_called_na_is_in_every_table(finished):
    with (finished.folder / "results/small/classes.csv").open(newline="", encoding="utf-8") as file:
        assert {row["class_name"] for row in csv.DictReader(file)} == {"NA", "grade 1", "grade 2"}


def test_raw_files_that_change_under_a_finished_study_are_told(finished):
    assert finished.planned() == {}
    quiet = finished.snakemake("--dry-run", "--quiet", "rules")
    assert "has changed" not in quiet.stderr
    file = finished.folder / "data/raw/clinic/scans/000 of ä.png"
    before = file.read_bytes()
    cv2.imwrite(str(file), image(1))
    told = finished.snakemake("--dry-run", "--quiet", "rules").stderr
    assert "has changed since results/datasets/clinic/images.h5 was made of it: 1 changed (scans/000 of ä.png)" in told
    assert finished.planned() == {}
    file.write_bytes(before)
    assert "has changed" not in finished.snakemake("--dry-run", "--quiet", "rules").stderr
