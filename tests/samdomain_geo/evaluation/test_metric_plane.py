import geopandas as gpd
import pytest
import shapely

from samdomain_geo.evaluation.metric_plane import MetricPlane

BOX = shapely.box(500_000, 30_000, 500_100, 30_100)
UTM = gpd.GeoSeries([BOX], crs="EPSG:32636")


def test_a_true_projection_is_kept() -> None:
    """UTM is true to scale: coordinates stay as they are."""
    plane = MetricPlane.around(UTM)
    assert plane.crs == UTM.crs
    assert plane.place(UTM)[0] == BOX


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2263"])
def test_others_are_measured_in_metres(crs: str) -> None:
    """Degrees, Web Mercator far from the equator and feet become metres on the ground."""
    place = gpd.GeoSeries.from_xy([-74.0], [40.7], crs="EPSG:4326").to_crs("EPSG:32618")
    square = place.buffer(50, cap_style="square")
    given = square.to_crs(crs)
    plane = MetricPlane.around(given)
    assert plane.crs != given.crs
    assert shapely.length(plane.place(given))[0] == pytest.approx(400, rel=2e-3)


def test_no_crs_is_taken_as_it_is() -> None:
    """Coordinates without a CRS are measured in their own unit."""
    bare = gpd.GeoSeries([BOX])
    plane = MetricPlane.around(bare)
    assert plane.crs is None
    assert plane.place(bare)[0] == BOX


def test_nothing_has_a_plane_too() -> None:
    """An empty layer keeps its CRS."""
    assert MetricPlane.around(gpd.GeoSeries([], crs="EPSG:4326")).crs == "EPSG:4326"
