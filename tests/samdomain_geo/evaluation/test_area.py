from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.area import cut, read_area
from samdomain_geo.evaluation.shape_layer import ShapeLayer
from samdomain_geo.evaluation.sides import Side


def layer(shapes: list, crs: object = "EPSG:32636") -> ShapeLayer:
    rows = gpd.GeoDataFrame(geometry=shapes, crs=crs)
    return ShapeLayer.of(Side("some.gpkg", vector=True), rows, None, points=False)


def test_a_raster_stands_for_its_extent(write_scene, pixel_box) -> None:
    """Nodata inside counts as looked at."""
    path = write_scene(np.zeros((1, 20, 30), np.uint8), nodata=0)
    area = read_area(path)
    assert area.crs == "EPSG:32636"
    assert area.iloc[0].normalize().equals(pixel_box(0, 0, 30, 20))


def test_polygons_are_cut_kept_or_left_out(pixel_box) -> None:
    """One inside stays as it is, one across the edge is cut, one that touches is outside."""
    area = gpd.GeoSeries([pixel_box(0, 0, 10, 10)], crs="EPSG:32636").to_crs("EPSG:3857")
    inside, across = pixel_box(1, 1, 4, 4), pixel_box(8, 0, 12, 10)
    shapes = [inside, across, pixel_box(11, 0, 12, 9), pixel_box(50, 50, 60, 60)]
    found = cut(layer(shapes), area)
    assert found.table.index.tolist() == [0, 1]
    assert found.outside == 2
    assert found.geometries[0] == inside
    assert found.geometries[1].area == pytest.approx(across.area / 2, rel=1e-3)


def test_an_area_of_several_parts_is_one(pixel_box, tmp_path: Path) -> None:
    """A polygon over two fields keeps its part in each."""
    fields = [pixel_box(0, 0, 10, 10), pixel_box(20, 0, 30, 10)]
    gpd.GeoDataFrame(geometry=fields, crs="EPSG:32636").to_file(tmp_path / "fields.gpkg")
    found = cut(layer([pixel_box(5, 2, 25, 4)]), read_area(tmp_path / "fields.gpkg"))
    assert found.geometries[0].area == pytest.approx(2 * 5 * 2 * 0.25)
    assert len(shapely.get_parts(found.geometries[0])) == 2


def test_an_area_that_cannot_serve_is_refused(pixel_box, tmp_path: Path) -> None:
    """No polygon, or a CRS on one side only, is an error."""
    point = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs="EPSG:32636")
    point.to_file(tmp_path / "point.gpkg")
    with pytest.raises(InputError, match="holds no polygon"):
        read_area(tmp_path / "point.gpkg")
    with pytest.raises(InputError, match="no CRS"):
        cut(layer([pixel_box(0, 0, 1, 1)], None), gpd.GeoSeries([pixel_box(0, 0, 1, 1)], crs=4326))
