import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import pyogrio
import pytest
import shapely

from samdomain.errors import InputError, MissingExtraError
from samdomain_geo.polygons.vector_file import format_named, format_of, write_polygons

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def table() -> gpd.GeoDataFrame:
    """Two squares and a row without geometry, in UTM."""
    squares = [shapely.box(5e5, 3e4, 5e5 + 9, 3e4 + 9), None, shapely.box(5e5, 0, 5e5 + 9, 9)]
    return gpd.GeoDataFrame(
        {"id": [1, 2, 3], "flags": ["", "empty", ""]}, geometry=squares, crs=32636
    )


@pytest.mark.parametrize("extension", ["gpkg", "fgb", "geojson"])
def test_missing_geometries_stay_rows(
    table: gpd.GeoDataFrame, tmp_path: Path, extension: str
) -> None:
    """Each format gives back the rows in their order, one of them without geometry."""
    path = tmp_path / f"p.{extension}"
    write_polygons(table, path, WHEN)
    back = gpd.read_file(path, layer="polygons")
    assert back["id"].tolist() == [1, 2, 3]
    assert back.geometry.isna().tolist() == [False, True, False]
    assert ElementTree.parse(tmp_path / "p.qml").getroot().tag == "qgis"


def test_geoparquet_keeps_rows_and_crs(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    """GeoParquet gives back what was written, CRS included."""
    pytest.importorskip("pyarrow", reason="GeoParquet needs pyarrow, of the extra 'geo'")
    write_polygons(table, tmp_path / "p.parquet", WHEN)
    back = gpd.read_parquet(tmp_path / "p.parquet")
    assert back.crs == table.crs
    assert back.geometry.isna().tolist() == [False, True, False]
    assert back.geometry[0].equals(table.geometry[0])


def test_geojson_is_in_degrees(
    table: gpd.GeoDataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Coordinates are transformed to EPSG:4326, and that is said; shells turn left."""
    with caplog.at_level(logging.WARNING):
        write_polygons(table, tmp_path / "p.geojson", WHEN)
    assert "RFC 7946" in caplog.text
    back = gpd.read_file(tmp_path / "p.geojson")
    assert back.crs == "EPSG:4326"
    assert back.geometry[0].exterior.is_ccw
    assert (
        shapely.distance(back.to_crs(table.crs).geometry[0].centroid, table.geometry[0].centroid)
        < 0.05
    )


def test_geojson_needs_a_crs() -> None:
    """Without a CRS nobody knows the degrees; the other formats do without."""
    with pytest.raises(InputError, match="has no CRS"):
        format_named("geojson").check(None)
    format_named("gpkg").check(None)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """GeoParquet without pyarrow says what to install."""
    monkeypatch.setattr("samdomain_geo.polygons.vector_file.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        format_named("parquet").check("EPSG:4326")


def test_extensions_stand_for_formats() -> None:
    """The case of an extension does not matter; one that is not known is refused."""
    assert format_of(Path("a.GPKG")) is format_named("gpkg")
    with pytest.raises(InputError, match=r"known are \.gpkg, \.parquet"):
        format_of(Path("a.shp"))


def test_a_geopackage_carries_its_style(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    """QGIS finds the style as the default of the layer, in a table of attributes."""
    write_polygons(table, tmp_path / "p.gpkg", WHEN)
    assert pyogrio.list_layers(tmp_path / "p.gpkg")[0].tolist() == ["polygons", "MultiPolygon"]
    with closing(sqlite3.connect(tmp_path / "p.gpkg")) as database:
        kinds = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
        (row,) = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, update_time, styleQML "
            "FROM layer_styles"
        )
    assert kinds == {"polygons": "features", "layer_styles": "attributes"}
    assert row[:4] == ("polygons", "geom", 1, "2026-01-02T03:04:05.000Z")
    assert row[4] == (tmp_path / "p.qml").read_text()


def test_polygons_are_the_default_layer(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    """Polygons come first, without a name at the price of a warning; QGIS asks for the other."""
    write_polygons(table, tmp_path / "p.gpkg", WHEN)
    with pytest.warns(UserWarning, match="'polygons' \\(default\\), 'layer_styles'"):
        unnamed = gpd.read_file(tmp_path / "p.gpkg")
    assert unnamed.equals(gpd.read_file(tmp_path / "p.gpkg", layer="polygons"))
    # OGR opens by name only what it lists, so that a hidden table would be lost to QGIS.
    assert len(pyogrio.read_dataframe(tmp_path / "p.gpkg", layer="layer_styles")) == 1


def test_the_same_time_makes_the_same_bytes(table: gpd.GeoDataFrame, tmp_path: Path) -> None:
    """A GeoPackage differs from run to run by nothing but the time that it is given."""
    for name in ("a.gpkg", "b.gpkg"):
        write_polygons(table, tmp_path / name, WHEN)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()
