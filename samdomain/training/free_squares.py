"""Squares without an object as further training images, so that a model learns to find nothing."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.chipped import Chip, ChipMasks, Place
from samdomain.training.looks import Looks
from samdomain.training.sample import Found, Sample, Scale, Source, Split
from samdomain.training.splits import shuffled

_STACK = 3  # dimensions of (N, H, W); a map of classes has two
_MOST = 0.5  # a square with objects has so much of what it can hold of them at least


@dataclass(frozen=True)
class FreeSquares(Source):
    """Add squares of the training images to them: one without an object, and one with.

    Where each image shows an object, a model learns to find one in each. A square without one
    teaches it otherwise; alone it would teach that what is enlarged is empty, so that another of
    the same image and side stands beside it. Validation and test stay as they are. Give the data
    a validation of their own: of one that is taken from the training images squares would be on
    both sides.

    Attributes:
        source: where images and masks come from.
        sides: sides of squares in pixels; one of those that have room is drawn.
        share: images that get squares, as a share of all; fewer where not so many have room.
        seed: of what is drawn.

    Raises:
        InputError: a side is no length, or the share is none.
    """

    source: Source
    sides: tuple[int, ...] = (128, 160, 200)
    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to draw."""
        if not (self.sides and min(self.sides) > 0 and 0 < self.share <= 1):
            raise InputError(
                f"squares of {self.sides} pixels of a share of {self.share} were asked for: give "
                "sides above 0, and a share above 0 up to 1"
            )

    def scale(self, folder: Path) -> Scale:
        """Return the scale of the whole images."""
        return self.source.scale(folder)

    def augmentation(self) -> Looks:
        """Return the looks of the images."""
        return self.source.augmentation()

    def find(self, folder: Path, split: Split) -> Found:
        """Find the samples of a split, with squares behind those of training."""
        found = self.source.find(folder, split)
        if split != "train":
            return found
        return replace(found, samples=(*found.samples, *self._squares(found.samples)))

    def _squares(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        chance = torch.Generator().manual_seed(self.seed)
        left = round(self.share * len(samples))
        for sample in shuffled(samples, self.seed):
            if not left:
                return
            with suppress(InputError):  # a mask that cannot be read: whoever takes it will say so
                places = self._places(sample, chance)
                yield from (_cut(sample, place) for place in places)
                left -= bool(places)

    def _places(self, sample: Sample, chance: torch.Generator) -> list[Place]:
        """Return a place without an object and one with objects; none without room for both."""
        masks = sample.masks.read()
        there = masks.bool().any(dim=0) if masks.ndim == _STACK else masks > 0
        counts = {
            side: pixels_in_squares(there, side) for side in self.sides if side <= min(there.shape)
        }
        free = [side for side, count in counts.items() if (count == 0).any() and count.any()]
        if not free:
            return []
        side = free[_drawn(len(free), chance)]
        count = counts[side]
        both = (count == 0, count >= _MOST * count.max())
        return [Place(*_one_of(allowed, chance), side, side) for allowed in both]


def pixels_in_squares(there: Bool[Tensor, "h w"], side: int) -> Int[Tensor, "y x"]:
    """Count the pixels of a mask in the square at each place, in time that no side changes.

    Args:
        there: the mask.
        side: of the squares in pixels.

    Returns:
        How many are in the square whose top left corner is there: (H - side + 1, W - side + 1).

    Raises:
        InputError: no such square has room in the mask.
    """
    rows, columns = there.shape
    if not 0 < side <= min(rows, columns):
        raise InputError(
            f"squares of {side} pixels were asked for in a mask of {rows} x {columns}: allowed are "
            "1 to its shorter side"
        )
    sums = torch.zeros(rows + 1, columns + 1, dtype=torch.long)
    sums[1:, 1:] = there.long().cumsum(0).cumsum(1)
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _one_of(allowed: Bool[Tensor, "y x"], chance: torch.Generator) -> tuple[int, int]:
    places = allowed.nonzero()
    top, left = places[_drawn(len(places), chance)].tolist()
    return top, left


def _drawn(number: int, chance: torch.Generator) -> int:
    return int(torch.randint(number, (1,), generator=chance))


def _cut(sample: Sample, place: Place) -> Sample:
    return replace(
        sample,
        name=f"{sample.name}@{place.top},{place.left},{place.rows}",
        image=Chip(sample.image, place),
        masks=ChipMasks(sample.masks, place),
    )
