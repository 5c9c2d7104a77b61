"""Measure on the ellipsoid of a CRS."""

import logging
from typing import Self

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod
from shapely.geometry import LineString

logger = logging.getLogger(__name__)


class Ellipsoid:
    """Measure areas and lengths on the ellipsoid that a CRS stands on.

    A projected area can be far off: Web Mercator doubles it at 45 degrees of latitude.
    """

    def __init__(self, crs: CRS, geod: Geod, geodetic: CRS) -> None:
        self._crs = crs
        self._geod = geod
        self._geodetic = geodetic

    @classmethod
    def of(cls, crs: object) -> Self | None:
        """Return the ellipsoid of anything that pyproj takes as a CRS, or None without one."""
        if crs is None:
            return None
        known = CRS.from_user_input(crs)
        if known.ellipsoid is None or known.geodetic_crs is None:
            logger.warning("the CRS %s has no ellipsoid: areas stay empty", known.name)
            return None
        geod = Geod(a=known.ellipsoid.semi_major_metre, b=known.ellipsoid.semi_minor_metre)
        return cls(known, geod, known.geodetic_crs)

    def measure(self, geometries: gpd.GeoSeries) -> tuple[list[float | None], list[float | None]]:
        """Return the area in square metres and the perimeter in metres of each geometry.

        Perimeters count the outer and the inner rings; a missing geometry measures None.

        Args:
            geometries: polygons in coordinates of the CRS.
        """
        located = np.asarray(self._located(geometries).array)
        parts, owners = shapely.get_parts(located, return_index=True)
        rings, part_of = shapely.get_rings(parts, return_index=True)
        corners, ring_of = shapely.get_coordinates(rings, return_index=True)
        ends = np.cumsum(np.bincount(ring_of, minlength=len(rings)))
        # The first ring of a part is its shell, the others are holes.
        shells = np.diff(part_of, prepend=-1) > 0
        areas, perimeters = np.zeros((2, len(located)))
        start = 0
        for owner, shell, end in zip(owners[part_of], shells, ends.tolist(), strict=True):
            area, perimeter = self._geod.polygon_area_perimeter(*corners[start:end].T)
            start = end
            # pyproj signs areas by direction, which files do not agree on.
            areas[owner] += abs(area) if shell else -abs(area)
            perimeters[owner] += perimeter
        missing = shapely.is_missing(located)
        return _listed(areas, missing), _listed(perimeters, missing)

    def length(self, line: LineString) -> float:
        """Return the length of a line in metres."""
        return float(self.lengths(gpd.GeoSeries([line]))[0])

    def lengths(self, lines: gpd.GeoSeries) -> NDArray[np.float64]:
        """Return the length of each line in metres.

        Args:
            lines: lines in coordinates of the CRS.
        """
        return np.array([self._geod.geometry_length(line) for line in self._located(lines)])

    def _located(self, geometries: gpd.GeoSeries) -> gpd.GeoSeries:
        return geometries.set_crs(self._crs, allow_override=True).to_crs(self._geodetic)


def _listed(values: NDArray[np.float64], missing: NDArray[np.bool_]) -> list[float | None]:
    return [None if no else value for value, no in zip(values.tolist(), missing, strict=True)]
