"""Real rasters of other types than photographs run end to end; benchmarks/rasters.py has more."""

import os
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely
from rio_cogeo import cog_validate

from samdomain_geo import segment

FOLDER = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
RASTERS = FOLDER / "geotiff-misc"

pytestmark = pytest.mark.skipif(
    not RASTERS.exists(), reason="the real data is not here: set SAMDOMAIN_DATA"
)


def check(folder: Path, scene: Path, rows: int) -> None:
    """Check that the files of a run are sound and lie where the scene does."""
    table = gpd.read_file(folder / "polygons.gpkg", layer="polygons")
    assert len(table) == rows
    assert table.geometry.dropna().is_valid.all()
    assert cog_validate(folder / "instances.tif")[0]
    with rasterio.open(folder / "instances.tif") as ids, rasterio.open(scene) as image:
        assert (ids.crs, ids.transform, ids.shape) == (image.crs, image.transform, image.shape)


def test_sixteen_bits_with_footprints(tmp_path: Path) -> None:
    """A panchromatic uint16 scene takes its footprints as prompts, in their own CRS."""
    scene = RASTERS / "spacenet4_atlanta_pan.tif"
    labels = RASTERS / "spacenet4_atlanta_buildings.geojson"
    segment(scene, prompts=labels, out=tmp_path / "out", weights="tiny")
    check(tmp_path / "out", scene, len(gpd.read_file(labels)))


def test_ten_bands_of_floats(tmp_path: Path) -> None:
    """Three of ten float32 bands are chosen and stretched."""
    scene = RASTERS / "tenband_float32_epsg32614.tif"
    square = shapely.box(442_000, 3_155_000, 443_000, 3_156_000)
    gpd.GeoDataFrame(geometry=[square], crs=32614).to_file(tmp_path / "box.gpkg")
    result = segment(
        scene, prompts=tmp_path / "box.gpkg", out=tmp_path / "out", weights="tiny", bands="8,4,3"
    )
    check(tmp_path / "out", scene, 1)
    low, high = result.record["stretch"]["low"], result.record["stretch"]["high"]
    assert all(a < b for a, b in zip(low, high, strict=True))
