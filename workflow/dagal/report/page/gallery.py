"""The images that methods asked for, as thumbnails with what was known of them: bounded, so that the page stays small."""

import base64
import io
import itertools
from dataclasses import dataclass

import numpy as np

from dagal import artifacts
from dagal.report.page.results import Results

BYTES = 1_600_000  # of all thumbnails of a page
MOST = 12  # images of a query
SIDES = {"detection": 320, "segmentation": 192}  # longest side of a thumbnail, pixels
SIDE = 128  # of other tasks
SAMPLE = 8  # thumbnails whose mean size tells how many there is room for
MOST_BOXES = 20_000  # of all models on a page
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
    asked_for, task = when_asked(all_rows), results.settings["task"]
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
        "seen": predictions(results, np.array(ids)) if task == "classification" else {},
        "boxes": boxes_found(results, shown.rows) if task == "detection" else {},
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
    """Video and frame of each frame, and its true boxes as `drawn` has them; where a person labels nobody has these."""
    from dagal.tasks.detection.detections import read_truth

    found = [[] for _ in ids]
    truth = results.dataset_file("truth.h5")
    if truth.exists():
        offsets, boxes, labels = read_truth(truth, ids)
        of_frame = drawn(results, np.full(len(labels), "truth"), labels, boxes)
        found = [of_frame[first:last] for first, last in itertools.pairwise(offsets)]
    return [{"file": file, "boxes": boxes} for file, boxes in zip(files_of(results, ids), found, strict=True)]


def drawn(results: Results, kinds_M, labels_M: np.ndarray, boxes_M_4: np.ndarray) -> list[list]:
    """Boxes as the page draws them: [kind, class, x, y, width, height], in percent of the picture."""
    with artifacts.opened(results.dataset_file("images.h5"), "images") as file:
        height, width = file["images"].shape[1:3]
    boxes_M_4 = np.round(boxes_M_4.reshape(-1, 4) * (100 / np.array([width, height, width, height])), 1)
    boxes_M_4[:, 2:] = np.round(boxes_M_4[:, 2:] - boxes_M_4[:, :2], 1)
    rows = zip(kinds_M.tolist(), labels_M.tolist(), boxes_M_4.tolist(), strict=True)
    return [[kind, label, *box] for kind, label, box in rows]


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


def boxes_found(results: Results, asking: dict[tuple[str, int], list[dict]]) -> dict[int, dict[str, dict[int, list]]]:
    """id -> method -> cycle -> boxes (see `drawn`) of each model of the first seed that looked at a frame not yet labeled.

    ``asking``: the rows of each query that are shown. Of more boxes than `MOST_BOXES` only those of the model behind a query stay.
    """
    ids = np.unique([image_of(row) for rows in asking.values() for row in rows])
    asked = {(image_of(row), method, cycle - 1) for (method, cycle), rows in asking.items() for row in rows}
    models = results.metrics[results.metrics["seed"] == results.first_seed]
    found = {
        (frame, method, int(cycle)): boxes
        for method, cycle in models[["method", "cycle"]].itertuples(index=False)
        for frame, boxes in boxes_of(results, method, int(cycle), ids).items()
    }
    if sum(map(len, found.values())) > MOST_BOXES:
        found = {key: boxes for key, boxes in found.items() if key in asked}
    nested = {}
    for (frame, method, cycle), boxes in found.items():
        nested.setdefault(frame, {}).setdefault(method, {})[cycle] = boxes
    return nested


def boxes_of(results: Results, method: str, cycle: int, ids: np.ndarray) -> dict[int, list]:
    """id -> boxes of a model, as `drawn` has them, of those of the frames that it looked at.

    Each is a ``detection`` or, as the tracker of the method estimates, a ``false_positive``, and a ``false_negative`` where an object is
    missed; without a tracker the detections of at least .5.
    """
    from dagal.tasks.detection.detections import read

    path = results.file(results.first_seed, method, cycle, "detections.h5")
    if not path.is_file() or path.is_symlink():  # a link says that the chain had stopped
        return {}
    looked_at, (offsets, boxes, labels, scores) = read(path)
    frames, shown = np.repeat(looked_at, np.diff(offsets)), scores >= 0.5
    kinds = np.full(len(frames), "detection")
    coherence = path.with_name(f"coherence_{results.settings['methods'][method]['tracker']}.h5")
    if coherence.is_file():
        names = ("node_frame", "node_box", "node_label", "is_candidate", "real")
        frames, boxes, labels, is_candidate, real = artifacts.read(coherence, "coherence", *names)
        shown = ~is_candidate | real
        kinds = np.where(is_candidate, "false_negative", np.where(real, "detection", "false_positive"))
    shown = np.flatnonzero(shown & np.isin(frames, ids))
    found = {int(i): [] for i in ids[np.isin(ids, looked_at)]}
    for frame, box in zip(frames[shown], drawn(results, kinds[shown], labels[shown], boxes[shown]), strict=True):
        found[int(frame)].append(box)
    return found


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
