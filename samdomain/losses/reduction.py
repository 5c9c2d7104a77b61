"""Bring the losses of many masks together."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from samdomain.errors import InputError

Reduction = Literal["mean", "sum", "none"]
"""What becomes of one loss an item: their mean, their sum, or each for itself."""


def reduce(losses: Float[Tensor, "*n"], reduction: Reduction) -> Float[Tensor, "..."]:
    """Bring losses, one an item, together.

    The mean over no items is 0, so that a batch without objects does no harm.

    Args:
        losses: one loss an item.
        reduction: "mean", "sum" or "none".

    Raises:
        InputError: the reduction is none of these.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / max(losses.numel(), 1)
    raise InputError(
        f"reduction is {reduction!r}: allowed are {', '.join(map(repr, get_args(Reduction)))}"
    )
