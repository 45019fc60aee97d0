"""The images that methods asked for, as thumbnails with what was known of them: bounded, so that the page stays small."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from dagal import artifacts
from dagal.report.page.results import Results

BYTES = 1_600_000  # of all thumbnails of a page
MOST = 12  # images of a query
SIDES = {"detection": 320, "segmentation": 192}  # longest side of a thumbnail, pixels
SIDE = 128  # of other tasks
SAMPLE = 8  # thumbnails whose mean size tells how many there is room for
HUES = 20  # of classes in masks, before they come back


@dataclass(frozen=True)
class Shown:
    """The first images of every query of a seed: (method, cycle) -> rows of its query.csv; and how many of all are shown."""

    rows: dict[tuple[str, int], list[dict]]
    per_query: int
    left_out: int


def gallery(results: Results, room: int = BYTES) -> dict | None:
    """What the page shows of the queries of the first seed; None if the study has no pictures or no queries.

    ``room``: bytes for the thumbnails. Of every query as many images are shown as there is room for, at most `MOST`, the first in
    order of choice.
    """
    path, seed = results.dataset_file("images.h5"), results.first_seed
    asked = [key for key in results.queries if key[0] == seed]
    if not asked or not path.exists() or results.settings["dataset"]["loader"] == "two_moons":  # a point is no picture
        return None
    all_rows = {key[1:]: artifacts.read_csv(results.file(*key, "query.csv")) for key in asked}
    side = SIDES.get(results.settings["task"], SIDE)
    with artifacts.opened(path, "images", cached=False) as file:
        images = file["images"]
        sample = [image_of(row) for rows in all_rows.values() for row in rows[:1]][:SAMPLE]
        size = np.mean([len(encoded(image, side)) for image in artifacts.rows(images, np.array(sample))])
        shown = chosen(all_rows, int(room / size))
        ids = sorted({image_of(row) for rows in shown.rows.values() for row in rows})
        pictures = {
            i: {"src": data_uri(image, side)}
            for i, image in zip(ids, artifacts.rows(images, np.array(ids)), strict=True)
        }
        shape = images.shape[1:3]
    answers = ANSWERS.get(results.settings["task"], of_any)(results, np.array(ids), side)
    for i, answer in zip(ids, answers, strict=True):
        pictures[i] |= answer
    asked_for = when_asked(all_rows)
    asked_ids = sorted({int(row["id"]) for rows in shown.rows.values() for row in rows})
    names = class_names(results)
    return {
        "seed": seed,
        "perQuery": shown.per_query,
        "leftOut": shown.left_out,
        "small": max(shape) <= 64,
        "ratio": shape[1] / shape[0],
        "classes": names,
        "hues": ["#" + bytes(colour).hex() for colour in hues(HUES)],
        "pictures": pictures,
        "queries": {
            method: {
                str(cycle): [told(row) for row in rows] for (of, cycle), rows in shown.rows.items() if of == method
            }
            for method in dict.fromkeys(method for method, _ in shown.rows)
        },
        "asked": {i: asked_for[i] for i in asked_ids},
        "seen": predictions(results, np.array(ids)) if results.settings["task"] == "classification" else {},
    }


def chosen(rows: dict[tuple[str, int], list[dict]], number: int) -> Shown:
    """The first rows of every query, so many that there are about ``number`` in all, at least one and at most `MOST` of a query."""
    per_query = int(np.clip(number // len(rows), 1, min(MOST, max(map(len, rows.values())))))
    return Shown(
        {key: of_query[:per_query] for key, of_query in rows.items()},
        per_query,
        sum(max(0, len(of_query) - per_query) for of_query in rows.values()),
    )


def when_asked(rows: dict[tuple[str, int], list[dict]]) -> dict[int, dict[str, list[int]]]:
    """id -> method -> (cycle, place in the order of choice) of all queries."""
    found = {}
    for (method, cycle), of_query in rows.items():
        for row in of_query:
            found.setdefault(int(row["id"]), {})[method] = [cycle, int(row["order"])]
    return found


def image_of(row: dict) -> int:
    """The image of a row of query.csv, whose id is that of a region where regions are asked for."""
    return int(row.get("image") or row["id"])


def told(row: dict) -> list:
    """id, place, score, class and probability if the method needed a prediction, image, and number of a region, of a row of query.csv."""
    predicted = row.get("predicted_class") or None
    probability = float(row["probability"]) if predicted is not None and row.get("probability") else None
    score = f"{float(row['score']):.4g}"
    return [int(row["id"]), int(row["order"]), score, predicted, probability, image_of(row), row.get("region") or None]


def class_names(results: Results) -> list[str]:
    """Those of the truth, or, where a person labels, of the labels so far."""
    found = [(results.dataset_file("truth.h5"), "truth")]
    found += [(path, "labeled") for path in sorted(results.folder.glob("seed*/*/cycle*/labeled.h5"))]
    for path, kind in found:
        if path.exists():
            return [str(name) for name in artifacts.attributes(path, kind).get("class_names", ())]
    return []


def files_of(results: Results, ids: np.ndarray) -> list[str]:
    """The file behind each id, or video and frame; empty where the data set says nothing."""
    with artifacts.opened(results.dataset_file("images.h5"), "images") as file:
        if "video_names" in file:
            names, videos, frames = file["video_names"].asstr()[()], file["video"][()][ids], file["frame"][()][ids]
            return [f"{names[video]}, frame {frame}" for video, frame in zip(videos, frames, strict=True)]
        if "file" not in file:
            return [""] * len(ids)
        return [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in file["file"][()][ids]]


# ------------------------------------------------------------------------------------------------------------ answers


def of_any(results: Results, ids: np.ndarray, side: int) -> list[dict]:
    """File of each image."""
    return [{"file": file} for file in files_of(results, ids)]


def of_classification(results: Results, ids: np.ndarray, side: int) -> list[dict]:
    """File and true class of each image."""
    path = results.dataset_file("truth.h5")
    labels = artifacts.read(path, "truth", "labels")[0][ids].tolist() if path.exists() else [-1] * len(ids)
    return [
        {"file": file, "truth": label if label >= 0 else None}
        for file, label in zip(files_of(results, ids), labels, strict=True)
    ]


def of_detection(results: Results, ids: np.ndarray, side: int) -> list[dict]:
    """Video, frame and boxes of each frame: (kind, class, x, y, width, height in percent of the picture).

    True boxes, and detections of the first model whose errors were estimated, each ``detection`` or ``false_positive``, and
    ``false_negative`` where an object is estimated to be missed.
    """
    from dagal.tasks.detection.detections import read, read_truth

    with artifacts.opened(results.dataset_file("images.h5"), "images") as file:
        height, width = file["images"].shape[1:3]
    percent = 100 / np.array([width, height, width, height])
    drawn = {int(i): [] for i in ids}

    def draw(i, kind, box, label):
        x0, y0, x1, y1 = np.round(box * percent, 1).tolist()
        drawn[int(i)].append([kind, int(label), x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)])

    truth = results.dataset_file("truth.h5")
    if truth.exists():  # nobody has it where a person labels
        offsets, boxes, labels = read_truth(truth, ids)
        for place, i in enumerate(ids):
            for k in range(offsets[place], offsets[place + 1]):
                draw(i, "truth", boxes[k], labels[k])
    coherence = sorted(results.folder.glob(f"seed{results.first_seed}/start-*/cycle0/coherence_*.h5"))
    detections = sorted(results.folder.glob(f"seed{results.first_seed}/start-*/cycle0/detections.h5"))
    if coherence and coherence[0].with_name("detections.h5").exists():
        names = ("node_frame", "node_box", "node_label", "is_candidate", "real")
        for frame, box, label, is_candidate, real in zip(
            *artifacts.read(coherence[0], "coherence", *names), strict=True
        ):
            kind = ("false_negative" if real else None) if is_candidate else ("detection" if real else "false_positive")
            if kind and int(frame) in drawn:
                draw(frame, kind, box, label)
    elif detections:
        found, (offsets, boxes, labels, scores) = read(detections[0])
        for place in np.flatnonzero(np.isin(found, ids)):
            for k in range(offsets[place], offsets[place + 1]):
                if scores[k] >= 0.5:
                    draw(found[place], "detection", boxes[k], labels[k])
    return [{"file": file, "boxes": drawn[int(i)]} for file, i in zip(files_of(results, ids), ids, strict=True)]


def of_segmentation(results: Results, ids: np.ndarray, side: int) -> list[dict]:
    """File and true map of each image; where a person labels nobody has the map."""
    if not results.dataset_file("truth.h5").exists():
        return of_any(results, ids, side)
    with artifacts.opened(results.dataset_file("truth.h5"), "truth") as file:
        masks = artifacts.rows(file["masks"], ids)
    colours = hues(HUES)
    maps = [data_uri(colours[mask % HUES] * (mask < 255)[..., None].astype(np.uint8), side) for mask in masks]
    return [{"file": file, "map": one} for file, one in zip(files_of(results, ids), maps, strict=True)]


ANSWERS = {"classification": of_classification, "detection": of_detection, "segmentation": of_segmentation}


def hues(number: int) -> np.ndarray:
    """Colours (number,3) uint8 around the circle of hues, neighbours far apart."""
    import colorsys

    found = [colorsys.hls_to_rgb((k * 0.381966) % 1, 0.45 + 0.2 * (k % 2), 0.7) for k in range(number)]
    return np.array([[round(255 * part) for part in colour] for colour in found], np.uint8)


def predictions(results: Results, ids: np.ndarray) -> dict[int, dict[str, list]]:
    """id -> method -> (cycle, class, percent) of each model of the first seed that tells of an image not yet labeled."""
    found = {int(i): {} for i in ids}
    cycles = results.metrics[results.metrics["seed"] == results.first_seed]
    for method, cycle in cycles[["method", "cycle"]].itertuples(index=False):
        path = results.file(results.first_seed, method, int(cycle), "signals.h5")
        if not path.is_file() or path.is_symlink():  # a link says that the chain had stopped
            continue
        with artifacts.opened(path, "signals") as file:
            if "probabilities" not in file:
                continue
            pool = file["ids"][()]
            places = np.searchsorted(pool, ids)
            there = np.flatnonzero(pool[np.minimum(places, len(pool) - 1)] == ids)
            probs_n_C = artifacts.rows(file["probabilities"], places[there])
        for i, probs_C in zip(ids[there], probs_n_C, strict=True):
            best = int(probs_C.argmax())
            found[int(i)].setdefault(method, []).append([int(cycle), best, round(100 * float(probs_C[best]))])
    return found


# --------------------------------------------------------------------------------------------------------- thumbnails


def encoded(image_H_W_C: np.ndarray, side: int) -> bytes:
    """A thumbnail as WebP, without loss where the image is small; never enlarged. Of images without 3 channels the first is shown."""
    from PIL import Image

    pixels = image_H_W_C.clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    picture.thumbnail((side, side))
    content = io.BytesIO()
    small = max(picture.size) <= 32
    picture.convert("RGB").save(content, "WEBP", quality=100 if small else 72, lossless=small, method=4)
    return content.getvalue()


def data_uri(image_H_W_C: np.ndarray, side: int) -> str:
    return "data:image/webp;base64," + base64.b64encode(encoded(image_H_W_C, side)).decode()
