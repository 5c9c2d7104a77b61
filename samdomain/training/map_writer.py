"""Write what a task predicts as pictures of classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch import Tensor

from samdomain.recipes import Legend
from samdomain.training.predicting import drawn
from samdomain.training.publishing import published


class MapWriter(BasePredictionWriter):
    """Write a PNG an image, as `samdomain predict` does for recipes.

    Batches name no files: pictures have the number of the process, the batch and the image.

    Args:
        folder: folder of the pictures.
        legend: what the channels of `probabilities` mean, in what the task predicts.

    Attributes:
        count: how many were written.
    """

    def __init__(self, folder: Path, legend: Legend) -> None:
        super().__init__("batch")
        self.folder = folder
        self.legend = legend
        self.count = 0

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Mapping[str, Any],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the pictures of a batch."""
        del pl_module, batch_indices, batch
        probabilities: Tensor = prediction["probabilities"]
        first = f"{trainer.global_rank}-{dataloader_idx}-{batch_idx:06d}"
        for i, one in enumerate(probabilities.float().logit()):
            with published(self.folder / f"{first}-{i:03d}.png") as scratch:
                Image.fromarray(drawn(self.legend, one)).save(scratch)
            self.count += 1
