"""Say which objects, or which classes, the values of a mask file are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from samdomain.errors import InputError
from samdomain.masks import components

UNLABELLED = 255
"""Class of pixels that nobody labelled, in maps of classes."""


class Objects(ABC):
    """Say what the values of a mask file are."""

    @abstractmethod
    def __call__(self, values: Int[Tensor, "h w"]) -> Shaped[Tensor, "... h w"]:
        """Return one bool mask an object (N, H, W), or the class of each pixel (H, W)."""


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


@dataclass(frozen=True)
class Classes(Objects):
    """Take each value as the class of its pixels, for recipes of classes.

    Attributes:
        values: value of each class in the file, in the order of the recipe's classes; by default
            0, 1, 2, ...
        ignore: values of pixels that nobody labelled, beside those that the recipe ignores.
    """

    values: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()

    def __call__(self, values: Int[Tensor, "h w"]) -> Int[Tensor, "h w"]:
        """Return the class of each pixel, 255 where nobody labelled.

        Raises:
            InputError: a value is no class.
        """
        nobody = torch.isin(values, values.new_tensor([*self.ignore, UNLABELLED]))
        classes = values.masked_fill(nobody, UNLABELLED)
        if not self.values:
            return classes
        known = values.new_tensor(self.values)
        if foreign := values[~torch.isin(values, known) & ~nobody].unique().tolist():
            raise InputError(
                f"a mask holds {', '.join(map(str, foreign[:3]))}, which is no class: the values "
                f"of classes are {list(self.values)}, ignored are {[*self.ignore, UNLABELLED]}"
            )
        order = known.argsort()
        found = order[torch.searchsorted(known[order], values).clamp(max=len(known) - 1)]
        return torch.where(nobody, UNLABELLED, found)


def _labelled(values: Tensor, ignore: tuple[int, ...]) -> Tensor:
    return (values != 0) & ~torch.isin(values, values.new_tensor(ignore))


def _large(masks: Tensor, smallest: int) -> Tensor:
    return masks[masks.sum(dim=(1, 2)) >= smallest]
