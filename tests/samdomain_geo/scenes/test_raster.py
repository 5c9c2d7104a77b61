import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.scenes.raster import open_scene


def test_marked_colours_are_the_default_bands(scene: Path) -> None:
    """Bands that say that they are red, green and blue are taken in that order."""
    with rasterio.open(scene, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    with open_scene(scene) as opened:
        assert opened.bands == (3, 2, 1)


@pytest.mark.parametrize(("count", "bands"), [(1, (1, 1, 1)), (2, (1, 1, 1)), (5, (1, 2, 3))])
def test_default_bands_by_count(write_scene, count: int, bands: tuple) -> None:
    """Without colours the first three bands are taken, or one band three times."""
    path = write_scene(np.zeros((count, 8, 8), np.uint16), photometric="minisblack")
    with open_scene(path) as opened:
        assert opened.bands == bands


def test_chosen_bands_are_read_in_order(write_scene) -> None:
    """--bands decides which bands are read, and in which order."""
    path = write_scene(np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 8, 8), np.uint8))
    with open_scene(path, [4, 1, 2]) as opened:
        pixels, _ = opened.read(Window(0, 0, 2, 2))
    assert pixels[:, 0, 0].tolist() == [3, 0, 1]


def test_nodata_and_nan_are_not_valid(write_scene) -> None:
    """A pixel is valid where no band says nodata and all are finite."""
    pixels = np.ones((3, 4, 4), np.float32)
    pixels[:, 0, 0] = -9
    pixels[1, 1, 1] = np.nan
    with open_scene(write_scene(pixels, nodata=-9)) as opened:
        _, valid = opened.read(Window(0, 0, 4, 4))
    assert (~valid).sum() == 2
    assert not valid[0, 0]
    assert not valid[1, 1]


def test_a_decimated_window_is_averaged(write_scene) -> None:
    """Reading 4 pixels into one gives their mean."""
    pixels = np.tile(np.array([[0, 100], [100, 200]], np.uint8), (3, 4, 4))
    with open_scene(write_scene(pixels)) as opened:
        small, _ = opened.read(Window(0, 0, 8, 8), (4, 4))
    assert np.allclose(small, 100)


def test_a_large_scene_without_overviews_is_sampled_in_windows(write_scene) -> None:
    """The sample of a wide scene comes from a grid of windows and not from all its pixels."""
    pixels = np.zeros((1, 40, 5000), np.uint16)
    pixels[:, :, 2500:] = 7
    with open_scene(write_scene(pixels)) as opened:
        sample = opened.sample()
    assert sample.shape[1] < 5000 * 40 * 3
    assert 0.3 < (sample == 7).mean() < 0.7


def test_values_beyond_float32_are_not_valid(write_scene) -> None:
    """A 64-bit value that float32 cannot hold is left out like nodata."""
    pixels = np.ones((3, 4, 4))
    pixels[0, 0, 0] = 1e300
    with open_scene(write_scene(pixels)) as opened:
        _, valid = opened.read(Window(0, 0, 4, 4))
    assert (~valid).sum() == 1


def test_complex_numbers_are_refused(write_scene) -> None:
    """A radar scene of complex numbers is no picture."""
    path = write_scene(np.ones((3, 4, 4), np.complex64))
    with pytest.raises(InputError, match="amplitudes"), open_scene(path):
        pass


def test_two_hundred_bands(write_scene) -> None:
    """Any three of 200 bands are read, each with its own nodata; the first three by default."""
    values = np.arange(200, dtype=np.int16)[:, None, None] * np.ones((200, 6, 6), np.int16)
    values[[9, 19, 199], 0, 0] = -1
    path = write_scene(values, photometric="minisblack", nodata=-1)
    with open_scene(path, [200, 10, 20]) as opened:
        pixels, valid = opened.read(Window(0, 0, 6, 6))
    assert pixels[:, 5, 5].tolist() == [199, 9, 19]
    assert np.argwhere(~valid).tolist() == [[0, 0]]
    with open_scene(path) as opened:
        assert opened.bands == (1, 2, 3)


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_raster_without_pixels_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    """A virtual raster of no width or height is no raster."""
    (tmp_path / "none.vrt").write_text(
        f'<VRTDataset rasterXSize="{size[0]}" rasterYSize="{size[1]}">'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(InputError, match=r"none.vrt is not a raster"):
        open_scene(tmp_path / "none.vrt").__enter__()


def test_a_damaged_header_is_no_bug(scene: Path) -> None:
    """Bytes of the header that are wrong are refused or read over; no other error comes out."""
    whole, rng = scene.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, 600, 3):
            damaged[place] = rng.integers(256)
        scene.write_bytes(damaged)
        with suppress(InputError), open_scene(scene):
            continue
        refused += 1
    assert refused > 20


def test_a_damaged_crs_is_refused(scene: Path) -> None:
    """What rasterio tells of late, and not as an error of its own, is refused on opening."""
    damaged = bytearray(scene.read_bytes())
    tag = damaged.index(struct.pack("<HHI", 33550, 12, 3))  # the size of a pixel
    struct.pack_into("<H", damaged, tag, 60_000)  # is lost
    key = damaged.index(struct.pack("<HHH", 2054, 0, 1))  # one value for the unit of angles
    struct.pack_into("<H", damaged, key + 4, 0)
    scene.write_bytes(damaged)
    with pytest.raises(InputError, match="not a raster that GDAL can read"):
        open_scene(scene).__enter__()


def truncated(path: Path) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


def test_a_truncated_file_is_refused_at_once(scene: Path) -> None:
    """A GeoTIFF that was cut off is refused before any work."""
    with pytest.raises(InputError, match="cut off or damaged"), open_scene(truncated(scene)):
        pass


@pytest.mark.parametrize(
    ("bands", "message"),
    [([4], "no band 4: it has 3"), ([0, 1, 2], "no band 0"), ([-1, 9, 1], "no band -1, 9")],
)
def test_a_band_that_does_not_exist_is_named(scene: Path, bands: list, message: str) -> None:
    """The error tells which bands there are."""
    with pytest.raises(InputError, match=message), open_scene(scene, bands):
        pass


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    """A path that does not exist, or holds something else, is told by name."""
    with (
        pytest.raises(InputError, match=r"gone.tif does not exist"),
        open_scene(tmp_path / "gone.tif"),
    ):
        pass
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(InputError, match="not a raster"), open_scene(tmp_path / "text.tif"):
        pass
