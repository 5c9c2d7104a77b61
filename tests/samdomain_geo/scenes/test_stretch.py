from pathlib import Path

import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.stretch import Stretch, parse_stretch


def test_eight_bits_are_taken_as_they_are(scene: Path) -> None:
    """A photograph is not stretched."""
    with open_scene(scene) as opened:
        stretch = Stretch.measure(opened)
    pixels = np.arange(12, dtype=np.float32).reshape(3, 2, 2) * 20
    assert np.allclose(stretch(pixels), pixels)


def test_sixteen_bits_are_stretched_by_percentiles(write_scene) -> None:
    """2% of the pixels saturate at either end, and the middle becomes the middle."""
    values = np.linspace(1000, 5000, 100 * 100).astype(np.uint16).reshape(1, 100, 100)
    with open_scene(write_scene(values)) as opened:
        stretch = Stretch.measure(opened)
        stretched = stretch(np.full((3, 1, 1), 3000, np.float32))
    assert np.allclose(stretch.low, 1080, atol=2)
    assert np.allclose(stretch.high, 4920, atol=2)
    assert np.allclose(stretched, 127.5, atol=0.5)


def test_nodata_does_not_move_the_stretch(write_scene) -> None:
    """Half a scene of nodata leaves the percentiles of the rest alone."""
    values = np.zeros((1, 100, 100), np.uint16)
    values[:, 50:] = np.linspace(1000, 2000, 5000).reshape(50, 100)
    with open_scene(write_scene(values, nodata=0)) as opened:
        assert min(Stretch.measure(opened).low) > 1000


def test_a_constant_or_empty_scene_stays_finite(write_scene) -> None:
    """No range and no valid pixel divide by no zero."""
    for nodata in (None, 7):
        path = write_scene(np.full((1, 8, 8), 7, np.uint16), f"{nodata}.tif", nodata=nodata)
        with open_scene(path) as opened:
            stretched = Stretch.measure(opened)(np.full((3, 2, 2), 7, np.float32))
        assert np.isfinite(stretched).all()


def ramp(write_scene) -> Path:
    """A band of uint16 whose values 0 to 9999 are equally frequent."""
    return write_scene(np.arange(10_000, dtype=np.uint16).reshape(1, 100, 100))


def test_percentiles_can_be_chosen(write_scene) -> None:
    """10,50 makes the darkest tenth black and the brighter half white, 8 bits included."""
    with open_scene(ramp(write_scene)) as opened:
        stretch = parse_stretch("10,50")(opened)
    assert np.allclose((stretch.low[0], stretch.high[0]), (1000, 5000), atol=1)
    grey = np.repeat(np.arange(101, dtype=np.uint8), 5).reshape(1, 101, 5)
    with open_scene(write_scene(grey, "grey.tif")) as opened:
        assert parse_stretch("0,50")(opened) == Stretch((0.0,) * 3, (50.0,) * 3)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100:3000", (100, 100, 100), (3000, 3000, 3000)),
        ("0:1,0:2,-5:3.5", (0, 0, -5), (1, 2, 3.5)),
        ("none", (0, 0, 0), (255, 255, 255)),
    ],
)
def test_values_can_be_chosen(write_scene, text: str, low: tuple, high: tuple) -> None:
    """Ranges are taken as they are given, for all bands or each; none is 0 to 255."""
    with open_scene(ramp(write_scene)) as opened:
        assert parse_stretch(text)(opened) == Stretch(low, high)


@pytest.mark.parametrize(
    "text", ["", "2", "98,2", "2,2", "-1,98", "2,101", "a,b", "1:2:3", "5:1", "0:inf", "0:1,2", ":"]
)
def test_other_words_are_refused(text: str) -> None:
    """The error shows what could be given."""
    with pytest.raises(InputError, match="give percentiles as 2,98, or values as 100:3000"):
        parse_stretch(text)


def test_ranges_fit_the_bands(write_scene) -> None:
    """Two ranges fit no three bands."""
    with open_scene(ramp(write_scene)) as opened, pytest.raises(InputError, match="2 ranges, but"):
        parse_stretch("0:1,0:2")(opened)
