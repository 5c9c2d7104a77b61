from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.pairs.pair import PairSource

Write = Callable[..., Path]
WHOLE = Window(0, 0, 100, 80)


def place(left: float, top: float, size: float) -> Affine:
    """Map pixels of a size in metres from a corner in pixels of half a metre."""
    corner = Affine.translation(500_000 + left / 2, 30_000 - top / 2)
    return corner @ Affine.scale(size, -size)


def ramp(rows: int, columns: int, transform: Affine) -> np.ndarray:
    """Three bands that hold x, y and their sum at the pixels' centres, from 1000 on."""
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    x, y = transform @ (column, row)
    x, y = x - 499_000, 31_000 - y
    return np.stack([x, y, x + y]).astype(np.float32)


@pytest.fixture
def before(write_scene: Write) -> Path:
    return write_scene(ramp(80, 100, place(0, 0, 0.5)), "before.tif")


@pytest.mark.parametrize("size", [0.2, 0.5, 1.5])
def test_the_later_date_lies_on_the_grid_of_the_earlier_one(
    before: Path, write_scene: Write, size: float
) -> None:
    """A ramp of coordinates is the same ramp from pixels of any size and offset."""
    transform = place(-7.3, -9.1, size)
    shape = round(60 / size), round(70 / size)
    after = write_scene(ramp(*shape, transform), "after.tif", transform=transform)
    with PairSource(str(before), str(after)).open() as pair:
        seen = pair.read(WHOLE)
        assert seen.valid.all()
        np.testing.assert_allclose(seen.after, seen.before, atol=0.01)
        assert pair.ratio == pytest.approx((size / 0.5) ** 2, rel=1e-6)


def test_windows_are_parts_of_the_whole(before: Path, write_scene: Write) -> None:
    """A pixel has the same bits in whatever window it is read."""
    transform = place(-3.7, -5.2, 0.37)
    rough = np.random.default_rng(0).random((3, 140, 170)).astype(np.float32)
    after = write_scene(rough, "after.tif", transform=transform)
    with PairSource(str(before), str(after)).open() as pair:
        whole = pair.read(WHOLE).after
        for window in (Window(13, 7, 50, 31), Window(0, 79, 100, 1), Window(64, 0, 36, 80)):
            row, column = window.row_off, window.col_off
            part = whole[:, row : row + window.height, column : column + window.width]
            assert (pair.read(window).after == part).all()


def test_only_the_overlap_has_data(before: Path, write_scene: Write) -> None:
    """What the later date does not reach is nodata, and its bounds are told."""
    transform = place(40, 20, 0.5)
    after = write_scene(ramp(90, 30, transform), "after.tif", transform=transform)
    with PairSource(str(before), str(after)).open() as pair:
        expected = np.zeros((80, 100), bool)
        expected[20:, 40:70] = True
        assert (pair.read(WHOLE).valid == expected).all()
        area = pair.overlap
        assert (area.col_off, area.row_off, area.width, area.height) == (39, 19, 32, 61)


def test_a_dark_pixel_is_no_hole(before: Path, write_scene: Write) -> None:
    """Nodata in one band alone is a value, also where the raster is resampled."""
    pixels = np.full((3, 80, 100), 9, np.uint8)
    pixels[1, 40, 50] = 0
    pixels[:, 60, 50] = 0
    shifted = place(0.2, 0.2, 0.5)
    after = write_scene(pixels, "after.tif", nodata=0, transform=shifted)
    with PairSource(str(before), str(after)).open() as pair:
        valid = pair.read(WHOLE).valid
        assert valid[38:43, 48:53].all()
        assert not valid[60, 50]


def test_a_shift_moves_the_later_date(before: Path) -> None:
    """Two columns and three rows further on, the ramp is as much higher."""
    with PairSource(str(before), str(before), shift=(2.0, 3.0)).open() as pair:
        seen = pair.read(Window(10, 10, 50, 50))
        apart = (seen.after - seen.before).mean(axis=(1, 2))
        assert apart == pytest.approx([1.0, 1.5, 2.5], abs=1e-3)


def test_bands_may_stand_elsewhere(before: Path, write_scene: Write) -> None:
    """The later date's bands are named by themselves."""
    values = np.repeat(np.arange(4, dtype=np.float32)[:, None, None], 80, axis=1).repeat(
        100, axis=2
    )
    after = write_scene(values, "after.tif")
    source = PairSource(str(before), str(after), (1, 2, 3), (4, 3, 2))
    with source.open() as pair:
        assert pair.read(WHOLE).after[:, 0, 0].tolist() == [3, 2, 1]
    fewer = PairSource(str(before), str(after), (1, 2, 3), (4, 3))
    with pytest.raises(InputError, match="give as many"), fewer.open():
        pass
