"""The images that wait for answers, as ``waiting.json`` in the folder of a study lists them, and their files for other tools."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dagal import artifacts, files, storage
from dagal.datasets.origins import origins
from dagal.errors import UserError
from dagal.labeling.answers import ANSWER, WAITING

MOST_LETTERS = 60  # of the name of a file, behind the id


@dataclass(frozen=True)
class Waiting:
    """What is asked of annotators: ``ids`` of ``images`` in the order of choice, each once, and the classes there are."""

    task: str
    class_names: list[str]
    images: Path
    log: Path  # of answers
    ids: list[int]
    tables: list[Path]  # query.csv of each query that has one

    @property
    def field(self) -> str:
        """The field of an answer that holds it."""
        return ANSWER[self.task]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        with artifacts.opened(self.images, "images") as file:
            return file["images"].shape[1:3]

    @cached_property
    def names(self) -> dict[int, str]:
        """Id -> name of its file for other tools: the id, and what it is called in the data set."""
        known = origins(self.images, np.array(self.ids, np.int64))
        files = [Path(name).stem for name in known.get("file", known.get("video", [""] * len(self.ids)))]
        frames = [f"_frame{frame}" for frame in known["frame"]] if "frame" in known else [""] * len(files)
        found = {}
        for image, stem, frame in zip(self.ids, files, frames, strict=True):
            readable = re.sub(r"[^A-Za-z0-9-]+", "_", stem)[:MOST_LETTERS].strip("_")
            found[image] = f"{image:06d}{'_' if readable else ''}{readable}{frame}.png"
        return found

    @cached_property
    def id_of(self) -> dict[str, int]:
        """Name of a file, in small letters -> id."""
        return {name.lower(): image for image, name in self.names.items()}

    def suggestions(self) -> dict[int, tuple[str, float]]:
        """Id -> class that the model predicts and its probability, from the tables of the queries."""
        found = {}
        for table in self.tables:
            for row in artifacts.read_csv(table):
                if row["predicted_class"]:
                    found.setdefault(int(row["id"]), (row["predicted_class"], float(row["probability"])))
        return found


def read(results: Path) -> Waiting:
    """What waits in the study with this folder of results. Raises UserError if nothing does."""
    path = results / WAITING
    if not path.exists():
        raise UserError(
            f"{path} does not exist: give the folder of a study whose queries wait for a person, results/STUDY."
        )
    above = results.absolute().parents[1]  # paths in it are as Snakemake has them
    try:
        found = files.read_json(path)
        queries = found["queries"]
        if found["task"] not in ANSWER:
            raise UserError(
                f"answers of the task {found['task']} are in no format of other tools ({', '.join(ANSWER)})."
            )
        if not queries:
            raise UserError(f"no query of {results} waits for labels: run the study to go on.")
        return Waiting(
            task=found["task"],
            class_names=list(found["class_names"]),
            images=above / found["images"],
            log=above / found["answers"],
            ids=list(dict.fromkeys(int(image) for query in queries for image in query["ids"])),
            tables=list(dict.fromkeys(above / query["table"] for query in queries if query.get("table"))),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not what a run leaves ({error!r}): run the study again.") from None


def write_images(waiting: Waiting, ids: list[int], folder: Path) -> None:
    """Write each image as a PNG of its name."""
    import cv2

    with artifacts.opened(waiting.images, "images", cached=False) as file:
        for image in ids:
            pixels = file["images"][image].clip(0, 255).astype(np.uint8)
            _, data = cv2.imencode(".png", pixels[..., ::-1])
            storage.write_bytes(folder / waiting.names[image], data.tobytes())
