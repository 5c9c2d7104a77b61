"""Give outlines of buildings straight walls and right angles."""

import logging
import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from samdomain.errors import MissingExtraError
from samdomain_geo.scenes.ellipsoid import Ellipsoid

logger = logging.getLogger(__name__)

# In sides of a pixel. On made buildings of 0.3 m these cost 0.5 points of IoU and leave 13 of 70
# vertices; wider ones cost more, narrower ones leave stairs.
_SIMPLIFY = 1.5
_MERGE_WALLS = 1.0

# An outline that agrees less with what it was made from is no outline of the same building.
_LEAST_IOU = 0.5

# Length over which the ground is compared along both axes, in sides of a pixel.
_REACH = 100.0


def check_regularizer() -> None:
    """Refuse, before any work, to regularize without the library for it.

    Raises:
        MissingExtraError: the library is not installed.
    """
    if find_spec("buildingregulariser") is None:
        raise MissingExtraError(
            "--regularize needs buildingregulariser: pip install 'samdomain[geo]'"
        )


def regularized(
    geometries: gpd.GeoSeries, transform: Affine, ellipsoid: Ellipsoid | None
) -> gpd.GeoSeries:
    """Turn the walls of buildings to their main direction, its square and its diagonals.

    Each outline is worked on in a frame of its own, in which angles are those on the ground
    also where the CRS counts degrees. An outline that comes out empty or invalid, or whose
    IoU with the original is below 0.5, stays as it was; so does a missing one.

    Args:
        geometries: outlines in coordinates of a CRS.
        transform: map from pixels of their scene to these coordinates.
        ellipsoid: what the ground is measured on; without one, axes count as equal.
    """
    rows = np.flatnonzero(geometries.notna())
    if rows.size == 0:
        return geometries
    whole = geometries.to_numpy()
    frames = _frames(geometries.iloc[rows], transform, ellipsoid)
    framed = [frame.enter(whole[row]) for row, frame in zip(rows, frames, strict=True)]
    shaped = _shape(framed)
    result = whole.copy()
    kept = 0
    for row, frame, before, after in zip(rows, frames, framed, shaped, strict=True):
        placed = frame.leave(after)
        if placed.is_valid and _iou(before, after) >= _LEAST_IOU:
            result[row] = placed
        else:
            kept += 1
    if kept:
        logger.warning("%d of %d outlines could not be regularized: they stay", kept, len(rows))
    return gpd.GeoSeries(result, index=geometries.index, crs=geometries.crs)


@dataclass(frozen=True)
class _Frame:
    """A place where the sides of a pixel are about 1 on the ground along both axes.

    Attributes:
        centre: coordinates of the place.
        scale: sides of a pixel for each unit of the CRS, along x and y.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    def enter(self, geometry: BaseGeometry) -> BaseGeometry:
        """Map from coordinates of the CRS into the frame."""
        return shapely.transform(geometry, lambda xy: (xy - self.centre) * self.scale)

    def leave(self, geometry: BaseGeometry) -> BaseGeometry:
        """Map from the frame into coordinates of the CRS."""
        return shapely.transform(geometry, lambda xy: xy / self.scale + self.centre)


def _frames(
    geometries: gpd.GeoSeries, transform: Affine, ellipsoid: Ellipsoid | None
) -> list[_Frame]:
    centres = shapely.get_coordinates(shapely.centroid(geometries.to_numpy()))
    side = np.sqrt(abs(transform.determinant))
    scale = np.full((len(centres), 2), 1 / side)
    if ellipsoid is not None:
        across = _lengths(ellipsoid, centres, np.array([_REACH * side, 0.0]))
        along = _lengths(ellipsoid, centres, np.array([0.0, _REACH * side]))
        stretch = np.sqrt(across / along)
        scale *= np.stack([stretch, 1 / stretch], axis=1)
    return [_Frame(centre, own) for centre, own in zip(centres, scale, strict=True)]


def _lengths(
    ellipsoid: Ellipsoid, centres: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    lines = shapely.linestrings(np.stack([centres - step / 2, centres + step / 2], axis=1))
    return ellipsoid.lengths(gpd.GeoSeries(lines))


def _shape(outlines: list[BaseGeometry]) -> list[BaseGeometry]:
    # Loaded by name: it may be missing, and its import costs nothing until somebody asks.
    library = import_module("buildingregulariser")
    table = gpd.GeoDataFrame({"row": range(len(outlines))}, geometry=outlines)
    with warnings.catch_warnings():
        # It warns of each outline that it gives up: those are counted and told together.
        warnings.simplefilter("ignore")
        parts = library.regularize_geodataframe(
            table,
            parallel_threshold=_MERGE_WALLS,
            simplify_tolerance=_SIMPLIFY,
            num_cores=1,  # a pool of processes costs more than the work
        )
    shaped: list[BaseGeometry] = [shapely.Polygon()] * len(outlines)
    for row, group in parts.groupby("row"):
        shaped[int(row)] = shapely.union_all(group.geometry.to_numpy())
    return shaped


def _iou(first: BaseGeometry, second: BaseGeometry) -> float:
    union = shapely.union(first, second).area
    return shapely.intersection(first, second).area / union if union else 0.0
