"""Cut polygons to the area that was looked at."""

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.shape_layer import Asked, ShapeLayer, areas_only, read_shapes
from samdomain_geo.evaluation.sides import find_side
from samdomain_geo.scenes.raster import open_scene

# Pieces of each edge of a raster, which is curved in another CRS.
_EDGES = 32


def read_area(path: str | Path) -> gpd.GeoSeries:
    """Return the area that a file stands for, as one geometry with its CRS.

    Args:
        path: raster, whose extent is taken with all of its nodata, or vector file of polygons.

    Raises:
        InputError: it cannot be read, or holds no polygon.
    """
    side = find_side(path)
    if side.vector:
        layer = read_shapes(side, Asked())
        if not len(layer):
            raise InputError(f"{path} holds no polygon to be the --area")
        area = shapely.union_all(layer.geometries)
        return gpd.GeoSeries([area], crs=layer.table.crs)
    with open_scene(side.path, (1,)) as scene:
        box = shapely.box(0, 0, scene.columns, scene.rows)
        longest = max(scene.columns, scene.rows) / _EDGES
        corners = shapely.get_coordinates(shapely.segmentize(box, longest))
        outline = np.stack(scene.transform @ (corners[:, 0], corners[:, 1]), axis=1)
        return gpd.GeoSeries([shapely.Polygon(outline)], crs=scene.crs)


def cut(layer: ShapeLayer, area: gpd.GeoSeries) -> ShapeLayer:
    """Return a layer without what lies outside an area; polygons across its edge are cut there.

    Args:
        layer: polygons.
        area: one geometry, as `read_area` returns it.

    Raises:
        InputError: only one of both has a CRS.
    """
    crs = layer.table.crs
    if (crs is None) != (area.crs is None):
        without = layer.side.path if crs is None else "--area"
        raise InputError(f"{without} has no CRS, but the other side has: assign it to the file")
    mask = area.iloc[0] if crs is None else area.to_crs(crs).iloc[0]
    shapely.prepare(mask)
    shapes = layer.geometries.copy()
    crossing = ~shapely.covers(mask, shapes)
    shapes[crossing] = areas_only(shapely.intersection(shapes[crossing], mask))
    kept = ~shapely.is_missing(shapes)
    table = layer.table.set_geometry(gpd.GeoSeries(shapes, layer.table.index, crs=crs))[kept]
    return replace(layer, table=table, outside=int((~kept).sum()))
