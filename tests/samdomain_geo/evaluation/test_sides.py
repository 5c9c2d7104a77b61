import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.sides import default_folder, find_side


@pytest.fixture
def polygons(tmp_path: Path) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32636")


def test_rasters_and_vector_files_are_told_apart(write_scene, polygons, tmp_path: Path) -> None:
    """What holds geometries is a vector file, whatever its extension."""
    polygons.to_file(tmp_path / "a.gpkg")
    polygons.to_file(tmp_path / "a.geojson")
    polygons.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.geojson").rename(tmp_path / "a.json")
    for name in ("a.gpkg", "a.json", "a.parquet"):
        assert find_side(tmp_path / name).vector
    raster = write_scene(np.ones((1, 9, 9), np.uint8))
    assert not find_side(raster).vector


def test_a_folder_of_results_means_its_file(write_scene, polygons, tmp_path: Path) -> None:
    """The mask is taken where there is one, else the polygons; the record tells which are ours."""
    folder = tmp_path / "result"
    folder.mkdir()
    with pytest.raises(InputError, match=r"neither mask\.tif nor polygons\.gpkg"):
        find_side(folder)
    polygons.to_file(folder / "polygons.gpkg", layer="polygons")
    assert find_side(folder).path == str(folder / "polygons.gpkg")
    write_scene(np.ones((1, 9, 9), np.uint8), "result/mask.tif")
    assert find_side(folder).path == str(folder / "mask.tif")
    (folder / "run.json").write_text(json.dumps({"files": ["polygons.gpkg"]}))
    assert find_side(folder).path == str(folder / "polygons.gpkg")


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """A path that does not exist is named."""
    with pytest.raises(InputError, match=r"gone\.tif does not exist"):
        find_side(tmp_path / "gone.tif")


def test_the_evaluation_goes_beside_the_prediction(tmp_path: Path) -> None:
    """A file's is beside it, a folder's inside it, and a URL has none."""
    (tmp_path / "a.tif").touch()
    assert default_folder(tmp_path / "a.tif") == tmp_path / "evaluation"
    assert default_folder(tmp_path) == tmp_path / "evaluation"
    with pytest.raises(InputError, match="--out"):
        default_folder("https://host/a.tif")
