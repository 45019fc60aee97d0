"""First queries of all methods -> a sheet of the images that each asked for first, with their true classes after the fact."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through

MOST, SIDE, GAP = 10, 64, 4


def make(job):
    from dagal.report import pictures

    source = job.input
    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    class_names = artifacts.attributes(source.truth, "truth")["class_names"]
    last_cycle = last_cycles(source.stop_records)
    strips, captions = [], []
    with artifacts.opened(source.images, "images") as file:
        for path in source.queries:
            seed, method, cycle = artifacts.node(path)
            if passed_through(last_cycle, seed, method, cycle):
                continue
            ids = artifacts.read(path, "query", "ids")[0][:MOST]
            images = pictures.tiles(artifacts.rows(file["images"], ids), SIDE)
            spaced = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
            strips.append(np.concatenate(list(spaced), axis=1))
            captions.append(f"{method}: {', '.join(map(str, class_names[labels_N[ids]]))}")
    if not strips:
        strips, captions = (
            [np.full((SIDE, MOST * SIDE, 3), 255, np.uint8)],
            ["no images: all chains stopped at cycle 0"],
        )
    pictures.write_png(job.output.figure, pictures.contact_sheet(strips, captions, 1))


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "images": study.images(study.seeds[0]),
        "truth": study.truth,
        "queries": [study.path(study.node(study.seeds[0], method, 1), "query") for method in study.methods],
        "stop_records": study.stop_records(),
    },
    writes={"figure": "{results}/figures/selected.png"},
    # a point of two_moons is no picture
    when=lambda study: classifies(study) and study.settings["dataset"]["loader"] != "two_moons",
    caption="""
    The first images that each method asked for, in order of choice, at the first query of the first seed; their true classes, after
    the fact.
    """,
    category="Analysis",
    labels={"figure": "images asked for first"},
    environment="torch",
)
