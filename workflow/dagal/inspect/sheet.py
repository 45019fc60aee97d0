"""``python -m dagal sheet FILE``: the images behind the ids of an artifact, as a contact sheet."""

import argparse
from pathlib import Path

import h5py
import numpy as np

from dagal import artifacts, files
from dagal.datasets.origins import origins
from dagal.errors import UserError
from dagal.inspect.show import SHEET_IMAGES, draw_sheet, images_of


def add_command(commands) -> None:
    """Add ``sheet`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "sheet",
        help="draw the images behind the ids of an artifact",
        description="Draw the images whose ids an artifact holds (those of a query, in order of choice) on a contact sheet; below each its "
        "place in the list and its id, and the file that it is from.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5 file with ids, as query.h5 or labeled.h5")
    parser.add_argument("--png", type=Path, metavar="OUT.png", help="file to write (default: beside FILE, of its name)")
    parser.add_argument(
        "--images", type=int, metavar="N", default=SHEET_IMAGES, help=f"at most (default {SHEET_IMAGES})"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Draw the sheet. Raises UserError if the file has no ids, or its study or data set is not there."""
    path, png = options.file, options.png or options.file.with_suffix(".png")
    if options.images < 1:
        raise UserError("--images must be at least 1.")
    ids, total = read_ids(path, options.images)
    images = images_of(path)
    if images is None:
        raise UserError(
            f"{path} leads to no images: it must lie in the folder of its study, results/STUDY, beside results/datasets."
        )
    with artifacts.opened(images, "images") as file:
        if ids.min() < 0 or ids.max() >= len(file["images"]):
            raise UserError(
                f"{path} has ids from {ids.min()} to {ids.max()}, but {images} has {len(file['images'])} images."
            )
        pixels = artifacts.rows(file["images"], ids)
    captions = [[f"{place}. id {number}"] for place, number in enumerate(ids, 1)]
    known = origins(images, ids)
    names = known.get("file") or known.get("video") or [""] * len(ids)
    for place, caption in enumerate(captions):
        frame = f" frame {known['frame'][place]}" if "frame" in known else ""
        caption.append(f"{names[place]}{frame}")
    draw_sheet(pixels, captions, png)
    print(f"{len(ids):,} of {total:,} images drawn to {png}")


def read_ids(path: Path, n: int) -> tuple[np.ndarray, int]:
    """The first ``n`` ids of an artifact, and how many there are. Raises UserError if it has none, or cannot be read."""
    with artifacts.open_hdf5(path) as file:
        files.check_closed(file, path)
        ids = file.get("ids")
        if not isinstance(ids, h5py.Dataset) or ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids):
            raise UserError(f"{path} holds no ids; give query.h5, labeled.h5 or another list of images.")
        try:
            return ids[:n], len(ids)
        except Exception as error:  # damage inside a file can be told in any way
            raise UserError(f"{path} has ids that cannot be read ({error}); delete it and run again.") from None
