"""Trace the regions of a raster of labels, with borders that neighbours share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import shapes
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from samdomain.errors import InputError
from samdomain_geo.raster import Scene
from samdomain_geo.vector import to_crs

CONNECTIVITIES = (4, 8)
"""Neighbours of a pixel that belong to the same region: by edges, or by corners too."""

# Labels and validity of more would not fit in the memory of a usual machine.
_MOST_PIXELS = 2_000_000_000

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

# Those that GDAL's tracing takes as rasterio offers it.
_TRACEABLE = ("int8", "uint8", "int16", "uint16", "int32")


@dataclass(frozen=True, eq=False)
class Labels:
    """A raster of classes or ids.

    Attributes:
        values: (rows, columns), of any integer type.
        valid: (rows, columns), true where there is a label.
    """

    values: NDArray[np.integer]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """Connected pixels of one value.

    Attributes:
        value: what the raster holds there.
        outline: polygon along pixel edges, in pixels of the raster.
    """

    value: int
    outline: BaseGeometry


def read_labels(scene: Scene, nodata: int | None = None) -> Labels:
    """Read the first of a scene's bands as labels, the whole of it.

    Args:
        scene: raster of labels.
        nodata: value that is no label; by default the file's own and 0.

    Raises:
        InputError: the band has no integers, is too large for memory, or is damaged.
    """
    if scene.dtype not in _INTEGERS:
        raise InputError(
            f"{scene.path} holds {scene.dtype}, but labels are integers: round or threshold it"
        )
    if scene.rows * scene.columns > _MOST_PIXELS:
        raise InputError(
            f"{scene.path} has {scene.rows} x {scene.columns} pixels, more than {_MOST_PIXELS:.0e}:"
            " cut it into parts"
        )
    band = scene.bands[0]
    try:
        values = scene.dataset.read(band)
        if nodata is not None:
            return Labels(values, values != nodata)
        return Labels(values, (scene.dataset.read_masks(band) > 0) & (values != 0))
    except RasterioError as error:
        raise InputError(f"{scene.path} cannot be read: it is cut off or damaged") from error


def trace_regions(labels: Labels, connectivity: int) -> list[Region]:
    """Trace each region along its pixel edges; a value has as many regions as it has pieces.

    Args:
        labels: raster to trace.
        connectivity: 4 or 8 neighbours; regions that meet at corners only are one with 8.
    """
    codes, values = _traceable(labels.values)
    regions: list[Region] = []
    for outline, code in shapes(codes, mask=labels.valid, connectivity=connectivity):
        value = round(code) if values is None else int(values[round(code)])
        regions.append(Region(value, _valid(shape(outline))))
    return regions


def place_regions(
    regions: Sequence[Region], transform: Affine, simplify: float
) -> list[BaseGeometry]:
    """Map regions to coordinates of the CRS, and simplify the borders between them.

    A border is simplified once for both of its sides (Visvalingam and Whyatt 1993, over the
    whole coverage), so that neighbours neither overlap nor part.

    Args:
        regions: regions of one raster.
        transform: map from the raster's pixels to the CRS.
        simplify: corners whose triangle has a smaller area than the square of this length, in
            units of the CRS, are dropped; 0 changes nothing.
    """
    outlines = [region.outline for region in regions]
    if simplify == 0 or not outlines:
        return [to_crs(outline, transform) for outline in outlines]
    # Neighbours share a border where they share its vertices: there must be one a pixel.
    dense = shapely.transform(shapely.segmentize(np.array(outlines), 1.0), np.rint)
    return list(shapely.coverage_simplify([to_crs(one, transform) for one in dense], simplify))


def _traceable(
    values: NDArray[np.integer],
) -> tuple[NDArray[np.integer], NDArray[np.integer] | None]:
    """Return labels of a type that GDAL traces, and what they stand for if it is not themselves."""
    if values.dtype.name in _TRACEABLE:
        return values, None
    limits = np.iinfo(np.int32)
    if values.min() >= limits.min and values.max() <= limits.max:
        return values.astype(np.int32), None
    if values.max() > np.iinfo(np.int64).max:
        raise InputError("the raster holds values above 2^63 - 1, which no vector format can")
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.reshape(values.shape).astype(np.int32), distinct


def _valid(outline: BaseGeometry) -> BaseGeometry:
    # With 8 neighbours an outline can touch itself at a corner.
    return outline if outline.is_valid else shapely.make_valid(outline, method="structure")
