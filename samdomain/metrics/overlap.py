"""Measure how far masks overlap, mask by mask or all pixels together."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.errors import InputError


def dice_score(
    predicted: Bool[Tensor, "*n h w"], true: Bool[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Measure the Dice of each mask, from 0 to 1; two empty masks have 1.

    Raises:
        InputError: a mask is not bool.
    """
    both, sizes = _counts(predicted, true, (-2, -1))
    return _share(2 * both, sizes)


def iou_score(
    predicted: Bool[Tensor, "*n h w"], true: Bool[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Measure the IoU of each mask, from 0 to 1; two empty masks have 1.

    Raises:
        InputError: a mask is not bool.
    """
    both, sizes = _counts(predicted, true, (-2, -1))
    return _share(both, sizes - both)


def pooled_dice(
    predicted: Bool[Tensor, "*n h w"], true: Bool[Tensor, "*n h w"]
) -> Float[Tensor, ""]:
    """Measure the Dice of all pixels of all masks together.

    It is the F1 of the class of the pixels, where large objects count more; the mean of
    `dice_score` is another number.

    Raises:
        InputError: a mask is not bool.
    """
    both, sizes = _counts(predicted, true, None)
    return _share(2 * both, sizes)


def pooled_iou(
    predicted: Bool[Tensor, "*n h w"], true: Bool[Tensor, "*n h w"]
) -> Float[Tensor, ""]:
    """Measure the IoU of all pixels of all masks together; see `pooled_dice`.

    Raises:
        InputError: a mask is not bool.
    """
    both, sizes = _counts(predicted, true, None)
    return _share(both, sizes - both)


def class_averaged(
    score: Callable[[Tensor, Tensor], Tensor],
    predicted: Bool[Tensor, "*n h w"],
    true: Bool[Tensor, "*n h w"],
) -> Float[Tensor, "*k"]:
    """Return the mean of a score over the object's class and the rest of the image.

    Some papers report this number under the name of the plain one (SAM-CD's F1 of 95.50 is
    91.46 for the class of changes): call it by its own name.

    Args:
        score: a function of two masks, as `pooled_iou`.
        predicted: predicted masks.
        true: true masks.
    """
    return (score(predicted, true) + score(~predicted, ~true)) / 2


def check_masks(*masks: Tensor) -> None:
    """Refuse what is not a bool mask.

    Raises:
        InputError: a mask has another type.
    """
    for mask in masks:
        if mask.dtype != torch.bool:
            raise InputError(
                f"a mask is {mask.dtype}: give bool masks, as logits > 0 or labels == 1"
            )


def _counts(predicted: Tensor, true: Tensor, dim: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    check_masks(predicted, true)
    both = (predicted & true).sum(dim=dim)
    return both, predicted.sum(dim=dim) + true.sum(dim=dim)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    # Counts of pixels pass 2^24 in a scene, where single precision begins to round them.
    share = part.double() / whole.clamp_min(1).double()
    return torch.where(whole > 0, share, 1.0).float()
