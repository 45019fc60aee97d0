"""Greedy k-center against the plain algorithm: seconds, products and memory on clustered and isotropic embeddings.

    python benchmarks/kcenter.py --points 50000 --dimensions 512 --labeled 5000 --budget 2500

`plain` computes the initial distances by matrix products and then updates all N of them after every pick by one
matrix-vector product with precomputed norms, in float32. `lazy` is ours. `first` is the selector that dagal began with (it
shifted all points anew for every pick), timed on `--first-picks` picks and scaled to the budget. `exact`, for the picks, is
`plain` with the distance that `lazy` defines; float32 rounding lets the other two choose another of two near-equals. Each run has a process of its
own; times are the least of `--repeats`, memory is what the process held beyond the embeddings at its peak.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))


def embeddings(kind: str, n: int, dimensions: int) -> np.ndarray:
    """float32 (n,D): standard normal, or 100 normal clusters of a tenth of that spread."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((100, dimensions), np.float32)
    made = np.empty((n, dimensions), np.float32)
    for start in range(0, n, 8192):
        block = made[start : start + 8192]
        rng.standard_normal(out=block, dtype=np.float32)
        if kind == "clustered":
            block *= 0.1
            block += means[rng.integers(100, size=len(block))]
    return made


def initial(points_N_D, centers_L_D, block=3276):
    norms_L = np.einsum("ld,ld->l", centers_L_D, centers_L_D)
    nearest_N = np.empty(len(points_N_D), np.float32)
    for start in range(0, len(points_N_D), block):
        part = points_N_D[start : start + block]
        squared = part @ centers_L_D.T
        squared *= -2
        squared += norms_L
        nearest_N[start : start + block] = squared.min(1) + np.einsum("nd,nd->n", part, part)
    return nearest_N


def plain(points_N_D, centers_L_D, budget):
    nearest_N = initial(points_N_D, centers_L_D)
    norms_N = np.einsum("nd,nd->n", points_N_D, points_N_D)
    selected = np.empty(budget, np.int64)
    for step in range(budget):
        selected[step] = farthest = int(nearest_N.argmax())
        squared_N = points_N_D @ points_N_D[farthest]
        squared_N *= -2
        squared_N += norms_N
        squared_N += norms_N[farthest]
        np.minimum(nearest_N, squared_N, out=nearest_N)
        nearest_N[farthest] = -1
    return selected


def first(points_N_D, centers_L_D, budget):
    def nearest(centers_L_D):
        shift_D = centers_L_D.mean(0)
        centers_L_D = centers_L_D - shift_D
        norms_L = np.einsum("ld,ld->l", centers_L_D, centers_L_D)
        nearest_N, block = np.empty(len(points_N_D), np.float32), (1 << 24) // max(centers_L_D.shape)
        for start in range(0, len(points_N_D), block):
            part = points_N_D[start : start + block] - shift_D
            squared = norms_L - 2 * (part @ centers_L_D.T)
            nearest_N[start : start + block] = np.maximum(squared.min(1) + np.einsum("bd,bd->b", part, part), 0)
        return nearest_N

    nearest_N, selected = nearest(centers_L_D), []
    for _ in range(budget):
        selected.append(int(nearest_N.argmax()))
        np.minimum(nearest_N, nearest(points_N_D[selected[-1:]]), out=nearest_N)
        nearest_N[selected[-1]] = -1
    return np.array(selected)


def exact(points_N_D, centers_L_D, budget):
    from dagal.acquisition import distances

    nearest_N, selected = distances.nearest_squared_distance(points_N_D, centers_L_D), []
    block = distances.Block(points_N_D, distances.middle(centers_L_D), np.float32)
    for _ in range(budget):
        selected.append(int(nearest_N.argmax()))
        nearest_N[selected[-1]] = -1
        block.tighten(nearest_N, points_N_D[selected[-1:]])
    return np.array(selected)


def lazy(points_N_D, centers_L_D, budget):
    from dagal.acquisition.kcenter import kcenter_greedy

    return kcenter_greedy(points_N_D, centers_L_D, budget)


def measure(algorithm: str, kind: str, options: argparse.Namespace) -> dict:
    """One run: seconds, CPU seconds, memory beyond the embeddings, picks."""
    everything = embeddings(kind, options.points + options.labeled, options.dimensions)
    points_N_D, centers_L_D = everything[options.labeled :], everything[: options.labeled]
    budget = options.first_picks if algorithm == "first" else options.budget
    run = globals()[algorithm]
    run(points_N_D[:2000], centers_L_D[:100], 10)  # imports, threads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    selected = run(points_N_D, centers_L_D, budget)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if algorithm == "first":
        started, cpu_started = time.perf_counter(), time.process_time()
        run(points_N_D, centers_L_D, 0)
        start, cpu_start = time.perf_counter() - started, time.process_time() - cpu_started
        seconds = start + max(0, seconds - start) * options.budget / budget
        cpu = cpu_start + max(0, cpu - cpu_start) * options.budget / budget
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": seconds, "cpu": cpu, "memory": memory, "selected": selected.tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("points", 50_000), ("dimensions", 512), ("labeled", 5000), ("budget", 2500)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--first-picks", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=["clustered", "isotropic"])
    parser.add_argument("--algorithms", nargs="+", default=["lazy", "plain", "first"])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options)))
        return
    size = options.points * options.dimensions * 4 / 2**20
    print(f"N = {options.points}, D = {options.dimensions}, L = {options.labeled}, b = {options.budget}: {size:.0f} MB")
    print(f"{'':10} {'':6} {'seconds':>8} {'CPU s':>8} {'ratio':>7} {'memory beside the embeddings':>30}  picks")
    for kind in options.kinds:
        fastest = None
        for algorithm in options.algorithms:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", algorithm, kind]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeats)]
            best = {name: min(run[name] for run in runs) for name in ("seconds", "cpu", "memory")}
            fastest = fastest or best | {"selected": runs[0]["selected"]}
            same = np.equal(*(x[: len(runs[0]["selected"])] for x in (runs[0]["selected"], fastest["selected"])))
            ratio = best["seconds"] / fastest["seconds"]
            print(
                f"{kind:10} {algorithm:6} {best['seconds']:8.2f} {best['cpu']:8.2f} {ratio:7.1f} "
                f"{best['memory']:16.0f} MB ({best['memory'] / size:5.2f} x)  {same.sum()} of {same.size} equal",
                flush=True,
            )


if __name__ == "__main__":
    main()
