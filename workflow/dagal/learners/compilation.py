"""Whether PyTorch compiles a network for its training, which saves launches of kernels and passes over memory."""

import importlib.util
import os
import shutil

import torch

from dagal.learners import LATER_SETTINGS
from dagal.learners.classifier import Classifier

# `auto` compiles a ResNet on a GPU that takes as many steps. By a fixed number and not by the clock, so that the bytes of a result do
# not depend on the load of the machine; benchmarks/trainer.py measures what it should be.
PAYS_FROM = 5_000
CACHE = ".snakemake/dagal/compiled"  # beside the settings that jobs are started with: shared by the jobs of all studies here


def compile_if_it_pays(model: Classifier, settings: dict, device: torch.device, steps: int) -> bool:
    """Have the network compiled in place at its first pass, if ``settings["compile"]`` says so; tells what it does and why."""
    wanted = (LATER_SETTINGS | settings)["compile"]
    reason = {"off": "compile: off", "auto": doubt(model, device, steps), "on": None}[wanted] or obstacle(model, device)
    print(f"not compiled ({reason})" if reason else f"compiled, {steps:,} steps to come", flush=True)
    if not reason:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.abspath(CACHE))  # noqa: PTH100
        model.compile(mode="reduce-overhead", dynamic=False)  # CUDA graphs, on a GPU
    return not reason


def doubt(model: Classifier, device: torch.device, steps: int) -> str | None:
    """Why compiling does not pay."""
    if device.type == "cpu":
        return "auto: a CPU gains nothing, and the results of earlier studies stay what they are"
    if not hasattr(model.backbone, "layer4"):
        return "auto: a network so small gains less than compiling costs"
    return f"auto: {steps:,} steps, it pays from {PAYS_FROM:,} on" if steps < PAYS_FROM else None


def obstacle(model: Classifier, device: torch.device) -> str | None:
    """Why it cannot be done."""
    if model.loss_prediction:
        return "loss prediction reads hidden layers, which a compiled network does not show"
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        return "there is no C++ compiler on the PATH"
    if device.type == "cuda" and not importlib.util.find_spec("triton"):
        return "triton is not installed"
    return None


def run(model: Classifier, images: torch.Tensor, full: bool) -> torch.Tensor:
    """Logits of a batch. One that is not full passes the network as it is: for another size it would be compiled again."""
    return model(images) if full else model.forward(images)
