from pathlib import Path

import numpy as np

from samdomain_geo.raster import open_scene
from samdomain_geo.stretch import Stretch


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
