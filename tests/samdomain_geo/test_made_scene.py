from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.features import rasterize

from samdomain.errors import InputError
from samdomain_geo.made_scene import MadeScene, make_scene, rough_boxes, write_scene


@pytest.fixture(scope="module")
def scene() -> MadeScene:
    """A scene of 512 x 448 pixels; shared, so no test may change it."""
    return make_scene(512, 448, seed=3)


def _extent(scene: MadeScene) -> shapely.Polygon:
    _, rows, columns = scene.before.shape
    left, top = scene.transform @ (0, 0)
    right, bottom = scene.transform @ (columns, rows)
    return shapely.box(left, bottom, right, top)


def _roofs(scene: MadeScene, buildings: gpd.GeoDataFrame) -> np.ndarray:
    return rasterize(
        buildings.geometry, scene.before.shape[1:], transform=scene.transform, dtype=np.uint8
    ).astype(bool)


def test_a_seed_makes_the_same_scene() -> None:
    """Two scenes of one seed are equal, in pixels and in buildings."""
    first, second = make_scene(96, 128, seed=5), make_scene(96, 128, seed=5)
    assert np.array_equal(first.before, second.before)
    assert np.array_equal(first.after, second.after)
    assert first.buildings.equals(second.buildings)


def test_another_seed_makes_another_scene() -> None:
    """Scenes of two seeds differ in pixels and in buildings."""
    first, second = make_scene(96, 128, seed=5), make_scene(96, 128, seed=6)
    assert not np.array_equal(first.before, second.before)
    assert not first.buildings.geometry.equals(second.buildings.geometry)


def test_pictures_are_of_the_size_asked_for(scene: MadeScene) -> None:
    """Both dates have three bands of rows x columns bytes."""
    for picture in (scene.before, scene.after):
        assert picture.shape == (3, 512, 448)
        assert picture.dtype == np.uint8


def test_buildings_are_disjoint(scene: MadeScene) -> None:
    """The area of the union of all buildings is the sum of their areas."""
    assert np.isclose(scene.buildings.union_all().area, scene.buildings.area.sum())


def test_buildings_lie_inside_the_picture(scene: MadeScene) -> None:
    """Every building, and every rough box around one, is within the scene's extent."""
    extent = _extent(scene)
    assert scene.buildings.within(extent).all()
    assert rough_boxes(scene.buildings).within(extent).all()


def test_buildings_have_the_stated_columns(scene: MadeScene) -> None:
    """Buildings are valid polygons in the scene's CRS, numbered from 1, with a height."""
    buildings = scene.buildings
    assert list(buildings.columns) == ["id", "status", "height_m", "geometry"]
    assert buildings["id"].tolist() == list(range(1, len(buildings) + 1))
    assert buildings["height_m"].between(2, 12).all()
    assert (buildings.geom_type == "Polygon").all()
    assert buildings.is_valid.all()
    assert buildings.crs.to_epsg() == 32636


def test_every_status_occurs(scene: MadeScene) -> None:
    """Some buildings are kept, some are new and some are demolished; most are kept."""
    counts = scene.buildings["status"].value_counts()
    assert set(counts.index) == {"kept", "new", "demolished"}
    assert counts["kept"] > counts["new"] + counts["demolished"]


def test_standing_tells_the_dates_apart(scene: MadeScene) -> None:
    """What is new does not stand before, what is demolished does not stand after."""
    assert set(scene.standing("before")["status"]) == {"kept", "demolished"}
    assert set(scene.standing("after")["status"]) == {"kept", "new"}


def test_roofs_change_where_buildings_do(scene: MadeScene) -> None:
    """Hues differ more between the dates under changed roofs than under kept ones."""
    before, after = (
        picture / np.maximum(picture.sum(axis=0), 1) for picture in (scene.before, scene.after)
    )
    change = np.abs(before - after).sum(axis=0)
    kept = scene.buildings["status"] == "kept"
    changed = change[_roofs(scene, scene.buildings[~kept])].mean()
    assert changed > 2 * change[_roofs(scene, scene.buildings[kept])].mean()


