"""Other tools for labeling: what is exported to them, and what of their files is taken in, or refused with nothing written."""

import csv
import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from dagal import artifacts
from dagal.__main__ import main
from dagal.datasets.source import IMAGES
from dagal.errors import UserError
from dagal.labeling import answers, waiting
from dagal.labeling.formats import FORMATS, reading

HEIGHT, WIDTH, IDS = 30, 40, [7, 2, 11]
NAMES = ["000007_b_7.png", "000002_b_2.png", "000011_b_11.png"]
OF_FRAMES = ["000007_clip_frame70.png", "000002_clip_frame20.png", "000011_clip_frame110.png"]
TASKS = {"label": "classification", "boxes": "detection", "mask": "segmentation"}


@pytest.fixture
def study(tmp_path):
    """Makes a study whose answers are of a field, with three images that wait; returns its folder of results."""

    def made(field="label"):
        results, data = tmp_path / "results/study", tmp_path / "results/datasets/d/images.h5"
        pixels = np.random.default_rng(0).integers(0, 256, (12, HEIGHT, WIDTH, 3), np.uint8)
        held = {"images": pixels, "split": np.zeros(12, np.uint8)}
        if field == "boxes":
            held |= {"video": np.zeros(12, np.int64), "video_names": np.array([b"clip"]), "frame": np.arange(12) * 10}
        else:
            held |= {"file": np.array([f"a/b {k}.jpg".encode() for k in range(12)])}
        artifacts.write(data, IMAGES, artifacts.provenance("test", {}), held)
        query = {"purpose": "query", "seed": 0, "method": "entropy", "cycle": 1, "ids": IDS}
        query["table"] = "results/study/seed0/entropy/cycle1/query.csv"
        rows = [[image, "fox & hare", 0.75] for image in IDS]
        artifacts.write_csv(tmp_path / query["table"], ["id", "predicted_class", "probability"], rows)
        initial = {"purpose": "initial", "seed": 1, "method": None, "cycle": 0, "ids": IDS[:1], "table": None}
        artifacts.write_json(
            results / "waiting.json",
            {
                "task": TASKS[field], "class_names": ["cat", "fox & hare"], "images": "results/datasets/d/images.h5",
                "answers": "results/study/answers/answers.jsonl", "queries": [query, initial],
            },
        )  # fmt: skip
        return results

    return made


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def log(results) -> list[dict]:
    return answers.read(answers.log_of(results))


def state_of(results) -> dict:
    folder = answers.log_of(results).parent
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------ round trips


def label_studio_result(kind, **value):
    view = (
        {}
        if kind in ("choices", "textarea")
        else {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    )
    return {"type": kind, "from_name": "answer", "to_name": "image", **view, "value": value}


def test_label_studio_round_trip_of_classes(study, tmp_path, capsys):
    results, out = study(), tmp_path / "out"
    assert run("export-query", results, out, "--format", "label_studio", "--suggestions") == 0
    tasks = json.loads((out / "tasks.json").read_text())
    assert [task["data"]["dagal_id"] for task in tasks] == IDS
    assert tasks[0]["data"]["image"] == f"/data/local-files/?d=images/{NAMES[0]}"
    assert tasks[0]["predictions"][0]["result"][0]["value"] == {"choices": ["fox & hare"]}
    view = ET.parse(out / "interface.xml")
    assert [tag.get("value") for tag in view.find("Choices[@name='answer']")] == ["cat", "fox & hare"]
    with artifacts.opened(tmp_path / "results/datasets/d/images.h5", "images") as file:
        for image, name in zip(IDS, NAMES, strict=True):
            np.testing.assert_array_equal(cv2.imread(str(out / "images" / name))[..., ::-1], file["images"][image])
    # as Label Studio exports it: the tasks as they were, with what people did
    done = [
        [{"result": [label_studio_result("choices", choices=["cat"])], "completed_by": 3, "lead_time": 2.5,
          "created_at": "2026-11-26T07:00:00.5+02:00", "was_cancelled": False}],
        [{"result": [], "completed_by": {"id": 3, "email": "anna@example.org"}, "was_cancelled": True}],
        [{"result": [{**label_studio_result("choices", choices=["no class fits"]), "from_name": "state"},
                     label_studio_result("textarea", text=["a stone"])], "completed_by": 3},
         {"result": [label_studio_result("choices", choices=["fox & hare"])], "completed_by": 4}],
    ]  # fmt: skip
    exported = [
        task | {"id": 900 + k, "annotations": own} for k, (task, own) in enumerate(zip(tasks, done, strict=True))
    ]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(exported, indent=2))
    command = "import-answers", results, file, "--format", "label_studio"
    assert run(*command) == 0
    found = {(one["id"], one["annotator"]): one for one in log(results)}
    assert found[7, "3"] == answers.FIELDS | {
        "id": 7, "state": "labeled", "label": "cat", "annotator": "3", "at": "2026-11-26T05:00:00Z", "seconds": 2.5,
        "suggestion": "fox & hare", "source": "label_studio",
    }  # fmt: skip
    assert found[2, "anna@example.org"]["state"] == "skipped"
    assert (found[11, "3"]["state"], found[11, "3"]["comment"]) == ("no_class", "a stone")
    assert found[11, "4"]["label"] == "fox & hare"
    before = state_of(results)
    assert run(*command) == 0 and state_of(results) == before
    assert "0 answers taken in, 4 were known" in capsys.readouterr().out
    # what one has answered is left out for him; what two differ in is left for a third
    assert run("export-query", results, tmp_path / "rest", "--format", "csv", "--annotator", "3") == 0
    assert [path.name for path in (tmp_path / "rest/images").iterdir()] == [NAMES[1]]
    assert run("export-query", results, tmp_path / "second", "--format", "csv", "--conflicts") == 0
    assert [path.name for path in (tmp_path / "second/images").iterdir()] == [NAMES[2]]


