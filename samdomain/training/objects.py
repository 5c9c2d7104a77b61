"""Say which objects the values of a mask file are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samdomain.masks import components


class Objects(ABC):
    """Take the values of a mask file apart into bool masks, one an object."""

    @abstractmethod
    def __call__(self, values: Int[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
        """Return the objects; none for an empty mask."""


@dataclass(frozen=True)
class Whole(Objects):
    """Take all that is not zero as one object.

    Attributes:
        ignore: values that are no object, as 255 where nobody labelled.
    """

    ignore: tuple[int, ...] = ()

    def __call__(self, values: Int[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
        """Return one mask, or none where it is empty."""
        mask = _labelled(values, self.ignore)
        return mask[None] if bool(mask.any()) else mask.new_zeros((0, *mask.shape))


@dataclass(frozen=True)
class Components(Objects):
    """Take each part that hangs together by pixel edges as one object.

    Attributes:
        smallest: pixels of the smallest object; smaller ones are left out as specks.
        ignore: see `Whole`.
    """

    smallest: int = 1
    ignore: tuple[int, ...] = ()

    def __call__(self, values: Int[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
        """Return one mask a part."""
        return _large(components(_labelled(values, self.ignore)), self.smallest)


@dataclass(frozen=True)
class Ids(Objects):
    """Take each value that is not zero as one object.

    Attributes:
        smallest: see `Components`.
        ignore: see `Whole`.
    """

    smallest: int = 1
    ignore: tuple[int, ...] = ()

    def __call__(self, values: Int[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
        """Return one mask a value, in the order of the values."""
        ids = values[_labelled(values, self.ignore)].unique()
        return _large(values == ids[:, None, None], self.smallest)


def _labelled(values: Tensor, ignore: tuple[int, ...]) -> Tensor:
    return (values != 0) & ~torch.isin(values, values.new_tensor(ignore))


def _large(masks: Tensor, smallest: int) -> Tensor:
    return masks[masks.sum(dim=(1, 2)) >= smallest]
