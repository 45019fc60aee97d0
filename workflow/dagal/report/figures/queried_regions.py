"""What a method asks for in its last query: the regions over their images, beside truth, prediction and uncertainty."""

import numpy as np

from dagal import artifacts
from dagal.report.figures.segmentations import draw_images
from dagal.report.item import Item

DIM = 0.35  # of what is not asked for
EDGE = (255, 230, 0)


def make(job):
    source = job.input
    with artifacts.opened(source.queried, "predictions") as found:
        ids, predicted, unsure = found["ids"][()], found["masks"][()], found["entropy"][()]
    with artifacts.opened(source.truth, "truth") as truth:
        true, names = artifacts.rows(truth["masks"], ids), artifacts.attribute(truth, "class_names").tolist()
    with artifacts.opened(source.images, "images", cached=False) as file:
        images = artifacts.rows(file["images"], ids)
    (query,) = artifacts.read(source.query, "query", "ids")
    with artifacts.opened(source.regions, "regions") as file:
        image_B, number_B = np.divmod(query, file["counts"][()].max())
        maps = [file["regions"][image if len(file["regions"]) > 1 else 0] for image in ids.tolist()]
    shown = [
        over(image, regions, number_B[image_B == at])
        for image, regions, at in zip(images, maps, ids.tolist(), strict=True)
    ]
    draw_images(job.output.figure, job.params.dpi, "asked for", shown, true, predicted, unsure, names)


def over(image_H_W_3: np.ndarray, region_H_W: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The image with the regions of these numbers as they are, within lines, and all else dark."""
    asked_H_W = np.isin(region_H_W, numbers)
    found = np.where(asked_H_W[..., None], image_H_W_3, (DIM * image_H_W_3).astype(np.uint8))
    marked_H_W = np.where(asked_H_W, region_H_W.astype(np.int64), -1)
    edge_H_W = np.zeros(marked_H_W.shape, bool)
    for axis in (0, 1):  # the first pixel on either side of a change, inside of what is asked for
        changes = np.diff(marked_H_W, axis=axis) != 0
        before, after = (np.zeros_like(edge_H_W) for _ in range(2))
        np.moveaxis(before, axis, 0)[:-1], np.moveaxis(after, axis, 0)[1:] = (np.moveaxis(changes, axis, 0),) * 2
        edge_H_W |= before | after
    found[edge_H_W & asked_H_W] = EDGE
    return found


def reads(study, at):
    node = study.node(at.seed, at.method, study.settings["cycles"])
    files = {"queried": study.file(node, "queried.h5"), "query": study.path(node, "query"), "regions": study.regions}
    return files | {"images": study.clean_images, "truth": study.truth}


ITEM = Item(
    make=make,
    reads=reads,
    writes={"figure": "{results}/pictures/{method}_seed{seed}_queried.png"},
    settings=lambda study, at: {"dpi": study.settings["plots"]["dpi"]},
    when=lambda study: bool(study.settings["regions"]) and study.settings["cycles"] > 0,
    variants=lambda study: [{"method": method, "seed": study.seeds[0]} for method in study.settings["methods"]],
    caption="""
    The last query of a method, first seed: the images with the most queried regions, each region within yellow lines and all else dark;
    the truth (white: no class); and what the model that was asked predicts, with the entropy of each pixel.
    """,
    category="Segmentation",
    labels={"figure": "queried regions, {method}"},
    environment="analysis",
)
