"""Measure how much ground each class of a map covers."""

from collections import Counter
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain_geo.engine.plan import Grid
from samdomain_geo.evaluation.confusion import count_values
from samdomain_geo.scenes.ellipsoid import Ellipsoid

# Rows at a time whose pixels are taken for equally large: in degrees they shrink to the poles.
_STRIP = 32

# Pieces that the long edges of a strip are measured in.
_EDGES = 32


@dataclass
class ClassAreas:
    """Add up the pixels and the geodesic area of each class of a map.

    Attributes:
        ellipsoid: what areas are measured on; None without a CRS.
        grid: the map's pixels.
        pixels: pixels of each class.
        square_metres: area of each class; empty without a CRS.
    """

    ellipsoid: Ellipsoid | None
    grid: Grid
    pixels: Counter[int] = field(default_factory=Counter)
    square_metres: Counter[int] = field(default_factory=Counter)

    @property
    def known(self) -> bool:
        """Whether areas can be told."""
        return self.ellipsoid is not None

    def add(self, window: Window, labels: NDArray[np.int64], valid: NDArray[np.bool_]) -> None:
        """Add the classes of a window (rows, columns), where they are valid."""
        tops = range(0, len(labels), _STRIP)
        counts = [
            count_values(labels[top : top + _STRIP][valid[top : top + _STRIP]]) for top in tops
        ]
        for found in counts:
            self.pixels.update(found)
        if self.ellipsoid is None or not any(counts):
            return
        for found, one in zip(counts, self._pixels(self.ellipsoid, window, tops), strict=True):
            for label, pixels in found.items():
                self.square_metres[label] += pixels * one

    def area(self, classes: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the areas of classes in square metres."""
        return np.array([self.square_metres[label] for label in classes], np.float64)

    def _pixels(self, ellipsoid: Ellipsoid, window: Window, tops: range) -> NDArray[np.float64]:
        """Return the mean area of a pixel of each strip of a window, in square metres."""
        first = window.row_off + np.array(tops)
        last = np.minimum(first + tops.step, window.row_off + window.height)
        strips = shapely.box(window.col_off, first, window.col_off + window.width, last)

        def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(self.grid.affine @ (xy[:, 0], xy[:, 1]), axis=1)

        # Their edges are no geodesics: between near corners that is no matter.
        dense = shapely.segmentize(strips, window.width / _EDGES)
        areas, _ = ellipsoid.measure(gpd.GeoSeries(shapely.transform(dense, place)))
        return np.array(areas, np.float64) / ((last - first) * window.width)
