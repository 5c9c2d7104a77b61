import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.sides import default_folder, find_side, find_sides


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


@pytest.fixture
def result(write_scene, polygons, tmp_path: Path) -> Path:
    """A folder with the map as pixels and as polygons."""
    folder = tmp_path / "result"
    folder.mkdir()
    polygons.to_file(folder / "polygons.gpkg", layer="polygons")
    write_scene(np.ones((1, 9, 9), np.uint8), "result/mask.tif")
    return folder


@pytest.mark.parametrize("name", ["truth.gpkg", "truth.parquet", "truth.geojson"])
def test_a_folder_gives_polygons_for_polygons(result: Path, polygons, name: str) -> None:
    """And says so, and how the mask is compared instead."""
    truth = result.parent / name
    polygons.to_parquet(truth) if name.endswith("parquet") else polygons.to_file(truth)
    found, true = find_sides(result, truth)
    assert found.vector
    assert found.path == str(result / "polygons.gpkg")
    assert (true.path, true.note) == (str(truth), "")
    assert "polygons.gpkg was compared, because the truth is polygons" in found.note
    assert f"to compare mask.tif, name {result / 'mask.tif'}." in found.note


@pytest.mark.parametrize("name", ["truth.gpkg", "truth.parquet"])
def test_a_folder_gives_the_mask_for_points(result: Path, polygons, name: str) -> None:
    """A sample of points is about pixels."""
    truth = result.parent / name
    points = polygons.set_geometry(polygons.centroid)
    points.to_parquet(truth) if name.endswith("parquet") else points.to_file(truth)
    found, _ = find_sides(result, truth)
    assert found.path == str(result / "mask.tif")
    assert "mask.tif was compared, because the truth is points; to compare polygons" in found.note


def test_the_layer_of_the_truth_decides(result: Path, polygons) -> None:
    """A file may hold points and polygons."""
    truth = result.parent / "truth.gpkg"
    polygons.to_file(truth, layer="roofs")
    polygons.set_geometry(polygons.centroid).to_file(truth, layer="sample")
    assert find_sides(result, truth, "roofs")[0].vector
    assert not find_sides(result, truth, "sample")[0].vector


def test_a_folder_gives_the_mask_for_a_raster(result: Path, write_scene) -> None:
    """Whatever polygons lie beside it."""
    truth = write_scene(np.ones((1, 9, 9), np.uint8), "truth.tif")
    found, _ = find_sides(result, truth)
    assert found.path == str(result / "mask.tif")
    assert "because the truth is a raster" in found.note


def test_a_folder_gives_what_it_has(result: Path, polygons, write_scene) -> None:
    """Pixels are compared with polygons, either way, and the note says which."""
    truth = result.parent / "truth.gpkg"
    polygons.to_file(truth)
    (result / "polygons.gpkg").rename(result.parent / "other.gpkg")
    found, _ = find_sides(result, truth)
    assert found.path == str(result / "mask.tif")
    assert "holds no polygons.gpkg: mask.tif was compared with polygons." in found.note
    (result / "mask.tif").rename(result.parent / "truth.tif")
    (result.parent / "other.gpkg").rename(result / "polygons.gpkg")
    found, _ = find_sides(result, result.parent / "truth.tif")
    assert found.path == str(result / "polygons.gpkg")
    assert "holds no mask.tif: polygons.gpkg was compared with a raster" in found.note


def test_a_file_that_is_named_is_taken(result: Path, polygons) -> None:
    """Without a note."""
    truth = result.parent / "truth.gpkg"
    polygons.to_file(truth)
    found, _ = find_sides(result / "mask.tif", truth)
    assert (found.path, found.note) == (str(result / "mask.tif"), "")


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
