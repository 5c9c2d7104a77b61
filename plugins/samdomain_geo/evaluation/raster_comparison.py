"""Compare a map with its truth pixel by pixel, block by block."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.engine.plan import TILE, Grid, Tiling
from samdomain_geo.evaluation.cells import Cells, Sample
from samdomain_geo.evaluation.class_areas import ClassAreas
from samdomain_geo.evaluation.confusion import ConfusionMatrix, Tally
from samdomain_geo.evaluation.labels import LabelSource
from samdomain_geo.scenes.ellipsoid import Ellipsoid

RIGHT, WRONG, NODATA = 0, 1, 255
"""Values of the raster of errors."""

COLOURS = {RIGHT: (198, 219, 197, 255), WRONG: (208, 28, 39, 255)}

# Cells along the longer side of a picture of the whole scene.
_PICTURE = 800

CLOSE_UP = 256
"""Side in pixels of the places that are shown close up."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where map and truth differ, as pictures need it."""

    cells: Cells
    close: Cells
    predicted: Sample
    true: Sample


@dataclass(frozen=True, eq=False)
class RasterComparison:
    """How a map agrees with its truth.

    Attributes:
        confusion: compared pixels, of all classes that either side has, the whole map included.
        mapped: pixels of each class on the whole map, compared or not.
        area_m2: area of each class on the whole map; None without a CRS.
        places: where they differ.
    """

    confusion: ConfusionMatrix
    mapped: NDArray[np.int64]
    area_m2: NDArray[np.float64] | None
    places: Places

    @property
    def whole(self) -> bool:
        """Whether every pixel of the map was compared."""
        return self.confusion.total == int(self.mapped.sum())


def compare_rasters(
    predicted: LabelSource, true: LabelSource, grid: Grid, tiling: Tiling, errors: Path
) -> RasterComparison:
    """Compare two sources of classes on one grid; memory depends on the block.

    Args:
        predicted: the map.
        true: the truth.
        grid: the pixels of both.
        tiling: blocks that are read at a time.
        errors: GeoTIFF to write: 0 where both agree, 1 where not, 255 where nothing is compared.

    Raises:
        InputError: nothing could be compared, or there are too many classes to be classes.
    """
    tally, sizes = Tally(), ClassAreas(Ellipsoid.of(grid.crs), grid)
    side = max(1, math.ceil(max(grid.rows, grid.columns) / _PICTURE))
    places = Places(
        Cells.over(grid, side), Cells.over(grid, CLOSE_UP), Sample(grid, side), Sample(grid, side)
    )
    with rasterio.open(errors, "w", **_profile(grid)) as target:
        target.write_colormap(1, COLOURS)
        target.set_band_description(1, "0 right, 1 wrong")
        for window in windows(grid, tiling):
            here, mapped = predicted.read(window)
            there, known = true.read(window)
            counted = mapped & known
            tally.add(there[counted], here[counted])
            sizes.add(window, here, mapped)
            wrong = counted & (here != there)
            for cells in (places.cells, places.close):
                cells.add(window, wrong, counted)
            places.predicted.add(window, here, mapped)
            places.true.add(window, there, known)
            if counted.any():
                verdict = np.where(counted, wrong, NODATA).astype(np.uint8)
                target.write(verdict, 1, window=window)
    if not tally.pairs:
        raise InputError(
            "map and truth have no pixel in common that has a class on both sides: do they "
            "overlap, and is nodata what it should be?"
        )
    matrix = tally.matrix(sizes.pixels)
    area = sizes.area(matrix.classes) if sizes.known else None
    mapped = np.array([sizes.pixels[label] for label in matrix.classes], np.int64)
    return RasterComparison(matrix, mapped, area, places)


def windows(grid: Grid, tiling: Tiling) -> Iterator[Window]:
    """Return the windows of a grid's blocks, row by row."""
    side = tiling.block
    for top in range(0, grid.rows, side):
        for left in range(0, grid.columns, side):
            height, width = min(side, grid.rows - top), min(side, grid.columns - left)
            yield Window(left, top, width, height)


def _profile(grid: Grid) -> dict[str, object]:
    return {
        "driver": "GTiff",
        **grid.profile(),
        "count": 1,
        "dtype": "uint8",
        "nodata": NODATA,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "DEFLATE",
        "zlevel": 1,  # it is read once and removed
        "sparse_ok": True,  # blocks without truth take no space
        "bigtiff": "IF_SAFER",
    }
