"""Make the rows of a scene's regions, in memory that depends on the block."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.packed import unpack
from samdomain_geo.polygons.region_table import RegionTable
from samdomain_geo.polygons.regions import Finisher, Polygons

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class_id", pa.int64()),
        ("class_name", pa.string()),
        ("score", pa.float64()),
        ("area_m2", pa.float64()),
        ("perimeter_m", pa.float64()),
        ("geometry", pa.binary()),
    ]
)
"""Columns of the rows; the geometry is WKB of MultiPolygons, the score null where none is known."""


class RegionRows:
    """Rows of regions, one for each, however many blocks it lies in.

    A region inside one block is passed on as it is. Pieces of the others wait until all blocks
    of theirs were read, and are joined then.
    """

    def __init__(
        self,
        store: BlockStore,
        table: RegionTable,
        finisher: Finisher,
        names: Mapping[int, str],
    ) -> None:
        self._store, self._table, self._finisher, self._names = store, table, finisher, names
        self._waiting: defaultdict[int, list[shapely.Geometry]] = defaultdict(list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Return the rows block by block, those of a block in the order of their ids."""
        for index in range(len(self._store.manifest)):
            region = self._table.of_block(index)
            if (region > 0).any():
                yield self._block(self._store.read(index), region)

    def _block(
        self, arrays: Mapping[str, NDArray[Any]], region: NDArray[np.int64]
    ) -> pa.RecordBatch:
        kept = np.flatnonzero(region > 0)
        pieces = unpack(arrays, kept)
        region, value = region[kept], arrays["value"][kept]
        cut, measures = arrays["cut"][kept], arrays["measures"][kept]
        whole = self._complete(region[cut], pieces[cut])
        found = np.flatnonzero(cut)[whole.index]
        joined, joined_measures = self._finisher(whole.outlines)
        rows = np.concatenate([np.flatnonzero(~cut), found])
        order = np.argsort(region[rows])
        geometry = np.concatenate([pieces[~cut], joined])[order]
        measured = np.concatenate([measures[~cut], joined_measures])[order]
        values, numbers = value[rows][order], region[rows][order]
        return pa.record_batch(
            [
                pa.array(numbers),
                pa.array(values),
                pa.array([self._names.get(one) for one in values.tolist()], pa.string()),
                pa.array(self._table.score[numbers], from_pandas=True),
                pa.array(measured[:, 0], from_pandas=True),
                pa.array(measured[:, 1], from_pandas=True),
                pa.array(shapely.to_wkb(_multiple(geometry)), pa.binary()),
            ],
            schema=SCHEMA,
        )

    def _complete(self, region: NDArray[np.int64], pieces: Polygons) -> "_Whole":
        """Note pieces, and return the regions that are complete with them."""
        index: list[int] = []
        outlines: list[shapely.Geometry] = []
        for place, (number, piece) in enumerate(zip(region.tolist(), pieces, strict=True)):
            waiting = self._waiting[number]
            waiting.append(piece)
            if len(waiting) == self._table.pieces[number]:
                index.append(place)
                outlines.append(joined(self._waiting.pop(number)))
        return _Whole(np.array(index, np.intp), np.array(outlines, dtype=object))


class _Whole:
    """Joined outlines, and the place of each one's last piece."""

    def __init__(self, index: NDArray[np.intp], outlines: Polygons) -> None:
        self.index, self.outlines = index, outlines


def joined(pieces: list[shapely.Geometry]) -> shapely.Geometry:
    """Join the pieces of a region in pixels; what the blocks left on its outline is removed."""
    # A point amid a straight wall is left where pieces met; after it goes, parts have an order.
    plain = shapely.simplify(shapely.normalize(shapely.union_all(pieces)), 0)
    return shapely.normalize(plain)


def _multiple(polygons: Polygons) -> Polygons:
    parts, owners = shapely.get_parts(polygons, return_index=True)
    return shapely.multipolygons(parts, indices=owners)
