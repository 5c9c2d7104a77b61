"""The Dice loss of a mask."""

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def dice_loss(
    logits: Float[Tensor, "*n h w"],
    target: Shaped[Tensor, "*n h w"],
    *,
    smooth: float = 1.0,
    squared: bool = False,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute 1 - (2 sum(p y) + s) / (sum p + sum y + s) for each mask, p = sigmoid(logits).

    An empty mask that is predicted empty costs 0. Masks count alike, whatever their size; to
    pool all pixels of a batch as one mask, as SamLP does, flatten it:
    `dice_loss(logits.flatten(0, -2), target.flatten(0, -2))`. SamLP's two-channel softmax of
    [1 - z, z] is `dice_loss(2 * z - 1, y) + dice_loss(1 - 2 * z, 1 - y)`, squared, smooth 1e-5:
    it draws the line at z = 0.5 in training although inference draws it at 0.

    Args:
        logits: predicted masks.
        target: true masks: bool, 0 and 1, or probabilities between them.
        smooth: s, in pixels; above 0.
        squared: square p and y in the denominator, as SamLP, SAMed and MedSAM do; SAM does not.
        reduction: what becomes of one loss a mask.

    Raises:
        InputError: `smooth` is not above 0, which leaves empty masks without a value.

    Source: Milletari et al., V-Net (2016), section 3 (squared); Kirillov et al., Segment
    Anything (2023), appendix A.
    """
    probabilities = single(logits).sigmoid()
    target = target.to(probabilities)
    return dice_of_probabilities(
        probabilities, target, smooth=smooth, squared=squared, reduction=reduction
    )


def dice_of_probabilities(
    probabilities: Float[Tensor, "*n h w"],
    target: Float[Tensor, "*n h w"],
    *,
    smooth: float = 1.0,
    squared: bool = False,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the Dice loss of values from 0 to 1; see `dice_loss`.

    Raises:
        InputError: `smooth` is not above 0.
    """
    if not smooth > 0:
        raise InputError(
            f"smooth is {smooth}: give a number above 0, else an empty mask has no Dice"
        )
    p, y = single(probabilities), single(target)
    pixels = (-2, -1)
    size = (p * p + y * y if squared else p + y).sum(pixels)
    overlap = (p * y).sum(pixels)
    return reduce(1 - (2 * overlap + smooth) / (size + smooth), reduction)


class DiceLoss(nn.Module):
    """Hold the settings of `dice_loss`."""

    def __init__(
        self, smooth: float = 1.0, *, squared: bool = False, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.smooth = smooth
        self.squared = squared
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of masks; see `dice_loss`."""
        return dice_loss(
            logits, target, smooth=self.smooth, squared=self.squared, reduction=self.reduction
        )
