"""What jobs of segmentation hold in memory when there are many masks: peak of each stage, at 2,000 images of 512 x 256 pixels.

    .venv/bin/python benchmarks/masks.py [--images 2000] [--seconds 60] [--folder DIR]

Images and masks are made up. Half of the images are labeled at the start, twice as many after the oracle, so the training after it sees
as many as the pool has at the start. Each stage is the script of the workflow in a process of its own with one thread. Training, signals
and adversary are ended after so many seconds, when their loops have long reached what they hold.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow")]
CLASSES, HEIGHT, WIDTH = 19, 256, 512
LOOPS = ("train", "pixel_signals", "adversary")  # which take long, and soon hold all that they ever will


def study(n: int) -> dict:
    return {
        "study": "masks",
        "dataset": {"name": "masks", "loader": "mask_folder"},
        "pool": {"initial": {"size": n // 2}},
        "budget": n // 2,
        "cycles": 1,
        "seeds": [0],
        "learners": {"small": {"architecture": "segmenter_small", "epochs": 1, "batch_size": 4, "device": "cpu"}},
        "adversaries": {"vaal": {"batch_size": 4, "channels": 16, "height": 128}},
        "methods": {"entropy": {}, "kcenter_greedy": {}, "entropy_cb": {}, "vaal": {}},
    }


def noise(rng, n: int, *shape: int) -> np.ndarray:
    """Squares of 16 pixels of values below 19, uint8 (n,H,W,...): what compresses as masks do."""
    coarse = rng.integers(0, CLASSES, (n, HEIGHT // 16, WIDTH // 16, *shape)).astype(np.uint8)
    return coarse.repeat(16, 1).repeat(16, 2)


def make(planned, n: int) -> None:
    """Data set of 3/2 n training and n test images, the split of it, a query, a network that is not trained, and predictions."""
    import torch

    from dagal import artifacts
    from dagal.datasets.source import IMAGES, TRUTH
    from dagal.learners import segmenter
    from dagal.tasks.segmentation.signals import PREDICTIONS

    rng, origin, names = (
        np.random.default_rng(0),
        artifacts.provenance("dataset", {}),
        [f"c{k}" for k in range(CLASSES)],
    )
    n_train, n_all = n + n // 2, 2 * n + n // 2
    start, after = planned.node(0, "entropy", 0), planned.node(0, "entropy", 1)

    def fill(writer, name, rows, *shape):
        dataset = writer.dataset(name, (rows, HEIGHT, WIDTH, *shape), np.uint8)
        for first in range(0, rows, 40):
            dataset[first : first + 40] = noise(rng, len(range(rows)[first : first + 40]), *shape)

    with artifacts.create(planned.clean_images, IMAGES, origin) as writer:
        fill(writer, "images", n_all, 3)
        writer.dataset("split", (n_all,), np.uint8)[...] = np.arange(n_all) >= n_train
    with artifacts.create(planned.truth, TRUTH, origin, class_names=names) as writer:
        fill(writer, "masks", n_all)
    with artifacts.create(planned.path(after, "predictions"), PREDICTIONS, origin) as writer:
        writer.dataset("ids", (n,), np.int64)[...] = np.arange(n_train, n_all)
        fill(writer, "masks", n)
    about = planned.training_settings(start)
    model = segmenter.untrained(about, CLASSES, (0.5,) * 3, (0.2,) * 3)
    torch.set_num_threads(1)
    segmenter.save(planned.path(start, "model"), model, about, (3, HEIGHT, WIDTH), origin)


def ask(planned) -> None:
    """Write the query of the first cycle: whatever comes first in the pool."""
    from dagal import artifacts

    (pool,) = artifacts.read(planned.split(0), "split", "pool")
    ids = pool[: planned.settings["budget"]]
    path = planned.path(planned.node(0, "entropy", 1), "query")
    artifacts.write(path, "query", artifacts.provenance("select", {}), {"ids": ids, "score": np.zeros(len(ids))})


def peak(planned, settings: Path, stage: str, seconds: float, **place) -> tuple[float, float, bool]:
    """Peak MiB of a job, its processor time, and whether it ended by itself within so many seconds."""
    from dagal.plan import job

    script = [str(ROOT / "workflow/scripts/job.py"), str(job.script(planned, stage))]
    wildcards = [f"{name}={value}" for name, value in place.items()]
    process = subprocess.Popen([sys.executable, *script, str(settings), stage, "threads=1", "gpu=0", *wildcards])
    until = time.monotonic() + seconds
    while True:
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        if stage in LOOPS and time.monotonic() > until:
            process.kill()
            _, _, used = os.wait4(process.pid, 0)
            return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, False
        time.sleep(0.1)
    if status:
        sys.exit(f"{stage} failed: {job.describe(planned, stage, place)['log']}")
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--folder", type=Path, help="where the files go while they are needed; the system's one by default"
    )
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    from dagal import config
    from dagal.plan import Study, job

    planned = Study(config.load(study(options.images)))
    if options.make:
        make(planned, options.images)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.chdir(folder)
        settings = job.store(planned.settings)
        # in a process of its own: the peak of one that is started begins with what its parent holds
        subprocess.run(
            [sys.executable, str(ROOT / "benchmarks/masks.py"), "--make", "--images", str(options.images)], check=True
        )
        start, after = (
            {"branch": "start-small", "cycle": "0", "seed": "0"},
            {"branch": "entropy", "cycle": "1", "seed": "0"},
        )
        for stage, place in (
            ("split", {"seed": "0"}),
            ("initial", {"learner": "small", "seed": "0"}),
            ("pixel_signals", start),
            ("adversary", start | {"adversary": "vaal"}),
            ("oracle", after),
            ("train", after),
            ("evaluate", after),
        ):
            if stage == "oracle":
                ask(planned)
            mebibytes, seconds, ended = peak(planned, settings, stage, options.seconds, **place)
            note = "" if ended else ", ended while it ran"
            print(f"{stage:<14} {mebibytes:7.0f} MiB  {seconds:6.1f} s of processor time{note}", flush=True)


if __name__ == "__main__":
    main()
