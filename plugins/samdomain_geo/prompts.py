"""Read prompts from a vector file, as boxes in the pixels of a scene."""

import logging
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError
from pyproj.exceptions import ProjError

from samdomain.errors import InputError
from samdomain_geo.raster import Scene

logger = logging.getLogger(__name__)

POLYGONAL = {"Polygon", "MultiPolygon"}

# Rows that an error message names, so that it stays one line.
_NAMED = 3


@dataclass(frozen=True)
class PromptFile:
    """A vector file of prompts, and which of its rows to take.

    Attributes:
        path: any vector file that pyogrio reads.
        layer: layer to read; needed only where the file has several.
        where: condition in OGR's SQL, as "height > 3".
    """

    path: Path
    layer: str | None = None
    where: str | None = None

    def read(self) -> gpd.GeoDataFrame:
        """Read the rows, with their number in the file as column `prompt_fid`.

        Raises:
            InputError: the file is missing or no vector file, the layer or a column does not
                exist, or no row is left.
        """
        if not Path(self.path).exists():
            raise InputError(f"{self.path} does not exist: give a vector file of boxes or polygons")
        try:
            layer = self._choose_layer()
            rows = pyogrio.read_dataframe(
                self.path, layer=layer, where=self.where, fid_as_index=True
            )
        except InputError:
            raise
        except DataSourceError as error:
            raise InputError(f"{self.path} is not a vector file: {_one_line(error)}") from error
        except (DataLayerError, FieldError, ValueError) as error:
            cause = f"--where {self.where!r} fails on" if self.where else "rows cannot be read from"
            raise InputError(f"{cause} {self.path}: {_one_line(error)}") from error
        if not isinstance(rows, gpd.GeoDataFrame):
            raise InputError(f"{self.path} holds no geometries: give boxes or polygons")
        if rows.empty:
            which = f" that meet --where {self.where!r}" if self.where else ""
            raise InputError(f"{self.path} has no rows{which}: nothing to segment")
        return rows.rename_axis("prompt_fid").reset_index()

    def _choose_layer(self) -> str | None:
        layers = [name for name, kind in pyogrio.list_layers(self.path) if kind is not None]
        if self.layer is None and len(layers) > 1:
            raise InputError(
                f"{self.path} has {len(layers)} layers: choose one with --layer; they are "
                f"{', '.join(layers)}"
            )
        if self.layer is not None and self.layer not in layers:
            raise InputError(
                f"{self.path} has no layer {self.layer!r} of geometries: it has "
                f"{', '.join(layers) or 'none'}"
            )
        return self.layer


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """Boxes of N objects in the pixels of a scene.

    Attributes:
        boxes: (N, 4) as left, top, right, bottom; inside the scene.
        clipped: (N,) whether the box reached over the scene's edge.
        columns: the N rows' own columns, without geometry.
        outside: how many further rows lie outside the scene.
    """

    boxes: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    columns: pd.DataFrame
    outside: int

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)


def place_prompts(rows: gpd.GeoDataFrame, scene: Scene) -> ObjectPrompts:
    """Turn geometries into boxes in the pixels of a scene: their bounds.

    Args:
        rows: polygons or boxes in any CRS.
        scene: raster that the boxes belong to.

    Raises:
        InputError: one side lacks a CRS, a geometry is empty, not polygonal or without
            extent, or none lies inside the scene.
    """
    _check_geometries(rows)
    geometries = _in_pixels(rows, scene)
    bounds = shapely.bounds(geometries)  # (n, 4)
    size = np.array([scene.columns, scene.rows, scene.columns, scene.rows], dtype=float)
    clipped = np.clip(bounds, 0, size)
    # Coordinates that the scene's CRS cannot express come out infinite or NaN: outside.
    inside = (
        np.isfinite(bounds).all(axis=1)
        & (clipped[:, 2] > clipped[:, 0])
        & (clipped[:, 3] > clipped[:, 1])
    )
    outside = int((~inside).sum())
    if not inside.any():
        raise InputError(
            f"none of the {len(rows)} prompts lies inside {scene.path}: "
            "do their CRS and place agree with the scene's?"
        )
    if outside:
        logger.warning("%d of %d prompts lie outside the scene: left out", outside, len(rows))
    return ObjectPrompts(
        boxes=clipped[inside],
        clipped=(clipped != bounds).any(axis=1)[inside],
        columns=pd.DataFrame(rows.drop(columns=rows.geometry.name))[inside].reset_index(drop=True),
        outside=outside,
    )


def _check_geometries(rows: gpd.GeoDataFrame) -> None:
    geometry = rows.geometry
    empty = geometry.isna() | geometry.is_empty
    _refuse(rows, empty, "have no geometry", "remove them, or leave them out with --where")
    kinds = geometry.geom_type
    foreign = ~kinds.isin(POLYGONAL)
    named = ", ".join(sorted(set(kinds[foreign])))
    _refuse(rows, foreign, f"are {named}", "prompts are polygons or boxes; buffer or convert them")
    bounds = geometry.bounds
    finite = np.isfinite(bounds).all(axis=1)
    flat = ~(finite & (bounds.maxx > bounds.minx) & (bounds.maxy > bounds.miny))
    _refuse(rows, flat, "are as thin as a line or not finite", "remove or repair them")
    if crossed := int((~geometry.is_valid).sum()):
        # Only their bounds are used, and those are sound.
        logger.warning("%d prompts are invalid polygons; their bounds are used", crossed)


def _refuse(rows: gpd.GeoDataFrame, wrong: pd.Series, fault: str, remedy: str) -> None:
    if not wrong.any():
        return
    fids = rows["prompt_fid"][wrong].tolist()
    named = ", ".join(map(str, fids[:_NAMED])) + (", ..." if len(fids) > _NAMED else "")
    raise InputError(f"{len(fids)} of {len(rows)} prompts (fid {named}) {fault}: {remedy}")


def _in_pixels(rows: gpd.GeoDataFrame, scene: Scene) -> NDArray[np.object_]:
    if (rows.crs is None) != (scene.crs is None):
        without = "the prompts have" if rows.crs is None else f"{scene.path} has"
        raise InputError(
            f"{without} no CRS, but the other side has: assign it, it cannot be guessed"
        )
    if rows.crs is not None:
        try:
            rows = rows.to_crs(scene.crs)
        except ProjError as error:
            raise InputError(
                f"the prompts cannot be brought into the scene's CRS: {_one_line(error)}"
            ) from error
    to_pixels = ~scene.transform

    def pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        columns, lines = to_pixels @ (xy[:, 0], xy[:, 1])
        return np.stack([columns, lines], axis=1)

    return shapely.transform(np.asarray(rows.geometry.values), pixels)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
