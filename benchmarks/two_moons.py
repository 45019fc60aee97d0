"""How near to the decision boundary, and how spread, are the picks of the learnt acquisitions on the two moons.

    python benchmarks/two_moons.py --seeds 10

Runs the chains of experiments/two_moons.yaml without Snakemake, pick for pick the same, and measures the last query:
`distance`: of the picks to the curve where the model that scored them gives both classes 1/2, in units of the plane;
`doubt`: 1/2 - |p - 1/2| of that model; `spread`: distance of a pick to the nearest other pick; `reference`: as `distance`, to the
curve of a model trained on all labels of the pool. Each is a mean over the picks; the table has their mean and, in
brackets, standard deviation over the seeds. The lines below count the seeds in which what paper 004 (sec. 4.1) says holds.
"""

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from dagal import pool  # noqa: E402
from dagal.acquisition.selection import top_k  # noqa: E402
from dagal.config import load  # noqa: E402
from dagal.datasets.two_moons import grid, to_points, two_moons  # noqa: E402
from dagal.learners import adversary, architectures, inference, training  # noqa: E402
from dagal.seeding import generator, seed_for  # noqa: E402

MEASURES = ("distance", "doubt", "spread", "reference")
METHODS = ("random", "learning_loss", "vaal", "ta_vaal", "sraal")
CPU = torch.device("cpu")


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 images (N,1,1,2), labels (N,), and 1 for test points (N,)."""
    source = two_moons({})
    images = np.stack([image for _, image in source.images])
    return images, source.labels, (np.arange(len(images)) >= source.n_train).astype(np.uint8)


def trained(images, labels, ids, statistics, settings, seed, cycle):
    """The model of a node, as the rule `train` makes it."""
    torch.manual_seed(seed_for(seed, "initialise", cycle))
    chosen = inference.to_tensor(images[ids], CPU)
    model = architectures.build(settings, tuple(chosen.shape[1:]), 2, *statistics)
    with contextlib.redirect_stdout(io.StringIO()):
        training.fit(model, chosen, torch.from_numpy(labels[ids]), settings, seed_for(seed, "train", cycle))
    return model


def predicted(model, images):
    """Probabilities (N,2) and predicted losses (N,), or None without a head for them."""
    ((probs_N_2, _, loss_N, _),) = inference.predict(model, [inference.to_tensor(images, CPU)], "float32")
    return probs_N_2, loss_N


def scores(config, method, model, images, labels, ids, rest, statistics, seed, cycle):
    """Scores of the unlabeled ids ``rest``, as the rules signals, adversary and score make them from the model of ``cycle``."""
    probs_U, loss_U = predicted(model, images[rest])
    if method == "random":
        return generator(seed, "score", cycle + 1).random(len(rest))
    if method == "learning_loss":
        return loss_U.astype(np.float64)
    settings, reads, ranks, ids = config["adversaries"][method], {}, None, np.sort(ids)
    if method == "ta_vaal":
        losses = (predicted(model, images[ids])[1], loss_U)
        last = tuple(adversary.ranks_of(loss, settings) for loss in losses)
        reads, ranks = {"ranks": [last]}, last[1][1].numpy()
    elif method == "sraal":
        reads = {"labels_L": labels[ids], "probs_U": probs_U}
    pools = [inference.to_tensor(images[rows], CPU) for rows in (ids, rest)]
    reads |= dict(zip(("channel_mean", "channel_std"), statistics, strict=True))
    with contextlib.redirect_stdout(io.StringIO()):
        networks, _ = adversary.train(*pools, settings, seed_for(seed, "adversary", cycle), CPU, **reads)
    batches = torch.split(pools[1], 4 * settings["batch_size"])
    return 1.0 - adversary.discriminate(networks, batches, ranks).astype(np.float64)


def chain(config, method, seed, images, labels, split_N):
    """Model, labeled ids and picks of every query of one method and seed; last, the model of all labels, its ids, and None."""
    parts = pool.make_split(split_N, labels, 2, config["pool"], seed)
    everything = np.union1d(parts["pool"], parts["initial"])
    statistics = pool.channel_statistics(images, everything)
    about, ids = config["methods"][method], parts["initial"]
    settings = config["learners"][about["learner"]]
    for cycle in range(1, config["cycles"] + 1):
        model = trained(images, labels, ids, statistics, settings, seed, cycle - 1)
        rest = np.setdiff1d(parts["pool"], ids)
        candidates, size = rest, about["subset"] * config["budget"]
        if size:
            candidates = np.sort(generator(seed, "subset", cycle).choice(rest, min(size, len(rest)), replace=False))
        score_N = scores(config, method, model, images, labels, ids, rest, statistics, seed, cycle - 1)
        score_N = score_N[np.searchsorted(rest, candidates)]
        query = candidates[top_k(score_N, config["budget"], generator(seed, "select", cycle))]
        yield model, ids, query
        ids = np.concatenate([ids, query])
    yield trained(images, labels, everything, statistics, settings, seed, "all"), everything, None


def curve(model) -> np.ndarray:
    """Points (M,2) of the plane where the model gives both classes 1/2, between neighbours of the full grid; maybe none."""
    places = grid(1)
    xy = to_points(places).reshape(256, 256, 2)
    p = predicted(model, places.reshape(-1, 1, 1, 2))[0][:, 1].reshape(256, 256).astype(np.float64) - 0.5
    found = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        crosses = (p[a] > 0) != (p[b] > 0)
        share = (p[a][crosses] / (p[a][crosses] - p[b][crosses]))[:, None]
        found.append(xy[a][crosses] * (1 - share) + xy[b][crosses] * share)
    return np.concatenate(found)


def distances(a_N_2, b_M_2) -> np.ndarray:
    return np.linalg.norm(a_N_2[:, None] - b_M_2[None], axis=2)


def spread(points_N_2) -> float:
    """Mean distance of a point to the nearest other one."""
    return (distances(points_N_2, points_N_2) + np.diag(np.full(len(points_N_2), np.inf))).min(1).mean()


def measured(model, reference, images, query) -> list[float]:
    """`MEASURES` of one query; a distance is NaN where a model gives one class everywhere."""
    points = to_points(images[query].reshape(-1, 2))
    p = predicted(model, images[query])[0][:, 1]
    own, other = (
        distances(points, found).min(1).mean() if len(found) else np.nan for found in map(curve, (model, reference))
    )
    return [own, (0.5 - np.abs(p - 0.5)).mean(), spread(points), other]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--config", type=Path, default=ROOT / "experiments/two_moons.yaml")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = load(yaml.safe_load(options.config.read_text()))
    images, labels, split_N = data()
    print(f"{'method':14s}" + "".join(f"{name:>16s}" for name in MEASURES) + f"{'inner labels':>14s}{'seconds':>9s}")
    found = {}
    for method in METHODS:
        begun, rows, inner = time.monotonic(), [], []
        for seed in range(options.seeds):
            *queries, (reference, _, _) = chain(config, method, seed, images, labels, split_N)
            model, ids, query = queries[-1]
            rows.append(measured(model, reference, images, query))
            inner.append(labels[ids].sum())
        found[method] = values = np.array(rows)
        means, deviations = np.nanmean(values, 0), np.nanstd(values, 0)
        cells = "".join(f"{f'{m:.3f} ({d:.3f})':>16s}" for m, d in zip(means, deviations, strict=True))
        print(f"{method:14s}{cells}{np.mean(inner):14.1f}{time.monotonic() - begun:9.0f}", flush=True)
    for name in ("ta_vaal", "sraal"):
        nearer, spread_too = found[name] < found["vaal"], found[name] > found["learning_loss"]
        print(
            f"{name}: nearer to the boundary than vaal in {nearer[:, 0].sum()} of {options.seeds} seeds (to that of all labels: "
            f"{nearer[:, 3].sum()}), more spread than learning_loss in {spread_too[:, 2].sum()}"
        )


if __name__ == "__main__":
    main()
