"""Odd inputs, built from scratch, and what a reader has to make of each: for the tests and for ``make check-readers``.

A module here has a list `CASES`. A case builds files in a folder and gives the settings of the data set; its check says with
assertions what must have been read, against another decoder or numbers known by hand. ``python tests/odd_inputs`` prints a table.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts, config, datasets
from dagal.errors import UserError


@dataclass(frozen=True)
class Read:
    """What became of an input: the data sets of images.h5 and truth.h5 and what the user is told; or one sentence of refusal."""

    data: dict[str, np.ndarray]
    class_names: list[str]
    notes: list[str]
    refusal: str = ""

    def __getattr__(self, name: str):
        return self.data[name]

    @property
    def files(self) -> list[str]:
        return [name.decode("utf-8", "surrogateescape") for name in self.data["file"]]

    def told(self, *words: str) -> bool:
        """Whether one note has all of the words."""
        return any(all(word in note for word in words) for note in self.notes)

    def image(self, file: str) -> np.ndarray:
        """The image that a file became."""
        return self.data["images"][self.files.index(file)]


@dataclass(frozen=True)
class Case:
    """An input. ``build(folder)`` writes it and returns the settings of its data set; ``check(read, folder)`` raises if it was read wrongly."""

    name: str
    build: Callable[[Path], dict]
    check: Callable[[Read, Path], None]


def cases() -> list[Case]:
    """Those of all modules."""
    modules = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    return [case for name in sorted(modules) for case in importlib.import_module(f"{__name__}.{name}").CASES]


def read(case: Case, folder: Path) -> Read:
    """Build an input below a folder, check its settings as those of a study are, and read it."""
    raw, out = folder / "raw", folder / "out"
    raw.mkdir(parents=True)
    settings = resolved({"name": "odd", "path": str(raw), **case.build(raw)})
    try:
        datasets.prepare(settings, out / "images.h5", out / "truth.h5", artifacts.provenance("dataset", {}))
    except UserError as error:
        left = list(out.iterdir()) if out.exists() else []
        assert not left and "\n" not in str(error), (left, str(error))
        return Read({}, [], [], str(error))
    data = {}
    for name in ("images", "truth"):
        with h5py.File(out / f"{name}.h5") as file:
            data |= artifacts.datasets(file)
    about = artifacts.attributes(out / "images.h5", "images")
    names = artifacts.attributes(out / "truth.h5", "truth")["class_names"]
    return Read(data, list(map(str, names)), list(about.get("notes", [])))


def resolved(dataset: dict) -> dict:
    """The settings of a data set with their defaults, as the jobs of a study have them."""
    loader = dataset["loader"]
    video = loader in datasets.VIDEO_LOADERS
    learner = {"architecture": "faster_rcnn_small" if video else "mlp", "epochs": 1}
    study = {
        "study": "odd",
        "dataset": dataset,
        "pool": {"initial": {"size": 1}},
        "budget": 1,
        "cycles": 1,
        "seeds": [0],
        "learners": {"learner": learner},
        "methods": {"random": {}},
    }
    return config.load(study)["dataset"]
