"""Training and inference of each learner on the device at hand, against a plain loop: images/s, their ratio, share of the device's limit.

    .venv/bin/python benchmarks/trainer.py [--compile] [--csv FILE]

The plain loop is the one of most public repositories of active learning: a `DataLoader` that hands every image
through PIL transforms, without workers or with two, whichever is faster, float32, `torch.optim`, and `loss.item()` in each step.
Network, images, batches and threads are the same.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from dagal.config.learners import Classifier  # noqa: E402
from dagal.learners import architectures, compilation, devices, inference, training  # noqa: E402

# architecture -> shape (C,H,W) of its images, images per step, steps per epoch on a CPU and on a GPU
LEARNERS = {
    "linear": ((512, 1, 1), 128, 40, 200),
    "mlp": ((1, 8, 8), 32, 150, 200),
    "lenet": ((1, 28, 28), 64, 16, 200),
    "resnet18_cifar": ((3, 32, 32), 256, 1, 100),
    "resnet18": ((3, 224, 224), 64, 1, 50),
}
CPU_BATCH = 32  # at most, so that a step of a ResNet takes seconds
EPOCHS = 4  # the first one is not counted
CLASSES = 10
WORKERS = (0, 2)


def matrix_limit(device: torch.device, precision: str) -> float:
    """Operations per second of the fastest square matrix product, a product and a sum being two."""
    best = 0.0
    for n in (512, 1024) if device.type == "cpu" else (4096, 8192):
        factors = torch.randn(
            2, n, n, device=device, dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32
        )
        with inference.autocast(device, precision):
            seconds = [timed(lambda factors=factors: factors[0] @ factors[1], device) for _ in range(6)]
        best = max(best, 2 * n**3 / min(seconds))
    return best


def timed(call, device: torch.device) -> float:
    """Seconds of a call, until the device is done."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


