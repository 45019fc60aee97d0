"""Files of weights: reading those of others, and writing networks with what is needed to rebuild them."""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dagal.errors import UserError


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """State dict in a local file of safetensors or torch."""
    return load_file(path) if path.endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True)


def load_backbone(network: nn.Module, path: str, head: str = "fc.") -> None:
    """Load local pre-trained weights, without those of the head, into a backbone.

    Raises UserError if the file is missing or does not fit.
    """
    try:
        network.load_state_dict({name: t for name, t in read_weights(path).items() if not name.startswith(head)})
    except Exception as error:  # a foreign file can fail in any way
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"weights {path} cannot be loaded into this architecture ({reason}); correct the path."
        ) from None


def write(path: str | Path, model: nn.Module, about: dict) -> None:
    """Write weights, and what is needed to rebuild the network, as safetensors; appears under its name only when complete."""
    write_tensors(path, model.state_dict(), about)


def write_tensors(path: str | Path, tensors: dict[str, torch.Tensor], about: dict) -> None:
    """Write named tensors as `write` does."""
    metadata = {"dagal": json.dumps(about, sort_keys=True)}  # one key: the library writes several in random order
    temporary = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.tmp")
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, temporary, metadata)
    temporary.replace(path)


def read_about(path: str | Path) -> dict:
    """The ``about`` that `write` stored with a network."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["dagal"])
