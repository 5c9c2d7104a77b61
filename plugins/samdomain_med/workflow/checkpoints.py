"""Checkpoints of a bundle's training: the best network, and where to go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.handlers.checkpoint_saver import CheckpointSaver
from torch import nn
from torch.distributed import get_rank, is_initialized

from samdomain.adapter_file import DataSource, save_adapter
from samdomain.errors import InputError
from samdomain.training.choice import CardChoice
from samdomain.training.sample import Scale
from samdomain_med.network import SamSegmenter

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
        self.file = Path(folder) / filename

    @property
    def score(self) -> float | None:
        """How good the best network is; None where there is none yet."""
        kept = self.state_dict()["_saved"]
        return max(float(score) for score, _ in kept) if kept else None

    def state_dict(self) -> Mapping[str, Any]:
        """Return how good the best network is; `load_state_dict` takes it."""
        if self._key_metric_checkpoint is None:
            raise TypeError("a saver of the best network has no checkpoint of it")
        return self._key_metric_checkpoint.state_dict()


def write_adapter(
    best: BestNetwork, network: SamSegmenter, card: Mapping[str, Any], metric: str = "val/dice"
) -> None:
    """Write the best network of a training as an adapter, into `adapter` beside its weights.

    The network has the best weights from then on. Where nothing was validated there is no best
    one, and nothing is written. Of several processes the first one writes.

    Args:
        best: what kept it.
        network: what is trained.
        card: what its model card says; see `samdomain.training.choice.CardChoice`.
        metric: what the card calls the key metric.
    """
    if not best.file.is_file() or (is_initialized() and get_rank()):
        return
    network.load_state_dict(torch.load(best.file, map_location="cpu", weights_only=True))
    sources = tuple(DataSource(**one) for one in card.get("data", ()))
    said = CardChoice(**{**card, "data": sources})
    told = {} if best.score is None else {metric: round(best.score, 4)}
    save_adapter(
        network.sam,
        best.file.parent / "adapter",
        said.card(network.recipe, Scale(), told),
        overwrite=True,
    )


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
