"""The loss of SAM's own estimate of how good its masks are."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from samdomain.losses.dice import dice_loss
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce

Quality = Callable[[Tensor, Tensor], Tensor]
"""Measure logits (*n, h, w) against masks (*n, h, w): one value from 0 to 1 a mask."""


def mask_iou(
    logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Measure the IoU of masks, which are where their logits are above 0.

    The threshold is 0 also where WeSAM's code takes 0.5 of logits. Two empty masks agree: 1
    (SAM 2's code says 0). No gradient flows.
    """
    logits = single(logits.detach())
    predicted, true = logits > 0, target > 0.5  # noqa: PLR2004 - half of 0 and 1
    both = (predicted & true).sum((-2, -1)).to(logits)
    either = (predicted | true).sum((-2, -1)).to(logits)
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def soft_dice(
    logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Measure 1 - Dice loss, which Semantic-SAM teaches its IoU head in the IoU's place.

    Source: official code of Li et al., Semantic-SAM (arXiv 2307.04767).
    """
    return 1 - dice_loss(logits.detach(), target, reduction="none")


def iou_loss(
    estimate: Float[Tensor, "*n"],
    logits: Float[Tensor, "*n h w"],
    target: Shaped[Tensor, "*n h w"],
    *,
    quality: Quality = mask_iou,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the squared error of the estimated quality of each mask.

    All alternatives of an ambiguous prompt learn from it, not only the best. No gradient
    reaches the masks.

    Args:
        estimate: the decoder's estimates, as `Prediction.iou` holds them.
        logits: the masks that were estimated.
        target: true masks.
        quality: what the estimate should say; the IoU as SAM does, or `soft_dice`.
        reduction: what becomes of one loss a mask.

    Source: Kirillov et al., Segment Anything (2023), appendix A.
    """
    with torch.no_grad():
        true = quality(logits, target)
    return reduce((estimate - true).square(), reduction)


class IoULoss(nn.Module):
    """Hold the settings of `iou_loss`."""

    def __init__(self, quality: Quality = mask_iou, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.quality = quality
        self.reduction: Reduction = reduction

    def forward(
        self,
        estimate: Float[Tensor, "*n"],
        logits: Float[Tensor, "*n h w"],
        target: Shaped[Tensor, "*n h w"],
    ) -> Float[Tensor, "..."]:
        """Return the loss of estimates; see `iou_loss`."""
        return iou_loss(estimate, logits, target, quality=self.quality, reduction=self.reduction)
