from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.class_codes import number_both, number_on_raster
from samdomain_geo.evaluation.shape_layer import Asked, ShapeLayer, read_shapes
from samdomain_geo.evaluation.sides import Side, find_side
from samdomain_geo.scenes.raster import open_scene

BOX = shapely.box(0, 0, 4, 4)
BOW_TIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
SPIKE = shapely.Polygon([(0, 0), (5, 0), (9, 0), (0, 0)])


def layer(column: str | None = None, **columns: list) -> ShapeLayer:
    """Return a layer of as many boxes as the columns have rows."""
    count = len(next(iter(columns.values())))
    rows = gpd.GeoDataFrame(columns, geometry=[BOX] * count, crs="EPSG:32636")
    return ShapeLayer.of(Side("some.gpkg", vector=True), rows, column, points=False)


def test_rows_are_mended_left_out_and_counted(tmp_path: Path) -> None:
    """Invalid polygons are mended; empty rows, lines, and what collapses are left out."""
    line = shapely.LineString([(0, 0), (1, 1)])
    shapes = [BOX, BOW_TIE, None, shapely.Polygon(), SPIKE, line, shapely.Point(1, 1)]
    rows = gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32636")
    found = ShapeLayer.of(Side("x.gpkg", vector=True), rows, None, points=False)
    assert found.counts() == {
        "rows": 7,
        "used": 2,
        "without geometry": 3,
        "mended": 1,
        "other geometries": 2,
        "outside": 0,
    }
    assert shapely.area(found.geometries).tolist() == [16, 2]
    assert len(found.notes()) == 3
    assert len(ShapeLayer.of(found.side, rows, None, points=True)) == 3


def test_the_column_of_classes_is_chosen(tmp_path: Path) -> None:
    """class_id serves where it has values; another can be asked for; else all is class 1."""
    rows = gpd.GeoDataFrame(
        {"class_id": [4, 5], "kind": ["a", "b"], "score": ["0.5", None]},
        geometry=[BOX, BOX],
        crs="EPSG:32636",
    )
    rows.to_file(tmp_path / "a.gpkg")
    rows.assign(class_id=None).to_file(tmp_path / "b.gpkg")
    first, second = (find_side(tmp_path / name) for name in ("a.gpkg", "b.gpkg"))
    assert read_shapes(first, Asked()).table["class"].tolist() == [4, 5]
    assert read_shapes(first, Asked("kind")).table["class"].tolist() == ["a", "b"]
    assert read_shapes(second, Asked()).table["class"].tolist() == [1, 1]
    assert read_shapes(first, Asked("gone", strict=False)).column == "class_id"
    assert read_shapes(first, Asked()).table["score"].iloc[0] == 0.5
    with pytest.raises(InputError, match=r"no column 'gone' .* it has class_id, kind, score"):
        read_shapes(first, Asked("gone"))


def test_a_layer_is_chosen(tmp_path: Path) -> None:
    """Of several layers one is asked for; in a file of ours it is polygons."""
    boxes = gpd.GeoDataFrame({"n": [1]}, geometry=[BOX], crs="EPSG:32636")
    for name, count in (("a", 1), ("b", 2)):
        boxes.iloc[[0] * count].to_file(tmp_path / "two.gpkg", layer=name)
    side = find_side(tmp_path / "two.gpkg")
    assert len(read_shapes(side, Asked(layer="a"))) == 1
    assert len(read_shapes(side, Asked(layer="b"))) == 2
    with pytest.raises(InputError, match="2 layers: choose one with --layer; they are a, b"):
        read_shapes(side, Asked())
    boxes.to_file(tmp_path / "two.gpkg", layer="polygons")
    assert len(read_shapes(side, Asked())) == 1


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_only_rows_near_a_scene_are_read(write_scene, pixel_box, tmp_path: Path) -> None:
    """Far rows stay in the file; a file without a CRS does not fit a scene with one."""
    path = write_scene(np.ones((1, 20, 20), np.uint8))
    shapes = [pixel_box(1, 1, 5, 5), pixel_box(9000, 0, 9010, 5)]
    rows = gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32636").to_crs("EPSG:4326")
    rows.to_file(tmp_path / "a.gpkg")
    rows.set_crs(None, allow_override=True).to_file(tmp_path / "bare.gpkg")
    with open_scene(path, (1,)) as scene:
        assert len(read_shapes(find_side(tmp_path / "a.gpkg"), Asked(), scene)) == 1
        with pytest.raises(InputError, match=r"bare\.gpkg has no CRS"):
            read_shapes(find_side(tmp_path / "bare.gpkg"), Asked(), scene)


def test_words_become_the_rasters_numbers() -> None:
    """A class by name is the value that the raster gives the name."""
    words = layer("kind", kind=["roof", None, "water"])
    codes = number_on_raster(words, {1: "water", 2: "roof"})
    assert codes[[0, 2]].tolist() == [2, 1]
    assert np.isnan(codes[1])
    with pytest.raises(InputError, match=r"'roof' in 'kind', .* it names water"):
        number_on_raster(words, {1: "water"})


def test_two_layers_come_to_terms() -> None:
    """Words on both sides, or words and class_name, get one number each."""
    ours = layer("class_id", class_id=[7, 9], class_name=["shed", "roof"])
    theirs = layer("kind", kind=["roof", "barn"])
    first, second, names = number_both(ours, theirs)
    assert [names[code] for code in first] == ["shed", "roof"]
    assert [names[code] for code in second] == ["roof", "barn"]
    with pytest.raises(InputError, match="classes in words"):
        number_both(layer("class_id", class_id=[7]), theirs)


def test_numbers_stay_numbers() -> None:
    """Classes that are numbers keep them, with the names of either side."""
    ours = layer("class_id", class_id=[7, 9], class_name=["shed", None])
    first, second, names = number_both(ours, layer(n=[0]))
    assert (first.tolist(), second.tolist(), names) == ([7, 9], [1], {7: "shed"})
    with pytest.raises(InputError, match=r"not whole numbers, as 2\.5"):
        number_both(layer("h", h=[1.0, 2.5]), ours)
