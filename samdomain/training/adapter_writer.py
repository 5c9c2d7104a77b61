"""Write the adapter of a task when its fit ends, beside the checkpoints."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

FOLDER = "adapter"
"""What the folder of the adapter is called."""


@runtime_checkable
class Publishing(Protocol):
    """A LightningModule that can write what it trained."""

    def save_adapter(self, folder: str | Path, metrics: Mapping[str, float]) -> Any:
        """Write an adapter and the figures that its card shall tell."""
        ...


class AdapterWriter(Callback):
    """Write the adapter of the best checkpoint, or else of the last weights.

    It goes into `adapter` beside the folder of the checkpoints, or in the trainer's own folder
    where there are none. A `fast_dev_run` leaves nothing behind, as Lightning has it.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the adapter."""
        short: bool = trainer.fast_dev_run  # pyright: ignore[reportAttributeAccessIssue] - set late
        if short or not trainer.is_global_zero:
            return
        if isinstance(pl_module, Publishing):
            with _best_weights(trainer, pl_module) as metrics:
                pl_module.save_adapter(adapter_folder(trainer), metrics)


def adapter_folder(trainer: Trainer) -> Path:
    """Return where the adapter of a fit goes."""
    kept = trainer.checkpoint_callback
    if isinstance(kept, ModelCheckpoint) and kept.dirpath is not None:
        return Path(kept.dirpath).parent / FOLDER
    return Path(trainer.default_root_dir) / FOLDER


@contextmanager
def _best_weights(trainer: Trainer, module: LightningModule) -> Iterator[Mapping[str, float]]:
    """Put the best checkpoint's weights into a module for a while, and give its figure."""
    kept = trainer.checkpoint_callback
    score = kept.best_model_score if isinstance(kept, ModelCheckpoint) else None
    if not isinstance(kept, ModelCheckpoint) or kept.monitor is None or score is None:
        yield {name: float(one) for name, one in trainer.callback_metrics.items()}
        return
    best = torch.load(kept.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    last = {
        name: one.clone()
        for name, one in module.state_dict().items()
        if name in best and not torch.equal(one.cpu(), best[name])
    }
    module.load_state_dict(best, strict=False)
    yield {kept.monitor: float(score)}
    module.load_state_dict(last, strict=False)
