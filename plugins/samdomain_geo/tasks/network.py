"""A SAM between a data module of torchgeo and its criterion: values in, logits and loss out."""

import logging

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.recipes import Batch, SAMed, total
from samdomain.sam import Prediction, Sam
from samdomain.segmenter import Segmenter
from samdomain.training.sample import Scale
from samdomain_geo.stretch import DISPLAY_RANGE

logger = logging.getLogger(__name__)

# Enlarged by interpolation or shifted in colour, values leave their range a little.
_ROOM = 0.5
# An image that fills less than this share of its range is black, or its range is another.
_FAINT = 0.02
_MAPS = 3  # dimensions of (B, H, W)


class TaskNetwork(Segmenter):
    """Answer images in the values that a data module delivers.

    Args:
        sam: model that was adapted by the recipe.
        recipe: how it is asked.
        delivered: values of black and white in the batches, which weights know as 0 and 255.

    Raises:
        InputError: white is not above black.
    """

    recipe: SAMed

    def __init__(self, sam: Sam, recipe: SAMed, delivered: tuple[float, float]) -> None:
        # One range for all images, as in scenes: an image's own would change from chip to chip.
        super().__init__(sam, recipe, value_range=DISPLAY_RANGE)
        self.delivered = low, high = (float(delivered[0]), float(delivered[1]))
        if not low < high:
            raise InputError(f"value_range is {delivered}: give black, then white, as [0, 1]")
        self._checked = False
        self._answered: list[Prediction] = []
        self._side: int | None = None

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Return the logit of each class in pixels of the images.

        Raises:
            InputError: the first images have values far outside of their range.
        """
        if not self._checked:
            self._check(images)
            self._checked = True
        if self.training:
            self._side = max(images.shape[-2:])
        low, high = self.delivered
        prediction = self.answer((images - low) * (DISPLAY_RANGE[1] / (high - low)))
        self._answered = [prediction]
        return prediction.logits

    def last(self) -> Prediction:
        """Return what the last images were answered, and forget it."""
        return self._answered.pop()

    def scale(self, pixel: float | None = None) -> Scale:
        """Return how much of a scene it saw at a time in training, in pixels of a size."""
        return Scale(self._side, pixel, DISPLAY_RANGE)

    def _check(self, images: Tensor) -> None:
        (low, high), (least, most) = self.delivered, map(float, images.aminmax())
        width = high - low
        if least < low - _ROOM * width or most > high + _ROOM * width:
            raise InputError(
                f"the images have values from {least:g} to {most:g}, but value_range is {low:g} to "
                f"{high:g}: give the values of black and white that the data module delivers"
            )
        if most - least < _FAINT * width:
            logger.warning(
                "the first images have values from %g to %g, which is hardly anything of the "
                "value_range %g to %g: give the values of black and white that the data module "
                "delivers",
                least, most, low, high,
            )  # fmt: skip


class RecipeLoss(nn.Module):
    """The loss of a recipe, in the place of torchgeo's criterion.

    It is that of the decoder's own logits, before they are enlarged to the image: those of the
    network's last answer.

    Args:
        network: what answered.
        ignored: value of pixels that do not count, in masks.
    """

    def __init__(self, network: TaskNetwork, ignored: int | None) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple: it would be a second submodule otherwise
        self.ignored = float("nan") if ignored is None else ignored  # nothing equals NaN

    def forward(
        self, logits: Float[Tensor, "b *k h w"], mask: Shaped[Tensor, "b *k2 h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss of the network's last answer.

        Args:
            logits: what the network returned.
            mask: class of each pixel (B, H, W), or labels (B, K, H, W) that may overlap.

        Raises:
            InputError: a mask holds a value that is no class.
        """
        (network,) = self._network
        planes = mask[:, None] if mask.ndim == _MAPS else mask
        labelled = (planes != self.ignored).all(dim=1)
        true = planes != 0 if network.recipe.multilabel else planes[:, 0]
        unread = logits.new_empty((len(mask), 0, *mask.shape[-2:]))  # the loss is of masks alone
        batch = Batch(unread, list(true), labelled=list(labelled))
        outputs = network.recipe.aim(network.last(), batch)
        return total(network.recipe.loss(outputs, batch))
