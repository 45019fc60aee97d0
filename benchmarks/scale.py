"""What a cycle costs as the pool grows: seconds and peak memory of each stage at several numbers of images.

    .venv/bin/python benchmarks/scale.py [--images 10000 100000 1000000] [--pixels 32] [--shards 1] [--folder DIR] [--csv FILE]

Images of ten classes are made up while images.h5 is written; every further stage of the first cycle is the script of the workflow, in
a process of its own with one thread, as a job on a cluster would run it. The learner is small and trained for two epochs: what grows
with the pool is reading it. The last column is the growth of the seconds from the smallest to the largest pool as a power of N: 1 is
linear.
"""

import argparse
import csv
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "benchmarks")]
CLASSES, TEST, LABELS = 10, 1000, 1000


def study(shards: int) -> dict:
    return {
        "study": "scale",
        "dataset": {"name": "scale", "loader": "image_folder"},
        "pool": {"initial": {"size": LABELS}},
        "budget": LABELS,
        "cycles": 1,
        "seeds": [0],
        "learners": {
            "mlp": {"architecture": "mlp", "hidden_units": [32], "epochs": 2, "batch_size": 128, "device": "cpu"}
        },
        "methods": {"entropy": {}, "entropy_cb": {}, "kcenter_greedy": {}},
        "signals": {"shards": shards},
    }


def images(n: int, pixels: int, labels_N: np.ndarray):
    """(row, image): a mixture of the patterns of its own and of another class, uint8 (pixels,pixels,3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 128, (CLASSES, 8, 8, 3)).astype(np.uint8)
    patterns = coarse.repeat(-(-pixels // 8), 1).repeat(-(-pixels // 8), 2)[:, :pixels, :pixels]
    others, shifts = rng.integers(0, CLASSES, n), rng.integers(0, 4, n)
    for row in range(n):
        yield row, patterns[labels_N[row]] + (patterns[others[row]] >> np.uint8(shifts[row]))


def make(n: int, pixels: int, folder: Path) -> None:
    """Write images.h5 and truth.h5 of n training images."""
    from dagal.artifacts import provenance
    from dagal.datasets.source import Source

    labels_N = np.random.default_rng(1).integers(0, CLASSES, n + TEST)
    source = Source([f"class{c}" for c in range(CLASSES)], labels_N, n, images(n + TEST, pixels, labels_N))
    origin = provenance("dataset", {"images": n, "pixels": pixels})
    settings = {"loader": "image_folder", "path": str(folder)}
    source.write(settings, folder / "images.h5", folder / "truth.h5", origin, 1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(n: int, pixels: int, shards: int, folder: Path) -> dict[str, tuple[float, float]]:
    """(seconds, MiB) of each job of the first cycle by its name."""
    from in_process import in_order, job_costs

    from dagal import config
    from dagal.plan import Study, job

    os.chdir(folder)
    started = time.monotonic()
    data = folder / "results/datasets/scale"
    data.mkdir(parents=True)
    command = [sys.executable, __file__, "--make", str(n), str(pixels), str(data)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = {"dataset": (time.monotonic() - started, float(done.stdout.split()[-1]))}
    planned = Study(config.load(study(shards)))
    settings = job.store(planned.settings)
    for stage, wildcards in in_order(planned):
        if stage in ("dataset", *planned.report):
            continue
        place = [f"{name}={value}" for name, value in wildcards]
        script = [str(ROOT / "workflow/scripts/job.py"), str(job.script(planned, stage))]
        command = [sys.executable, *script, str(settings), stage, "threads=1", "gpu=0", *place]
        done = subprocess.run(command, check=False)
        if done.returncode:
            sys.exit(f"{stage} failed: {job.describe(planned, stage, dict(wildcards))['log']}")
        seconds, _, memory = job_costs(job.describe(planned, stage, dict(wildcards))["output"]["benchmark"])
        at = dict(wildcards)
        name = " ".join([stage, *(at[part] for part in ("branch", "cycle", "shard") if part in at)])
        found[name] = (seconds, memory)
        print(f"{n:>9,} images  {name:<40} {seconds:9.2f} s  {memory:7.0f} MiB", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--shards", type=int, default=1, help="jobs that compute the signals of a model")
    parser.add_argument(
        "--folder", type=Path, help="where the files go while they are needed; the system's one by default"
    )
    parser.add_argument("--csv", type=Path, help="where the table goes besides")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        n, pixels, folder = options.make
        make(int(n), int(pixels), Path(folder))
        return
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    found = {}
    for n in options.images:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found[n] = measure(n, options.pixels, options.shards, Path(folder))
    first, last = options.images[0], options.images[-1]
    header = ["stage", "pixels", *(f"{unit} at {n}" for n in options.images for unit in ("s", "MiB")), "growth"]
    rows = []
    for name in found[first]:
        growth = math.log(found[last][name][0] / found[first][name][0], last / first) if last > first else math.nan
        measured = [f"{value:.2f}" for n in options.images for value in found[n][name]]
        rows.append([name, options.pixels, *measured, f"{growth:.2f}"])
    peak = [f"{max(memory for _, memory in found[n].values()):.0f}" for n in options.images]
    total = [f"{sum(seconds for seconds, _ in found[n].values()):.1f}" for n in options.images]
    rows.append(["all", options.pixels, *(cell for pair in zip(total, peak, strict=True) for cell in pair), ""])
    print("\n".join("  ".join(f"{cell!s:>14}" for cell in row) for row in [header, *rows]))
    print(f"{platform.machine()}, one core, Python {platform.python_version()}, NumPy {np.__version__}")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main()
