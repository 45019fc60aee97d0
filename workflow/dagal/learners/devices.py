"""Which device a job uses, and how reproducibly."""

import os
import tempfile
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from dagal.learners import LATER_SETTINGS

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held = []  # a lock lives as long as the process


def lease(names: list[str], folder: Path, poll_seconds: float = 5.0) -> int:
    """Position of a GPU in ``names`` that no other job on this machine holds; waits for one.

    A name means the same GPU to all jobs. Released when the process ends, however.
    """
    while True:
        for position, name in enumerate(names):
            lock = FileLock(folder / f"dagal-{name}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _held.append(lock)
            return position
        print(f"waiting for one of {len(names)} GPUs", flush=True)
        time.sleep(poll_seconds)


def lease_mig(folder: Path) -> None:
    """Lease one of several MIG instances in CUDA_VISIBLE_DEVICES and leave only it there: CUDA sees but the first of them.

    Must come before anything asks CUDA, which reads the variable once.
    """
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",")]
    if len(names) > 1 and names[0].startswith("MIG-"):
        os.environ[VISIBLE] = names[lease([name.replace("/", "-") for name in names], folder)]


def visible() -> list[str]:
    """The UUID of each GPU that this process can use, in CUDA's order."""
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]


def prepare(gpus: int, threads: int, deterministic: bool = True) -> torch.device:
    """The job's device: a leased GPU if the job was granted one and there is one, else the CPU with ``threads`` threads.

    The GPUs are those of CUDA_VISIBLE_DEVICES, given as numbers, UUIDs or MIG instances; a single one there is an assignment of
    the user's or a scheduler's, and is taken as it is. ``threads`` comes from the config, not from the machine, because the
    order of a parallel sum changes its last bits. Without ``deterministic``, sums on a GPU may differ from run to run,
    and the fastest convolutions are found by trial.
    """
    torch.set_num_threads(threads)
    folder = Path(tempfile.gettempdir())
    if gpus:
        lease_mig(folder)
    if not gpus or not torch.cuda.is_available():
        device = torch.device("cpu")
    elif os.environ.get(VISIBLE) and torch.cuda.device_count() == 1:
        device = torch.device("cuda:0")
    else:
        device = torch.device(f"cuda:{lease(visible(), folder)}")
        torch.cuda.set_device(device)
    if (
        device.type == "cuda" and deterministic
    ):  # a fixed number of threads does it on the CPU, where this call would cost 3 s of imports
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, threads: {threads}"
    print(f"device: {device} ({name}), torch {torch.__version__}", flush=True)
    return device


def for_training(gpus: int, learner: dict) -> torch.device:
    """`prepare` for the training of a learner, as deterministic as its settings say."""
    return prepare(gpus, learner["threads"], (LATER_SETTINGS | learner)["deterministic"])


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device. A GPU fetches it when it gets there, and the CPU goes on at once."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on the device: on a GPU with the channels of its convolutions last, which tensor cores need.

    On a CPU this order would change last bits, and so the results of studies.
    """
    return network.to(device, memory_format=torch.channels_last if device.type == "cuda" else torch.preserve_format)
