"""Read a state dict from a file without running any code that the file may carry."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from samdomain.errors import WeightsError


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running any code that the file may carry.

    A training checkpoint that wraps the weights as "model" or "state_dict", and the
    "module." that DistributedDataParallel puts before each key, are unwrapped.

    Raises:
        WeightsError: the file carries code, is damaged, or holds no tensors.
    """
    content = _read_tensors(path)
    for wrapper in ("model", "state_dict"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    state = {
        str(key).removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not state:
        raise WeightsError(f"{path} holds no tensors: give a state dict of a SAM")
    return state


def _read_tensors(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} was refused: it is not a plain file of tensors, and to load it could run "
            "code. Save its state dict as safetensors on a machine where you trust it"
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as weights, it may be cut off or damaged: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}: give a state dict of a SAM")
    return content
