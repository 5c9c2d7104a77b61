"""Make the table of a scene's objects out of what was found for each prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import pandas as pd
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from samdomain.errors import InputError
from samdomain_geo.objects.instances import Shape
from samdomain_geo.objects.prompted import FoundObject
from samdomain_geo.polygons.regularization import check_regularizer, regularized
from samdomain_geo.polygons.vector import simplified, to_crs
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene

CLIPPED = "clipped"
"""The prompt reaches over the scene's edge; the object is cut there."""

EMPTY = "empty"
"""Nothing was found; the row has no geometry."""

SMALL = "small"
"""All that was found is smaller than the smallest area asked for; no geometry."""

_OWN = ("id", "class_id", "class_name", "score", "area_m2", "perimeter_m", "flags", "geometry")


@dataclass(frozen=True)
class Shaping:
    """What becomes of outlines before they are written.

    Attributes:
        min_area: parts below this many square metres are dropped.
        simplify: vertices within this distance of the line are dropped, in units of the CRS;
            the raster keeps them.
        regularize: walls are straightened and corners squared, in the polygons only.
    """

    min_area: float = 0.0
    simplify: float = 0.0
    regularize: bool = False

    def check(self, ellipsoid: Ellipsoid | None) -> None:
        """Refuse, before any work, what cannot be done to the outlines.

        Args:
            ellipsoid: what areas are measured on; None without a CRS.

        Raises:
            InputError: a number is out of range, or areas cannot be told.
            MissingExtraError: the library that straightens walls is not installed.
        """
        for name, value in (("--min-area", self.min_area), ("--simplify", self.simplify)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value}: give 0 or more")
        if self.min_area and ellipsoid is None:
            raise InputError(
                "--min-area is in square metres, but the scene has no CRS to tell them"
            )
        if self.regularize:
            check_regularizer()


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The objects of a scene, as rows and as shapes to paint.

    Attributes:
        table: one row a prompt, in its order, with the columns that the files have.
        shapes: outlines in pixels of the scene, of the rows that have one.
    """

    table: gpd.GeoDataFrame
    shapes: list[Shape]

    def counts(self) -> dict[str, int]:
        """Count the rows, and those with each flag."""
        flags = self.table["flags"]
        return {"objects": len(self.table)} | {
            flag: int(flags.str.contains(flag, regex=False).sum())
            for flag in (CLIPPED, EMPTY, SMALL)
        }


def collect_objects(
    found: Sequence[FoundObject],
    prompts: ObjectPrompts,
    scene: Scene,
    ellipsoid: Ellipsoid | None,
    shaping: Shaping,
) -> SceneObjects:
    """Number, measure and flag what was found for each prompt.

    Args:
        found: what was found, in the order of the prompts.
        prompts: where it was looked for; their columns are carried over.
        scene: raster that both belong to.
        ellipsoid: what areas are measured on; they stay empty without one.
        shaping: what becomes of the outlines.
    """
    outlines = [_large_parts(one.outline, scene, ellipsoid, shaping.min_area) for one in found]
    geometry = gpd.GeoSeries(
        [_placed(outline, scene, shaping.simplify) for outline in outlines], crs=scene.crs
    )
    if shaping.regularize:
        geometry = regularized(geometry, scene.transform, ellipsoid)
    count = len(found)
    areas, perimeters = ellipsoid.measure(geometry) if ellipsoid else ([None] * count,) * 2
    ids = list(range(1, count + 1))
    own = {
        "id": ids,
        "class_id": pd.array([None] * count, dtype="Int64"),
        "class_name": pd.array([None] * count, dtype="string"),
        "score": [round(one.score, 4) for one in found],
        "area_m2": pd.array(areas, dtype="Float64"),
        "perimeter_m": pd.array(perimeters, dtype="Float64"),
        "flags": _flags(found, outlines, prompts),
    }
    table = gpd.GeoDataFrame({**own, **_carried(prompts.columns)}, geometry=geometry)
    shapes = [
        Shape(number, one.score, outline)
        for number, one, outline in zip(ids, found, outlines, strict=True)
        if outline is not None
    ]
    return SceneObjects(table, shapes)


def _large_parts(
    outline: MultiPolygon | None, scene: Scene, ellipsoid: Ellipsoid | None, min_area: float
) -> MultiPolygon | None:
    if outline is None or ellipsoid is None or min_area == 0:
        return outline
    parts = list(outline.geoms)
    areas, _ = ellipsoid.measure(gpd.GeoSeries([to_crs(part, scene.transform) for part in parts]))
    kept = [part for part, area in zip(parts, areas, strict=True) if (area or 0) >= min_area]
    return MultiPolygon(kept) if kept else None


def _placed(outline: MultiPolygon | None, scene: Scene, tolerance: float) -> BaseGeometry | None:
    return None if outline is None else simplified(to_crs(outline, scene.transform), tolerance)


def _flags(
    found: Sequence[FoundObject],
    outlines: Sequence[MultiPolygon | None],
    prompts: ObjectPrompts,
) -> list[str]:
    flags: list[str] = []
    for one, outline, clipped in zip(found, outlines, prompts.clipped, strict=True):
        own = [CLIPPED] if clipped else []
        if outline is None:
            own.append(EMPTY if one.outline is None else SMALL)
        flags.append(",".join(own))
    return flags


def _carried(columns: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the prompts' columns; class columns fill ours, other names that clash are marked."""
    carried: dict[str, pd.Series] = {}
    for name in columns:
        taken = str(name).lower() in {*_OWN, "fid"} and name not in {"class_id", "class_name"}
        carried[f"prompt_{name}" if taken else str(name)] = columns[name]
    return carried
