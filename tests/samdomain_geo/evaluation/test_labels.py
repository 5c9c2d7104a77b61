from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.evaluation.labels import RasterLabels, ShapeLabels, on_grid
from samdomain_geo.evaluation.shape_layer import ShapeLayer
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.scenes.raster import open_scene

WHOLE = Window(0, 0, 40, 30)
PLACE = Affine.translation(500_000, 30_000) @ Affine.scale(0.5, -0.5)


def random(seed: int, shape: tuple[int, int] = (30, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (1, *shape), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
def test_integers_stay_exact(write_scene, dtype: str) -> None:
    """Classes are read as they are, far above what single precision holds, and on other grids."""
    large = min(np.iinfo(dtype).max, 2**52)
    values = np.array([[[0, 1], [large, large - 1]]], dtype)
    path = write_scene(values, "a.tif", nodata=0)
    finer = write_scene(
        np.zeros((1, 4, 4), np.uint8), "b.tif", transform=PLACE @ Affine.scale(0.5, 0.5)
    )
    with open_scene(path, (1,)) as scene, open_scene(finer, (1,)) as grid:
        labels, valid = RasterLabels(scene).read(Window(0, 0, 2, 2))
        assert (labels == values[0]).all()
        assert valid.tolist() == [[False, True], [True, True]]
        with on_grid(scene, grid) as view:
            moved, known = RasterLabels(view).read(Window(0, 0, 4, 4))
    assert (known == np.kron(valid, np.ones((2, 2), bool))).all()
    assert (moved[known] == np.kron(labels, np.ones((2, 2), np.int64))[known]).all()


def test_a_class_is_ignored(write_scene) -> None:
    """What is ignored has no class."""
    path = write_scene(random(0))
    with open_scene(path, (1,)) as scene:
        labels, valid = RasterLabels(scene, ignored=3).read(WHOLE)
    assert (valid == (labels != 3)).all()


def test_the_same_grid_is_read_directly(write_scene) -> None:
    """Truth on the map's own grid is not warped, also without any CRS."""
    for crs in ("EPSG:32636", None):
        one, other = (write_scene(random(0), name, crs=crs) for name in ("a.tif", "b.tif"))
        with (
            open_scene(one, (1,)) as first,
            open_scene(other, (1,)) as second,
            on_grid(first, second) as view,
        ):
            assert view is first


def test_a_shifted_grid_is_brought_over(write_scene) -> None:
    """A larger truth around the map is the same there, and there is none beyond its edge."""
    truth = random(1, (50, 60))
    corner = PLACE @ Affine.translation(-10, -5)
    large = write_scene(truth, "truth.tif", transform=corner)
    small = write_scene(random(2, (60, 40)), "map.tif")
    with (
        open_scene(large, (1,)) as true,
        open_scene(small, (1,)) as grid,
        on_grid(true, grid) as view,
    ):
        labels, valid = RasterLabels(view).read(Window(0, 0, 40, 60))
    assert (labels[:45] == truth[0, 5:, 10:50]).all()
    assert valid[:45].all()
    assert not valid[45:].any()


def test_windows_do_not_change_a_warped_truth(write_scene) -> None:
    """Read in parts, a truth in another CRS is what it is in one piece."""
    turned = Affine.translation(500_003, 29_999) @ Affine.rotation(20) @ Affine.scale(0.31, -0.31)
    path = write_scene(random(3, (60, 60)), "truth.tif", transform=turned)
    grid = write_scene(random(4), "map.tif")
    with (
        open_scene(path, (1,)) as true,
        open_scene(grid, (1,)) as scene,
        on_grid(true, scene) as view,
    ):
        source = RasterLabels(view)
        whole, known = source.read(WHOLE)
        for top, left in np.ndindex(5, 5):
            window = Window(left * 8, top * 6, 8, 6)
            labels, valid = source.read(window)
            assert (labels == whole[window.toslices()]).all()
            assert (valid == known[window.toslices()]).all()
    assert 0 < known.sum() < known.size


def test_sides_that_cannot_meet_are_refused(write_scene) -> None:
    """Elsewhere on the globe, or on another grid without a CRS, is an error."""
    here = write_scene(random(0), "map.tif")
    away = write_scene(random(0), "away.tif", transform=Affine.translation(9999, 0) @ PLACE)
    bare = write_scene(random(0), "bare.tif", crs=None, transform=Affine.scale(2))
    with open_scene(here, (1,)) as grid:
        with open_scene(away, (1,)) as true, pytest.raises(InputError, match="do not overlap"):
            on_grid(true, grid).__enter__()
        with open_scene(bare, (1,)) as true, pytest.raises(InputError, match=r"bare\.tif has no"):
            on_grid(true, grid).__enter__()


@pytest.fixture
def shapes(pixel_box) -> ShapeLayer:
    """Boxes with classes 2, 7 and none, and a point of class 9, in degrees."""
    rows = gpd.GeoDataFrame(
        {"class_id": [2, 7, None, 9], "score": [0.9, 0.5, 0.1, 0.95]},
        geometry=[
            pixel_box(2, 2, 12, 12),
            pixel_box(8, 8, 20, 20),
            pixel_box(30, 20, 35, 25),
            pixel_box(25, 3, 26, 4).centroid,
        ],
        crs="EPSG:32636",
    ).to_crs("EPSG:4326")
    return ShapeLayer.of(Side("s.gpkg", vector=True), rows, "class_id", points=True)


@pytest.mark.parametrize("background", [0, None])
def test_shapes_are_painted(write_scene, shapes: ShapeLayer, background: int | None) -> None:
    """The higher score lies on top, a shape without a class is unknown, and windows fit."""
    expected = np.full((30, 40), -1 if background is None else background)
    expected[8:20, 8:20] = 7
    expected[2:12, 2:12] = 2
    expected[20:25, 30:35] = -1
    expected[3, 25] = 9
    codes = shapes.table["class"].to_numpy(float)
    with open_scene(write_scene(random(0)), (1,)) as scene:
        source = ShapeLabels(shapes, codes, scene, background)
        assert source.any_on(scene)
        for top, left in np.ndindex(3, 4):
            window = Window(left * 10, top * 10, 10, 10)
            labels, valid = source.read(window)
            own = expected[window.toslices()]
            assert (valid == (own >= 0)).all()
            assert (labels[valid] == own[valid]).all()


def test_painting_is_gdals(write_scene, tmp_path: Path) -> None:
    """Slanted polygons cover the pixels that GDAL says, in windows as in one piece."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (20, 3, 2)) * 0.5
    triangles = [shapely.Polygon(np.array([500_000, 30_000]) + c * [1, -1]) for c in corners]
    rows = gpd.GeoDataFrame({"class_id": range(1, 21)}, geometry=triangles, crs="EPSG:32636")
    layer = ShapeLayer.of(Side("s.gpkg", vector=True), rows, "class_id", points=False)
    with open_scene(write_scene(random(0)), (1,)) as scene:
        source = ShapeLabels(layer, np.arange(1.0, 21), scene, 0, ignored=5)
        pairs = zip(triangles, range(1, 21), strict=True)
        expected = rasterize(pairs, (30, 40), transform=scene.transform, dtype="int32")
        for window in (WHOLE, Window(7, 3, 11, 13)):
            labels, valid = source.read(window)
            assert (labels == expected[window.toslices()]).all()
            assert (valid == (labels != 5)).all()
