"""Sum up a comparison over cells of a grid, for pictures of any scene."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain_geo.engine.plan import Grid

Flags = NDArray[np.bool_]

# Share of the pixels of cells that have any.
_SPARSE = 0.01


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts of pixels in square cells.

    Attributes:
        side: side of a cell in pixels.
        room: pixels that each cell has; those at the edges have fewer.
        wrong: pixels of each cell (rows, columns) on which map and truth differ.
        counted: pixels of each cell that were compared.
    """

    side: int
    room: NDArray[np.int64]
    wrong: NDArray[np.int64]
    counted: NDArray[np.int64]

    @classmethod
    def over(cls, grid: Grid, side: int) -> Self:
        """Return empty cells over a grid."""
        down, across = (
            np.minimum(side, length - np.arange(0, length, side))
            for length in (grid.rows, grid.columns)
        )
        room = np.outer(down, across)
        return cls(side, room, np.zeros_like(room), np.zeros_like(room))

    def add(self, window: Window, wrong: Flags, counted: Flags) -> None:
        """Add the pixels of a window (rows, columns)."""
        cuts = []
        places = []
        for first, length in ((window.row_off, wrong.shape[0]), (window.col_off, wrong.shape[1])):
            cells = (round(first) + np.arange(length)) // self.side
            cuts.append(np.flatnonzero(np.diff(cells, prepend=-1)))
            places.append(slice(int(cells[0]), int(cells[-1]) + 1))
        for total, flags in ((self.wrong, wrong), (self.counted, counted)):
            rows = np.add.reduceat(flags, cuts[0], axis=0, dtype=np.int64)
            total[*places] += np.add.reduceat(rows, cuts[1], axis=1)

    @property
    def sparse(self) -> bool:
        """Whether so few pixels were compared, as points, that a picture of pixels shows none."""
        return int(self.counted.sum()) < _SPARSE * int(self.room[self.counted > 0].sum())

    def worst(self, count: int) -> list[tuple[int, int]]:
        """Return (row, column) of the cells with the most wrong pixels, the worst first."""
        order = np.argsort(-self.wrong, axis=None, kind="stable")[:count]
        places = np.stack(np.unravel_index(order, self.wrong.shape), axis=1)
        return [(row, column) for row, column in places.tolist() if self.wrong[row, column]]


class Sample:
    """One pixel of each cell, with data where it has any: a picture of a map of any size."""

    def __init__(self, grid: Grid, side: int) -> None:
        """Make an empty picture.

        Args:
            grid: the map's pixels.
            side: side of a cell in pixels.
        """
        shape = math.ceil(grid.rows / side), math.ceil(grid.columns / side)
        self._side = side
        self.labels = np.zeros(shape, np.int64)
        self.valid = np.zeros(shape, bool)

    def add(self, window: Window, labels: NDArray[np.int64], valid: Flags) -> None:
        """Take what it needs from a window."""
        top, left = round(window.row_off), round(window.col_off)
        side = self._side
        taken = slice(-top % side, None, side), slice(-left % side, None, side)
        chosen = labels[taken]
        row, column = math.ceil(top / side), math.ceil(left / side)
        place = slice(row, row + chosen.shape[0]), slice(column, column + chosen.shape[1])
        self.labels[place], self.valid[place] = chosen, valid[taken]
        self._fill(window, labels, valid)

    def _fill(self, window: Window, labels: NDArray[np.int64], valid: Flags) -> None:
        """Take any other pixel with data for cells that have none yet, as of lone points."""
        down, across = (
            (round(first) + np.arange(length)) // self._side
            for first, length in zip((window.row_off, window.col_off), labels.shape, strict=True)
        )
        rows, columns = np.nonzero(valid & ~self.valid[np.ix_(down, across)])
        place = down[rows], across[columns]
        self.labels[place], self.valid[place] = labels[rows, columns], True