def test_label_studio_tells_empty_from_unlabeled(study, tmp_path):
    results, file = study("boxes"), tmp_path / "export.json"
    assert run("export-query", results, tmp_path / "out", "--format", "label_studio") == 0
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    box = label_studio_result(
        "rectanglelabels", x=25, y=10, width=50.0000001, height=90, rotation=0, rectanglelabels=["cat"]
    )
    for task, own in zip(tasks, [[{"result": [box]}], [{"result": []}], []], strict=True):
        task["annotations"] = own
    file.write_text(json.dumps(tasks))
    command = "import-answers", results, file, "--format", "label_studio", "--annotator", "anna"
    assert run(*command) == 2 and log(results) == []
    assert run(*command, "--partial") == 0
    assert {one["id"]: one["boxes"] for one in log(results)} == {7: [[10, 3, 30, 30, "cat"]], 2: []}


def test_csv_round_trip(study, tmp_path):
    results, out = study(), tmp_path / "out"
    assert run("export-query", results, out, "--format", "csv") == 0
    rows = list(csv.DictReader((out / "answers.csv").open()))
    assert [(row["id"], row["file"]) for row in rows] == list(zip(map(str, IDS), NAMES, strict=True))
    rows[0]["label"], rows[1]["state"] = "cat", "unsure"
    rows[2] |= {"label": "fox & hare", "comment": 'said "hm;\nmaybe"'}
    with (out / "excel.csv").open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet may save it
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert run("import-answers", results, out / "excel.csv", "--format", "csv", "--annotator", "anna") == 0
    assert [(one["id"], one["state"], one["label"], one["comment"]) for one in log(results)] == [
        (7, "labeled", "cat", ""), (2, "unsure", None, ""), (11, "labeled", "fox & hare", 'said "hm;\nmaybe"'),
    ]  # fmt: skip


