"""Read polygons or points with their classes from a vector file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from samdomain.errors import InputError
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.polygons.vector_file import LAYER
from samdomain_geo.prompts.geoparquet import EXTENSIONS, read_batches
from samdomain_geo.prompts.prompt_file import choose_layer, one_line, reach
from samdomain_geo.scenes.raster import Scene

CLASS_ID, CLASS_NAME, SCORE, FID = "class_id", "class_name", "score", "fid"

POINT, AREA = 0, 2
"""Dimensions of geometries, as shapely counts them."""


@dataclass(frozen=True, eq=False)
class ShapeLayer:
    """Geometries with a class each.

    Attributes:
        side: the file.
        table: geometries that are valid, none missing, indexed by their number in the file
            `fid`, with the columns `class` (numbers or words, maybe missing), `class_name`
            and `score` (NaN where the file has none).
        column: the column that the classes come from; None where there is none, and all rows
            are of class 1.
        empty: rows that have no geometry, which are left out.
        mended: geometries that were invalid.
        other: rows of other kinds of geometry, which are left out.
        outside: rows that lie outside the area that is looked at, which are left out.
    """

    side: Side
    table: gpd.GeoDataFrame
    column: str | None
    empty: int
    mended: int
    other: int
    outside: int = 0

    @classmethod
    def of(cls, side: Side, rows: gpd.GeoDataFrame, column: str | None, *, points: bool) -> Self:
        """Sort out the rows of a file.

        Args:
            side: the file.
            rows: its rows as they are, numbered in the index.
            column: column of the classes.
            points: points are kept, beside polygons.
        """
        raw = np.asarray(rows.geometry.array)
        finite = np.isfinite(shapely.bounds(raw)).all(axis=1)  # NaN where nothing is
        kinds = np.where(finite, shapely.get_dimensions(raw), -1)
        wanted = (kinds == AREA) | ((kinds == POINT) & points)
        broken = wanted & ~shapely.is_valid(raw)
        geometries = np.where(wanted, raw, None)
        geometries[broken] = areas_only(
            shapely.make_valid(geometries[broken], method="structure", keep_collapsed=False)
        )
        emptied = wanted & (shapely.is_missing(geometries) | shapely.is_empty(geometries))
        kept = wanted & ~emptied
        columns: dict[str, Any] = {
            "class": 1 if column is None else rows[column],
            CLASS_NAME: rows.get(CLASS_NAME),
            SCORE: _scores(rows),
        }
        table = pd.DataFrame(columns, index=rows.index)[kept]
        placed = gpd.GeoDataFrame(table, geometry=geometries[kept], crs=rows.crs)
        return cls(
            side=side,
            table=placed.rename_axis(FID),
            column=column,
            empty=int((~finite | emptied).sum()),
            mended=int((broken & kept).sum()),
            other=int((finite & ~wanted).sum()),
        )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def geometries(self) -> NDArray[np.object_]:
        """The geometries, in the file's CRS."""
        return np.asarray(self.table.geometry.array)

    @property
    def scored(self) -> bool:
        """Whether any row has a score."""
        return bool(self.table[SCORE].notna().any())

    def counts(self) -> dict[str, int]:
        """Return how many rows there are, and what was done to them."""
        return {
            "rows": len(self) + self.empty + self.other + self.outside,
            "used": len(self),
            "without geometry": self.empty,
            "mended": self.mended,
            "other geometries": self.other,
            "outside": self.outside,
        }

    def notes(self) -> list[str]:
        """Return what a reader of the figures must know of the rows, in words."""
        unlabelled = int(self.table["class"].isna().sum())
        told = (
            (self.empty, "without geometry, left out"),
            (self.mended, "with invalid geometry, mended"),
            (self.other, "that are no polygons, left out"),
            (self.outside, "outside the area, left out"),
            (unlabelled, "without a class"),
        )
        return [f"{self.side.name}: rows {words}: {count:,}." for count, words in told if count]


