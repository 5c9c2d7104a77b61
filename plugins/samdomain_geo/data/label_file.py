"""Read rows of a vector file of labels: a column of it, or the rows near a scene."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FieldError

from samdomain.errors import InputError
from samdomain_geo.prompts.geoparquet import EXTENSIONS, read_batches
from samdomain_geo.prompts.prompt_file import choose_layer, one_line, reach
from samdomain_geo.scenes.raster import Scene


@dataclass(frozen=True)
class LabelFile:
    """A vector file of labels, and which of its rows to take.

    Attributes:
        path: any vector file that pyogrio reads, or GeoParquet.
        layer: layer to read; needed only where the file has several.
        where: condition in OGR's SQL.
    """

    path: Path
    layer: str | None = None
    where: str | None = None

    def values(self, column: str) -> list[Any]:
        """Return what stands in a column, row by row.

        Raises:
            InputError: the file cannot be read, or it has no such column or no rows.
        """
        if self._is_parquet:
            found = [one for rows in self._batches(column) for one in rows[column]]
        else:
            found = list(self._read(column, read_geometry=False)[column])
        if not found:
            which = f" that meet {self.where!r}" if self.where else ""
            raise InputError(f"{self.path} has no rows{which}: give polygons of what is there")
        return found

    def near(self, scene: Scene, column: str | None) -> gpd.GeoDataFrame:
        """Return the rows near a scene, and few others, with a column of theirs.

        Raises:
            InputError: the file cannot be read, it has no such column or no geometries, or only
                one of file and scene has a CRS.
        """
        if self._is_parquet:
            kept = [_meeting(rows, scene) for rows in self._batches(column)]
            if not kept:
                raise self._empty()
            return gpd.GeoDataFrame(pd.concat(kept))
        info = self._info(column)
        if info["total_bounds"] is None:
            raise self._empty()
        return self._read(column, bbox=reach(scene, info["crs"], east=info["total_bounds"][2]))

    @property
    def _is_parquet(self) -> bool:
        return Path(self.path).suffix.lower() in EXTENSIONS

    def _batches(self, column: str | None) -> Iterator[gpd.GeoDataFrame]:
        if self.layer is not None or self.where is not None:
            raise InputError(
                f"{self.path} is GeoParquet, which layer and where cannot choose from: choose "
                "the rows beforehand, or give a GeoPackage"
            )
        try:
            for rows in read_batches(Path(self.path)):
                names = [str(name) for name in rows.columns if name != rows.geometry.name]
                self._check(column, names)
                yield rows
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _read(self, column: str | None, **how: Any) -> Any:
        self._info(column)
        columns = [] if column is None else [column]
        try:
            return pyogrio.read_dataframe(
                self.path, layer=self._layer(), where=self.where, columns=columns, **how
            )
        except (DataSourceError, DataLayerError, FieldError, ValueError) as error:
            raise self._unreadable(error) from error

    def _info(self, column: str | None) -> dict[str, Any]:
        try:
            info = pyogrio.read_info(self.path, layer=self._layer(), force_total_bounds=True)
        except (DataSourceError, DataLayerError) as error:
            raise self._unreadable(error) from error
        self._check(column, info["fields"])
        return info

    def _layer(self) -> str | None:
        return choose_layer(self.path, self.layer)

    def _check(self, column: str | None, there: Iterable[str]) -> None:
        if column is not None and column not in there:
            raise InputError(
                f"{self.path} has no column {column!r}: it has {', '.join(there) or 'none'}"
            )

    def _empty(self) -> InputError:
        return InputError(f"{self.path} has no row with a geometry: give polygons of what is there")

    def _unreadable(self, error: Exception) -> InputError:
        if not Path(self.path).exists():
            return InputError(f"{self.path} does not exist: give a vector file of labels")
        return InputError(f"{self.path} cannot be read as a vector file: {one_line(error)}")


def _meeting(rows: gpd.GeoDataFrame, scene: Scene) -> gpd.GeoDataFrame:
    """Return those of some rows that lie near a scene."""
    east = float(np.nan_to_num(rows.total_bounds[2]))
    bounds = reach(scene, rows.crs, east=east)
    if bounds is None:
        return rows
    return rows.iloc[np.sort(rows.sindex.query(shapely.box(*bounds)))]
