"""The readers that cases are given to."""

import argparse
import contextlib
import io
import os
from pathlib import Path

import h5py
import odd_inputs

from dagal import artifacts, datasets
from dagal.errors import UserError


def data_set(dataset: dict, out: Path) -> dict:
    """Read a data set as the job of a study does: the data sets of its two files, by name."""
    settings = odd_inputs.resolved({"name": "hostile", **dataset})
    datasets.prepare(settings, out / "images.h5", out / "truth.h5", artifacts.provenance("dataset", {}))
    found = {}
    for name in ("images", "truth"):
        with h5py.File(out / f"{name}.h5") as file:
            found |= artifacts.datasets(file)
            found |= {key: artifacts.attribute(file, key) for key in ("class_names", "notes") if key in file.attrs}
    return found


def study(path: Path | list, out: Path) -> dict:
    """Plan a study as Snakemake does, in an empty folder; its settings."""
    from dagal.plan.check import planned

    os.chdir(out)
    try:
        plan, _ = planned(path, {})
    except SystemExit as error:
        assert str(error.code).startswith("dagal: "), error.code
        raise UserError(str(error.code).removeprefix("dagal: ")) from None
    assert plan.nodes()
    return plan.settings


def shown(path: Path, out: Path) -> str:
    """What ``dagal show`` prints of a file."""
    return command(path, "dagal.inspect.show")


def sheet(path: Path, out: Path) -> str:
    """What ``dagal sheet`` prints of a file."""
    return command(path, "dagal.inspect.sheet")


def command(path: Path, module: str) -> str:
    import importlib

    parser = argparse.ArgumentParser()
    importlib.import_module(module).add_command(parser.add_subparsers())
    options = parser.parse_args([module.rpartition(".")[2], str(path)])
    with contextlib.redirect_stdout(io.StringIO()) as text:
        options.run(options)
    return text.getvalue()


def backbone(path: Path, out: Path) -> object:
    """A LeNet with the weights in a file."""
    import torch

    from dagal.learners.backbones import from_file

    settings = {"architecture": "lenet", "image_size": None, "statistics": "dataset"}
    return from_file(settings, str(path), (1, 16, 16), torch.zeros(1), torch.ones(1))
