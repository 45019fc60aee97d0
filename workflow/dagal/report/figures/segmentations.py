"""Test images with their true and predicted classes, where the model is unsure, and which classes it takes for which."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item

SHOWN = 4


def make(job):
    from dagal.report import drawing

    source = job.input
    with artifacts.opened(source.predictions, "predictions") as found, artifacts.opened(source.truth, "truth") as truth:
        kept = np.unique(np.linspace(0, len(found["shown"]) - 1, SHOWN).astype(int))
        rows, unsure = found["shown"][()][kept], artifacts.rows(found["entropy"], kept)
        ids, predicted = found["ids"][()][rows], artifacts.rows(found["masks"], rows)
        true, names = artifacts.rows(truth["masks"], ids), artifacts.attribute(truth, "class_names").tolist()
    with artifacts.opened(source.images, "images", cached=False) as file:
        images = artifacts.rows(file["images"], ids)
    confusion_C_C = np.array(artifacts.read_json(source.metrics)["confusion"], float)
    share_C_C = confusion_C_C / np.maximum(1, confusion_C_C.sum(1, keepdims=True))
    draw_images(job.output.figure, job.params.dpi, "image", images, true, predicted, unsure, names)
    side = 1.8 + 0.32 * len(names)
    with drawing.canvas(job.output.confusion, job.params.dpi, side + 0.7, side) as figure:
        ax = figure.subplots()
        ax.imshow(share_C_C, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(share_C_C):
            if share >= 0.005:
                ax.text(
                    column,
                    row,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if share > 0.5 else "black",
                )
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.set_yticks(range(len(names)), names)
        ax.set(xlabel="predicted", ylabel="true")
        ax.grid(False)


def draw_images(path, dpi: int, title: str, images, true, predicted, unsure, names: list[str]):
    """A row for each of ``images`` (n,H,W,3): itself, the ``true`` and ``predicted`` class of its pixels (n,H,W), and their entropy
    ``unsure`` (n,H,W), 0 to 255.
    """
    import matplotlib
    from matplotlib.patches import Patch

    from dagal.report import drawing

    colours = matplotlib.colormaps["tab20"](np.arange(len(names)) % 20)[:, :3]
    table_256 = np.ones((256, 3))  # white: no class
    table_256[: len(names)] = colours
    height, width = images[0].shape[:2]
    with drawing.canvas(path, dpi, 8, 1.55 * len(images) * height / width + 0.8) as figure:
        axes = figure.subplots(len(images), 4, squeeze=False)
        for row, shown in enumerate(zip(images, table_256[true], table_256[predicted], unsure, strict=True)):
            for ax, picture in zip(axes[row], shown, strict=True):
                ax.imshow(picture, cmap="magma", vmin=0, vmax=255, interpolation="nearest")
                ax.set_axis_off()
        for ax, heading in zip(axes[0], (title, "truth", "prediction", "entropy, 0 to log C"), strict=True):
            ax.set_title(heading)
        handles = [Patch(color=colour, label=name) for name, colour in zip(names, colours, strict=True)]
        figure.legend(handles=handles, loc="outside right upper")
    return figure


def reads(study, at):
    node = study.node(at.seed, at.method, study.settings["cycles"])
    files = {name: study.path(node, name) for name in ("predictions", "metrics")}
    return files | {"images": study.clean_images, "truth": study.truth}


STEM = "{results}/pictures/{method}_seed{seed}"

ITEM = Item(
    make=make,
    reads=reads,
    writes={"figure": f"{STEM}.png", "confusion": f"{STEM}_confusion.png"},
    settings=lambda study, at: {"dpi": study.settings["plots"]["dpi"]},
    when=lambda study: study.task.name == "segmentation",
    variants=lambda study: [{"method": method, "seed": study.seeds[0]} for method in study.settings["methods"]],
    caption="""
    Test images by the last model of a method, first seed: the truth (white: no class), the prediction, and the entropy of each pixel;
    and of the pixels of each true class over all test images, the percent that are given each class.
    """,
    category="Segmentation",
    labels={"figure": "test images, {method}", "confusion": "classes taken for others, {method}"},
    environment="analysis",
)