@dataclass(frozen=True)
class Asked:
    """Which part of a vector file is asked for.

    Attributes:
        column: column of the classes.
        layer: layer to read.
        strict: a column that the file lacks is refused, and not replaced by `class_id`.
    """

    column: str | None = None
    layer: str | None = None
    strict: bool = True


def read_shapes(side: Side, asked: Asked, scene: Scene | None = None) -> ShapeLayer:
    """Read a vector file.

    Args:
        side: the file.
        asked: layer and column of the classes.
        scene: raster that the shapes belong to: only rows near it are read, and points are
            kept beside polygons.

    Raises:
        InputError: it is no vector file, a layer or column does not exist, or only one of file
            and scene has a CRS.
    """
    parquet = Path(side.path).suffix.lower() in EXTENSIONS
    try:
        rows = _read_parquet(side) if parquet else _read_ogr(side, asked, scene)
    except InputError:
        raise
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise InputError(f"{side.path} cannot be read: {one_line(error)}") from error
    return ShapeLayer.of(side, rows, _choose_column(rows, asked, side), points=scene is not None)


def has_rows(side: Side) -> bool:
    """Tell whether a vector file has any row at all, wherever it lies."""
    if Path(side.path).suffix.lower() in EXTENSIONS:
        return bool(len(_read_parquet(side)))
    layers = [name for name, kind in pyogrio.list_layers(side.path) if kind is not None]
    return any(pyogrio.read_info(side.path, layer=name)["features"] > 0 for name in layers)


def _read_ogr(side: Side, asked: Asked, scene: Scene | None) -> gpd.GeoDataFrame:
    layer = asked.layer
    if layer is None and LAYER in (name for name, _ in pyogrio.list_layers(side.path)):
        layer = LAYER  # a file of ours
    layer = choose_layer(side.path, layer)
    near = None
    if scene is not None:
        info = pyogrio.read_info(side.path, layer=layer, force_total_bounds=True)
        east = -np.inf if info["total_bounds"] is None else info["total_bounds"][2]
        near = _reach(side, scene, info["crs"], east)
    return pyogrio.read_dataframe(side.path, layer=layer, bbox=near, fid_as_index=True)


def _read_parquet(side: Side) -> gpd.GeoDataFrame:
    batches = list(read_batches(Path(side.path)))
    return gpd.GeoDataFrame(pd.concat(batches)) if batches else gpd.GeoDataFrame(geometry=[])


def _reach(side: Side, scene: Scene, crs: object, east: float) -> tuple[float, ...] | None:
    if (crs is None) != (scene.crs is None):
        without = side.path if crs is None else scene.path
        raise InputError(f"{without} has no CRS, but the other side has: assign it to the file")
    return reach(scene, crs, east)


def _choose_column(rows: gpd.GeoDataFrame, asked: Asked, side: Side) -> str | None:
    if asked.column is not None and asked.column in rows and asked.column != rows.geometry.name:
        return asked.column
    if asked.column is not None and asked.strict:
        known = ", ".join(str(name) for name in rows.columns if name != rows.geometry.name)
        raise InputError(
            f"{side.path} has no column {asked.column!r} for --class-column: it has "
            f"{known or 'none'}"
        )
    # Objects that a prompt asked for have a column of classes, but no classes in it.
    return CLASS_ID if CLASS_ID in rows and bool(rows[CLASS_ID].notna().any()) else None


def _scores(rows: gpd.GeoDataFrame) -> NDArray[np.float64]:
    if SCORE not in rows:
        return np.full(len(rows), np.nan)
    return np.asarray(pd.to_numeric(rows[SCORE], errors="coerce"), np.float64)


def areas_only(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return what of some geometries has an area, as polygons; nothing where none has."""
    kept = shapes.copy()
    flat = shapely.get_dimensions(shapes) < AREA
    mixed = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    for index in np.flatnonzero(mixed & ~flat):
        parts = shapely.get_parts(shapes[index])
        kept[index] = shapely.union_all(parts[shapely.get_dimensions(parts) == AREA])
    kept[flat | shapely.is_empty(shapes)] = None
    return kept
