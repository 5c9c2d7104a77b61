from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import shapely

from samdomain_geo.preview import draw_preview
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.stretch import Stretch

BLOCK = shapely.MultiPolygon([shapely.box(20, 20, 60, 60)])


def draw(scene: Path, outlines: list) -> np.ndarray:
    with open_scene(scene) as opened:
        stretch = Stretch.measure(opened)
        path = scene.with_suffix(".png")
        draw_preview(opened, stretch, outlines, "title", Ellipsoid.of(opened.crs), path)
    return matplotlib.image.imread(path)[..., :3]


def yellow(picture: np.ndarray) -> int:
    return int(((picture[..., 0] > 0.7) & (picture[..., 1] > 0.6) & (picture[..., 2] < 0.25)).sum())


def test_outlines_are_drawn(write_scene) -> None:
    """An outline leaves its colour on the picture; without one there is none."""
    dark = write_scene(np.full((3, 100, 150), 40, np.uint8))
    assert yellow(draw(dark, [])) == 0
    assert yellow(draw(dark, [BLOCK])) > 1000


def test_outlines_are_seen_on_bright_ground(write_scene) -> None:
    """A dark casing runs along an outline on white and on yellow ground."""
    for colour in ((255, 255, 255), (255, 220, 0)):
        bright = np.empty((3, 100, 150), np.uint8)
        bright[:] = np.array(colour, np.uint8)[:, None, None]
        path = write_scene(bright)
        dark = [int((draw(path, lines).max(axis=2) < 0.2).sum()) for lines in ([], [BLOCK])]
        assert dark[1] - dark[0] > 1000


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 3)])
def test_any_shape_makes_a_picture_of_bounded_size(write_scene, shape: tuple[int, int]) -> None:
    """A pixel and a strip are drawn; no side is much longer than a screen."""
    picture = draw(write_scene(np.zeros((3, *shape), np.uint8)), [])
    assert max(picture.shape[:2]) <= 1600


def test_a_scene_without_crs_counts_pixels(write_scene) -> None:
    """The scale bar needs no CRS."""
    assert draw(write_scene(np.zeros((3, 50, 50), np.uint8), crs=None), [BLOCK]).size > 0
