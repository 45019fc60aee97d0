"""Whole studies that people label, by the page in a browser and by the file of another tool (`make check-labeling`)."""

import json
import os
import shutil
import signal
import subprocess
import time

import cv2
import numpy as np
import pytest
from conftest import Workflow, written
from sklearn.datasets import load_digits
from test_label_page import BROWSER, DRIVER, page, serve  # noqa: F401  fixtures

from dagal import artifacts, config
from dagal.datasets.rendering import render
from dagal.labeling import answers

pytestmark = pytest.mark.skipif(
    not (os.environ.get("DAGAL_WHOLE") and BROWSER and DRIVER),
    reason="minutes: make check-labeling runs it, with chromium and chromedriver",
)


def labels_of(folder):
    """Label of each digit by its pixels, as a person would read it."""
    digits = load_digits()
    known = {image.tobytes(): str(label) for image, label in zip(digits.images, digits.target, strict=True)}
    images = artifacts.read(folder / "results/datasets/digits_unlabeled/images.h5", "images", "images")[0]
    scale = 16 / images.max()
    return [known[np.round(image[..., 0] * scale).astype(np.float64).tobytes()] for image in images]


def given(results):
    return answers.read(answers.log_of(results))


def waiting(results):
    return artifacts.read_json(results / "waiting.json")["queries"]


def answer_all(browser, labels):
    """Press the key of the class of each image that is shown, until none is left."""
    while not browser.driver.execute_script("return app.isDone"):
        browser.press(labels[browser.driver.execute_script("return app.items[app.at].id")])
    browser.until("app.outbox.held.size === 0")


