"""torchgeo's task of semantic segmentation, under whichever name this release of torchgeo has it.

0.8 and 0.9 call it `torchgeo.trainers.SemanticSegmentationTask`, 0.10 and later
`torchgeo.tasks.SemanticSegmentation`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from samdomain.errors import InputError
from samdomain.training.adapter_writer import AdapterWriter
from samdomain_geo.tasks.words import positive_weight

if TYPE_CHECKING:
    from torchgeo.trainers import SemanticSegmentationTask as Segmentation
elif find_spec("torchgeo.tasks") is None:
    Segmentation = import_module("torchgeo.trainers").SemanticSegmentationTask
else:
    Segmentation = import_module("torchgeo.tasks").SemanticSegmentation

Batch = Mapping[str, Any]
"""What a data module delivers: `image` (B, C, H, W), `mask` (B, H, W) or (B, 1, H, W), or
(B, K, H, W) of labels that may overlap, and whatever else it knows of a place."""


class TorchgeoSegmentation(Segmentation):
    """Train and measure as torchgeo does, whichever its release.

    Steps, metrics and their names are torchgeo's own. What trains goes into the optimiser, and
    nothing else; masks may have a channel; predictions are mappings in all releases.
    """

    def __init__(self) -> None:
        # Past torchgeo's own arguments, which name networks that stand nowhere here. Its search
        # for the arguments of whom calls this goes by the mention of `__class__`.
        super(__class__.__base__, self).__init__()

    @abstractmethod
    def recipe_loss(self) -> nn.Module:
        """Return the loss of a recipe, which is called as torchgeo's are: on logits and mask."""

    def configure_callbacks(self) -> list[Callback]:
        """Write the adapter beside the checkpoints when a fit ends."""
        return [AdapterWriter()]

    def configure_losses(self) -> None:
        """Make the loss: the recipe's, or one of torchgeo's own.

        Raises:
            InputError: this release of torchgeo has no such loss.
        """
        if self.hparams["loss"] == "samed":
            self.criterion = self.recipe_loss()
            return
        if self.hparams["loss"] == "bce":  # 0.8's knows no pos_weight, others take no numbers
            self.criterion = nn.BCEWithLogitsLoss(pos_weight=positive_weight(self.hparams))
            return
        super().configure_losses()
        if not hasattr(self, "criterion"):
            raise InputError(
                f"loss is {self.hparams['loss']!r}, which this release of torchgeo does not have: "
                "'samed' and 'ce' are in all"
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return torchgeo's AdamW over what trains, its rate lowered where `val_loss` stays."""
        trained = [one for one in self.parameters() if one.requires_grad]
        optimizer = AdamW(trained, lr=self.hparams["lr"])
        scheduler = ReduceLROnPlateau(optimizer, patience=self.hparams["patience"])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": self.monitor},
        }

    def training_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the loss of a batch, and log it as `train_loss`."""
        return super().training_step(_plain(batch), batch_idx, dataloader_idx)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure a batch, and log `val_loss` and the metrics."""
        super().validation_step(_plain(batch), batch_idx, dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure a batch, and log `test_loss` and the metrics."""
        super().test_step(_plain(batch), batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Return the probabilities (B, K, H, W) of the classes, and where they lie.

        Returns:
            dict: `probabilities`, and the batch's `bounds` and `transform`, None where the data
            module does not tell: torchgeo 0.8 takes them away.
        """
        return placed(super().predict_step(batch, batch_idx, dataloader_idx), batch)


def placed(found: Any, batch: Batch) -> Any:
    """Return what was predicted with where it lies; what is a mapping already stays as it is."""
    known = {"bounds": batch.get("bounds"), "transform": batch.get("transform")}
    return {**known, "probabilities": found} if isinstance(found, Tensor) else found


def _plain(batch: Batch) -> dict[str, Any]:
    """Take the channel away from masks (B, 1, H, W)."""
    mask: Tensor = batch["mask"]
    return {**batch, "mask": mask.squeeze(1) if mask.ndim == batch["image"].ndim else mask}
