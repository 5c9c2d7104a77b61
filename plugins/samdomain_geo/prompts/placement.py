"""Place prompts in the pixels of a scene."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from samdomain.errors import InputError
from samdomain_geo.prompts.clicks import ON, Clicks
from samdomain_geo.prompts.prompt_file import PromptRows, check_crs, one_line
from samdomain_geo.prompts.prompt_table import PromptTable
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import Scene

Flags = NDArray[np.bool_]


def place_prompts(rows: PromptRows, scene: Scene) -> ObjectPrompts:
    """Turn geometries into prompts in the pixels of a scene.

    The bounds of a polygon are a box, a point is a click, and several points are clicks with
    one label. An object with a box lies where its box does, another where the clicks on it do;
    clicks outside the scene are left out.

    Args:
        rows: polygons, boxes and points in any CRS; see `PromptTable` for their columns.
        scene: raster that the prompts belong to.

    Raises:
        InputError: a row is no sound prompt, one side lacks a CRS, or no object lies inside
            the scene.
    """
    table = PromptTable.of(rows)
    geometries = _in_pixels(table, scene)
    boxes, cut = _place_boxes(table, geometries, scene)
    clicks, over = _place_clicks(table, geometries, scene)
    pointed = np.bincount(clicks.objects[clicks.labels == ON], minlength=len(table)) > 0
    inside = np.where(table.boxed, np.isfinite(boxes[:, 0]), pointed)
    outside = len(rows) - int(inside[table.objects].sum())
    if not inside.any():
        raise InputError(
            f"none of the {len(rows)} prompts lies inside {scene.path}: "
            "do their CRS and place agree with the scene's?"
        )
    return ObjectPrompts(
        boxes=boxes[inside],
        clipped=(cut | over)[inside],
        columns=table.columns()[inside].reset_index(drop=True),
        outside=outside,
        clicks=_of_objects(clicks, inside),
    )


def _place_boxes(
    table: PromptTable, geometries: NDArray[np.object_], scene: Scene
) -> tuple[NDArray[np.float64], Flags]:
    """Return each object's box (N, 4), NaN for none inside, and whether it was cut (N,)."""
    bounds = shapely.bounds(geometries[~table.clicked])  # (n, 4)
    objects = table.objects[~table.clicked]
    kept = np.clip(bounds, 0, np.tile(_size(scene), 2))
    # Coordinates that the scene's CRS cannot express come out infinite or NaN: outside.
    inside = np.isfinite(bounds).all(axis=1) & (kept[:, 2:] > kept[:, :2]).all(axis=1)
    boxes = np.full((len(table), 4), np.nan)
    cut = np.zeros(len(table), dtype=bool)
    boxes[objects[inside]] = kept[inside]
    cut[objects[inside]] = (kept != bounds).any(axis=1)[inside]
    return boxes, cut


def _place_clicks(
    table: PromptTable, geometries: NDArray[np.object_], scene: Scene
) -> tuple[Clicks, Flags]:
    """Return the clicks inside, and whether clicks on each object (N,) lie outside."""
    rows = np.flatnonzero(table.clicked)
    places, owners = shapely.get_coordinates(geometries[rows], return_index=True)
    labels, objects = table.labels[rows[owners]], table.objects[rows[owners]]
    # Where coordinates are infinite or NaN, comparisons are false: outside.
    inside = ((places >= 0) & (places < _size(scene))).all(axis=1)
    over = np.zeros(len(table), dtype=bool)
    over[objects[~inside & (labels == ON)]] = True
    order = np.flatnonzero(inside)[np.argsort(objects[inside], kind="stable")]
    return Clicks(places[order], labels[order], objects[order]), over


def _of_objects(clicks: Clicks, chosen: Flags) -> Clicks:
    """Return the clicks of some objects, which are numbered anew."""
    kept = chosen[clicks.objects]
    numbers = np.cumsum(chosen) - 1
    return Clicks(clicks.places[kept], clicks.labels[kept], numbers[clicks.objects[kept]])


def _size(scene: Scene) -> NDArray[np.float64]:
    return np.array([scene.columns, scene.rows], dtype=float)


def _in_pixels(table: PromptTable, scene: Scene) -> NDArray[np.object_]:
    rows = table.rows
    check_crs(rows.crs, scene)
    if rows.crs is not None:
        try:
            rows = rows.to_crs(scene.crs)
        except ProjError as error:
            raise InputError(
                f"the prompts cannot be brought into the scene's CRS: {one_line(error)}"
            ) from error
    to_pixels = ~scene.transform

    def pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        columns, lines = to_pixels @ (xy[:, 0], xy[:, 1])
        return np.stack([columns, lines], axis=1)

    return shapely.transform(np.asarray(rows.geometry.values), pixels)
