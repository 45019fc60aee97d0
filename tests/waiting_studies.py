"""Made-up studies whose queries wait for people, one of each task."""

import cv2
import numpy as np
from conftest import SMALL, written

from dagal import artifacts, config
from dagal.datasets.source import IMAGES
from dagal.plan import Study
from dagal.tasks.detection.detections import DETECTIONS

DIGITS = [str(digit) for digit in range(10)]
ANIMALS = ["cat", "dog", "deer"]


def write(root, settings, task, class_names, images_N_H_W_C, queries, suggestions=False, **more):
    """``queries`` lists (purpose, cycle, ids, table); all of the first seed and method. Returns the folder of results."""
    folder = root / "results" / settings["study"]
    images = root / "results" / "datasets" / settings["dataset"]["name"] / "images.h5"
    artifacts.write(images, IMAGES, artifacts.provenance("images", {}), {"images": images_N_H_W_C, **more})
    artifacts.write_json(folder / "study.json", {"settings": settings})
    method = next(iter(settings["methods"]))
    waiting = {
        "task": task,
        "class_names": class_names,
        "images": str(images.relative_to(root)),
        "answers": str((folder / "answers" / "answers.jsonl").relative_to(root)),
        "annotators": 1,
        "suggestions": suggestions,
        "queries": [
            {
                "purpose": purpose,
                "seed": 0,
                "method": method,
                "cycle": cycle,
                "ids": ids,
                "table": table,
                "left": ids,
                "conflicts": [],
            }
            for purpose, cycle, ids, table in queries
        ],
    }
    artifacts.write_json(folder / "waiting.json", waiting)
    return folder


def digits(root, n=8, suggestions=False, wrong=()):
    """Drawn digits 0, 1, 2, ..., of which the last query asks for all from the third on; the model takes them for what they are,
    and those in ``wrong`` for a 9."""
    images, labels = np.zeros((n, 28, 28, 1), np.uint8), np.arange(n) % 10
    for image, label in zip(images, labels, strict=True):
        cv2.putText(image, str(label), (5, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 230, 2, cv2.LINE_AA)
    table = "results/query.csv"
    rows = [[image, 9 if image in wrong else labels[image], 0.9 - image / 100] for image in range(2, n)]
    artifacts.write_csv(root / table, ["id", "predicted_class", "probability"], rows)
    queries = [("test", 0, [1, 0], None), ("query", 1, list(range(2, n)), table)]
    return write(root, config.load(SMALL), "classification", DIGITS, images, queries, suggestions), labels


def scenes(n, size=64):
    """Images (n,size,size,3) of a bright square on a dark ground with a little noise, and its box in each."""
    rng = np.random.default_rng(0)
    images = rng.integers(20, 45, (n, size, size, 3), dtype=np.uint8)
    boxes = [[8 + 4 * k, 12, 32 + 4 * k, 40] for k in range(n)]
    for image, (x1, y1, x2, y2) in zip(images, boxes, strict=True):
        image[y1:y2, x1:x2] = image[y1:y2, x1:x2] // 4 + np.array([200, 170, 40], np.uint8)
    return images, boxes


def frames(root, n=3, suggestions=False):
    """Frames of one video with one object in each, and a detector that finds it a little too far right."""
    images, boxes = scenes(n)
    settings = config.load(written("experiments/video_small.yaml"))
    study = Study(settings)
    method = next(iter(settings["methods"]))
    video = {"video": np.zeros(n, np.int64), "frame": np.arange(n), "video_names": np.array([b"meadow"])}
    detections = root / study.path(study.node(0, method, 0), "detections")
    data = {
        "ids": np.arange(n),
        "offsets": np.arange(n + 1),
        "boxes": np.array(boxes, np.float32) + [2, 0, 2, 0],
        "probabilities": np.tile(np.array([[0.1, 0.0, 0.9, 0.0]], np.float32), (n, 1)),
        "labels": np.ones(n, np.int64),
    }
    artifacts.write(detections, DETECTIONS, artifacts.provenance("infer", {}), data)
    queries = [("query", 1, list(range(n)), None)]
    return write(root, settings, "detection", ANIMALS, images, queries, suggestions, **video), boxes


def scene(root, n=1):
    """Images in which every pixel is to get a class."""
    images, boxes = scenes(n)
    settings = config.load(written("experiments/segmentation_small.yaml"))
    return write(
        root, settings, "segmentation", ["ground", "thing"], images, [("initial", 0, list(range(n)), None)]
    ), boxes
