import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.prompts.placement import place_prompts
from samdomain_geo.prompts.prompt_file import PromptRows
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import open_scene

UTM = "EPSG:32636"


def place(
    scene: Path, geometries: list, crs: object = UTM, elsewhere: int = 0, **columns: list
) -> ObjectPrompts:
    numbers = {"prompt_fid": range(len(geometries)), **columns}
    rows = gpd.GeoDataFrame(numbers, geometry=geometries, crs=crs)
    with open_scene(scene) as opened:
        return place_prompts(PromptRows(rows, elsewhere), opened)


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


def test_prompts_outside_are_counted(pixel_box, scene: Path) -> None:
    """Prompts beside the scene are left out, and it is noted how many."""
    placed = place(scene, [pixel_box(1, 1, 9, 9), pixel_box(500, 1, 509, 9)])
    assert len(placed) == 1
    assert placed.outside == 1
    assert placed.columns["prompt_fid"].tolist() == [0]


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
        (shapely.Point(0, np.inf), "not finite"),
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
    with pytest.raises(InputError, match="the vector file has no CRS"):
        place(scene, [pixel_box(1, 1, 9, 9)], None)
    bare = write_scene(np.zeros((3, 20, 20), np.uint8), "bare.tif", crs=None)
    with pytest.raises(InputError, match=r"bare.tif has no CRS"):
        place(bare, [pixel_box(1, 1, 9, 9)])


def test_no_crs_on_both_sides_is_one_plane(pixel_box, write_scene) -> None:
    """Where neither side has a CRS, both are taken to share one."""
    bare = write_scene(np.zeros((3, 20, 20), np.uint8), "bare.tif", crs=None)
    assert np.allclose(place(bare, [pixel_box(1, 1, 9, 9)], None).boxes, [[1, 1, 9, 9]])


@pytest.fixture
def click(pixel_box):
    """Make a point at a pixel in coordinates of the scenes' CRS."""
    return lambda x, y: shapely.Point(pixel_box(x, y, x + 1, y + 1).bounds[0::3])


def test_a_point_is_a_click_on_an_object_of_its_own(click, scene: Path) -> None:
    """Points land on their pixels, without a box, one object each."""
    placed = place(scene, [click(10, 20), click(30, 40)])
    assert np.isnan(placed.boxes).all()
    assert np.allclose(placed.clicks.places, [[10, 20], [30, 40]])
    assert placed.clicks.objects.tolist() == [0, 1]
    assert placed.clicks.labels.tolist() == [1, 1]


@pytest.mark.parametrize("labels", [[1, 0], [True, False], [None, 0.0], ["1", "0"]])
def test_labels_say_on_or_beside(click, scene: Path, labels: list) -> None:
    """1, true and nothing are on the object, 0 and false beside it."""
    placed = place(scene, [click(10, 20), click(30, 40)], label=labels, object_id=[5, 5])
    assert placed.clicks.labels.tolist() == [1, 0]


def test_rows_of_one_object_id_are_one_object(click, pixel_box, scene: Path) -> None:
    """Clicks are joined wherever they stand; a row without a value is on its own."""
    placed = place(
        scene,
        [click(10, 20), click(50, 50), click(12, 22), pixel_box(40, 40, 60, 60), click(1, 1)],
        object_id=["a", "b", "a", "b", None],
        label=[0, 1, 1, None, 1],
    )
    assert len(placed) == 3
    assert placed.clicks.objects.tolist() == [0, 0, 1, 2]
    assert placed.clicks.labels.tolist() == [0, 1, 1, 1]
    assert np.allclose(placed.boxes[1], [40, 40, 60, 60])
    assert placed.boxed.tolist() == [False, True, False]
    assert placed.columns["prompt_fid"].tolist() == [2, 3, 4]


def test_several_points_of_one_row_are_one_object(click, scene: Path) -> None:
    """A MultiPoint is several clicks with its row's label."""
    placed = place(scene, [shapely.MultiPoint([click(10, 20), click(14, 22)])])
    assert len(placed) == 1
    assert placed.clicks.labels.tolist() == [1, 1]


def test_boxes_alone_are_never_joined(pixel_box, scene: Path) -> None:
    """Without points, columns called label and object_id are a user's own."""
    boxes = [pixel_box(1, 1, 9, 9), pixel_box(20, 20, 30, 30)]
    placed = place(scene, boxes, object_id=[3, 3], label=["hut", "shed"])
    assert len(placed) == 2
    assert placed.columns["label"].tolist() == ["hut", "shed"]


def test_two_boxes_of_one_object_are_refused(click, pixel_box, scene: Path) -> None:
    """An object has one box at most."""
    rows = [pixel_box(1, 1, 9, 9), pixel_box(20, 20, 30, 30), click(5, 5)]
    with pytest.raises(InputError, match=r"2 of 3 prompts \(fid 0, 1\) are several boxes"):
        place(scene, rows, object_id=[3, 3, 4])


def test_a_label_that_is_none_is_refused(click, scene: Path) -> None:
    """The error names the rows, the values and what is allowed."""
    with pytest.raises(InputError, match=r"fid 1\) are clicks with label 'hut': allowed are 1"):
        place(scene, [click(10, 20), click(30, 40)], label=[1, "hut"])


def test_clicks_beside_alone_are_refused(click, scene: Path) -> None:
    """An object that no click is on is named by its object_id, or by its row."""
    rows = [click(10, 20), click(30, 40), click(50, 50)]
    with pytest.raises(InputError, match=r"1 of 2 objects \(object_id 7\) have only clicks besi"):
        place(scene, rows, label=[0, 1, 0], object_id=[7, 8, 7])
    with pytest.raises(InputError, match=r"1 of 3 objects \(fid 2\) have only clicks beside"):
        place(scene, rows, label=[1, 1, 0])


def test_clicks_on_may_lie_on_another_tile(
    click, scene: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An object whose clicks on it were not read is left out, and named."""
    with caplog.at_level(logging.WARNING):
        placed = place(
            scene, [click(10, 20), click(30, 40)], elsewhere=3, label=[1, 0], object_id=[7, 8]
        )
    assert (len(placed), placed.outside) == (1, 4)
    assert "object_id 8: no click on it" in caplog.text


def test_clicks_outside_are_left_out(click, scene: Path) -> None:
    """An object lies where the clicks on it do, and is clipped where one is over the edge."""
    placed = place(
        scene,
        [click(10, 20), click(-5, 20), click(159.9, 119.9), click(160, 50), click(20, 20)],
        object_id=[1, 1, 2, 3, 3],
        label=[1, 1, 1, 1, 0],
    )
    assert np.allclose(placed.clicks.places, [[10, 20], [159.9, 119.9]])
    assert placed.clipped.tolist() == [True, False]
    assert placed.outside == 2
