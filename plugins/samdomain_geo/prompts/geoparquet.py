"""Read GeoParquet in batches, since GDAL's own reader is missing from common builds."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq

EXTENSIONS = {".parquet", ".geoparquet"}

# Rows in memory at a time: some ten megabytes of polygons.
_BATCH = 1 << 16


def read_batches(path: Path) -> Iterator[gpd.GeoDataFrame]:
    """Read a file batch by batch; rows are numbered from 0 in the index.

    Args:
        path: GeoParquet file.

    Raises:
        ValueError: it is no Parquet, or holds no geometries.
    """
    with pq.ParquetFile(path) as file:
        first = 0
        for batch in file.iter_batches(_BATCH):
            rows = _geometries(batch, file.schema_arrow)
            yield rows.set_axis(range(first, first + len(rows)))
            first += len(rows)


def geometry_kinds(path: Path) -> set[str]:
    """Return the kinds of geometry, as "Point", that a file says it holds; none where it does not.

    Source: GeoParquet 1.1, metadata `geometry_types`.
    """
    try:
        told = json.loads((pq.read_schema(path).metadata or {})[b"geo"])
        return set(told["columns"][told["primary_column"]]["geometry_types"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _geometries(batch: pa.RecordBatch, schema: pa.Schema) -> gpd.GeoDataFrame:
    # Geopandas alone knows all encodings and columns of the format, and reads files only.
    buffer = BytesIO()
    pq.write_table(pa.Table.from_batches([batch], schema), buffer, compression="NONE")
    buffer.seek(0)
    return gpd.read_parquet(buffer)
