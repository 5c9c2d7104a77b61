"""A task and data of classes that a config can name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from samdomain import load_adapter, load_sam, save_adapter
from samdomain.recipes import SAMed
from samdomain.segmenter import Segmenter
from samdomain.training.adapter_writer import AdapterWriter
from samdomain.training.choice import CardChoice
from samdomain.training.sample import Scale


class ToyTask(LightningModule):
    """Tell bright from dark pixels."""

    monitor = "val_loss"
    mode = "min"

    def __init__(self, rate: float = 0.01, adapter: str | None = None) -> None:
        super().__init__()
        self.rate = rate
        recipe, sam = SAMed(), load_sam("tiny")
        if adapter is not None:
            load_adapter(adapter, sam)
        recipe.adapt(sam)
        self.model = Segmenter(sam, recipe)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        return self._loss(batch, "train_loss")

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self._loss(batch, "val_loss")

    def test_step(self, batch: dict[str, Tensor]) -> None:
        self._loss(batch, "test_loss")

    def predict_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"probabilities": self.model.probabilities(batch["image"])}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD((p for p in self.parameters() if p.requires_grad), lr=self.rate)

    def configure_callbacks(self) -> list[Callback]:
        return [AdapterWriter()]

    def save_adapter(self, folder: str | Path, metrics: Mapping[str, float]) -> Any:
        card = CardChoice().card(self.model.recipe, Scale(), metrics)
        return save_adapter(self.model.sam, folder, card)

    def _loss(self, batch: dict[str, Tensor], name: str) -> Tensor:
        loss = nn.functional.cross_entropy(self.model(batch["image"]), batch["mask"])
        self.log(name, loss, batch_size=len(batch["image"]))
        return loss


class ToyData(LightningDataModule):
    """Four images of noise, two a batch."""

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self.folder = folder

    def setup(self, stage: str) -> None:
        if self.folder is not None:
            raise FileNotFoundError(f"there is nothing in {self.folder}\nnor anywhere else")

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        chance = torch.Generator().manual_seed(0)
        images = torch.rand(4, 3, 32, 32, generator=chance) * 255
        return DataLoader(
            [{"image": one, "mask": (one[0] > 127).long()} for one in images], batch_size=2
        )

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader
