"""torchgeo's U-Net on the chips of `samdomain fit`, with the loss and the rate that `samed` has."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rivals import falling_rate
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from torchgeo.trainers import SemanticSegmentationTask
from torchmetrics.classification import MulticlassConfusionMatrix

from samdomain.recipes import ClassCost, total
from samdomain.training.dataset import SampleDataset
from samdomain.training.objects import UNLABELLED
from samdomain_geo.classes.class_network import filled_up

MEAN_IOU = "MeanIoU"


class MeanIoU(MulticlassConfusionMatrix):
    """Mean IoU of the classes that the truth has, over all pixels, as `samed` chooses by it."""

    def compute(self) -> Tensor:
        """Return the mean."""
        matrix = super().compute().double()
        true, found, both = matrix.sum(1), matrix.sum(0), matrix.diagonal()
        return (both / (true + found - both))[true > 0].mean()


class UNet(SemanticSegmentationTask):
    """torchgeo's task with our loss, a rate that falls with the clock, and the mean IoU.

    Attributes:
        minutes: time in which the rate falls.
    """

    minutes: float = 0.0

    def configure_losses(self) -> None:
        """Make the loss that `samed` has."""
        self.criterion = Cost(self.hparams["num_classes"])

    def configure_metrics(self) -> None:
        """Add the mean IoU over the classes: torchgeo's own is over the pixels."""
        super().configure_metrics()
        mean = MeanIoU(self.hparams["num_classes"], ignore_index=UNLABELLED)
        self.val_metrics.add_metrics({MEAN_IOU: mean})

    def configure_optimizers(self) -> Any:
        """Return AdamW at a rate that the clock lowers."""
        return falling_rate(self.parameters(), self.hparams["lr"], self.minutes)


class Cost(nn.Module):
    """Cross-entropy and Dice of classes, as `samed` weighs them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W), where somebody labelled."""
        shares = mask[:, None] == torch.arange(self.classes, device=mask.device)[:, None, None]
        return total(ClassCost().of_classes(logits, shares.to(logits)))


class Tiles(Dataset[dict[str, Tensor]]):
    """Chips as torchgeo's task takes them, in all variants of a data set."""

    def __init__(self, items: SampleDataset) -> None:
        self._items = items

    def __len__(self) -> int:
        """Return the number of chips times that of their variants."""
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a chip from 0 to 1 with its classes."""
        item = self._items[index]
        return {"image": item.image.float() / 255, "mask": item.masks.long()}


@torch.no_grad()
def look(
    task: SemanticSegmentationTask, side: int, size: int, chips: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the U-Net's probabilities; chips of a size are brought to the side that it knows.

    Those of a small image are filled up, as for an adapter.
    """
    rows, columns = chips.shape[2:]
    pixels = filled_up(chips, size) / 255
    if size != side:
        pixels = functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    found = task(pixels)
    if size != side:
        found = functional.interpolate(found, (size, size), mode="bilinear")
    return found.softmax(dim=1)[..., :rows, :columns].numpy()
