"""Which device a job uses, and how reproducibly."""

import os

import torch
from torch import nn

from dagal.learners import LATER_SETTINGS, leases


def visible() -> list[str]:
    """The UUID of each GPU that this process can use, in CUDA's order."""
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]


def prepare(share: int, threads: int, deterministic: bool = True) -> torch.device:
    """The job's device: a leased GPU if the job was granted one and there is one, else the CPU with ``threads`` threads.

    ``share``: how many jobs may use the GPU at once, 0 if none was granted. The GPUs are those of CUDA_VISIBLE_DEVICES, given as
    numbers, UUIDs or MIG instances, or all of the machine. ``threads`` comes from the config, not from the machine, because the
    order of a parallel sum changes its last bits. Without ``deterministic``, sums on a GPU may differ from run to run,
    and the fastest convolutions are found by trial.
    """
    torch.set_num_threads(threads)
    cards = leases.cards() if share else []
    if any(card.startswith("MIG-") for card in cards):
        # of several MIG instances CUDA sees but the first one, and it reads the variable once: leave only the leased one there
        os.environ[leases.VISIBLE] = cards[leases.lease(cards, leases.folder(), share)]
        device = torch.device("cuda:0")
    elif not share or not torch.cuda.is_available():
        device = torch.device("cpu")
    else:
        device = torch.device(f"cuda:{leases.lease(visible(), leases.folder(), share)}")
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


def for_training(share: int, learner: dict) -> torch.device:
    """`prepare` for the training of a learner, as deterministic as its settings say."""
    return prepare(share, learner["threads"], (LATER_SETTINGS | learner)["deterministic"])


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device. A GPU fetches it when it gets there, and the CPU goes on at once."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on the device: on a GPU with the channels of its convolutions last, which tensor cores need.

    On a CPU this order would change last bits, and so the results of studies.
    """
    return network.to(device, memory_format=torch.channels_last if device.type == "cuda" else torch.preserve_format)