def test_houses_cast_shadows_away_from_the_sun(scene: MadeScene) -> None:
    """The morning's ground is darker west of the houses than east, the evening's the reverse."""
    for date, sign in (("before", -1), ("after", 1)):
        houses = scene.standing(date)
        west, east = (
            getattr(scene, date)[:, _roofs(scene, beside)].mean()
            for beside in (
                houses.set_geometry(houses.translate(step).difference(houses.union_all()))
                for step in (-1.5, 1.5)
            )
        )
        assert sign * (west - east) > 10


def test_the_smallest_scene_has_a_house() -> None:
    """64 x 64 pixels hold a building, for any seed."""
    for seed in range(5):
        assert len(make_scene(64, 64, seed).standing("before")) >= 1


def test_the_pixel_size_and_the_crs_are_kept() -> None:
    """A scene has the pixel size and the CRS that it was asked for, north up."""
    scene = make_scene(64, 80, pixel_size_m=0.5, epsg=32735)
    assert scene.transform.a == 0.5
    assert scene.transform.e == -0.5
    assert scene.crs.to_epsg() == 32735
    assert scene.buildings.within(_extent(scene)).all()


def test_rough_boxes_are_near_the_buildings(scene: MadeScene) -> None:
    """A rough box overlaps its building's bounding box by an IoU over 0.6, and keeps the rest."""
    boxes = rough_boxes(scene.buildings, seed=1)
    exact = shapely.envelope(scene.buildings.geometry.to_numpy())
    rough = boxes.geometry.to_numpy()
    both = shapely.area(shapely.intersection(rough, exact))
    iou = both / shapely.area(shapely.union(rough, exact))
    assert (iou > 0.6).all()
    assert (iou < 1).all()
    assert boxes.drop(columns="geometry").equals(scene.buildings.drop(columns="geometry"))


def test_boxes_without_jitter_are_exact(scene: MadeScene) -> None:
    """At a jitter of 0 the boxes are the bounds of the buildings."""
    boxes = rough_boxes(scene.buildings, jitter=0)
    assert np.allclose(boxes.bounds, scene.buildings.bounds)


def test_pictures_are_written_with_their_place(scene: MadeScene, tmp_path: Path) -> None:
    """The files hold the pixels, CRS and transform, tiled and compressed, as RGB."""
    paths = write_scene(scene, tmp_path / "new")
    for date in ("before", "after"):
        with rasterio.open(paths[date]) as picture:
            assert picture.crs.to_epsg() == 32636
            assert picture.transform == scene.transform
            assert picture.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            assert picture.compression.name.lower() == "deflate"
            assert picture.block_shapes == [(256, 256)] * 3
            assert np.array_equal(picture.read(), getattr(scene, date))


def test_buildings_are_written_by_date(scene: MadeScene, tmp_path: Path) -> None:
    """Layers hold the buildings of their date and the boxes of the first, also when rewritten."""
    write_scene(scene, tmp_path)
    paths = write_scene(scene, tmp_path)
    assert gpd.list_layers(paths["buildings"])["name"].tolist() == ["before", "after"]
    assert gpd.list_layers(paths["boxes"])["name"].tolist() == ["boxes"]
    for date in ("before", "after"):
        layer = gpd.read_file(paths["buildings"], layer=date)
        assert layer["id"].tolist() == scene.standing(date)["id"].tolist()
        assert layer.crs.to_epsg() == 32636
    boxes = gpd.read_file(paths["boxes"])
    assert boxes["id"].tolist() == scene.standing("before")["id"].tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": 63}, "at least 64"),
        ({"columns": 10}, "at least 64"),
        ({"pixel_size_m": 30}, "0.1 to 1.0 metres"),
        ({"epsg": 4326}, "projected CRS in metres"),
        ({"epsg": 2}, "projected CRS"),
    ],
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, float], message: str) -> None:
    """A scene too small, too coarse or without metres is an input error that says what to give."""
    with pytest.raises(InputError, match=message):
        make_scene(**{"rows": 64, "columns": 64, **wrong})


def test_a_wild_jitter_is_refused(scene: MadeScene) -> None:
    """A jitter beyond a quarter of the side is an input error."""
    with pytest.raises(InputError, match=r"0 to 0\.25"):
        rough_boxes(scene.buildings, jitter=0.5)
