from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from samdomain.training.adapter_writer import AdapterWriter


class Rising(LightningModule):
    """Grow by one an epoch, and call that a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))
        self.written: list[tuple[str, float, Mapping[str, float]]] = []

    def training_step(self, batch: Tensor) -> Tensor:
        return -self.value

    def validation_step(self, batch: Tensor) -> None:
        self.log("val_loss", self.value, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def save_adapter(self, folder: str | Path, metrics: Mapping[str, float]) -> None:
        self.written.append((Path(folder).as_posix(), self.value.item(), metrics))


def trained(folder: Path, *callbacks: Callback, **changes: object) -> Rising:
    module, loader = Rising(), DataLoader([torch.zeros(1)])
    trainer = Trainer(
        max_epochs=3,
        callbacks=[AdapterWriter(), *callbacks],
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **changes,
    )
    trainer.fit(module, loader, loader)
    return module


def test_the_best_weights_are_written(tmp_path: Path) -> None:
    """Beside the checkpoints, with their figure; the module keeps its last weights."""
    module = trained(tmp_path, ModelCheckpoint(tmp_path / "kept", monitor="val_loss"))
    assert module.written == [((tmp_path / "adapter").as_posix(), 1.0, {"val_loss": 1.0})]
    assert module.value == 3


def test_without_checkpoints_the_last_weights_are_written(tmp_path: Path) -> None:
    """Into the trainer's own folder, with the last figures."""
    module = trained(tmp_path, enable_checkpointing=False)
    assert module.written == [((tmp_path / "adapter").as_posix(), 3.0, {"val_loss": 3.0})]


def test_a_trial_writes_nothing(tmp_path: Path) -> None:
    """`fast_dev_run` leaves nothing behind."""
    assert not trained(tmp_path, fast_dev_run=True).written
