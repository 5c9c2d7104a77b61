"""Semantic segmentation by a SAM, as a task of torchgeo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from samdomain.adapter_file import save_adapter
from samdomain.task_network import RecipeLoss
from samdomain.training.choice import CardChoice
from samdomain_geo.tasks.network import TorchgeoNetwork
from samdomain_geo.tasks.torchgeo_segmentation import TorchgeoSegmentation
from samdomain_geo.tasks.words import load_adapted, read_recipe


class SamSemanticSegmentation(TorchgeoSegmentation):
    """Name every pixel by the recipe `samed`: a shell in torchgeo's words.

    Words that would do nothing are refused: `model`, `backbone`, `num_filters` and `freeze_decoder`
    are of torchgeo's networks, and weights are given to a loss that looks at them.

    Args:
        weights: a name that `samdomain weights list` shows, or the path of a checkpoint.
        in_channels: bands of an image; more than three are mixed by trained weights.
        loss: "samed" for the recipe's own, of the decoder's logits; or torchgeo's, of the image's.
        class_weights: a weight a class, for losses "samed" and "ce".
        pos_weight: what true pixels weigh, or a list for each label, for loss "bce".
        ignore_index: value in masks of pixels that do not count.
        freeze_backbone: train the decoder alone.
        preset: preset of the recipe: recommended, pyramid, small or paper.
        input_size: side of the encoder's input in pixels; that of the weights by default.
        value_range: black and white as the data module delivers them; torchgeo's own give 0 to 1.
        rgb: which bands are red, green and blue, counted from 0.
        pixel_size: ground size of a pixel in metres, for whoever uses the adapter elsewhere.
        adapter: folder or name of an adapter to start from.
    """

    ignore = None  # weights are a name here, which checkpoints keep
    model: TorchgeoNetwork

    def __init__(
        self,
        weights: str = "litemedsam",
        in_channels: int = 3,
        task: Literal["binary", "multiclass", "multilabel"] = "multiclass",
        num_classes: int | None = None,
        num_labels: int | None = None,
        labels: list[str] | None = None,
        loss: Literal["samed", "ce", "bce", "jaccard", "focal", "dice"] = "samed",
        class_weights: Tensor | Sequence[float] | None = None,
        pos_weight: float | Sequence[float] | Tensor | None = None,
        ignore_index: int | None = None,
        lr: float = 1e-3,
        patience: int = 10,
        freeze_backbone: bool = False,
        preset: str = "recommended",
        input_size: int | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
        rgb: tuple[int, int, int] = (0, 1, 2),
        pixel_size: float | None = None,
        adapter: str | None = None,
    ) -> None:
        super().__init__()

    def configure_models(self) -> None:
        """Load the model and adapt it."""
        recipe = read_recipe(self.hparams)
        sam = load_adapted(self.hparams, recipe)
        self.model = TorchgeoNetwork(sam, recipe, self.hparams["value_range"]).train()

    def recipe_loss(self) -> RecipeLoss:
        """Return the loss of the word "samed"; torchgeo has those of the others."""
        return RecipeLoss(self.model, self.hparams["ignore_index"])

    def save_adapter(self, folder: str | Path, metrics: Mapping[str, float] | None = None) -> None:
        """Write what was trained, a few MB, with figures for its card."""
        scale = self.model.scale(self.hparams["pixel_size"])
        card = CardChoice().card(self.model.recipe, scale, metrics or {})
        save_adapter(self.model.sam, folder, card, overwrite=True)