def kill_a_run(workflow, reached):
    """Start Snakemake, and kill it with all its jobs once a file is there."""
    run = subprocess.Popen(workflow.command(), cwd=workflow.folder, env=workflow.environment, start_new_session=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while not reached.exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    workflow.snakemake("--unlock")


def test_two_cycles_of_digits_by_keyboard_with_kills_of_everything(page, serve, tmp_path):  # noqa: F811
    workflow = Workflow(tmp_path)
    workflow.write(written("experiments/label_digits.yaml"))
    results = tmp_path / "results/label_digits"
    assert "waits for 20 of 20 labels" in workflow.snakemake().stderr
    labels, asked = labels_of(tmp_path), []
    for cycle in range(3):
        (query,) = waiting(results)
        asked += query["ids"]
        process, address = serve(results)
        page.start(address)
        for _ in range(5):
            page.press(labels[page.driver.execute_script("return app.items[app.at].id")])
        page.until("[...app.pictures.values()].every((one) => one.naturalWidth > 0)")
        process.kill()
        process.wait()
        page.press(labels[page.driver.execute_script("return app.items[app.at].id")])  # nobody hears it
        page.kill()
        page.open()
        process, address = serve(results)
        page.start(address)
        answer_all(page, labels)
        process.kill()
        if cycle < 2:
            kill_a_run(workflow, results / f"seed0/{('start-mlp', 'entropy')[cycle > 0]}/cycle{cycle}/labeled.h5")
            assert (
                f"in cycle {cycle + 1} (seed 0) waits for 10 of 10 labels"
                in workflow.snakemake("--rerun-incomplete").stderr
            )
    assert "all labels are there" in workflow.snakemake().stderr
    counted = answers.latest(one for one in given(results) if one["source"] == "page")
    assert {image: one["anna"]["label"] for image, one in counted.items()} == {image: labels[image] for image in asked}
    ids, told = artifacts.read(results / "seed0/entropy/cycle2/labeled.h5", "labeled", "ids", "labels")
    assert ids.tolist() == asked and [str(label) for label in told] == [labels[image] for image in ids]
    assert artifacts.read_json(results / "seed0/entropy/cycle2/metrics.json")["accuracy"] > 0.6
    assert len(artifacts.read_csv(results / "seed0/entropy/cycle2/predicted_labels.csv")) == 1437
    assert (results / "report/index.html").stat().st_size > 100_000


def test_twenty_frames_with_boxes(page, serve, tmp_path):  # noqa: F811
    """Frames of rendered roads, each object boxed on the page by the mouse; the boxes are those that the study learns from."""
    settings = config.load(written("experiments/video_small.yaml"))["dataset"] | {
        "height": 96,
        "width": 128,
        "quiet": 0,
    }
    true = {}
    for number, clip in enumerate(render.plan(settings)[:2]):
        folder = tmp_path / f"films/film{number}"
        folder.mkdir(parents=True)
        for place, frame in zip(range(10), render.render(clip, 96, 128, settings["fps"]), strict=False):
            cv2.imwrite(str(folder / f"{place:04}.png"), frame.image[..., ::-1])
            true[f"film{number}", place] = frame
    names = list(render.CLASSES)
    workflow = Workflow(tmp_path)
    workflow.write({
        "study": "boxes",
        "dataset": {"name": "films", "loader": "video_folder", "path": "films", "labels": "none", "height": 96, "width": 128},
        "oracle": {"kind": "person", "classes": names}, "pool": {"initial": {"size": 8}, "test": 6}, "budget": 6, "cycles": 1,
        "seeds": [0], "methods": {"entropy": {}},
        "learners": {"small": {"architecture": "faster_rcnn_small", "epochs": 1, "device": "cpu"}},
    })  # fmt: skip
    results, drawn = tmp_path / "results/boxes", {}
    for _ in range(2):
        workflow.snakemake()
        process, address = serve(results)
        page.start(address)
        while not page.driver.execute_script("return app.isDone"):
            item = page.driver.execute_script("return app.items[app.at]")
            frame = true[item["video"], int(item["frame"])]
            page.until("app.loaded()")
            for box, label in zip(frame.boxes, frame.labels, strict=True):
                page.drag((box[0], box[1]), (box[2], box[3]))
                page.press(str(label + 1))
            drawn[item["id"]] = frame
            page.press("\ue007" if len(frame.labels) else "e")
        page.until("app.outbox.held.size === 0")
        process.kill()
    assert len(drawn) == 20
    workflow.snakemake()
    ids, offsets, boxes, labels = artifacts.read(
        results / "seed0/entropy/cycle1/labeled.h5", "labeled", "ids", "offsets", "boxes", "box_labels"
    )
    assert len(ids) == 14
    for row, image in enumerate(ids):
        mine = slice(*offsets[row : row + 2])
        order, theirs = np.lexsort(boxes[mine].T), np.lexsort(np.asarray(drawn[image].boxes).T)
        assert len(order) == len(theirs)
        for one, other in zip(boxes[mine], drawn[image].boxes, strict=True):
            assert np.abs(one - other).max() <= 1.5  # pixels of the screen, and the edge
        assert labels[mine].tolist() == list(drawn[image].labels)
    assert 0 <= artifacts.read_json(results / "seed0/entropy/cycle1/metrics.json")["mean_ap"] <= 1


def test_digits_by_a_file_of_label_studio(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.write(written("experiments/label_digits.yaml") | {"cycles": 1})
    results = tmp_path / "results/label_digits"
    workflow.snakemake()
    labels = labels_of(tmp_path)
    for cycle in range(2):
        out = tmp_path / f"to_label{cycle}"
        workflow.dagal("export-query", str(results), str(out), "--format", "label_studio")
        tasks = json.loads((out / "tasks.json").read_text())
        assert len(tasks) == (20, 10)[cycle] == len(list((out / "images").glob("*.png")))
        for number, task in enumerate(tasks):
            choice = {
                "type": "choices",
                "from_name": "answer",
                "to_name": "image",
                "value": {"choices": [labels[task["data"]["dagal_id"]]]},
            }
            task |= {
                "id": 7000 + number,
                "annotations": [{"result": [choice], "completed_by": 1, "was_cancelled": False}],
            }
        (tmp_path / "export.json").write_text(json.dumps(tasks))
        workflow.dagal(
            "import-answers",
            str(results),
            str(tmp_path / "export.json"),
            "--format",
            "label_studio",
            "--annotator",
            "ben",
        )
        shutil.rmtree(out)
        workflow.snakemake()
    assert waiting(results) == []
    ids, told = artifacts.read(results / "seed0/entropy/cycle1/labeled.h5", "labeled", "ids", "labels")
    assert len(ids) == 30 and [str(label) for label in told] == [labels[image] for image in ids]
