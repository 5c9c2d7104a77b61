"""Polygons that say what is where in a scene, as classes of its pixels."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.data.label_file import LabelFile
from samdomain_geo.results.colours import BACKGROUND
from samdomain_geo.scenes.raster import Scene

Unlabelled = Literal["background", "ignore"]

IGNORED = 255
"""Class of pixels that nobody labelled."""

_MOST = IGNORED  # classes that a byte can tell from pixels that nobody labelled

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """A vector file of polygons with their classes.

    Attributes:
        path: any vector file that pyogrio reads, or GeoParquet, in any CRS.
        class_column: column of the classes, of text or whole numbers; without one all polygons
            are of the class "object".
        classes: names of the classes in their order; by default those in the file, sorted. A
            background comes first in either case.
        unlabelled: what pixels in no polygon are: "background", a class of their own, where all
            that is there was drawn; "ignore" where only some of it was.
        layer: layer of the file; needed only where it has several.
        where: take only rows that meet this condition, in OGR's SQL.
    """

    path: Path
    class_column: str | None = None
    classes: tuple[str, ...] = ()
    unlabelled: Unlabelled = "background"
    layer: str | None = None
    where: str | None = None

    def names(self) -> tuple[str, ...]:
        """Return the names of all classes by their index.

        Raises:
            InputError: the file or its column cannot be read, or there are too few or too many
                classes.
        """
        own = self.classes or self._listed()
        if self.class_column is None and len(own) > 1:
            raise InputError(
                f"{len(own)} classes are named ({', '.join(own)}), but no column says which row "
                "is of which: give --class-column"
            )
        if self.unlabelled == "background":
            own = (BACKGROUND, *(name for name in own if name != BACKGROUND))
        if len(own) == 1 and self.unlabelled == "ignore":
            raise InputError(
                f"{self.path} has the class {own[0]!r} alone, and all else is ignored: give "
                "--class-column, or take what is unlabelled as background"
            )
        if len(own) > _MOST:
            raise InputError(
                f"{self.path} has {len(own)} classes in {self.class_column!r}: is it a column of "
                f"classes? Up to {_MOST} are possible"
            )
        return own

    def over(self, scene: Scene) -> "PlacedLabels":
        """Read the polygons near a scene and place them in its pixels.

        Rows without a geometry and points and lines are left out, and told of.

        Raises:
            InputError: the file cannot be read, one side lacks a CRS, or a row is of a class
                that is not named.
        """
        table = self._file.near(scene, self.class_column)
        if table.crs is not None and scene.crs is not None:
            table = table.to_crs(scene.crs)
        shapes = shapely.force_2d(np.asarray(table.geometry.values))
        areal = shapely.area(shapes) > 0  # false for null, points and lines
        if not areal.all():
            logger.warning(
                "%d of %d rows of %s are no polygons: left out",
                int((~areal).sum()),
                len(areal),
                self.path,
            )
        to_pixels = ~scene.transform

        def pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(to_pixels @ (xy[:, 0], xy[:, 1]), axis=1)

        placed = shapely.make_valid(shapely.transform(shapes[areal], pixels))
        # Large ones first, so that what lies in another polygon stays.
        order = np.argsort(-shapely.area(placed), kind="stable")
        ground = self.names().index(BACKGROUND) if self.unlabelled == "background" else IGNORED
        return PlacedLabels(placed[order], self._indices(table)[areal][order], ground)

    def _indices(self, table: gpd.GeoDataFrame) -> NDArray[np.uint8]:
        names = list(self.names())
        if self.class_column is None:
            return np.full(len(table), len(names) - 1, np.uint8)
        values = [_named(value) for value in table[self.class_column]]
        if foreign := sorted(set(values) - set(names)):
            raise InputError(
                f"{self.path} has rows of {', '.join(map(repr, foreign[:3]))} in "
                f"{self.class_column!r}, but the classes are {', '.join(names)}: name them all, "
                "or leave rows out with where"
            )
        return np.array([names.index(value) for value in values], np.uint8)

    def _listed(self) -> tuple[str, ...]:
        if self.class_column is None:
            return ("object",)
        values = self._file.values(self.class_column)
        return tuple(sorted({_named(value) for value in values}, key=_in_order))

    @property
    def _file(self) -> LabelFile:
        return LabelFile(self.path, self.layer, self.where)


@dataclass(frozen=True, eq=False)
class PlacedLabels:
    """Polygons in the pixels of a scene.

    Attributes:
        shapes: (N,) polygons, those that lie below others first.
        classes: (N,) index of the class of each.
        ground: class of pixels in no polygon.
    """

    shapes: NDArray[np.object_]
    classes: NDArray[np.uint8]
    ground: int

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    def burn(self, window: Window) -> NDArray[np.uint8]:
        """Return the class of each pixel of a window (rows, columns), by the pixel's centre."""
        rows, columns = round(window.height), round(window.width)
        left, top = window.col_off, window.row_off
        near = np.sort(self._tree.query(shapely.box(left, top, left + columns, top + rows)))
        if not len(near):
            return np.full((rows, columns), self.ground, np.uint8)
        pairs = zip(self.shapes[near], self.classes[near].tolist(), strict=True)
        # The last shape wins.
        return rasterize(
            pairs,
            out_shape=(rows, columns),
            fill=self.ground,
            transform=Affine.translation(left, top),
            dtype="uint8",
        )


def _named(value: Any) -> str:
    """Return a value of a column as the name of a class."""
    if pd.isna(value):
        raise InputError("rows have no class: fill them in, or leave them out with where")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _in_order(name: str) -> tuple[int, float, str]:
    """Sort numbers as numbers, before words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
