"""The images that every method asked for first at its first queries, and how many of each class are among them, after the fact."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through

TOP, STAGES, SIDE = 100, 3, 32  # of paper 004, fig. 13
PER_ROW = 10


def make(job):
    from dagal.report import pictures

    source = job.input
    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    names = artifacts.attributes(source.truth, "truth")["class_names"]
    last_cycle = last_cycles(source.stop_records)
    sheets, captions, rows = [], [], []
    with artifacts.opened(source.images, "images") as file:
        for path in source.queries:
            seed, method, cycle = artifacts.node(path)
            if passed_through(last_cycle, seed, method, cycle):
                continue
            ids = artifacts.read(path, "query", "ids")[0][:TOP]
            sheets.append(grid(pictures.tiles(artifacts.rows(file["images"], ids), SIDE)))
            captions.append(f"{method}, query {cycle}")
            counts_C = np.bincount(labels_N[ids], minlength=len(names))
            rows += [[method, cycle, *row] for row in zip(names, counts_C, strict=True)]
    artifacts.write_csv(job.output.counts, ["method", "cycle", "class_name", "count"], rows)
    if not sheets:
        sheets, captions = (
            [np.full((SIDE, PER_ROW * SIDE, 3), 255, np.uint8)],
            ["no images: all chains stopped at cycle 0"],
        )
    pictures.write_png(job.output.figure, pictures.contact_sheet(sheets, captions, STAGES))


def grid(images_N_H_W_3: np.ndarray) -> np.ndarray:
    """One picture of images in rows of `PER_ROW`, in order, with nothing between them; what is left of the last row is white."""
    n, height, width, channels = images_N_H_W_3.shape
    rows = -(-n // PER_ROW)
    filled = np.full((rows * PER_ROW, height, width, channels), 255, np.uint8)
    filled[:n] = images_N_H_W_3
    cells = filled.reshape(rows, PER_ROW, height, width, channels).swapaxes(1, 2)
    return cells.reshape(rows * height, PER_ROW * width, channels)


def reads(study, at):
    seed = study.seeds[0]
    nodes = [study.node(seed, method, cycle) for method in study.methods for cycle in study.cycles[1:][:STAGES]]
    return {
        "images": study.images(seed),
        "truth": study.truth,
        "queries": [study.path(node, "query") for node in nodes],
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"figure": "{results}/figures/selected_top.png", "counts": "{results}/selected_top.csv"},
    # fewer are in the sheet of the images asked for first; a point of two_moons is no picture
    when=lambda study: (
        classifies(study) and study.settings["budget"] >= TOP and study.settings["dataset"]["loader"] != "two_moons"
    ),
    caption="""
    The first 100 images, in order of choice, of the first three queries of every method, first seed (Kim et al. 2021, fig. 13), and how
    many of each class are among them, after the fact.
    """,
    category="Analysis",
    labels={"figure": "100 images of each of the first queries", "counts": "classes of these images"},
    environment="torch",
)
