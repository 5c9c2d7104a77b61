"""View one raster on the grid of another, without a copy of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.scenes.raster import Scene

# Rasters whose corners are nearer than this share of a pixel need no resampling.
_SAME = 1e-3

# Pieces of each edge of a raster, which is curved in another CRS.
_EDGES = 32

# Stands for the CRS of two rasters without one: both in the pixels of the first.
_PIXELS = CRS.from_epsg(3857)

# One kernel for all windows: GDAL would else choose its width anew for each; and a pixel is
# nodata where all its bands are, as it is where nothing is resampled.
_EXTRAS = {"XSCALE": "1", "YSCALE": "1", "UNIFIED_SRC_NODATA": "YES"}


@dataclass(frozen=True)
class Placing:
    """Where the pixels of one raster lie on the grid of another.

    Attributes:
        footprint: outline of the one in pixels (column, row) of the other.
        ratio: pixels of the other that one of its pixels covers.
    """

    footprint: shapely.Polygon
    ratio: float

    @classmethod
    def of(cls, scene: Scene, grid: Scene) -> "Placing":
        """Place a raster on the grid of another; both have a CRS, or none has.

        Raises:
            InputError: only one has a CRS, or none has and their sizes differ, so that nothing
                tells where they meet.
        """
        box = shapely.box(0, 0, scene.columns, scene.rows)
        if grid.crs is None or scene.crs is None:
            _check_without_crs(scene, grid)
            return cls(box, 1.0)
        longest = max(scene.columns, scene.rows) / _EDGES
        corners = shapely.get_coordinates(shapely.segmentize(box, longest))
        x, y = scene.transform @ (corners[:, 0], corners[:, 1])
        moved = np.array(transform(scene.crs, grid.crs, x.tolist(), y.tolist())[:2])
        place = np.stack(~grid.transform @ (moved[0], moved[1]), axis=1)
        place = place[np.isfinite(place).all(axis=1)]  # a projection may not reach so far
        if len(place) < 4:  # noqa: PLR2004 - a polygon
            return cls(shapely.Polygon(), 1.0)
        outline = shapely.make_valid(shapely.Polygon(place))
        return cls(outline, outline.area / (scene.rows * scene.columns))

    def overlap(self, grid: Scene) -> Window | None:
        """Return the pixels of the grid that both may have data in, or None without any."""
        shared = shapely.intersection(self.footprint, shapely.box(0, 0, grid.columns, grid.rows))
        if shared.is_empty or shared.area == 0:
            return None
        # The warped edge may reach into one pixel more.
        left, top = (max(0, math.floor(one) - 1) for one in shared.bounds[:2])
        right = min(grid.columns, math.ceil(shared.bounds[2]) + 1)
        bottom = min(grid.rows, math.ceil(shared.bounds[3]) + 1)
        return Window(left, top, right - left, bottom - top)


@contextmanager
def aligned(scene: Scene, grid: Scene, shift: tuple[float, float] = (0.0, 0.0)) -> Iterator[Scene]:
    """View a raster on the grid of another, as windows are read.

    Pixels are averaged where they become coarser and interpolated where finer; those that the
    raster does not reach are nodata, NaN. A raster that is on the grid already is not resampled.

    Args:
        scene: open raster; the view is to be used while it is open.
        grid: open raster whose rows, columns, CRS and transform the view gets.
        shift: columns and rows by which the view looks further to the right and down.

    Raises:
        InputError: nothing tells where the two meet.
    """
    placing = Placing.of(scene, grid)
    if shift == (0.0, 0.0) and (grid.crs is None or _on_grid(scene, grid)):
        yield scene
        return
    place = grid.transform @ Affine.translation(*shift)
    options = {
        "crs": grid.crs or _PIXELS,
        "transform": place,
        "width": grid.columns,
        "height": grid.rows,
        "resampling": Resampling.bilinear if placing.ratio >= 1 - _SAME else Resampling.average,
        "dtype": "float32",
        "nodata": np.nan,
        # Approximated more roughly, a pixel's place would depend on the window it is read in;
        # and 0 is refused by rasterio 1.4.
        "tolerance": 1e-6,
        **_EXTRAS,
    }
    if grid.crs is None:
        options |= {"src_crs": _PIXELS, "src_transform": grid.transform}
    with WarpedVRT(scene.dataset, **options) as view:
        yield replace(scene, dataset=view)


def _on_grid(scene: Scene, grid: Scene) -> bool:
    if scene.crs != grid.crs or (scene.rows, scene.columns) != (grid.rows, grid.columns):
        return False
    return bool(np.abs(_corners(scene, grid) - _corners(grid, grid)).max() < _SAME)


def _corners(scene: Scene, grid: Scene) -> NDArray[np.float64]:
    columns = np.array([0, scene.columns, 0], float)
    rows = np.array([0, 0, scene.rows], float)
    return np.stack(~grid.transform @ (scene.transform @ (columns, rows)))


def _check_without_crs(scene: Scene, grid: Scene) -> None:
    if (scene.crs is None) != (grid.crs is None):
        without, other = (scene, grid) if scene.crs is None else (grid, scene)
        raise InputError(
            f"{without.path} has no CRS, but {other.path} has: nothing tells where they meet; "
            "give it its CRS and place, as with gdal_translate -a_srs -a_ullr"
        )
    if (scene.rows, scene.columns) != (grid.rows, grid.columns):
        raise InputError(
            f"neither raster has a CRS, and their sizes differ ({grid.rows} x {grid.columns} and "
            f"{scene.rows} x {scene.columns} pixels): give both a CRS and place, or cut them alike"
        )
