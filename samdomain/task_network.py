"""A SAM as the network of another library's training: its values in, logits and loss out."""

import logging
from collections.abc import Sequence

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.recipes import THING, Batch, PromptFree, Recipe, total
from samdomain.sam import Prediction, Prompts, SamLike
from samdomain.segmenter import Segmenter

logger = logging.getLogger(__name__)

_WHITE = 255.0  # as published weights know it; black is 0
# Enlarged by interpolation or shifted in colour, values leave their range a little.
_ROOM = 0.5
# An image that fills less than this share of its range is black, or its range is another.
_FAINT = 0.02
_MAPS = 3  # dimensions of (B, H, W)


class TaskNetwork(Segmenter):
    """Answer images in the values that another library's data has.

    Args:
        sam: model that was adapted by the recipe.
        recipe: how it is asked.
        delivered: values of black and white in the images, which weights know as 0 and 255.
        value_range: see `Segmenter`, in the values that weights know.

    Raises:
        InputError: white is not above black.
    """

    def __init__(
        self,
        sam: SamLike,
        recipe: Recipe,
        delivered: Sequence[float | int] = (0.0, 1.0),
        value_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(sam, recipe, value_range=value_range)
        self.delivered = low, high = (float(delivered[0]), float(delivered[1]))
        if not low < high:
            raise InputError(f"value_range is {delivered}: give black, then white, as [0, 1]")
        self._checked = False
        self._decoded: Sequence[Prediction] = ()

    def forward(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logit of each class in pixels of the images.

        Args:
            images: values between black and white.
            prompts: what to look for, a mask each; by default what the recipe was made for.

        Raises:
            InputError: the first images have values far outside of their range.
            PromptError: the recipe needs prompts, and none were given.
        """
        if not self._checked:
            self._check(images)
            self._checked = True
        pixels = self.pixels(images)
        if prompts is None and self.training and isinstance(self.recipe, PromptFree):
            self._decoded = self.recipe.decode(self.sam, self.encode(pixels))
        else:
            self._decoded = (self.answer(pixels, prompts),)
        return self._decoded[-1].logits

    def pixels(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ h w"]:
        """Return images in the values that weights know."""
        low, high = self.delivered
        return (images - low) * (_WHITE / (high - low))

    def last(self) -> Sequence[Prediction]:
        """Return what was decoded of the last images, and forget it."""
        decoded, self._decoded = self._decoded, ()
        return decoded

    def _check(self, images: Tensor) -> None:
        (low, high), (least, most) = self.delivered, map(float, images.aminmax())
        width = high - low
        if least < low - _ROOM * width or most > high + _ROOM * width:
            raise InputError(
                f"the images have values from {least:g} to {most:g}, but value_range is {low:g} to "
                f"{high:g}: give the values of black and white that the data has"
            )
        if most - least < _FAINT * width:
            logger.warning(
                "the first images have values from %g to %g, which is hardly anything of the "
                "value_range %g to %g: give the values of black and white that the data has",
                least, most, low, high,
            )  # fmt: skip


class RecipeLoss(nn.Module):
    """The loss of a recipe, in the place of another library's criterion.

    It is that of the decoder's own logits, before they are enlarged to the image: those of the
    network's last answer.

    Args:
        network: what answered.
        ignored: value of pixels that do not count, in masks.

    Raises:
        InputError: the recipe's training needs prompts.
    """

    def __init__(self, network: TaskNetwork, ignored: int | None = None) -> None:
        super().__init__()
        if not isinstance(network.recipe, PromptFree):
            raise InputError(
                f"recipe {network.recipe.name!r} learns from prompts, which only samdomain fit "
                "makes: take another loss, or sam_sp or samed"
            )
        self._recipe = network.recipe
        self._network = (network,)  # in a tuple: it would be a second submodule otherwise
        self.ignored = float("nan") if ignored is None else ignored  # nothing equals NaN

    def forward(
        self, logits: Float[Tensor, "b *k h w"], mask: Shaped[Tensor, "b *k2 h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss of the network's last answer.

        Args:
            logits: what the network returned.
            mask: class of each pixel (B, H, W) or (B, 1, H, W), or labels (B, K, H, W) that may
                overlap. Whole numbers may come as floats, as other libraries load them.

        Raises:
            InputError: a mask holds a value that is no class.
        """
        (network,) = self._network
        planes = mask[:, None] if mask.ndim == _MAPS else mask
        labelled = (planes != self.ignored).all(dim=1)
        legend = self._recipe.legend or THING
        if legend.overlapping:
            true = (planes != 0) & labelled[:, None]
        else:
            true = _whole(planes[:, 0].masked_fill(~labelled, legend.ignore))
        unread = logits.new_empty((len(mask), 0, *mask.shape[-2:]))  # the loss is of masks alone
        batch = Batch(unread, list(true), labelled=list(labelled))
        return total(self._recipe.loss(self._recipe.aim(network.last(), batch), batch))


def _whole(classes: Shaped[Tensor, "b h w"]) -> Shaped[Tensor, "b h w"]:
    """Return classes as whole numbers.

    Raises:
        InputError: there is a fraction among them.
    """
    if not classes.is_floating_point():
        return classes
    if not (classes == classes.round()).all():
        raise InputError("a mask holds fractions: give the number of each pixel's class")
    return classes.long()
