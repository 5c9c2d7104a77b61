import numpy as np
import shapely
from affine import Affine

from samdomain_geo.polygons.vector import outline, simplified, to_crs

EVERYWHERE = shapely.box(-1000, -1000, 1000, 1000)


def test_outline_follows_pixel_edges() -> None:
    """Three pixels in an L have the area of three pixels, where the mask lies in the scene."""
    mask = np.zeros((5, 5), bool)
    mask[1, 1] = mask[2, 1] = mask[2, 2] = True
    traced = outline(mask, Affine.translation(100, 200), EVERYWHERE)
    assert traced.area == 3
    assert traced.bounds == (101, 201, 103, 203)


def test_outline_of_a_coarser_mask_is_scaled() -> None:
    """A pixel of a mask read at half size covers four pixels of the scene."""
    traced = outline(np.ones((1, 1), bool), Affine.scale(2), EVERYWHERE)
    assert traced.area == 4


def test_holes_are_kept() -> None:
    """A ring of pixels stays a ring."""
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    assert outline(mask, Affine.identity(), EVERYWHERE).area == 8


def test_stray_parts_are_dropped_and_touching_ones_stay_together() -> None:
    """Parts that touch the prompt make one object; a part elsewhere is no part of it."""
    mask = np.zeros((1, 10), bool)
    mask[0, [0, 2, 9]] = True
    traced = outline(mask, Affine.identity(), shapely.box(0, 0, 3, 1))
    assert len(traced.geoms) == 2
    assert outline(mask, Affine.identity(), shapely.box(5, 0, 6, 1)) is None


def test_nothing_has_no_outline() -> None:
    """An empty mask has none."""
    assert outline(np.zeros((3, 3), bool), Affine.identity(), EVERYWHERE) is None


def test_simplified_removes_stairs() -> None:
    """Stairs of one pixel along a diagonal are gone at a tolerance of one; 0 keeps them."""
    stairs = shapely.union_all([shapely.box(i, 0, i + 1, i + 1) for i in range(10)])
    assert simplified(stairs, 0) is stairs
    simple = simplified(stairs, 1)
    assert simple.is_valid
    assert shapely.get_num_coordinates(simple) < shapely.get_num_coordinates(stairs) / 2


def test_simplified_stays_valid() -> None:
    """Random masks simplified by a lot are still valid polygons."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        traced = outline(rng.random((12, 12)) > 0.5, Affine.identity(), EVERYWHERE)
        assert simplified(traced, 2.0).is_valid


def test_pixels_map_through_a_rotated_transform() -> None:
    """A rotated geotransform turns the geometry and keeps its area."""
    turned = to_crs(shapely.box(0, 0, 2, 1), Affine.rotation(30) @ Affine.scale(3))
    assert np.isclose(turned.area, 18)
