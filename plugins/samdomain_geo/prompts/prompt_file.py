"""Read prompts from a vector file of any length: only rows near a scene come into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError
from pyproj import CRS, Transformer

from samdomain.errors import InputError
from samdomain_geo.prompts.geoparquet import EXTENSIONS, read_batches
from samdomain_geo.scenes.raster import Scene

FID = "prompt_fid"
"""Column of the number that a row has in its file."""

Bounds = tuple[float, float, float, float]

# Rows that an error message names, so that it stays one line.
_NAMED = 3

# A scene's outline is curved in another CRS: points of a grid over it, and this share of its
# extent on every side, are sure to hold it.
_GRID = 21
_MARGIN = 0.1

_HALF_TURN = 180.0

_MISSING = "have no geometry, or one that is not finite"


@dataclass(frozen=True, eq=False)
class PromptRows:
    """The rows of a file of prompts that lie near a scene.

    Attributes:
        table: rows with their number in the file as column `prompt_fid`; none may be left.
        elsewhere: how many further rows lie elsewhere, and were not kept.
    """

    table: gpd.GeoDataFrame
    elsewhere: int = 0

    def __len__(self) -> int:
        """Return how many rows the file has."""
        return len(self.table) + self.elsewhere


@dataclass(frozen=True)
class PromptFile:
    """A vector file of prompts, and which of its rows to take.

    Attributes:
        path: any vector file that pyogrio reads, or GeoParquet.
        layer: layer to read; needed only where the file has several.
        where: condition in OGR's SQL, as "height > 3".
    """

    path: Path
    layer: str | None = None
    where: str | None = None

    def read(self, scene: Scene) -> PromptRows:
        """Read the rows near a scene; memory grows by 40 bytes for each of the others.

        Args:
            scene: raster that the prompts belong to.

        Raises:
            InputError: the file is missing or no vector file, the layer or a column does not
                exist, a row has no geometry, or no row is left.
        """
        if not Path(self.path).exists():
            raise InputError(f"{self.path} does not exist: give a vector file of prompts")
        read = self._read_parquet if self.path.suffix.lower() in EXTENSIONS else self._read_ogr
        try:
            rows = read(scene)
        except InputError:
            raise
        except DataSourceError as error:
            raise InputError(f"{self.path} is not a vector file: {one_line(error)}") from error
        except (DataLayerError, FieldError, ValueError) as error:
            cause = f"--where {self.where!r} fails on" if self.where else "rows cannot be read from"
            raise InputError(f"{cause} {self.path}: {one_line(error)}") from error
        if not len(rows):
            which = f" that meet --where {self.where!r}" if self.where else ""
            raise InputError(f"{self.path} has no rows{which}: nothing to segment")
        return PromptRows(rows.table.rename_axis(FID).reset_index(), rows.elsewhere)

    def _read_ogr(self, scene: Scene) -> PromptRows:
        given: dict[str, Any] = {"layer": choose_layer(self.path, self.layer), "where": self.where}
        info = pyogrio.read_info(self.path, layer=given["layer"])
        if info["geometry_type"] is None:
            raise InputError(f"{self.path} holds no geometries: give boxes, polygons or points")
        fids, bounds = pyogrio.read_bounds(self.path, **given)
        missing = ~np.isfinite(bounds).all(axis=0)
        refuse(fids, missing, _MISSING, "remove them, or leave them out with --where")
        near = reach(scene, info["crs"], east=bounds[2].max(initial=-np.inf))
        table = pyogrio.read_dataframe(self.path, bbox=near, fid_as_index=True, **given)
        return PromptRows(table, len(fids) - len(table))

    def _read_parquet(self, scene: Scene) -> PromptRows:
        if self.layer is not None or self.where is not None:
            raise InputError(
                f"{self.path} is GeoParquet, which --layer and --where cannot choose from: "
                "choose the rows beforehand, or give a GeoPackage"
            )
        kept: list[gpd.GeoDataFrame] = []
        count = 0
        for rows in read_batches(self.path):
            count += len(rows)
            bounds = rows.bounds.to_numpy()  # (n, 4)
            missing = ~np.isfinite(bounds).all(axis=1)
            refuse(rows.index.to_numpy(), missing, _MISSING, "remove them")
            near = reach(scene, rows.crs, east=bounds[:, 2].max(initial=-np.inf))
            kept.append(rows if near is None else rows[_meets(bounds, near)])
        table = gpd.GeoDataFrame(pd.concat(kept)) if kept else gpd.GeoDataFrame(geometry=[])
        return PromptRows(table, count - len(table))


def choose_layer(path: str | Path, layer: str | None) -> str | None:
    """Return the layer of a vector file to read: the one that is asked for, or the only one.

    Args:
        path: vector file that pyogrio reads.
        layer: layer that is asked for, if any.

    Raises:
        InputError: there is no such layer, or there are several to choose from.
    """
    layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    if layer is None and len(layers) > 1:
        raise InputError(
            f"{path} has {len(layers)} layers: choose one with --layer; they are "
            f"{', '.join(layers)}"
        )
    if layer is not None and layer not in layers:
        raise InputError(
            f"{path} has no layer {layer!r} of geometries: it has {', '.join(layers) or 'none'}"
        )
    return layer or next(iter(layers), None)


def reach(scene: Scene, crs: object, east: float) -> Bounds | None:
    """Return bounds in a CRS that hold a scene for sure, and little more.

    Args:
        scene: raster.
        crs: anything that pyproj takes as a CRS, or None.
        east: easternmost coordinate of the rows to choose from.

    Returns:
        Bounds: left, bottom, right, top; None where none can be told: the CRS cannot express
        all of the scene, or longitudes run from 0 to 360.

    Raises:
        InputError: only one of the two has a CRS.
    """
    check_crs(crs, scene)
    if crs is not None and CRS.from_user_input(crs).is_geographic and east > _HALF_TURN:
        return None
    columns, rows = np.meshgrid(
        np.linspace(0, scene.columns, _GRID), np.linspace(0, scene.rows, _GRID)
    )
    x, y = scene.transform @ (columns.ravel(), rows.ravel())
    if crs is not None:
        x, y = Transformer.from_crs(scene.crs, crs, always_xy=True).transform(x, y)
    corners = np.array([[x.min(), y.min()], [x.max(), y.max()]])
    if not np.isfinite(corners).all():
        return None
    margin = _MARGIN * (corners[1] - corners[0])
    left, bottom = (corners[0] - margin).tolist()
    right, top = (corners[1] + margin).tolist()
    return left, bottom, right, top


def check_crs(crs: object, scene: Scene) -> None:
    """Refuse prompts where only one of them and their scene has a CRS.

    Args:
        crs: the prompts' CRS, or None.
        scene: raster that the prompts belong to.

    Raises:
        InputError: only one of the two has a CRS.
    """
    if (crs is None) != (scene.crs is None):
        without = "the vector file has" if crs is None else f"{scene.path} has"
        raise InputError(
            f"{without} no CRS, but the other side has: assign it, it cannot be guessed"
        )


def refuse(fids: NDArray[Any], wrong: NDArray[np.bool_], fault: str, remedy: str) -> None:
    """Refuse prompts of which some are wrong.

    Args:
        fids: numbers of the rows in the file.
        wrong: which of them are wrong.
        fault: what is wrong with them, as "have no geometry".
        remedy: what to do about it.

    Raises:
        InputError: any is wrong; it names the first.
    """
    if wrong.any():
        named = listed(fids[wrong].tolist())
        raise InputError(
            f"{int(wrong.sum())} of {len(fids)} prompts (fid {named}) {fault}: {remedy}"
        )


def listed(values: Sequence[object]) -> str:
    """Return the first of some values in words."""
    return ", ".join(map(str, values[:_NAMED])) + (", ..." if len(values) > _NAMED else "")


def one_line(error: Exception) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split())


def _meets(bounds: NDArray[np.float64], near: Bounds) -> NDArray[np.bool_]:
    left, bottom, right, top = near
    across = (bounds[:, 2] >= left) & (bounds[:, 0] <= right)
    return across & (bounds[:, 3] >= bottom) & (bounds[:, 1] <= top)
