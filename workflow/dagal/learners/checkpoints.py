"""What a training has reached, stored beside its result now and then: a job that is killed goes on there, to the same bytes."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dagal.errors import UserError
from dagal.learners import weights

SECONDS = 300.0  # between two of them: a training that takes less stores none, and pays nothing
ENVIRONMENT = "DAGAL_CHECKPOINT_SECONDS"  # says otherwise, as for a queue that ends jobs often; no result depends on it


class Checkpoint:
    """The state of one training, in a file that Snakemake does not know and so leaves when it removes a failed job's results.

    ``key``: tells what the training is made of (settings, code, inputs); a file of another one, or a damaged one, is ignored.
    It is asked for only when there is a file, or one to be written.
    """

    def __init__(self, path: str | Path, key: Callable[[], str], unit: str = "epoch"):
        self.path, self.key, self.unit = Path(path), key, unit
        self.seconds, self.stored = float(os.environ.get(ENVIRONMENT, SECONDS)), time.monotonic()
        self.lists: dict[str, list] = {}

    def follow(self, model: nn.Module, state: list[torch.Tensor], *generators: torch.Generator, **lists: list) -> int:
        """Say what the training consists of, and take all of it to where it was stored, in place; returns the epochs that are done.

        ``state``: tensors of the optimizers (`optimizers.stepper`); ``generators``: what draws beside torch's own generators;
        ``lists``: those that get numbers or arrays of one shape each epoch. Of a training without epochs its steps are meant.
        """
        self.device = next(model.parameters()).device
        self.tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        self.tensors |= {f"optimizer.{place}": tensor for place, tensor in enumerate(state)}
        self.generators, self.lists = generators, self.lists | lists
        try:
            about, found = weights.read(self.path)
        except UserError:  # none, or damaged
            return 0
        # what is recorded besides, as a trajectory, is not part of the key
        if about["key"] != self.key() or any(f"list.{name}" not in found for name in self.lists):
            return 0
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(found[name])
        for name, values in self.lists.items():
            stored = found[f"list.{name}"]
            values[:] = stored.tolist() if stored.ndim == 1 else list(stored)
        torch.set_rng_state(found["random.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(found["random.cuda"], self.device)
        for place, generator in enumerate(generators):
            generator.set_state(found[f"random.{place}"])
        print(f"going on after {self.unit} {about['epoch']}, from {self.path}", flush=True)
        return about["epoch"]

    def after(self, epoch: int) -> None:
        """Store what has been reached after so many epochs, if it is time to."""
        if time.monotonic() - self.stored < self.seconds:
            return
        tensors = self.tensors | {f"list.{name}": stacked(values) for name, values in self.lists.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        for place, generator in enumerate(self.generators):
            tensors[f"random.{place}"] = generator.get_state()
        try:
            weights.write_tensors(self.path, tensors, {"key": self.key(), "epoch": epoch})
        except UserError as error:  # there may be room for the results
            print(f"going on without a checkpoint: {error}", flush=True)
        self.stored = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the results are there."""
        self.path.unlink(missing_ok=True)


def stacked(values: list) -> torch.Tensor:
    """Numbers or arrays of one shape as one tensor, float64 and int64 where they are Python's."""
    return torch.stack(
        [value.cpu() if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value)) for value in values]
    )


def of(job, output: str, device: torch.device, unit: str = "epoch") -> Checkpoint:
    """The checkpoint of the training of a job whose result is the file ``output``, on a device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"

    def key():
        made_of = [job.made_of(), torch.__version__, name, torch.get_num_threads()]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()

    return Checkpoint(Path(output).with_suffix(".checkpoint.safetensors"), key, unit)
