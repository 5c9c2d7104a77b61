"""View a scene at another pixel size, without a copy of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from shapely.geometry import LineString

from samdomain.errors import InputError
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene

# A scene whose pixels are the wanted ones but for this share is taken as it is: resampling
# would blur it for nothing.
_SAME = 1e-3


@contextmanager
def warped(scene: Scene, pixel_size: float) -> Iterator[Scene]:
    """View a scene north up, with square pixels of a size on the ground.

    Pixels are warped as windows are read, so that memory and disk do not grow with the scene:
    averaged where they become coarser, interpolated where finer. The view keeps the scene's
    CRS; where a CRS has no even scale, as degrees and Web Mercator, the size is that at the
    scene's middle. Nodata is NaN, also around a scene that was rotated.

    Args:
        scene: open raster; the view is to be used while it is open.
        pixel_size: side of a pixel in metres on the ground.

    Raises:
        InputError: the size is not above 0, or the scene has no CRS to tell metres.
    """
    if not 0 < pixel_size < math.inf:
        raise InputError(f"the pixel size is {pixel_size}: give metres above 0")
    ellipsoid = Ellipsoid.of(scene.crs)
    if ellipsoid is None:
        raise InputError(f"{scene.path} has no CRS: its pixel size in metres cannot be told")
    width, height = _unit_lengths(scene, ellipsoid)
    across, down = pixel_size / width, pixel_size / height  # units of the CRS
    if np.allclose(scene.transform[:6], _grid(scene, across, down)[:6], rtol=_SAME, atol=0):
        yield scene
        return
    left, bottom, right, top = _bounds(scene)
    pixels = abs(scene.transform.determinant)
    options = {
        "crs": scene.crs,
        "transform": _grid(scene, across, down),
        "width": max(1, math.ceil((right - left) / across)),
        "height": max(1, math.ceil((top - bottom) / down)),
        "resampling": Resampling.average if across * down > pixels else Resampling.bilinear,
        # In place of an alpha band, which GDAL heeds in few data types.
        "dtype": "float32",
        "nodata": np.nan,
    }
    with WarpedVRT(scene.dataset, **options) as view:
        yield replace(scene, dataset=view)


def _grid(scene: Scene, across: float, down: float) -> Affine:
    left, _, _, top = _bounds(scene)
    return Affine(across, 0, left, 0, -down, top)


def _bounds(scene: Scene) -> tuple[float, float, float, float]:
    """Return left, bottom, right and top of a scene, however it is turned."""
    columns = np.array([0, scene.columns, 0, scene.columns], float)
    x, y = scene.transform @ (columns, np.array([0, 0, scene.rows, scene.rows], float))
    return x.min(), y.min(), x.max(), y.max()


def _unit_lengths(scene: Scene, ellipsoid: Ellipsoid) -> tuple[float, float]:
    """Return the metres of one unit of the CRS across and up, at the scene's middle."""
    x, y = scene.transform @ (scene.columns / 2, scene.rows / 2)
    half = math.sqrt(abs(scene.transform.determinant)) / 2  # the length of a pixel is measured
    across = LineString([(x - half, y), (x + half, y)])
    up = LineString([(x, y - half), (x, y + half)])
    return ellipsoid.length(across) / (2 * half), ellipsoid.length(up) / (2 * half)
