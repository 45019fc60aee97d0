"""Files of weights: reading those of others, and writing networks with what is needed to rebuild them."""

import json
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save
from torch import nn

from dagal import storage
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
    """Write weights, and what is needed to rebuild the network, as safetensors with a checksum. Raises UserError if it cannot be written."""
    write_tensors(path, model.state_dict(), about)


def write_tensors(path: str | Path, tensors: dict[str, torch.Tensor], about: dict) -> None:
    """Write named tensors as `write` does."""
    # one key: the library writes several in random order
    metadata = {"dagal": json.dumps({"checksum": storage.FIELD} | about, sort_keys=True)}
    content = save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, metadata)
    storage.write_bytes(path, storage.with_field(content))


def read(path: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """The ``about`` that `write` stored with a network, and its tensors by name. Raises UserError if the file is damaged."""
    content = storage.verified_bytes(path)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["dagal"])
    del about["checksum"]
    return about, load(content)