def test_csv_of_boxes_round_trip(study, tmp_path):
    results, file = study("boxes"), tmp_path / "a.csv"
    assert run("export-query", results, tmp_path / "out", "--format", "csv") == 0
    header, *rows = (tmp_path / "out/answers.csv").read_text().splitlines()
    assert header == "id,file,label,x1,y1,x2,y2,state,comment" and rows[0] == f"7,{OF_FRAMES[0]},,,,,,,"
    name = OF_FRAMES[0]
    rows[:1] = [f"7,{name},cat,1,2,10,12.5,,", f"7,{name},cat,20,2,40.4,12,,two"]
    rows[2] = rows[2].replace(",,,,,,,", ",,,,,,empty,")
    rows[3] = rows[3].replace(",,,,,,,", ",,,,,,skipped,")
    file.write_text("\n".join([header, *rows]))
    assert run("import-answers", results, file, "--format", "csv", "--annotator", "anna") == 0
    assert [(one["id"], one["state"], one["boxes"], one["comment"]) for one in log(results)] == [
        (7, "labeled", [[1, 2, 10, 12.5, "cat"], [20, 2, 40, 12, "cat"]], "two"),
        (2, "labeled", [], ""), (11, "skipped", None, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "path"), [("coco", "annotations.json"), ("cvat", "annotations/instances_default.json")]
)
def test_coco_round_trip_of_boxes(study, tmp_path, form, path):
    results, out = study("boxes"), tmp_path / "out"
    assert run("export-query", results, out, "--format", form) == 0
    data = json.loads((out / path).read_text())
    assert [entry["file_name"] for entry in data["images"]] == OF_FRAMES
    # a tool has numbers of its own, an order of its own, and folders
    for number, entry in enumerate(data["images"], 100):
        entry |= {"id": number, "file_name": f"job_3/{entry['file_name']}"}
    data["categories"] = [{"id": 5, "name": "fox & hare"}, {"id": 9, "name": "cat"}]
    data["annotations"] = [
        {"id": 1, "image_id": 102, "category_id": 9, "bbox": [1, 2, 3, 4], "attributes": {"occluded": False, "rotation": 0.0}},
        {"id": 2, "image_id": 100, "category_id": 5, "bbox": [-0.3, 0, 40, 30], "attributes": {"occluded": True}},
    ]  # fmt: skip
    (out / path).write_text(json.dumps(data))
    command = "import-answers", results, out / path, "--format", form, "--annotator", "anna"
    assert run(*command) == 2 and log(results) == []  # is nothing on the third, or has nobody seen it?
    assert run(*command, "--empty") == 0
    found = {one["id"]: one["boxes"] for one in log(results)}
    assert found == {7: [[0, 0, 39.7, 30, "fox & hare"]], 2: [], 11: [[1, 2, 4, 6, "cat"]]}
    assert {one["source"] for one in log(results)} == {form}


def region(of, *where):
    found = np.zeros((HEIGHT, WIDTH), bool)
    found[where] = True
    return found


