"""Last query of every method -> class probability of the model that scored it on a grid of the plane, the pool, the labels, the picks."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.stopping import last_cycles, passed_through

EVERY = 4  # of 256 places along each axis


def make(job):
    artifacts.write_csv(
        job.output.decision_boundary, ["method", "kind", "x", "y", "value"], rows(job.input, job.params.methods)
    )


def rows(source, methods):
    import torch

    from dagal.datasets.two_moons import grid
    from dagal.learners import architectures, inference

    (pool,) = artifacts.read(source.split, "split", "pool")
    last_cycle = last_cycles(source.stop_records)
    pixels = grid(EVERY)
    torch.set_num_threads(1)
    with artifacts.opened(source.images, "images") as file:
        pixels_N_2 = file["images"][()].reshape(-1, 2)
    for method, model_path, labeled_path, query_path in zip(
        methods, source.models, source.labeled, source.queries, strict=True
    ):
        if passed_through(last_cycle, *artifacts.node(query_path)):
            continue
        model = architectures.load(model_path, torch.device("cpu"))
        batch = inference.to_tensor(pixels.reshape(-1, 1, 1, 2), torch.device("cpu"))
        ((probs_M_C, *_),) = inference.predict(model, [batch], "float32")
        yield from points(method, "probability", pixels, probs_M_C[:, 1])
        # labels of the node itself: the oracle has answered the picks, and appended them in their order
        ids, labels = artifacts.read(labeled_path, "labeled", "ids", "labels")
        picked = np.isin(ids, artifacts.read(query_path, "query", "ids")[0])
        unlabeled = np.setdiff1d(pool, ids)
        yield from points(method, "pool", pixels_N_2[unlabeled], np.full(len(unlabeled), -1))
        yield from points(method, "labeled", pixels_N_2[ids[~picked]], labels[~picked])
        yield from points(method, "query", pixels_N_2[ids[picked]], labels[picked])


def points(method, kind, pixels_N_2, values):
    """A row per point; the value is the probability of the second class, or the number of the class."""
    from dagal.datasets.two_moons import to_points

    for (x, y), value in zip(to_points(pixels_N_2), values, strict=True):
        yield method, kind, f"{x:.4f}", f"{y:.4f}", f"{value:.6g}"


def reads(study, at):
    """Of every method's last query, for the first seed: the model that scored it, what it asked, what is labeled after it."""
    seed = study.seeds[0]
    last = [study.node(seed, method, study.cycles[-1]) for method in study.methods]
    return {
        "models": [study.path(study.parent(node), "model") for node in last],
        "queries": [study.path(node, "query") for node in last],
        "labeled": [study.path(node, "labeled") for node in last],
        "images": study.images(seed),
        "split": study.split(seed),
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"decision_boundary": "{results}/decision_boundary.csv"},
    settings=lambda study, at: {"methods": list(study.methods)},
    when=lambda study: classifies(study) and study.settings["dataset"]["loader"] == "two_moons",
    environment="torch",
)
