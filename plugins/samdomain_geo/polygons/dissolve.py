"""Make one row of all regions that have one value."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from samdomain_geo.polygons.region_rows import SCHEMA
from samdomain_geo.polygons.region_table import RegionTable
from samdomain_geo.polygons.regions import Finisher


class DissolvedRows:
    """Rows of values, one for each; their `id` is the value.

    A value that a single region has is passed on. Regions of the others wait until the last
    one has come: objects, whose parts are near one another, take little memory; classes that are
    all over a scene take as much as their rows.
    """

    def __init__(self, table: RegionTable, finisher: Finisher) -> None:
        self._values, self._counts = table.values()
        self._finisher = finisher
        self._waiting: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)

    def batches(self, regions: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return the rows from rows of regions, each batch in the order of its ids."""
        for batch in regions:
            values = batch.column("class_id").to_numpy()
            several = self._counts[np.searchsorted(self._values, values)] > 1
            alone = batch.filter(pa.array(~several))
            joined = self._collect(batch.filter(pa.array(several)))
            rows = pa.concat_batches([alone.set_column(0, "id", alone.column("class_id")), joined])
            if len(rows):
                yield rows.sort_by("id")

    def _collect(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Note regions, and return rows of the values that are complete with them."""
        rows: list[dict[str, Any]] = []
        for region in batch.to_pylist():
            value = region["class_id"]
            waiting = self._waiting[value]
            waiting.append(region)
            if len(waiting) == self._counts[np.searchsorted(self._values, value)]:
                rows.append(self._row(self._waiting.pop(value)))
        return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)

    def _row(self, regions: list[dict[str, Any]]) -> dict[str, Any]:
        parts = shapely.get_parts(shapely.from_wkb([region["geometry"] for region in regions]))
        whole = shapely.normalize(shapely.multipolygons(parts))
        measures = {
            name: None if regions[0][name] is None else sum(region[name] for region in regions)
            for name in ("area_m2", "perimeter_m")
        }
        if not shapely.is_valid(whole):  # straightened walls of two regions can overlap
            united = shapely.get_parts(shapely.union_all(parts))
            whole = shapely.normalize(shapely.multipolygons(united))
            area, perimeter = self._finisher.measure(np.array([whole]))[0].tolist()
            if measures["area_m2"] is not None:
                measures = {"area_m2": area, "perimeter_m": perimeter}
        return {
            **regions[0],
            **measures,
            "score": _mean(regions),
            "id": regions[0]["class_id"],
            "geometry": shapely.to_wkb(whole),
        }


def _mean(regions: list[dict[str, Any]]) -> float | None:
    """Return the mean score of regions by their areas; null where one has none."""
    scores = [region["score"] for region in regions]
    if None in scores:
        return None
    areas = [region["area_m2"] or 0.0 for region in regions]
    return float(np.average(scores, weights=areas if sum(areas) > 0 else None))
