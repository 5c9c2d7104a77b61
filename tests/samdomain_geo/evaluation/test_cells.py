import numpy as np
import pytest
from rasterio.windows import Window

from samdomain_geo.engine.plan import Grid
from samdomain_geo.evaluation.cells import Cells, Sample

GRID = Grid(23, 31, None, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))


def windows(side: int) -> list[Window]:
    return [
        Window(left, top, min(side, 31 - left), min(side, 23 - top))
        for top in range(0, 23, side)
        for left in range(0, 31, side)
    ]


def part(pixels: np.ndarray, window: Window) -> np.ndarray:
    return pixels[window.toslices()]


@pytest.mark.parametrize("block", [5, 8, 40])
@pytest.mark.parametrize("side", [1, 4, 7, 50])
def test_cells_count_pixels(block: int, side: int) -> None:
    """Whatever the blocks, each cell has the sum of its own pixels."""
    wrong, counted = np.random.default_rng(0).random((2, 23, 31)) > 0.5
    cells = Cells.over(GRID, side)
    for window in windows(block):
        cells.add(window, part(wrong, window), part(counted, window))
    for row, column in np.ndindex(cells.wrong.shape):
        own = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
        assert cells.wrong[row, column] == wrong[own].sum()
        assert cells.counted[row, column] == counted[own].sum()


def test_the_worst_come_first() -> None:
    """Cells are ranked by wrong pixels; those without any are left out."""
    cells = Cells.over(GRID, 10)
    cells.wrong[1, 2], cells.wrong[0, 1] = 9, 3
    assert cells.worst(5) == [(1, 2), (0, 1)]
    assert cells.worst(1) == [(1, 2)]


@pytest.mark.parametrize("block", [5, 8, 40])
def test_a_lone_pixel_is_in_the_sample(block: int) -> None:
    """A cell shows a pixel with data where it has any."""
    labels = np.random.default_rng(1).integers(1, 9, (23, 31))
    valid = np.random.default_rng(2).random((23, 31)) > 0.97
    sample = Sample(GRID, 4)
    for window in windows(block):
        sample.add(window, part(labels, window), part(valid, window))
    for row, column in np.ndindex(sample.valid.shape):
        own = slice(row * 4, row * 4 + 4), slice(column * 4, column * 4 + 4)
        assert sample.valid[row, column] == valid[own].any()
        if valid[own].any():
            assert sample.labels[row, column] in labels[own][valid[own]]
