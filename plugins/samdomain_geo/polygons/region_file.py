"""Write rows of regions as they come, in the vector formats, in bounded memory."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyogrio
from pyarrow import parquet
from pyproj import CRS

from samdomain_geo.polygons.region_rows import SCHEMA
from samdomain_geo.polygons.vector_file import GEOPACKAGE, LAYER, format_of
from samdomain_geo.results.style import embed_style, style_of

_OPTIONS: dict[str, dict[str, Any]] = {
    "gpkg": {"driver": "GPKG"},
    "fgb": {"driver": "FlatGeobuf"},
    "geojson": {"driver": "GeoJSON", "RFC7946": "YES"},
}


def write_regions(
    batches: Iterator[pa.RecordBatch],
    path: Path,
    crs: str | None,
    classes: pd.DataFrame,
    when: datetime,
    schema: pa.Schema = SCHEMA,
) -> int:
    """Write rows to a file and, beside it, a QGIS style of the same name.

    The same rows and time make the same bytes.

    Args:
        batches: rows with the columns of the schema.
        path: file to write, in the format that its extension stands for.
        crs: CRS of the rows as WKT.
        classes: distinct `class_id` and `class_name`, for the style.
        when: time that the file carries.
        schema: the rows' own columns, those of `region_rows.SCHEMA` and others.

    Returns:
        int: how many rows were written.
    """
    counted = _Counted(batches, schema)
    kind = format_of(path)
    with _dated(when), warnings.catch_warnings():
        # A scene without a CRS makes polygons without one: that is no news.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        if kind.extension == "parquet":
            _write_parquet(counted, path, crs)
        else:
            _write_ogr(counted, path, crs, _OPTIONS[kind.extension])
    qml = style_of(classes)
    path.with_suffix(".qml").write_text(qml, encoding="utf-8")
    if kind is GEOPACKAGE:
        embed_style(path, LAYER, qml, when)
    return counted.rows


class _Counted:
    """Count rows on their way, and keep the error that ends them, which libraries would wrap."""

    def __init__(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = batches
        self.schema = schema
        self.rows = 0
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                yield batch
        except Exception as error:
            self.error = error
            raise


def _write_ogr(batches: _Counted, path: Path, crs: str | None, options: dict[str, Any]) -> None:
    reader = pa.RecordBatchReader.from_batches(batches.schema, iter(batches))
    try:
        pyogrio.write_arrow(
            reader,
            path,
            layer=LAYER,
            geometry_name="geometry",
            geometry_type="MultiPolygon",
            crs=crs,
            **options,
        )
    except Exception:
        if batches.error is not None:
            raise batches.error from None
        raise


def _write_parquet(batches: _Counted, path: Path, crs: str | None) -> None:
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["MultiPolygon"]}
    # The format takes a missing key for longitudes and latitudes.
    column["crs"] = None if crs is None else CRS.from_wkt(crs).to_json_dict()
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": column}}
    schema = batches.schema.with_metadata({"geo": json.dumps(geo)})
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


@contextmanager
def _dated(when: datetime) -> Iterator[None]:
    stamp = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": stamp})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
