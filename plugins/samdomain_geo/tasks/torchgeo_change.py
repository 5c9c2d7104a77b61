"""torchgeo's task of change detection, under whichever name this release of torchgeo has it.

0.8 and 0.9 call it `torchgeo.trainers.ChangeDetectionTask`, 0.10 and later
`torchgeo.tasks.ChangeDetection`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from samdomain.errors import InputError
from samdomain.training.adapter_writer import AdapterWriter
from samdomain_geo.tasks.torchgeo_segmentation import placed
from samdomain_geo.tasks.words import positive_weight

if TYPE_CHECKING:
    from torchgeo.trainers import ChangeDetectionTask as Change
elif find_spec("torchgeo.tasks") is None:
    Change = import_module("torchgeo.trainers").ChangeDetectionTask
else:
    Change = import_module("torchgeo.tasks").ChangeDetection

_FIGURES = 10


class TorchgeoChange(Change):
    """Train and measure as torchgeo does, whichever its release.

    Steps, metrics and their names are torchgeo's own. What trains goes into the optimiser, and
    nothing else; predictions are mappings in all releases.
    """

    def __init__(self) -> None:
        # As in TorchgeoSegmentation: past the arguments of networks that stand nowhere here.
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
        if self.hparams["loss"] == "sam_cd":
            self.criterion = self.recipe_loss()
            return
        if self.hparams["loss"] == "bce":  # torchgeo's own takes no numbers, which YAML has
            self.criterion = nn.BCEWithLogitsLoss(pos_weight=positive_weight(self.hparams))
            return
        super().configure_losses()
        if not hasattr(self, "criterion"):
            raise InputError(
                f"loss is {self.hparams['loss']!r}, which this release of torchgeo does not have: "
                "'sam_cd' and 'bce' are in all"
            )

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """Measure a batch, and log `val_loss` and the metrics."""
        # Of its first batches torchgeo draws figures, by a transform that kornia 0.9 refuses.
        super().validation_step(batch, batch_idx + _FIGURES)

    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0
    ) -> Any:
        """Return the probability (B, 1, H, W) of a change, and where it lies.

        Returns:
            dict: `probabilities`, and the batch's `bounds` and `transform`, None where the data
            module does not tell; as of a task of segmentation, where torchgeo's own tells a tensor.
        """
        return placed(super().predict_step(batch, batch_idx, dataloader_idx), batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return torchgeo's AdamW over what trains, its rate lowered where `val_loss` stays."""
        trained = [one for one in self.parameters() if one.requires_grad]
        optimizer = AdamW(trained, lr=self.hparams["lr"])
        scheduler = ReduceLROnPlateau(optimizer, patience=self.hparams["patience"])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": self.monitor},
        }
