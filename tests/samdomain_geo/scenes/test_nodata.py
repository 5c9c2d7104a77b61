import math
from pathlib import Path

import numpy as np
import pytest
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import open_scene


def valid(path: Path, nodata: float | None) -> np.ndarray:
    with open_scene(path, nodata=nodata) as opened:
        return opened.read(Window(0, 0, opened.columns, opened.rows))[1]


def test_words_become_a_number() -> None:
    """Numbers are themselves, and "none" is NaN: only NaN is nodata."""
    assert parse_nodata(None) is None
    assert parse_nodata("-3.4e38") == -3.4e38
    assert parse_nodata(0) == 0.0
    assert math.isnan(parse_nodata("none"))
    assert math.isnan(parse_nodata("nan"))
    with pytest.raises(InputError, match="--nodata 'black' is not a number"):
        parse_nodata("black")


def test_a_value_takes_the_place_of_the_files_own(write_scene) -> None:
    """What the file calls nodata becomes data, and the given value nodata."""
    pixels = np.full((3, 4, 4), 5, np.uint8)
    pixels[:, 0, 0], pixels[:, 1, 1] = 0, 9
    path = write_scene(pixels, nodata=0)
    assert np.argwhere(~valid(path, None)).tolist() == [[0, 0]]
    assert np.argwhere(~valid(path, 9)).tolist() == [[1, 1]]
    assert valid(path, math.nan).all()


@pytest.mark.parametrize("nodata", [-9999.0, -3.4028234663852886e38, 2.5])
def test_floating_point_nodata(write_scene, nodata: float) -> None:
    """A value of float32 is found as float32 stores it."""
    pixels = np.ones((1, 4, 4), np.float32)
    pixels[0, 2, 3] = nodata
    assert np.argwhere(~valid(write_scene(pixels), nodata)).tolist() == [[2, 3]]


def test_one_black_band_is_no_nodata(write_scene) -> None:
    """A pixel is nodata where all the bands that are read are."""
    pixels = np.full((4, 2, 2), 5, np.uint8)
    pixels[0, 0, 0] = 0
    pixels[:3, 1, 1] = 0
    assert np.argwhere(~valid(write_scene(pixels, photometric="minisblack"), 0)).tolist() == [
        [1, 1]
    ]


def test_averages_leave_nodata_out(write_scene) -> None:
    """Reading 2 x 2 pixels into one averages those that are data."""
    pixels = np.tile(np.array([[0, 100], [100, 100]], np.uint8), (3, 4, 4))
    with open_scene(write_scene(pixels), nodata=0) as opened:
        small, _ = opened.read(Window(0, 0, 8, 8), (4, 4))
    assert np.allclose(small, 100)


def test_an_alpha_band_stays_in_force(write_scene) -> None:
    """Transparent pixels and pixels of the value are both left out."""
    pixels = np.full((4, 2, 2), 255, np.uint8)
    pixels[3, 0, 0] = 0
    pixels[:3, 1, 1] = 7
    path = write_scene(pixels, photometric="RGB", alpha="YES")
    with open_scene(path) as opened:
        assert opened.dataset.colorinterp[3] == ColorInterp.alpha
    assert np.argwhere(~valid(path, 7)).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("nodata", [-1, 300, 0.5, math.inf])
def test_a_value_that_no_pixel_can_have_is_refused(scene: Path, nodata: float) -> None:
    """8 bits hold whole numbers from 0 to 255."""
    with (
        pytest.raises(InputError, match="which no pixel of type uint8 can have"),
        open_scene(scene, nodata=nodata),
    ):
        pass


def test_the_file_is_not_touched(scene: Path) -> None:
    """Neither the raster nor a file beside it is written."""
    before = {path.name: path.read_bytes() for path in scene.parent.iterdir()}
    valid(scene, 3)
    assert {path.name: path.read_bytes() for path in scene.parent.iterdir()} == before
