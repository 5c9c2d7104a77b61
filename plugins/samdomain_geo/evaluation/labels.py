"""Read the classes of a map or of its truth by window, on one grid."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.evaluation.class_codes import Codes
from samdomain_geo.evaluation.shape_layer import ShapeLayer
from samdomain_geo.scenes.raster import Scene

# What no class can be: it marks pixels without data.
_NOTHING = np.iinfo(np.int64).min

# Pixels; GDAL's own bound of 1/8 lets a pixel's class depend on the window that it is read with.
_EXACT = 1e-6

# Grids that differ by less than this share of a pixel are the same.
_SAME = 1e-3

# Points along each side of a grid over a raster, whose outline is curved in another CRS.
_GRID = 21

LabelBlock = tuple[NDArray[np.int64], NDArray[np.bool_]]
"""Classes (rows, columns), and where there are any."""


class LabelSource(Protocol):
    """Classes on a grid."""

    def read(self, window: Window) -> LabelBlock:
        """Return the classes in a window of the grid."""
        ...


@dataclass(frozen=True)
class RasterLabels:
    """Classes of a raster that is on the grid.

    Attributes:
        scene: the raster, by its first band.
        ignored: a class that does not count.
    """

    scene: Scene
    ignored: int | None = None

    def read(self, window: Window) -> LabelBlock:
        """Return the classes in a window; nodata, masks and the ignored class are none.

        Raises:
            InputError: the file is damaged there.
        """
        try:
            values = self.scene.dataset.read(1, window=window)
            valid = self.scene.dataset.read_masks(1, window=window) > 0
        except RasterioError as error:
            raise InputError(
                f"{self.scene.path} cannot be read: it is cut off or damaged"
            ) from error
        labels = values.astype(np.int64)
        valid &= labels != _NOTHING  # which GDAL's mask of a warped raster does not tell
        if self.ignored is not None:
            valid &= labels != self.ignored
        return labels, valid


class ShapeLabels:
    """Classes of shapes, painted on the grid window by window.

    Where shapes overlap, the higher score is taken, else the later row. A pixel belongs to the
    polygon that holds its centre, or to the points in it.
    """

    def __init__(
        self,
        layer: ShapeLayer,
        codes: Codes,
        scene: Scene,
        background: int | None,
        ignored: int | None = None,
    ) -> None:
        """Prepare shapes for painting.

        Args:
            layer: the shapes.
            codes: class of each shape; NaN where it has none: its pixels do not count.
            scene: raster whose grid is taken.
            background: class of pixels that no shape holds; None where that is unknown.
            ignored: a class that does not count.
        """
        table = layer.table if scene.crs is None else layer.table.to_crs(scene.crs)
        order = np.argsort(np.nan_to_num(layer.table["score"].to_numpy()), kind="stable")
        to_pixels = ~scene.transform

        def pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(to_pixels @ (xy[:, 0], xy[:, 1]), axis=1)

        shapes = shapely.transform(np.asarray(table.geometry.array)[order], pixels)
        shapes[~np.isfinite(shapely.bounds(shapes)).all(axis=1)] = None
        known = np.isfinite(codes[order])
        self._shapes = shapes
        self._tree = shapely.STRtree(shapes)
        classes = np.where(known, np.nan_to_num(codes[order]), 0).astype(np.int64)
        self._values, places = np.unique(classes, return_inverse=True)
        # 0 is the background and 1 a shape without a class: their turn comes before the classes.
        self._places = np.where(known, places + 2, 1).astype(np.int32)
        self._background, self._ignored = background, ignored

    def any_on(self, scene: Scene) -> bool:
        """Tell whether any shape touches a scene's extent."""
        return len(self._tree.query(shapely.box(0, 0, scene.columns, scene.rows))) > 0

    def read(self, window: Window) -> LabelBlock:
        """Return the classes in a window of the grid."""
        rows, columns = round(window.height), round(window.width)
        left, top = window.col_off, window.row_off
        extent = shapely.box(left, top, left + columns, top + rows)
        inside = np.sort(self._tree.query(extent))
        painted = np.zeros((rows, columns), np.int32)
        if len(inside):
            pairs = zip(self._shapes[inside], self._places[inside].tolist(), strict=True)
            place = rasterio.Affine.translation(left, top)
            rasterize(pairs, out=painted, transform=place)
        nothing = self._background is None
        first = [_NOTHING if nothing else self._background, _NOTHING]
        labels = np.concatenate([np.array(first, np.int64), self._values])[painted]
        valid = labels != _NOTHING
        if self._ignored is not None:
            valid &= labels != self._ignored
        return labels, valid


@contextmanager
def on_grid(true: Scene, predicted: Scene) -> Iterator[Scene]:
    """View the truth on the grid of a map, by the nearest pixel's class.

    Raises:
        InputError: they do not overlap, or the grids differ and one has no CRS.
    """
    if _same_grid(true, predicted):
        yield true
        return
    for side in (true, predicted):
        if side.crs is None:
            raise InputError(
                f"{side.path} has no CRS, and its grid is not that of the other raster: assign "
                "the CRS to the file"
            )
    _check_overlap(true, predicted)
    options = {
        "crs": predicted.crs,
        "transform": predicted.transform,
        "width": predicted.columns,
        "height": predicted.rows,
        "resampling": Resampling.nearest,
        "tolerance": _EXACT,
        # Beyond the truth's edges there is no class, whatever its type and nodata.
        "dtype": "int64",
        "nodata": _NOTHING,
    }
    with WarpedVRT(true.dataset, **options) as view:
        yield replace(true, dataset=view)


def _same_grid(one: Scene, other: Scene) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    if one.crs is not None and other.crs is not None and one.crs != other.crs:
        return False
    corners = np.array([[0, 0], [other.columns, 0], [0, other.rows]], float).T
    moved = np.array(~one.transform @ (other.transform @ (*corners,)))
    return bool(np.abs(moved - corners).max() < _SAME)


def _check_overlap(true: Scene, predicted: Scene) -> None:
    columns, rows = np.meshgrid(
        np.linspace(0, true.columns, _GRID), np.linspace(0, true.rows, _GRID)
    )
    x, y = true.transform @ (columns.ravel(), rows.ravel())
    x, y = np.array(transform_points(true.crs, predicted.crs, x, y))
    column, row = np.array(~predicted.transform @ (x, y))
    if not (np.isfinite(column) & np.isfinite(row)).all():
        return  # the map's CRS cannot express all of the truth
    beside = column.max() <= 0 or column.min() >= predicted.columns
    if beside or row.max() <= 0 or row.min() >= predicted.rows:
        raise InputError(
            f"{true.path} and {predicted.path} do not overlap: do their CRS and place agree?"
        )
