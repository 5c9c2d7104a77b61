import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.warped import warped

UTM_NORTH_UP = (32636, Affine(0.5, 0, 500_000, 0, -0.5, 30_000))
FORMS = {
    "utm": UTM_NORTH_UP,
    "south_up": (32636, Affine(0.5, 0, 500_000, 0, 0.5, 30_000)),
    "rotated": (32636, Affine(0.5, 0, 500_000, 0, -0.5, 6e6) @ Affine.rotation(30)),
    "mercator": (3857, Affine(0.5, 0, 3_600_000, 0, -0.5, 8_000_000)),
    "degrees": (4326, Affine(5e-6, 0, 32.5, 0, -4e-6, 55.7)),
    "feet": (2263, Affine(2, 0, 980_000, 0, -2, 200_000)),
}


def coordinates(transform: Affine, rows: int, columns: int) -> np.ndarray:
    """Return x and y (2, rows, columns) of the pixels' centres."""
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    return np.stack(transform @ (column, row))


def whole(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return scene.read(Window(0, 0, scene.columns, scene.rows))


@pytest.fixture(params=FORMS)
def ramps(request: pytest.FixtureRequest, write_scene) -> Path:
    """A scene whose two bands hold the coordinates of its pixels, from 0 at its first corner."""
    crs, transform = FORMS[request.param]
    pixels = coordinates(transform, 160, 200) - np.array([transform.c, transform.f])[:, None, None]
    return write_scene(pixels.astype(np.float32), crs=crs, transform=transform)


@pytest.mark.parametrize("size", [0.3, 1.7])
def test_pixels_lie_where_their_coordinates_say(ramps: Path, size: float) -> None:
    """Each pixel of the view holds the coordinates that the view's own transform gives it."""
    with open_scene(ramps, [1, 2]) as opened, warped(opened, size) as view:
        pixels, valid = whole(view)
        corner = np.array([opened.transform.c, opened.transform.f])[:, None, None]
        expected = coordinates(view.transform, view.rows, view.columns) - corner
        step = view.transform.a
    inner = valid.copy()  # at the edges, averages are of fewer pixels, off the middle
    for axis in (0, 1):
        for by in (-2, -1, 1, 2):
            inner &= np.roll(valid, by, axis)
    inner[[0, 1, -2, -1]] = inner[:, [0, 1, -2, -1]] = False
    assert inner.sum() > 500
    assert np.abs(pixels - expected)[:, inner].max() < step * 0.51


@pytest.mark.parametrize("size", [0.3, 1.7])
def test_pixels_are_square_on_the_ground(ramps: Path, size: float) -> None:
    """Neighbours in the middle are the wanted metres apart, by the geodesic of pyproj."""
    with open_scene(ramps, [1, 2]) as opened, warped(opened, size) as view:
        column, row = view.columns / 2, view.rows / 2
        to_degrees = Transformer.from_crs(view.crs, "EPSG:4326", always_xy=True)
        corners = [(column, row), (column + 1, row), (column, row + 1)]
        (x, y), east, south = (to_degrees.transform(*(view.transform @ one)) for one in corners)
        assert (view.transform.b, view.transform.d) == (0, 0)
    for neighbour in (east, south):
        assert Geod(ellps="WGS84").inv(x, y, *neighbour)[2] == pytest.approx(size, rel=1e-3)


def test_the_view_covers_the_scene(ramps: Path) -> None:
    """All pixels of a scene are in the view: its valid area is the scene's, and no corner lost."""
    with open_scene(ramps, [1, 2]) as opened, warped(opened, 1.0) as view:
        valid = whole(view)[1].sum() * abs(view.transform.determinant)
        area = opened.rows * opened.columns * abs(opened.transform.determinant)
    assert valid == pytest.approx(area, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_nodata_stays_nodata(write_scene, dtype: type) -> None:
    """Nodata is neither averaged into its neighbours nor becomes data, in any type."""
    pixels = np.full((1, 40, 40), 100, dtype)
    pixels[0, :, :11] = 7
    with open_scene(write_scene(pixels, nodata=7)) as opened, warped(opened, 1.0) as view:
        pixels, valid = whole(view)
        assert view.dtype == np.dtype(dtype).name
    assert valid[:, 6:].all()
    assert not valid[:, :5].any()
    assert np.allclose(pixels[:, valid], 100)


def test_what_is_transparent_or_outside_is_not_valid(write_scene) -> None:
    """Alpha counts, and so does the empty space around a rotated scene without nodata."""
    pixels = np.full((4, 40, 40), 255, np.uint8)
    pixels[3, :, :20] = 0
    path = write_scene(pixels, photometric="RGB", alpha="YES")
    with open_scene(path) as opened, warped(opened, 1.0) as view:
        valid = whole(view)[1]
    assert valid[:, 10:].all()
    assert not valid[:, :10].any()
    turned = UTM_NORTH_UP[1] @ Affine.rotation(45)
    path = write_scene(np.zeros((1, 40, 40), np.uint16), "turned.tif", transform=turned)
    with open_scene(path) as opened, warped(opened, 1.0) as view:
        valid = whole(view)[1]
    assert valid.mean() == pytest.approx(0.5, abs=0.05)


def test_a_scene_of_the_right_size_is_itself(scene: Path) -> None:
    """No resampling where the pixels are the wanted ones; the ground differs a little from UTM."""
    with open_scene(scene) as opened, warped(opened, 0.5002) as view:
        assert view is opened


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_sizes_are_checked(scene: Path, size: float) -> None:
    """A pixel has a size."""
    with (
        open_scene(scene) as opened,
        pytest.raises(InputError, match="metres above 0"),
        warped(opened, size),
    ):
        pass


def test_metres_need_a_crs(write_scene) -> None:
    """Without a CRS nobody knows the size of a pixel."""
    path = write_scene(np.zeros((3, 9, 9), np.uint8), crs=None)
    with (
        open_scene(path) as opened,
        pytest.raises(InputError, match="has no CRS"),
        warped(opened, 1),
    ):
        pass


MEMORY = """
import resource, sys
from rasterio.windows import Window
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.warped import warped
with open_scene(sys.argv[1]) as opened, warped(opened, 0.75) as view:
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for row in range(0, view.rows - 1000, 6000):
        view.read(Window(0, row, 1000, 1000))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    """Windows of a scene of 3.6 GB, rotated by 10 degrees, are read in a fraction of that."""
    transform = UTM_NORTH_UP[1] @ Affine.rotation(10)
    with rasterio.open(
        tmp_path / "wide.tif", "w", driver="GTiff", width=60_000, height=20_000, count=3,
        dtype="uint8", crs=32636, transform=transform, tiled=True, sparse_ok=True,
        compress="DEFLATE",
    ):  # fmt: skip
        pass
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "wide.tif")]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert int(told.stdout) < 400
