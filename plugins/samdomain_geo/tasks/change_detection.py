"""Change detection by a SAM, as a task of torchgeo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from samdomain.adapter_file import save_adapter
from samdomain.task_network import RecipeLoss
from samdomain.training.choice import CardChoice
from samdomain_geo.tasks.network import ChangeTaskNetwork
from samdomain_geo.tasks.torchgeo_change import TorchgeoChange
from samdomain_geo.tasks.words import load_adapted, read_change_recipe


class SamChangeDetection(TorchgeoChange):
    """Tell what changed between two dates by the recipe `sam_cd`: a shell in torchgeo's words.

    Batches have `image` (B, T=2, C, H, W) and `mask` (B, 1, H, W), 0 where nothing changed.
    torchgeo's words of several classes, `num_classes`, `num_labels`, `labels` and `class_weights`,
    are refused; so are `backbone`, `num_filters` and those that freeze, of torchgeo's networks.

    Args:
        weights: a name that `samdomain weights list` shows, or the path of a checkpoint.
        in_channels: bands of a date; more than three are mixed by trained weights.
        loss: "sam_cd" for the recipe's own; or torchgeo's.
        pos_weight: what changed pixels weigh, for loss "bce".
        ignore_index: value in masks of pixels that do not count.
        preset: preset of the recipe: recommended, plain, paper or official.
        encoder_rank: rank of updates of the encoder's queries and values; 0 leaves it frozen.
        input_size: side of the encoder's input in pixels; that of the weights by default.
        value_range: black and white as the data module delivers them; torchgeo's own give 0 to 1.
        rgb: which bands are red, green and blue, counted from 0.
        pixel_size: ground size of a pixel in metres, for whoever uses the adapter elsewhere.
        adapter: folder or name of an adapter to start from.
    """

    ignore = None  # weights are a name here, which checkpoints keep
    model: ChangeTaskNetwork

    def __init__(
        self,
        weights: str = "litemedsam",
        model: Literal["sam_cd"] = "sam_cd",
        in_channels: int = 3,
        task: Literal["binary"] = "binary",
        num_classes: int | None = None,
        num_labels: int | None = None,
        labels: list[str] | None = None,
        loss: Literal["sam_cd", "bce", "jaccard", "focal", "dice"] = "sam_cd",
        class_weights: Tensor | Sequence[float] | None = None,
        pos_weight: float | Tensor | None = None,
        ignore_index: int | None = None,
        lr: float = 1e-3,
        patience: int = 10,
        preset: str = "recommended",
        encoder_rank: int = 0,
        input_size: int | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
        rgb: tuple[int, int, int] = (0, 1, 2),
        pixel_size: float | None = None,
        adapter: str | None = None,
    ) -> None:
        super().__init__()

    def configure_models(self) -> None:
        """Load the model and adapt it."""
        recipe = read_change_recipe(self.hparams)
        sam = load_adapted(self.hparams, recipe)
        self.model = ChangeTaskNetwork(sam, recipe, self.hparams["value_range"]).train()

    def recipe_loss(self) -> RecipeLoss:
        """Return the loss of the word "sam_cd"; torchgeo has those of the others."""
        return RecipeLoss(self.model, self.hparams["ignore_index"])

    def save_adapter(self, folder: str | Path, metrics: Mapping[str, float] | None = None) -> None:
        """Write what was trained, a few MB, with figures for its card."""
        scale = self.model.scale(self.hparams["pixel_size"])
        card = CardChoice().card(self.model.recipe, scale, metrics or {})
        save_adapter(self.model.sam, folder, card, overwrite=True)
