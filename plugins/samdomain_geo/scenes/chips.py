"""Look at a scene chip by chip, and blend what is seen without seams.

Chips lie on one grid over the whole scene, whatever the blocks: each pixel is blended from the
same chips in the same order, and so a block's size changes no result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain.errors import InputError


@dataclass(frozen=True)
class Chips:
    """The grid of chips over a scene.

    Attributes:
        size: side of a chip in pixels.
        overlap: pixels that neighbouring chips share at least.
        margin: pixels along the inner edges of a chip that are never used, since the network
            sees too little around them; at most half of the overlap.
        batch: chips that go through the network together.
    """

    size: int = 1024
    overlap: int = 256
    margin: int = 32
    batch: int = 1

    def __post_init__(self) -> None:
        # One pixel at least is left on which neighbours blend.
        if not 0 <= 2 * self.margin < max(1, self.overlap) <= self.size // 2:
            raise InputError(
                f"chips of {self.size} pixels cannot overlap by {self.overlap} with a margin of "
                f"{self.margin}: the overlap is at most half the chip, and more than two margins"
            )
        if self.batch < 1:
            raise InputError(f"a batch of {self.batch} chips is none: give 1 or more")

    def over(self, window: Window, rows: int, columns: int) -> Iterator[Window]:
        """Return the chips of a scene that count for a window, row by row.

        Args:
            window: pixels that are wanted, inside the scene.
            rows: height of the scene.
            columns: width of the scene.
        """
        lefts = self._starts(round(window.col_off), round(window.width), columns)
        for top in self._starts(round(window.row_off), round(window.height), rows):
            for left in lefts:
                yield Window(left, top, min(self.size, columns), min(self.size, rows))

    def weights(self, chip: Window, rows: int, columns: int) -> NDArray[np.float32]:
        """Return how much each pixel of a chip counts: (rows, columns), 0 to 1.

        Weights rise over the overlap as the square of a sine, 0 on the margin. At the scene's
        edges, where no other chip helps out, they stay 1.
        """
        down = self._ramp(round(chip.row_off), round(chip.height), rows)
        across = self._ramp(round(chip.col_off), round(chip.width), columns)
        return down[:, None] * across[None, :]

    def count(self, rows: int, columns: int) -> int:
        """Return how many chips lie over a scene."""
        return len(self._starts(0, rows, rows)) * len(self._starts(0, columns, columns))

    def _starts(self, first: int, length: int, whole: int) -> list[int]:
        """Return where those chips of an axis start that count in an interval of it."""
        last = max(0, whole - self.size)
        stride = self.size - self.overlap
        # The last chip ends where the scene does.
        starts = [*range(0, last, stride), last]
        return [
            start
            for start in starts
            if start + (self.margin if start > 0 else 0) < first + length
            and start + self.size - (self.margin if start < last else 0) > first
        ]

    def _ramp(self, start: int, length: int, whole: int) -> NDArray[np.float32]:
        place = np.arange(length) + 0.5  # pixel centres
        width = max(1, self.overlap - 2 * self.margin)
        before = np.inf if start == 0 else place - self.margin
        after = np.inf if start + length >= whole else length - self.margin - place
        share = np.clip(np.minimum(before, after) / width, 0, 1)
        return np.broadcast_to(np.sin(share * np.pi / 2) ** 2, length).astype(np.float32)


class Blend:
    """Add up what chips say of the pixels of a window."""

    def __init__(self, window: Window, channels: int) -> None:
        self._window = window
        shape = round(window.height), round(window.width)
        self._sum = np.zeros((channels, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)

    def add(self, chip: Window, values: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Add a chip's values (channels, rows, columns) with its weights (rows, columns)."""
        here, there = _overlap(self._window, chip)
        self._sum[:, *here] += values[:, *there] * weights[there]
        self._weight[here] += weights[there]

    def mean(self) -> NDArray[np.float32]:
        """Return the weighted mean: (channels, rows, columns); 0 where no chip was added."""
        return self._sum / np.where(self._weight > 0, self._weight, 1)


def _overlap(window: Window, chip: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the pixels that two windows share, as slices of the one and of the other."""
    rows = _shared(window.row_off, window.height, chip.row_off, chip.height)
    columns = _shared(window.col_off, window.width, chip.col_off, chip.width)
    return (rows[0], columns[0]), (rows[1], columns[1])


def _shared(start: int, length: int, other: int, other_length: int) -> tuple[slice, slice]:
    first, last = max(start, other), min(start + length, other + other_length)
    return slice(first - start, last - start), slice(first - other, last - other)