def test_coco_masks_round_trip(study, tmp_path):
    results, out = study("mask"), tmp_path / "out"
    assert run("export-query", results, out, "--format", "coco") == 0
    data = json.loads((out / "annotations.json").read_text())
    square, stripe = region(0, slice(5, 15), slice(10, 30)), region(0, slice(0, 30, 2))
    compressed = coco_mask.encode(np.asfortranarray(square.astype(np.uint8)))["counts"].decode()
    runs = [len(list(run)) for _, run in itertools.groupby([False, *stripe.T.ravel()])]
    runs[0] -= 1  # runs begin outside
    data["annotations"] = [
        {"id": 1, "image_id": 7, "category_id": 2, "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]]},
        {"id": 2, "image_id": 2, "category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": compressed}},
        {"id": 3, "image_id": 11, "category_id": 1, "iscrowd": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
        {"id": 4, "image_id": 11, "category_id": 2, "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]]},
    ]  # fmt: skip
    file = tmp_path / "export.json"
    file.write_text(json.dumps(data))
    command = "import-answers", results, file, "--format", "coco", "--annotator", "anna"
    assert run(*command) == 0
    masks = {
        one["id"]: cv2.imread(str(results / "answers" / one["mask"]), cv2.IMREAD_UNCHANGED) for one in log(results)
    }
    np.testing.assert_array_equal(masks[7], np.where(square, 1, 255))
    np.testing.assert_array_equal(masks[2], np.where(square, 1, 255))
    np.testing.assert_array_equal(masks[11], np.where(square, 1, np.where(stripe, 0, 255)))
    before = state_of(results)
    assert run(*command) == 0 and state_of(results) == before
    data["annotations"][0]["segmentation"][0][0] = 12
    file.write_text(json.dumps(data))
    assert run(*command) == 2 and state_of(results) == before
    assert run(*command, "--replace") == 0
    assert [one["mask"] for one in log(results)][3:] == ["masks/7-2.png"]


def test_label_studio_polygons(study, tmp_path):
    results, file = study("mask"), tmp_path / "export.json"
    assert run("export-query", results, tmp_path / "out", "--format", "label_studio") == 0
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    points = [[25, 50 / 3], [75, 50 / 3], [75, 50], [25, 50]]
    for task in tasks:
        task["annotations"] = [{"result": [label_studio_result("polygonlabels", points=points, polygonlabels=["cat"])]}]
    file.write_text(json.dumps(tasks))
    assert run("import-answers", results, file, "--format", "label_studio", "--annotator", "anna") == 0
    mask = cv2.imread(str(results / "answers" / log(results)[0]["mask"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.where(region(0, slice(5, 15), slice(10, 30)), 0, 255))


def painted(region_H_W) -> list[int]:
    """A mask as Label Studio packs what a brush leaves: a repeated run, or else a run of values, for each stretch of equal ones."""
    values = np.repeat(np.where(region_H_W, 255, 0).ravel(), 4)
    bits = f"{len(values):032b}00111" + "0010001101111111"
    assert [int(bits[k : k + 8], 2) for k in (32, 40)] == [57, 27]  # as every export has it: 8 bits, and 3, 4, 8, 16
    for value, run in itertools.groupby(values):
        length = len(list(run))
        if length <= 8:
            bits += f"000{length - 1:03b}" + f"{value:08b}" * length
        else:
            bits += f"111{length - 1:016b}{value:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_label_studio_brush(study, tmp_path):
    results, file = study("mask"), tmp_path / "export.json"
    first, second = region(0, slice(5, 15), slice(10, 12)), region(0, slice(9, 30), slice(11, 40))
    items = [
        label_studio_result("brushlabels", format="rle", rle=painted(of), brushlabels=[name])
        for of, name in ((first, "cat"), (second, "fox & hare"))
    ]
    tasks = [task(image, items, name) for image, name in zip(IDS, NAMES, strict=True)]
    file.write_text(json.dumps(tasks))
    command = "import-answers", results, file, "--format", "label_studio", "--annotator", "anna"
    assert run(*command) == 0
    mask = cv2.imread(str(results / "answers" / log(results)[0]["mask"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.where(second, 1, np.where(first, 0, 255)))


@pytest.mark.parametrize(("field", "line", "expected"), [
    ("boxes", "1 0.5 0.5 0.5 0.2", {"boxes": [[10, 12, 30, 18, "cat"]]}),
    ("mask", "1 0.25 0.2 0.75 0.2 0.75 0.5 0.25 0.5", None),
])  # fmt: skip
def test_yolo_round_trip(study, tmp_path, field, line, expected):
    results, out = study(field), tmp_path / "out"
    assert run("export-query", results, out, "--format", "yolo") == 0
    assert (out / "classes.txt").read_text() == "cat\nfox & hare\n"
    (out / "classes.txt").write_text("fox & hare\ncat\n")  # a tool may sort them
    (out / "labels").mkdir()
    for path in (out / "images").iterdir():
        (out / "labels" / f"1a2b3c4d-{path.stem}.txt").write_text(line + "\n\n")
    assert run("import-answers", results, out, "--format", "yolo", "--annotator", "anna") == 0
    assert sorted(one["id"] for one in log(results)) == sorted(IDS)
    if expected:
        assert [one["boxes"] for one in log(results)] == [expected["boxes"]] * 3
    else:
        mask = cv2.imread(str(results / "answers" / log(results)[0]["mask"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, np.where(region(0, slice(6, 15), slice(10, 30)), 0, 255))


def test_compressed_runs_are_those_of_coco():
    rng = np.random.default_rng(3)
    for share in (0.02, 0.3, 0.5, 0.98):
        mask = (cv2.blur(rng.random((61, 83)), (3, 5)) < share).astype(np.uint8)
        encoded = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
        lengths = reading.uncompressed(encoded)
        inside = np.repeat(np.arange(len(lengths)) % 2, lengths)
        np.testing.assert_array_equal(inside.reshape(83, 61).T, mask)


# -------------------------------------------------------------------------------------------------------- refusals


def task(image=7, result=None, name=NAMES[0], **more):
    annotations = [{"result": [label_studio_result("choices", choices=["cat"])] if result is None else result} | more]
    return {"data": {"image": f"/data/upload/1/{name}", "dagal_id": image}, "annotations": annotations}


def rectangle(**value):
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["cat"]} | value
    return label_studio_result("rectanglelabels", **value)


def of_frame(result):
    return [task(result=result, name=OF_FRAMES[0])]


def coco_file(annotation=None, image=None, **more):
    image = {"id": 1, "file_name": OF_FRAMES[0], "width": WIDTH, "height": HEIGHT} | (image or {})
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]} | (annotation or {})
    return {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [annotation]} | more


def yolo(line):
    return {"classes.txt": "cat\nfox & hare\n", f"{Path(OF_FRAMES[0]).stem}.txt": line}


LS, TABLE = ("label_studio", "label"), ("csv", "label")
LS_BOXES, COCO, COCO_MASK, YOLO = ("label_studio", "boxes"), ("coco", "boxes"), ("coco", "mask"), ("yolo", "boxes")
HEAD = "id,file,label,state,comment\n"
FAULTY = {  # (format, field), content: text, bytes, files, or what is written as JSON with a line for each value; the sentence
    "unknown id": (LS, [task(), task(image=99, name="x.png")], r"line 24: no image with id 99 waits"),
    "id of the tool": (LS, [{"id": 7, "data": {"image": NAMES[0]}, "annotations": []}], r"line 4: here|has no dagal_id"),
    "id that is no number": (LS, [task(image="7")], r"line 2: has dagal_id '7'"),
    "id beside another's file": (LS, [task(image=2)], r"line 2: id 2 stands beside .*000007_b_7.png', which is of id 7"),
    "unknown class": (LS, [task(result=[label_studio_result("choices", choices=["dog"])])], r"line 8: 'dog' is no class of the study \(cat, fox & hare\)"),
    "two classes": (LS, [task(result=[label_studio_result("choices", choices=["cat", "fox & hare"])])], "here are 2 names of a class"),
    "no class": (LS, [task(result=[])], "line 8: here are 0 names of a class"),
    "class and unsure": (LS, [task(result=[label_studio_result("choices", choices=["cat"]), {**label_studio_result("choices", choices=["unsure"]), "from_name": "state"}])], "both 'unsure' and a class"),
    "another interface": (LS, [task(result=[rectangle()])], "an answer of type 'rectanglelabels'"),
    "answers in conflict": (LS, [task(), task(result=[label_studio_result("choices", choices=["fox & hare"])])], r"line \d+: another answer of the same annotator about id 7 stands at line 8"),
    "missing images": (LS, [task()], r"2 of the 3 images that wait have no answer, such as 000002_b_2\.png"),
    "no list of tasks": (LS, {"images": []}, "no list of tasks"),
    "task that is none": (LS, [3], "line 1: here is 3 and no record"),
    "cut off": (LS, '[{"data":\n {"dagal_id": 7', r"line 2: not JSON"),
    "key twice": (LS, '[\n{"data": 1,\n "data": 2}]', r"line 2: not JSON \(the key 'data' stands twice"),
    "nested too deeply": (LS, "[" * 100_000, "nested too deeply"),
    "endless number": (LS, "[" + "9" * 5000 + "]", "is not JSON"),
    "no UTF-8": (LS, b'[{"data": "\xff"}]', r"no text in UTF-8 \(byte 11\)"),
    "another size": (LS_BOXES, of_frame([{**rectangle(), "original_width": 80}]), "the tool saw 80 x 30 pixels and not 40 x 30"),
    "turned image": (LS_BOXES, of_frame([{**rectangle(), "image_rotation": 90}]), "the image was turned by 90 degrees"),
    "rotated box": (LS_BOXES, of_frame([rectangle(rotation=12)]), "box of 'cat' is rotated by 12 degrees"),
    "box outside": (LS_BOXES, of_frame([rectangle(x=95)]), r"box 38 3 46 9 leaves the image of 40 x 30 pixels"),
    "box without area": (LS_BOXES, of_frame([rectangle(width=0)]), "has no area"),
    "box that is no number": (LS_BOXES, json.dumps(of_frame([rectangle(x=float("nan"))])), "nan is no number of pixels"),
    "video track": (LS_BOXES, of_frame([{"type": "videorectangle", "value": {"sequence": [], "labels": ["cat"]}}]), "a track through a video"),
    "polygon outside": (("label_studio", "mask"), [task(result=[label_studio_result("polygonlabels", points=[[0, 0], [150, 0], [0, 50]], polygonlabels=["cat"])])], "point 60 0 leaves the image"),
    "brush cut off": (("label_studio", "mask"), [task(result=[label_studio_result("brushlabels", rle=[0, 0, 18, 192, 57, 27, 255], brushlabels=["cat"])])], "what a brush painted is cut off"),
    "brush of another image": (("label_studio", "mask"), [task(result=[label_studio_result("brushlabels", rle=[0, 0, 0, 64, 57, 27, 255], brushlabels=["cat"])])], "has 16 pixels and the image 1,200"),
    "no COCO": (COCO, [1], "is no COCO JSON"),
    "frame of another video": (COCO, coco_file(image={"file_name": "frame_000007.PNG"}), "'frame_000007.PNG' is no image that waits"),
    "resized image": (COCO, coco_file(image={"width": 640, "height": 640}), "the tool saw 640 x 640 pixels"),
    "unknown category": (COCO, coco_file({"category_id": 3}), "category_id 3 is in no category"),
    "unknown image": (COCO, coco_file({"image_id": 5}), r"line 17: image_id 5 is in no image"),
    "class by number only": (COCO, coco_file(categories=[{"id": 1, "name": "1"}]), "'1' is no class of the study"),
    "interpolated": (COCO, coco_file({"attributes": {"track_id": 3, "keyframe": True}}), "of a track, interpolated between key frames"),
    "rotated in CVAT": (("cvat", "boxes"), coco_file({"attributes": {"rotation": 30.0}}), "box of 'cat' is rotated"),
    "box of three numbers": (COCO, coco_file({"bbox": [1, 2, 3]}), r"bbox \[1, 2, 3\] is not x, y, width, height"),
    "box of infinity": (COCO, '{"images": [], "categories": [], "annotations": [{"image_id": 1e999}]}', "has image_id inf"),
    "mask of other pixels": (COCO_MASK, coco_file({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3, 4]}}, {"file_name": NAMES[0]}), "the mask has not 1,200 pixels in its runs"),
    "damaged mask": (COCO_MASK, coco_file({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "\x01\x02"}}, {"file_name": NAMES[0]}), "the compressed mask is damaged"),
    "one image twice": (COCO, coco_file(images=[{"id": k, "file_name": OF_FRAMES[0].replace(".png", f"_png.rf.{k}a.jpg"), "width": WIDTH, "height": HEIGHT} for k in (1, 2)], annotations=[{"image_id": k, "category_id": 1, "bbox": [k, 1, 9, 9]} for k in (1, 2)]), "another answer of the same annotator about id 7"),
    "prediction": (YOLO, yolo("0 0.5 0.5 0.1 0.1 0.98"), r"frame70\.txt, line 1: a fifth number is a model's confidence"),
    "class beyond the list": (YOLO, yolo("0 .5 .5 .1 .1\n2 0.5 0.5 0.1 0.1"), r"line 2: class '2' is no position in classes\.txt"),
    "words in YOLO": (YOLO, yolo("0 a b c d"), "is not a class and numbers"),
    "no names of classes": (YOLO, {"a.txt": ""}, r"holds no classes\.txt"),
    "no column": (TABLE, "id,class\n7,cat\n", r"has no column label \(only id, class\)"),
    "too few cells": (TABLE, f"{HEAD}7,{NAMES[0]},cat\n", "line 2: 3 cells stand below 5 names"),
    "id of words": (TABLE, f"{HEAD}seven,,cat,,\n", "line 2: 'seven' is no id"),
    "unknown class in CSV": (TABLE, f"{HEAD}7,,cat,,\n2,,Cat,,\n", r"line 3: 'Cat' is no class of the study"),
    "unknown state": (TABLE, f"{HEAD}7,,,maybe,\n", "line 2: 'maybe' is no state"),
    "state and class": (TABLE, f"{HEAD}7,,cat,unsure,\n", "both the state unsure and an answer"),
    "rows in conflict": (TABLE, f"{HEAD}7,,cat,,\n7,,fox & hare,,\n", "line 3: another answer of the same annotator about id 7 stands at line 2"),
    "open quote": (TABLE, f'{HEAD}7,,"cat,,\n', r"line 2: not CSV"),
    "empty and with a box": (("csv", "boxes"), "id,label,x1,y1,x2,y2,state\n7,cat,1,1,5,5,\n7,,,,,,empty\n", "lines 2, 3 say of one image that it has boxes, and that it has none"),
    "three corners": (("csv", "boxes"), "id,label,x1,y1,x2,y2,state\n7,cat,1,1,5,,\n", "are not the four numbers x1 y1 x2 y2"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_file_is_refused_and_nothing_written(study, tmp_path, capsys, name):
    (form, field), content, sentence = FAULTY[name]
    results, file = study(field), tmp_path / "faulty"
    answers.append(
        answers.log_of(results), [{"id": 3, "state": "unsure", "annotator": "x", "at": "", "source": "page"}]
    )
    before = state_of(results)
    if isinstance(content, dict) and form == "yolo":
        file.mkdir()
        for path, text in content.items():
            (file / path).write_text(text)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    assert run("import-answers", results, file, "--format", form, "--annotator", "anna") == 2
    told = capsys.readouterr()
    assert told.out == "" and state_of(results) == before
    assert any(re.search(sentence, line) for line in told.err.splitlines()), told.err
    assert str(file) in told.err and "Traceback" not in told.err


def test_there_are_thirty_of_them():
    assert len(FAULTY) >= 30


def test_records_know_their_lines(tmp_path):
    path = tmp_path / "nested.json"
    inner = [{"mark": 3}, [{"mark": 4, "of": {"mark": 5}}], {"mark": 6}]
    path.write_text(json.dumps([{"mark": 1, "text": "a\nb {", "list": inner}, {"mark": 2}], indent=1))
    lines = path.read_text().splitlines()

    def records(found):
        if isinstance(found, dict):
            yield found
        for value in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
            yield from records(value)

    found = list(records(reading.json_of(path)))
    assert sorted(record["mark"] for record in found) == [1, 2, 3, 4, 5, 6]
    for record in found:  # the mark is on the line behind the bracket
        assert f'"mark": {record["mark"]}' in lines[record.line]


def test_many_problems_are_counted_and_the_first_of_them_told(study, tmp_path, capsys):
    results, file = study(), tmp_path / "a.csv"
    file.write_text(HEAD + "".join(f"{image},,\x1b[31mcat,,\n" for image in [7] * 70))
    assert run("import-answers", results, file, "--format", "csv", "--annotator", "anna", "--partial") == 2
    told = capsys.readouterr().err
    assert told.count("is no class of the study") == 50 and "\x1b" not in told
    assert "has 70 problems, of which 50 are told; nothing was taken in" in told


def test_who_answered_must_be_known_and_large_files_are_not_read(study, tmp_path, capsys, monkeypatch):
    results, file = study(), tmp_path / "a.csv"
    file.write_text(f"{HEAD}7,,cat,,\n")
    command = "import-answers", results, file, "--format", "csv", "--partial"
    assert run(*command) == 2 and "add --annotator NAME" in capsys.readouterr().err
    monkeypatch.setattr(reading, "MOST_BYTES", 10)
    assert run(*command, "--annotator", "anna") == 2 and "at most 10 are read" in capsys.readouterr().err
    assert log(results) == []


def test_earlier_answers_are_replaced_only_if_that_is_said(study, tmp_path, capsys):
    results, file = study(), tmp_path / "a.csv"
    command = "import-answers", results, file, "--format", "csv", "--annotator", "anna", "--partial"
    file.write_text(f"{HEAD}7,,cat,,\n2,,,skipped,\n")
    assert run(*command) == 0 and run(*command) == 0 and len(log(results)) == 2
    file.write_text(f"{HEAD}7,,fox & hare,,\n2,,cat,,\n")  # what was skipped is answered now
    assert run(*command) == 2 and len(log(results)) == 2
    assert re.search(r"line 2: id 7 has another answer of this annotator", capsys.readouterr().err)
    assert run(*command, "--replace") == 0
    assert {one["id"]: one["label"] for one in log(results)} == {7: "fox & hare", 2: "cat"}
    answers.append(answers.log_of(results), [log(results)[-1] | {"state": "withdrawn"}])
    assert run(*command) == 0 and len(log(results)) == 6
    assert run(*command[:-2], "ben", "--partial") == 0 and len(log(results)) == 8  # another one's is another answer


def test_export_refuses_what_a_format_cannot_hold(study, tmp_path, capsys):
    results, out = study(), tmp_path / "out"
    assert run("export-query", results, out, "--format", "coco") == 2 and not out.exists()
    assert "cannot hold classes of images: take csv or label_studio" in capsys.readouterr().err
    assert run("export-query", results, tmp_path, "--format", "csv") == 2
    assert run("export-query", results, out, "--format", "csv", "--suggestions") == 2
    assert run("export-query", results, out, "--format", "csv", "--conflicts") == 2
    assert "nothing is left to be labeled" in capsys.readouterr().err
    left = json.loads((results / "waiting.json").read_text())
    (results / "waiting.json").write_text(json.dumps(left | {"queries": []}))
    assert run("export-query", results, out, "--format", "csv") == 2
    assert "no query of" in capsys.readouterr().err
    (results / "waiting.json").unlink()
    assert run("import-answers", results, out, "--format", "csv") == 2
    assert "waiting.json does not exist" in capsys.readouterr().err and not out.exists()


POINTS = [[25, 20], [75, 20], [75, 50]]
RUNS = {"size": [HEIGHT, WIDTH], "counts": [100, 50, 1050]}
GOOD = {
    "classes": (LS, [task(completed_by={"id": 1}, lead_time=1.5, updated_at="2026-11-26") | {"predictions": [{"result": task()["annotations"][0]["result"]}]}]),
    "states": (LS, [task(result=[{**label_studio_result("choices", choices=["unsure"]), "from_name": "state"}, label_studio_result("textarea", text=["a"])])]),
    "boxes": (LS_BOXES, of_frame([rectangle()])),
    "polygons": (("label_studio", "mask"), [task(result=[label_studio_result("polygonlabels", points=POINTS, polygonlabels=["cat"])])]),
    "brush": (("label_studio", "mask"), [task(result=[label_studio_result("brushlabels", rle=painted(region(0, 5)), brushlabels=["cat"])])]),
    "boxes of COCO": (COCO, coco_file({"attributes": {"rotation": 0.0}, "iscrowd": 0})),
    "polygons of COCO": (COCO_MASK, coco_file({"segmentation": [[10, 5, 30, 5, 30, 15]]}, {"file_name": NAMES[0]})),
    "runs of COCO": (COCO_MASK, coco_file({"segmentation": RUNS}, {"file_name": NAMES[0]})),
}  # fmt: skip
ODD = [None, True, -1, 1e300, "a", [], {}, ["a", "b"], float("nan")]


def places(found, at=()):
    """The path to every value within a value."""
    yield at
    for key, inner in found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ():
        yield from places(inner, (*at, key))


def changed(found, at, odd):
    if not at:
        return odd
    copied = found.copy()
    copied[at[0]] = changed(found[at[0]], at[1:], odd)
    return copied


@pytest.mark.parametrize("name", GOOD)
def test_odd_value_anywhere_is_a_problem_or_an_answer_and_never_a_crash(study, tmp_path, name):
    (form, field), good = GOOD[name]
    what, file, read = waiting.read(study(field)), tmp_path / "odd.json", FORMATS.find(form).read
    file.write_text(json.dumps(good))
    found = reading.Found(file, what)
    read(found)
    assert found.problems == [] and len(found.answers) == 1
    refused = 0
    for at in places(good):
        for odd in ODD if "rle" not in at[:-1] else ["a", 300]:
            file.write_text(json.dumps(changed(good, at, odd)))
            found = reading.Found(file, what)
            try:
                read(found)
            except UserError:
                found.problems.append("the whole file")
            refused += bool(found.problems)
            for answer in found.answers:
                assert answer["id"] == 7 and answer["state"] in answers.STATES
                json.dumps({name: value for name, value in answer.items() if name != "mask"}, allow_nan=False)
    assert refused > 50
