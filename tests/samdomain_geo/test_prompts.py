import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.prompts import ObjectPrompts, PromptFile, place_prompts
from samdomain_geo.raster import open_scene

UTM = "EPSG:32636"


def place(scene: Path, geometries: list, crs: object = UTM) -> ObjectPrompts:
    rows = gpd.GeoDataFrame({"prompt_fid": range(len(geometries))}, geometry=geometries, crs=crs)
    with open_scene(scene) as opened:
        return place_prompts(rows, opened)


def test_bounds_become_pixels(pixel_box, scene: Path) -> None:
    """A triangle's bounds in the CRS are its box in pixels, y downwards."""
    triangle = shapely.Polygon([*pixel_box(10, 20, 30, 60).exterior.coords][:3])
    assert np.allclose(place(scene, [triangle]).boxes, [[10, 20, 30, 60]])


def test_another_crs_gives_the_same_box(pixel_box, scene: Path) -> None:
    """Prompts in longitude and latitude land on the pixels that they mean."""
    rows = gpd.GeoSeries([pixel_box(10, 20, 30, 60)], crs=UTM).to_crs(4326)
    assert np.allclose(place(scene, list(rows), 4326).boxes, [[10, 20, 30, 60]], atol=0.01)


def test_a_box_over_the_edge_is_clipped_and_flagged(pixel_box, scene: Path) -> None:
    """Only the part inside the scene is a prompt."""
    placed = place(scene, [pixel_box(-10, 20, 30, 60), pixel_box(1, 1, 9, 9)])
    assert np.allclose(placed.boxes[0], [0, 20, 30, 60])
    assert placed.clipped.tolist() == [True, False]


def test_prompts_outside_are_counted(
    pixel_box, scene: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Prompts beside the scene are left out, and the user is told how many."""
    with caplog.at_level(logging.WARNING):
        placed = place(scene, [pixel_box(1, 1, 9, 9), pixel_box(500, 1, 509, 9)])
    assert len(placed) == 1
    assert placed.outside == 1
    assert placed.columns["prompt_fid"].tolist() == [0]
    assert "1 of 2 prompts lie outside" in caplog.text


def test_coordinates_that_the_crs_cannot_express_are_outside(pixel_box, scene: Path) -> None:
    """A box at the pole, far from the scene's UTM zone, is outside and no crash."""
    here = gpd.GeoSeries([pixel_box(1, 1, 9, 9)], crs=UTM).to_crs(4326).iloc[0]
    placed = place(scene, [here, shapely.box(-179, 89, -170, 90)], 4326)
    assert placed.outside == 1


def test_a_polygon_that_crosses_itself_gives_its_bounds(
    pixel_box, scene: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An hourglass is invalid, but its bounds are sound: it is used, with a warning."""
    left, bottom, right, top = pixel_box(10, 20, 30, 60).bounds
    hourglass = shapely.Polygon([(left, bottom), (right, top), (right, bottom), (left, top)])
    with caplog.at_level(logging.WARNING):
        placed = place(scene, [hourglass])
    assert np.allclose(placed.boxes, [[10, 20, 30, 60]])
    assert "1 prompts are invalid polygons" in caplog.text


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, r"1 of 2 prompts \(fid 1\) have no geometry"),
        (shapely.Polygon(), "have no geometry"),
        (shapely.LineString([(0, 0), (1, 1)]), "are LineString"),
        (shapely.Point(0, 0), "are Point"),
        (shapely.Polygon([(0, 0), (1, 0), (2, 0)]), "thin as a line"),
        (shapely.Polygon([(0, 0), (1, np.inf), (2, 0)]), "not finite"),
    ],
)
def test_geometries_that_are_no_prompts_are_refused(
    pixel_box, scene: Path, bad: object, message: str
) -> None:
    """The error counts and names the rows, and says what to do."""
    with pytest.raises(InputError, match=message):
        place(scene, [pixel_box(1, 1, 9, 9), bad])


def test_none_inside_is_an_error(pixel_box, scene: Path) -> None:
    """Prompts that all lie elsewhere point to a mistaken CRS."""
    with pytest.raises(InputError, match="none of the 1 prompts lies inside"):
        place(scene, [pixel_box(5000, 1, 5009, 9)])


def test_a_crs_on_one_side_only_is_an_error(pixel_box, scene: Path, write_scene) -> None:
    """A missing CRS is named with its side; it is never guessed."""
    with pytest.raises(InputError, match="the prompts have no CRS"):
        place(scene, [pixel_box(1, 1, 9, 9)], None)
    bare = write_scene(np.zeros((3, 20, 20), np.uint8), "bare.tif", crs=None)
    with pytest.raises(InputError, match=r"bare.tif has no CRS"):
        place(bare, [pixel_box(1, 1, 9, 9)])


def test_no_crs_on_both_sides_is_one_plane(pixel_box, write_scene) -> None:
    """Where neither side has a CRS, both are taken to share one."""
    bare = write_scene(np.zeros((3, 20, 20), np.uint8), "bare.tif", crs=None)
    assert np.allclose(place(bare, [pixel_box(1, 1, 9, 9)], None).boxes, [[1, 1, 9, 9]])


def test_rows_are_chosen_by_layer_and_condition(boxes: Path) -> None:
    """--layer and --where choose rows; their number in the file is kept."""
    rows = PromptFile(boxes, "boxes", "name <> 'a'").read()
    assert rows["name"].tolist() == ["b", "c"]
    assert rows["prompt_fid"].tolist() == [2, 3]


def test_two_layers_ask_for_a_choice(boxes: Path) -> None:
    """A file with several layers is not guessed at."""
    gpd.read_file(boxes).to_file(boxes, layer="more")
    with pytest.raises(InputError, match="2 layers: choose one with --layer; they are boxes, more"):
        PromptFile(boxes).read()
    assert len(PromptFile(boxes, "more").read()) == 3


@pytest.mark.parametrize(
    ("layer", "where", "message"),
    [
        ("nope", None, "no layer 'nope' of geometries: it has boxes"),
        (None, "colour = 1", "--where 'colour = 1' fails"),
        (None, "name = 'z'", "no rows that meet --where"),
    ],
)
def test_wrong_choices_are_named(
    boxes: Path, layer: str | None, where: str | None, message: str
) -> None:
    """The error says what there is."""
    with pytest.raises(InputError, match=message):
        PromptFile(boxes, layer, where).read()


def test_files_that_are_no_vector_files_are_named(tmp_path: Path, scene: Path) -> None:
    """A missing file, a text and a raster are each refused in one line."""
    (tmp_path / "text.gpkg").write_text("hello")
    for path, message in (
        (tmp_path / "gone.gpkg", "does not exist"),
        (tmp_path / "text.gpkg", "not a vector file"),
        (scene, "not a vector file"),
    ):
        with pytest.raises(InputError, match=message):
            PromptFile(path).read()


def test_a_table_without_geometry_is_refused(tmp_path: Path) -> None:
    """A CSV of names is no file of prompts."""
    (tmp_path / "names.csv").write_text("name\na\n")
    with pytest.raises(InputError, match="holds no geometries"):
        PromptFile(tmp_path / "names.csv").read()
