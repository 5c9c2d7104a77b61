"""Turn a raster of labels into a file of polygons, as its flags say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from samdomain_geo.engine.block_store import BlockStore, claim_store
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.plan import Grid, Manifest, Tiling, software
from samdomain_geo.engine.run import run
from samdomain_geo.polygons.dissolve import DissolvedRows
from samdomain_geo.polygons.region_file import write_regions
from samdomain_geo.polygons.region_rows import SCHEMA, RegionRows
from samdomain_geo.polygons.region_table import join_regions
from samdomain_geo.polygons.regions import Finisher, RegionShaping, RegionsWork, Scores
from samdomain_geo.scenes.class_names import class_names
from samdomain_geo.scenes.raster import open_scene


@dataclass(frozen=True)
class Tracing:
    """How a raster of labels becomes polygons.

    Attributes:
        band: band of the raster, counted from 1.
        nodata: value that becomes no polygon; by default the file's own and 0.
        connectivity: 4, or 8 to join regions that meet at corners only.
        dissolve: make one row of all regions of a value, whose id is the value.
        min_area: drop regions below this many square metres.
        simplify: drop corners of about this size, in units of the CRS.
        regularize: straighten walls.
        scores: how sure the pixels are.
    """

    band: int = 1
    nodata: int | None = None
    connectivity: int = 4
    dissolve: bool = False
    min_area: float = 0.0
    simplify: float = 0.0
    regularize: bool = False
    scores: Scores | None = None

    def work(self) -> RegionsWork:
        """Return what is done for each block."""
        shaping = RegionShaping(self.simplify, self.regularize, self.min_area > 0)
        return RegionsWork(self.band, self.nodata, self.connectivity, shaping, self.scores)

    def traced(self, store: BlockStore, names: Mapping[int, str] | None = None) -> "Traced":
        """Join the blocks of a run, so that rows can be made of them.

        Args:
            store: blocks of the work, all of them done.
            names: name of each value; by default those that the raster gives.
        """
        with open_scene(store.manifest.scene.path, (self.band,)) as scene:
            finisher = Finisher.of(scene, self.work().shaping)
            classes = class_names(scene) if names is None else dict(names)
        table = join_regions(store, self.connectivity, self.min_area)
        rows = RegionRows(store, table, finisher, classes).batches()
        if self.dissolve:
            rows = DissolvedRows(table, finisher).batches(rows)
        values, _ = table.values()
        return Traced(rows, {value: classes.get(value) for value in values.tolist()})


@dataclass(frozen=True, eq=False)
class Traced:
    """Rows of polygons, to be read once.

    Attributes:
        rows: batches with the columns of the schema.
        values: the distinct values, with their names.
        schema: columns of the rows.
    """

    rows: Iterator[pa.RecordBatch]
    values: Mapping[int, str | None]
    schema: pa.Schema = SCHEMA

    def described(self, columns: Mapping[str, Mapping[int, str]]) -> "Traced":
        """Return the same rows with further columns of words before the geometry.

        Args:
            columns: the words of each column by `class_id`.
        """
        last = len(self.schema) - 1
        fields = [self.schema.field(place) for place in range(last)]
        fields += [pa.field(name, pa.string()) for name in columns]
        schema = pa.schema([*fields, self.schema.field(last)])

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in self.rows:
                classes = batch.column("class_id").to_pylist()
                words = [
                    pa.array([known.get(one) for one in classes], pa.string())
                    for known in columns.values()
                ]
                own = [batch.column(place) for place in range(last)]
                yield pa.record_batch([*own, *words, batch.column(last)], schema=schema)

        return Traced(rows(), self.values, schema)

    def moved(self, shift: int) -> "Traced":
        """Return the same rows with other numbers of their classes."""

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in self.rows:
                classes = pa.array([one + shift for one in batch.column("class_id").to_pylist()])
                place = batch.schema.get_field_index("class_id")
                yield batch.set_column(place, "class_id", classes.cast(pa.int64()))

        return Traced(rows(), {value + shift: name for value, name in self.values.items()})


@dataclass
class PolygonFile:
    """Write rows of one or several rasters into one file, numbered on.

    Attributes:
        count: how many rows were written.
        values: the distinct values that they have, with their names.
    """

    count: int = 0
    values: dict[int, str | None] = field(default_factory=dict)

    def write(self, parts: Sequence[Traced], path: Path, manifest: Manifest) -> None:
        """Write a file with its style beside it.

        Args:
            parts: rows of the rasters.
            path: file to write, in the format that its extension stands for.
            manifest: the run, for CRS and date.
        """
        for part in parts:
            self.values |= part.values
        classes = pd.DataFrame(
            {
                "class_id": pd.array(list(self.values), dtype="Int64"),
                "class_name": pd.array(list(self.values.values()), dtype="string"),
            }
        )
        rows = _numbered_on(parts) if len(parts) > 1 else parts[0].rows
        self.count = write_regions(
            rows, path, manifest.grid.crs, classes, manifest.when, parts[0].schema
        )


def _numbered_on(parts: Sequence[Traced]) -> Iterator[pa.RecordBatch]:
    before = 0
    for part in parts:
        last = before
        for batch in part.rows:
            ids = [one + before for one in batch.column("id").to_pylist()]
            last = max(last, *ids) if ids else last
            yield batch.set_column(0, "id", pa.array(ids, pa.int64()))
        before = last


def trace(
    mask: Path, tracing: Tracing, names: Mapping[int, str], scratch: Path, begun: Manifest
) -> Traced:
    """Trace a raster that is finished, in this process.

    Args:
        mask: raster of labels.
        tracing: how.
        names: name of each value.
        scratch: folder for the blocks; it stays until the rows are read.
        begun: manifest of the run that made the raster, for its date.
    """
    with open_scene(mask, (tracing.band,)) as scene:
        manifest = Manifest(
            verb="trace",
            scene=Identity.of(mask),
            grid=Grid.of(scene),
            tiling=Tiling(),
            threads=1,
            date=begun.date,
            parameters=_flat(asdict(tracing)),
            versions=software(),
        )
    store = claim_store(scratch, manifest, resume=False)
    run(store, tracing.work(), InProcess())
    return tracing.traced(store, names)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in values.items() if name != "scores"}
