import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS

from samdomain_geo.scenes.ellipsoid import Ellipsoid

# 100 m x 200 m near Kampala, drawn in UTM where the scale is close to 1.
PLOT = shapely.box(453_000, 35_000, 453_100, 35_200)


@pytest.mark.parametrize("crs", [32636, 3857, 4326, "+proj=laea +lat_0=5 +lon_0=30"])
def test_areas_are_the_same_in_every_crs(crs: object) -> None:
    """Metres are metres of the ground, whatever the map says."""
    located = gpd.GeoSeries([PLOT], crs=32636).segmentize(5).to_crs(crs)
    (area,), (perimeter,) = Ellipsoid.of(crs).measure(located)
    assert area == pytest.approx(20_000, rel=2e-3)
    assert perimeter == pytest.approx(600, rel=2e-3)


def test_mercator_at_60_degrees_is_not_believed() -> None:
    """Web Mercator draws a hectare at 60 degrees of latitude four times too large."""
    hectare = gpd.GeoSeries([shapely.box(500_000, 6_650_000, 500_100, 6_650_100)], crs=32633)
    mercator = hectare.to_crs(3857)
    (area,), _ = Ellipsoid.of(3857).measure(mercator)
    assert mercator.area.iloc[0] > 39_000
    assert area == pytest.approx(10_000, rel=2e-3)


def test_direction_and_holes_do_not_change_the_sign() -> None:
    """A shell drawn clockwise and a hole drawn either way measure as they look."""
    ring = shapely.Polygon(
        PLOT.exterior.coords[::-1], [shapely.box(453_010, 35_010, 453_060, 35_110).exterior.coords]
    )
    (area,), (perimeter,) = Ellipsoid.of(32636).measure(gpd.GeoSeries([ring]))
    assert area == pytest.approx(15_000, rel=2e-3)
    assert perimeter == pytest.approx(900, rel=2e-3)


def test_missing_geometries_measure_none() -> None:
    """A row without geometry has no area, and does not disturb the others."""
    areas, perimeters = Ellipsoid.of(32636).measure(gpd.GeoSeries([None, PLOT]))
    assert areas[0] is None
    assert perimeters[0] is None
    assert areas[1] > 0


def test_no_ellipsoid_without_a_crs() -> None:
    """No CRS, or one of a workshop floor, has no ellipsoid."""
    floor = CRS.from_wkt('LOCAL_CS["floor",UNIT["metre",1]]')
    assert Ellipsoid.of(None) is None
    assert Ellipsoid.of(floor) is None


def test_length_of_a_line() -> None:
    """A line of 100 m is 100 m long."""
    line = shapely.LineString([(453_000, 35_000), (453_100, 35_000)])
    assert Ellipsoid.of(32636).length(line) == pytest.approx(100, rel=2e-3)
    assert np.isfinite(Ellipsoid.of(3857).length(line))
