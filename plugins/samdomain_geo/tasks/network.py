"""A SAM between a data module of torchgeo and its criterion."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from samdomain.recipes import Recipe
from samdomain.sam import Embedding, Prompts, Sam
from samdomain.task_network import TaskNetwork
from samdomain.training.sample import Scale
from samdomain_geo.scenes.stretch import DISPLAY_RANGE


class TorchgeoNetwork(TaskNetwork):
    """Answer images in the values that a data module delivers.

    Args:
        sam: model that was adapted by the recipe.
        recipe: how it is asked.
        delivered: values of black and white in the batches, which weights know as 0 and 255.

    Raises:
        InputError: white is not above black.
    """

    def __init__(self, sam: Sam, recipe: Recipe, delivered: Sequence[float | int]) -> None:
        # One range for all images, as in scenes: an image's own would change from chip to chip.
        super().__init__(sam, recipe, delivered, DISPLAY_RANGE)
        self._side: int | None = None

    def forward(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logit of each class in pixels of the images; see `TaskNetwork`."""
        if self.training:
            self._side = max(images.shape[-2:])
        return super().forward(images, prompts)

    def scale(self, pixel: float | None = None) -> Scale:
        """Return how much of a scene it saw at a time in training, in pixels of a size."""
        return Scale(self._side, pixel, DISPLAY_RANGE)


class ChangeTaskNetwork(TorchgeoNetwork):
    """Compare two dates, whose bands torchgeo's task of change stacks."""

    def forward(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logit of a change (B, 1, H, W) in pixels of the images.

        Args:
            images: both dates (B, T=2 C, H, W), the bands of the earlier one first.
            prompts: none; see `SamCD`.
        """
        low, high = self.delivered
        # Standardised values have no white: clouds and roofs are cut off, as a display does.
        return super().forward(images.clamp(low, high) if low < 0 else images, prompts)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Embedding:
        """Encode both dates (B, T=2 C, H, W), those of a place beside one another."""
        return super().encode(images.unflatten(1, (2, -1)).flatten(0, 1))
