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
        areas: list[float | None] = []
        perimeters: list[float | None] = []
        for geometry in self._located(geometries):
            if geometry is None:
                areas.append(None)
                perimeters.append(None)
                continue
            # pyproj signs areas by direction: shells must run against the clock, holes with it.
            turned = shapely.orient_polygons(geometry)
            area, _ = self._geod.geometry_area_perimeter(turned)
            areas.append(area)
            rings = shapely.get_rings(shapely.get_parts(geometry))
            perimeters.append(sum(self._geod.geometry_length(ring) for ring in rings))
        return areas, perimeters

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
