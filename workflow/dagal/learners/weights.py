"""Files of weights: reading those of others, and writing networks with what is needed to rebuild them."""

import json
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save
from torch import nn

from dagal import storage
from dagal.errors import UserError
from dagal.files import regular


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """State dict in a local file of safetensors or torch.

    Raises UserError if the file is missing or holds anything else: other objects, tensors that say to be larger than the file, and
    numbers that are not finite.
    """
    try:
        size = regular(path).stat().st_size
        if path.endswith(".safetensors"):
            state = load_file(path)
        else:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as file:
                    if sum(member.file_size for member in file.infolist()) > size:
                        raise ValueError("its parts are packed, as torch's never are")
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
        for name, tensor in state.items():
            if not (isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided):
                raise ValueError(f"{name} is no tensor with a name")
            if tensor.numel() * tensor.element_size() > size:
                raise ValueError(f"{name} has {tensor.numel():,} numbers, more than the file")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} has numbers that are not finite")
    except UserError:
        raise
    except Exception as error:  # a foreign file can fail in any way
        reason = " ".join(str(error).split())[:200]
        if isinstance(error, pickle.UnpicklingError):  # torch advises to load it all the same
            reason = "it holds other objects than tensors, which are never read"
        raise UserError(f"weights {path} cannot be loaded ({reason}); correct the path.") from None
    return state


def load_backbone(network: nn.Module, path: str, head: str = "fc.") -> None:
    """Load local pre-trained weights, without those of the head, into a backbone.

    A file of a pre-training of this project (`dagal.learners.backbones.Backbone`) gives its network. Raises UserError if the file is missing or does not fit.
    """
    state = read_weights(path)
    own = {name.removeprefix("network."): t for name, t in state.items() if name.startswith("network.")}
    try:
        network.load_state_dict({name: t for name, t in (own or state).items() if not name.startswith(head)})
    except Exception as error:  # whatever the shapes and names are
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
