"""Checkpoints of a bundle's training: the best network, and where to go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.handlers.checkpoint_saver import CheckpointSaver
from torch import nn

from samdomain.errors import InputError

_LAST = "checkpoint_epoch="


class BestNetwork(CheckpointSaver):
    """Keep the network with the best key metric in a file; resumption remembers how good it is.

    Args:
        folder: folder of the file.
        network: what is kept, as a plain state dict.
        filename: the file.
    """

    def __init__(self, folder: str, network: nn.Module, filename: str = "model.pt") -> None:
        super().__init__(
            folder, {"network": network}, save_key_metric=True, key_metric_filename=filename
        )

    def state_dict(self) -> Mapping[str, Any]:
        """Return how good the best network is; `load_state_dict` takes it."""
        if self._key_metric_checkpoint is None:
            raise TypeError("a saver of the best network has no checkpoint of it")
        return self._key_metric_checkpoint.state_dict()


def last_checkpoint(folder: str) -> str:
    """Return the checkpoint of the last epoch that MONAI's `CheckpointSaver` wrote.

    Raises:
        InputError: the folder has none.
    """
    found = {
        int(path.stem.removeprefix(_LAST)): path
        for path in Path(folder).glob(f"{_LAST}*.pt")
        if path.stem.removeprefix(_LAST).isdecimal()
    }
    if not found:
        raise InputError(f"{folder} has no {_LAST}N.pt to resume from: train from the beginning")
    return str(found[max(found)])