class Images(Dataset):
    """Images (N,H,W,C) uint8 one by one through PIL transforms, as repositories have it; features (N,D) as they are."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, augmented: bool):
        from torchvision import transforms

        self.inputs, self.labels, self.transform = inputs, labels, torch.from_numpy
        if inputs.ndim == 4:
            size, mean = inputs.shape[1], [0.5] * inputs.shape[3]
            random = [transforms.RandomCrop(size, padding=4), transforms.RandomHorizontalFlip()] if augmented else []
            self.transform = transforms.Compose([
                transforms.ToPILImage(), *random, transforms.ToTensor(), transforms.Normalize(mean, mean)
            ])  # fmt: skip

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, at):
        return self.transform(self.inputs[at]), int(self.labels[at])


def build(settings: dict, shape: tuple):
    torch.manual_seed(0)
    mean = [0.5] * shape[0]
    return architectures.build(settings, shape, CLASSES, mean, mean)


def plain(
    settings: dict, shape: tuple, inputs: np.ndarray, labels: np.ndarray, device, workers: int
) -> tuple[float, float]:
    """Seconds per epoch and per pass over the inputs of the plain loop."""
    model = build(settings, shape).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    options = {"batch_size": settings["batch_size"], "num_workers": workers}
    if workers:  # in a process that was spawned they would be spawned too, and import torch anew in each epoch
        options["multiprocessing_context"] = "fork"
    seconds = []
    for _ in range(EPOCHS):
        started, total = time.perf_counter(), 0.0
        model.train()
        for images, target in DataLoader(Images(inputs, labels, True), shuffle=True, **options):
            images, target = images.to(device).reshape(-1, *shape), target.to(device)
            optimizer.zero_grad()
            loss = cross_entropy(model(images), target)
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds.append(time.perf_counter() - started)
    passes = []
    for _ in range(2):
        started, found = time.perf_counter(), []
        model.eval()
        with torch.no_grad():
            for images, _ in DataLoader(Images(inputs, labels, False), **options):
                found.append(torch.softmax(model(images.to(device).reshape(-1, *shape)), 1).cpu())
        passes.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]), min(passes)


def ours(
    settings: dict, shape: tuple, inputs: np.ndarray, labels: np.ndarray, device: torch.device
) -> tuple[float, float, float]:
    """Seconds per epoch and per pass over the inputs, and of the first epoch."""
    model = devices.place(build(settings, shape), device)
    images = inference.to_tensor(inputs, device)
    times = [time.perf_counter()]
    with contextlib.redirect_stdout(io.StringIO()):
        training.fit(
            model, images, torch.from_numpy(labels).to(device), settings, 0, lambda _: times.append(time.perf_counter())
        )

    def infer():
        batches = torch.split(images, 4 * settings["batch_size"])
        return list(inference.predict(model, batches, settings["precision"]))

    passes = [timed(infer, device) for _ in range(2)]
    seconds = np.diff(times)
    return statistics.median(seconds[1:]), min(passes), seconds[0]


def operations(settings: dict, shape: tuple) -> int:
    """Operations of an image in training: forward and backward."""
    model = build(settings, shape)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, *shape)).sum().backward()
    return counter.get_total_flops() // 2


def table(learners=tuple(LEARNERS), with_compile: bool = False, threads: int = 1) -> pd.DataFrame:
    """One row per learner; ``with_compile`` adds what compiling costs, what it gains, and after how many steps it has paid."""
    device = devices.prepare(int(torch.cuda.is_available()), threads, deterministic=False)
    precision = "bfloat16" if device.type == "cuda" else "float32"
    limit, rows = matrix_limit(device, precision), []
    for learner in learners:
        shape, batch_size, on_cpu, on_gpu = LEARNERS[learner]
        if device.type == "cpu" and learner.startswith("resnet"):
            batch_size = CPU_BATCH if shape[1] == 32 else CPU_BATCH // 8
        n = batch_size * (on_cpu if device.type == "cpu" else on_gpu)
        augmentation = {"pad": 4, "flip": True} if shape[0] <= 3 else {}
        about = {"architecture": learner, "epochs": EPOCHS, "batch_size": batch_size, "augmentation": augmentation}
        settings = Classifier(**about, optimizer={"lr": 0.01}, precision=precision, compile="off").model_dump()
        rng = np.random.default_rng(0)
        inputs = rng.integers(0, 256, (n, *shape[1:], shape[0]), dtype=np.uint8)
        if shape[0] > 3:
            inputs = rng.standard_normal((n, shape[0]), dtype=np.float32)
        labels = rng.integers(0, CLASSES, n)
        epoch, one_pass, _ = ours(settings, shape, inputs, labels, device)
        loops = [plain(settings, shape, inputs, labels, device, workers) for workers in WORKERS]
        plain_epoch, plain_pass = map(min, zip(*loops, strict=True))
        row = {
            "learner": learner, "pixels": shape[1] * shape[2], "batch_size": batch_size, "precision": precision,
            "training_images_s": n / epoch, "inference_images_s": n / one_pass,
            "training_ratio": plain_epoch / epoch, "inference_ratio": plain_pass / one_pass,
            "share_of_limit": operations(settings, shape) * n / epoch / limit,
        }  # fmt: skip
        if with_compile and not compilation.obstacle(build(settings, shape), device):
            compiled, _, first = ours(settings | {"compile": "on"}, shape, inputs, labels, device)
            gain, cost = (epoch - compiled) * batch_size / n, first - compiled
            pays = cost / gain if gain > 0 else float("inf")
            row |= {"compile_s": cost, "compile_gain_ms_step": 1e3 * gain, "compile_pays_from_steps": pays}
        rows.append(row)
        print(f"  {learner}: {row['training_images_s']:,.0f} images/s", file=sys.stderr, flush=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} threads"
    return pd.DataFrame(rows).assign(device=name, limit_gflops=limit / 1e9, torch=torch.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learners", nargs="*", help=f"some of {', '.join(LEARNERS)}; all by default")
    parser.add_argument("--compile", action="store_true", help="also what compiling costs and gains; minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    found = table(options.learners or tuple(LEARNERS), options.compile, options.threads)
    print(found.to_string(index=False, float_format="{:,.3g}".format))
    if options.csv:
        found.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
