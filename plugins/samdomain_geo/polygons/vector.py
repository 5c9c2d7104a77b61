"""Turn masks into polygons in coordinates of a CRS."""

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry import LineString, MultiPolygon, shape
from shapely.geometry.base import BaseGeometry

from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene


def outline(
    mask: NDArray[np.bool_], to_scene: Affine, touching: BaseGeometry
) -> MultiPolygon | None:
    """Trace a mask along its pixel edges, and keep the parts that touch a geometry.

    Args:
        mask: (rows, columns), true on the object.
        to_scene: map from the mask's (column, row) to pixels of the scene.
        touching: geometry in pixels of the scene, as the prompt; parts elsewhere are stray.

    Returns:
        MultiPolygon: parts in pixels of the scene, holes kept; None where nothing is left.
    """
    traced = shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=to_scene)
    parts = [shape(geometry) for geometry, _ in traced]
    kept = [part for part in parts if part.intersects(touching)]
    return MultiPolygon(kept) if kept else None


def to_crs(pixels: BaseGeometry, transform: Affine) -> BaseGeometry:
    """Map a geometry from pixels of a scene to coordinates of its CRS."""

    def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transform @ (xy[:, 0], xy[:, 1])
        return np.stack([x, y], axis=1)

    return shapely.transform(pixels, place)


def pixel_width(scene: Scene, ellipsoid: Ellipsoid) -> float:
    """Return the width on the ground of a scene's middle pixel, in metres."""
    column, row = scene.columns / 2, scene.rows / 2
    pixel = LineString([(column - 0.5, row), (column + 0.5, row)])
    return ellipsoid.length(to_crs(pixel, scene.transform))


def simplified(geometry: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Remove vertices that lie within a tolerance of the line, and keep the geometry valid.

    Args:
        geometry: polygon in coordinates of a CRS.
        tolerance: distance in units of the CRS; 0 changes nothing.
    """
    if tolerance == 0:
        return geometry
    simple = shapely.simplify(geometry, tolerance, preserve_topology=True)
    if simple.is_valid:
        return simple
    repaired = shapely.make_valid(simple, method="structure")
    parts = [part for part in shapely.get_parts(repaired) if part.geom_type == "Polygon"]
    return MultiPolygon(parts)
