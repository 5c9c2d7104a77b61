from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.prompts.prompt_file import PromptFile, PromptRows
from samdomain_geo.scenes.raster import open_scene

UTM = "EPSG:32636"
FORMS = ("gpkg", "fgb", "geojson", "parquet")


def read(path: Path, scene: Path, layer: str | None = None, where: str | None = None) -> PromptRows:
    with open_scene(scene) as opened:
        return PromptFile(path, layer, where).read(opened)


def write(rows: gpd.GeoDataFrame, path: Path) -> Path:
    rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_file(path)
    return path


@pytest.fixture(scope="module")
def country() -> gpd.GeoDataFrame:
    """50,000 boxes over 100 km, of which ten lie in the scene; the last is one of these."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(1000, 100_000, (50_000, 2)) + np.array([500_000, 30_000])
    corners[-10:] = rng.uniform(0, 20, (10, 2)) + np.array([500_010, 29_970])
    boxes = shapely.box(*corners.T, *(corners + 5).T)
    return gpd.GeoDataFrame({"name": np.arange(50_000)}, geometry=boxes, crs=UTM)


@pytest.mark.parametrize("form", FORMS)
def test_only_rows_near_the_scene_come_into_memory(
    country: gpd.GeoDataFrame, scene: Path, tmp_path: Path, form: str
) -> None:
    """Ten of 50,000 rows are kept, in any format and CRS; the others are counted."""
    rows = country.to_crs(4326)
    read_back = read(write(rows, tmp_path / f"rows.{form}"), scene)
    assert sorted(read_back.table["name"]) == list(range(49_990, 50_000))
    assert read_back.elsewhere == 49_990
    assert len(read_back) == 50_000
    assert read_back.table.crs == 4326


def test_a_row_without_geometry_is_refused_wherever_it_stands(
    pixel_box, scene: Path, tmp_path: Path
) -> None:
    """It cannot be told to lie elsewhere: the error names it, in every format."""
    rows = gpd.GeoDataFrame(geometry=[pixel_box(1, 1, 9, 9), None], crs=UTM)
    for name in ("rows.gpkg", "rows.parquet"):
        with pytest.raises(InputError, match=r"1 of 2 prompts \(fid [12]\) have no geometry"):
            read(write(rows, tmp_path / name), scene)


def test_a_prompt_that_holds_the_whole_scene_is_near(scene: Path, tmp_path: Path) -> None:
    """A polygon much larger than the scene meets it."""
    rows = gpd.GeoDataFrame(geometry=[shapely.box(-1, 29_000, 1_000_000, 31_000)], crs=UTM)
    assert len(read(write(rows, tmp_path / "rows.gpkg"), scene).table) == 1


def test_longitudes_from_0_to_360_are_all_read(write_scene, tmp_path: Path) -> None:
    """What cannot be told to lie elsewhere is kept."""
    west = write_scene(np.zeros((3, 20, 20), np.uint8), crs="EPSG:32610")
    rows = gpd.GeoDataFrame(geometry=[shapely.box(237, 0, 237.1, 0.3)], crs=4326)
    assert len(read(write(rows, tmp_path / "rows.gpkg"), west).table) == 1


def test_one_side_without_a_crs_is_refused_before_reading(
    pixel_box, scene: Path, tmp_path: Path
) -> None:
    """A missing CRS is an error, and no reason to read all rows."""
    rows = gpd.GeoDataFrame(geometry=[pixel_box(1, 1, 9, 9)])
    with pytest.raises(InputError, match="the vector file has no CRS"):
        read(write(rows, tmp_path / "rows.parquet"), scene)


def test_rows_elsewhere_are_counted_under_a_condition(
    country: gpd.GeoDataFrame, scene: Path, tmp_path: Path
) -> None:
    """Rows that do not meet --where are no prompts at all."""
    path = write(country.iloc[-20:], tmp_path / "rows.gpkg")
    chosen = read(path, scene, where="name >= 49985")
    assert (len(chosen.table), chosen.elsewhere) == (10, 5)


def test_geoparquet_takes_no_choice(country: gpd.GeoDataFrame, scene: Path, tmp_path: Path) -> None:
    """OGR's SQL cannot choose from GeoParquet: the error says so."""
    path = write(country.iloc[-3:], tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="--where cannot choose from"):
        read(path, scene, where="name > 3")


def test_a_parquet_file_without_geometry_is_refused(scene: Path, tmp_path: Path) -> None:
    """A table and a text with the extension are no prompts."""
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    for name in ("table.parquet", "text.parquet"):
        with pytest.raises(InputError, match="rows cannot be read from"):
            read(tmp_path / name, scene)


def test_a_file_whose_rows_all_lie_elsewhere_is_read_as_none(
    country: gpd.GeoDataFrame, scene: Path, tmp_path: Path
) -> None:
    """No row is kept, and all are counted."""
    for form in FORMS:
        rows = read(write(country.iloc[:5], tmp_path / f"rows.{form}"), scene)
        assert (len(rows.table), rows.elsewhere) == (0, 5)


def test_rows_are_chosen_by_layer_and_condition(boxes: Path, scene: Path) -> None:
    """--layer and --where choose rows; their number in the file is kept."""
    rows = read(boxes, scene, "boxes", "name <> 'a'").table
    assert rows["name"].tolist() == ["b", "c"]
    assert rows["prompt_fid"].tolist() == [2, 3]


def test_two_layers_ask_for_a_choice(boxes: Path, scene: Path) -> None:
    """A file with several layers is not guessed at: the one that is asked for is read."""
    gpd.read_file(boxes).iloc[:1].to_file(boxes, layer="more")
    with pytest.raises(InputError, match="2 layers: choose one with --layer; they are boxes, more"):
        read(boxes, scene)
    assert len(read(boxes, scene, "more").table) == 1
    assert len(read(boxes, scene, "boxes").table) == 3


@pytest.mark.parametrize(
    ("layer", "where", "message"),
    [
        ("nope", None, "no layer 'nope' of geometries: it has boxes"),
        (None, "colour = 1", "--where 'colour = 1' fails"),
        (None, "name = 'z'", "no rows that meet --where"),
    ],
)
def test_wrong_choices_are_named(
    boxes: Path, scene: Path, layer: str | None, where: str | None, message: str
) -> None:
    """The error says what there is."""
    with pytest.raises(InputError, match=message):
        read(boxes, scene, layer, where)


def test_files_that_are_no_vector_files_are_named(tmp_path: Path, scene: Path) -> None:
    """A missing file, a text and a raster are each refused in one line."""
    (tmp_path / "text.gpkg").write_text("hello")
    for path, message in (
        (tmp_path / "gone.gpkg", "does not exist"),
        (tmp_path / "text.gpkg", "not a vector file"),
        (scene, "not a vector file"),
    ):
        with pytest.raises(InputError, match=message):
            read(path, scene)


def test_a_table_without_geometry_is_refused(tmp_path: Path, scene: Path) -> None:
    """A CSV of names is no file of prompts."""
    (tmp_path / "names.csv").write_text("name\na\n")
    with pytest.raises(InputError, match="holds no geometries"):
        read(tmp_path / "names.csv", scene)
