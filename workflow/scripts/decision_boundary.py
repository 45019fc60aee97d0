"""Last query of every method -> class probability of the model that scored it on a grid of the plane, the pool, the labels, the picks."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.datasets.two_moons import grid, to_points
from dagal.learners import architectures, inference
from dagal.stopping import last_cycles, passed_through

EVERY = 4  # of 256 places along each axis

start(snakemake)
source, methods = snakemake.input, snakemake.params.methods
(pool,) = artifacts.read(source.split, "split", "pool")
stops = last_cycles(source.stops)
pixels = grid(EVERY)
torch.set_num_threads(1)


def rows(method, kind, pixels_N_2, values):
    """A row per point; the value is the probability of the second class, or the number of the class."""
    for (x, y), value in zip(to_points(pixels_N_2), values, strict=True):
        yield method, kind, f"{x:.4f}", f"{y:.4f}", f"{value:.6g}"


def table():
    with artifacts.opened(source.images, "images") as file:
        pixels_N_2 = file["images"][()].reshape(-1, 2)
    for method, model_path, labeled_path, query_path in zip(
        methods, source.models, source.labeled, source.queries, strict=True
    ):
        if passed_through(stops, *artifacts.node(query_path)):
            continue
        model = architectures.load(model_path, torch.device("cpu"))
        batch = inference.to_tensor(pixels.reshape(-1, 1, 1, 2), torch.device("cpu"))
        ((probs_M_C, *_),) = inference.predict(model, [batch], "float32")
        yield from rows(method, "probability", pixels, probs_M_C[:, 1])
        # labels of the node itself: the oracle has answered the picks, and appended them in their order
        ids, labels = artifacts.read(labeled_path, "labeled", "ids", "labels")
        picked = np.isin(ids, artifacts.read(query_path, "query", "ids")[0])
        unlabeled = np.setdiff1d(pool, ids)
        yield from rows(method, "pool", pixels_N_2[unlabeled], np.full(len(unlabeled), -1))
        yield from rows(method, "labeled", pixels_N_2[ids[~picked]], labels[~picked])
        yield from rows(method, "query", pixels_N_2[ids[picked]], labels[picked])


artifacts.write_csv(snakemake.output[0], ["method", "kind", "x", "y", "value"], table())
