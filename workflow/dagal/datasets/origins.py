"""From ids to files: where images of a data set are from."""

import os
from pathlib import Path

import numpy as np

from dagal import artifacts


def origins(images: str | Path, ids: np.ndarray) -> dict[str, list]:
    """What images.h5 knows of the images with the given ids, a list (n,) for each: ``file``, ``video`` and ``frame``, and the corners of the
    ``box`` of a crop; what a data set does not have is not there.
    """
    found = {}
    with artifacts.opened(images, "images") as file:
        if "file" in file:
            found["file"] = list(map(os.fsdecode, artifacts.rows(file["file"], ids)))
        if "video" in file:
            names = file["video_names"].asstr()[()]
            found["video"] = [str(names[video]) for video in artifacts.rows(file["video"], ids)]
            found["frame"] = artifacts.rows(file["frame"], ids).tolist()
        if "box" in file:
            corners = zip(("x1", "y1", "x2", "y2"), artifacts.rows(file["box"], ids).T, strict=True)
            found |= {name: [f"{value:.6g}" for value in values] for name, values in corners}
    return found
