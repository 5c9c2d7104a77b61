"""Bring geometries into a plane whose unit is the metre on the ground."""

from dataclasses import dataclass
from typing import Self

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry import LineString

from samdomain_geo.scenes.ellipsoid import Ellipsoid

# A projection whose metres are off by more, as Web Mercator's or one in feet, is not measured in.
_OFF = 0.002

_PROBE = 100.0  # units of a projection, whose length on the ground is looked at


@dataclass(frozen=True)
class MetricPlane:
    """A projection to measure distances in.

    Attributes:
        crs: the projection; None where coordinates have no CRS and are taken as they are.
    """

    crs: CRS | None

    @classmethod
    def around(cls, geometries: gpd.GeoSeries) -> Self:
        """Return the plane for some geometries.

        It is their own CRS where that is projected and true to scale in their middle, to
        0.2%, as UTM is; else an azimuthal equidistant projection about it, which serves
        anywhere on the globe and is true to 0.1% up to 500 km away.

        Args:
            geometries: geometries with or without a CRS.
        """
        if geometries.crs is None:
            return cls(None)
        bounds = geometries.total_bounds
        if not np.isfinite(bounds).all():
            return cls(geometries.crs)
        x, y = (bounds[:2] + bounds[2:]) / 2
        if geometries.crs.is_projected and _is_true(geometries.crs, x, y):
            return cls(geometries.crs)
        # A CRS that stands on nothing known is taken to stand on the usual ellipsoid.
        geodetic = geometries.crs.geodetic_crs or CRS.from_epsg(4326)
        place = gpd.GeoSeries.from_xy([x], [y], crs=geometries.crs).to_crs(geodetic).iloc[0]
        about = {"proj": "aeqd", "lat_0": place.y, "lon_0": place.x, "units": "m"}
        ellipsoid = geodetic.ellipsoid
        if ellipsoid is not None:
            about |= {"a": ellipsoid.semi_major_metre, "b": ellipsoid.semi_minor_metre}
        return cls(CRS.from_dict(about))

    def place(self, geometries: gpd.GeoSeries) -> NDArray[np.object_]:
        """Return geometries in the plane."""
        placed = geometries if self.crs is None else geometries.to_crs(self.crs)
        return np.asarray(placed.array)


def _is_true(crs: CRS, x: float, y: float) -> bool:
    ellipsoid = Ellipsoid.of(crs)
    if ellipsoid is None:
        return False
    across = LineString([(x - _PROBE / 2, y), (x + _PROBE / 2, y)])
    up = LineString([(x, y - _PROBE / 2), (x, y + _PROBE / 2)])
    lengths = np.array([ellipsoid.length(across), ellipsoid.length(up)])
    return bool(np.abs(lengths / _PROBE - 1).max() <= _OFF)
