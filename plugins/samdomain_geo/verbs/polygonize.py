"""`samdomain polygonize`: a raster of classes or ids in, polygons out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import geopandas as gpd

from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.conduct import Conduct, Place
from samdomain_geo.engine.finishing import finishing
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Grid, Manifest, Tiling, now, software
from samdomain_geo.engine.record import Stopwatch
from samdomain_geo.objects.objects import Shaping
from samdomain_geo.polygons.regions import CONNECTIVITIES, check_labels
from samdomain_geo.polygons.tracing import PolygonFile, Tracing
from samdomain_geo.polygons.vector_file import LAYER, VectorFormat, format_of
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene, open_scene

VERB = "polygonize"

_BLOCKS = ".blocks"


@dataclass(frozen=True, eq=False)
class Polygons:
    """Result of `polygonize`.

    Attributes:
        path: the file of polygons.
        count: how many rows it has.
        values: how many distinct values the rows have.
        seconds: wall time of each stage.
        steps: seconds of each step of the blocks, added up over all processes.
    """

    path: Path
    count: int
    values: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def regions(self) -> gpd.GeoDataFrame:
        """The rows, one for each region or value, by id; read when they are asked for."""
        if self.path.suffix == ".parquet":
            table = gpd.read_parquet(self.path)
        else:
            table = gpd.read_file(self.path, layer=LAYER)
        return table.sort_values("id", ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """Return the files that were written and what they hold."""
        return {
            "file": str(self.path),
            "style": str(self.path.with_suffix(".qml")),
            "polygons": self.count,
            "values": self.values,
            "seconds": dict(self.seconds),
            "steps": dict(self.steps),
        }


def polygonize(  # noqa: PLR0913 - a verb's parameters are its flags
    mask: str | Path,
    *,
    out: Path,
    band: int = 1,
    nodata: int | None = None,
    connectivity: int = 4,
    dissolve: bool = False,
    min_area: float = 0.0,
    simplify: float = 0.0,
    regularize: bool = False,
    block: int = 2048,
    workers: int | None = None,
    scheduler: str | None = None,
    part: str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Polygons | Facts:
    """Turn a raster of classes or ids into polygons whose neighbours share their borders.

    Each connected region of one value becomes a row, however many blocks it lies in; `class_id`
    is the value, `class_name` the name that the raster gives it. Memory depends on the block,
    not on the raster. Ids follow the regions' first pixels, row by row.

    Args:
        mask: raster of integers, anything that GDAL reads.
        out: file to write: .gpkg, .parquet, .fgb or .geojson; a QGIS style goes beside it.
        band: band of the raster, counted from 1.
        nodata: value that becomes no polygon; by default the file's own and 0.
        connectivity: 4, or 8 to join regions that meet at corners only.
        dissolve: make one row of all regions of a value, whose id is the value, as for
            instances.tif, where an object may have several parts.
        min_area: drop regions below this many square metres.
        simplify: drop corners of about this size, in units of the CRS; neighbours still meet.
        regularize: straighten walls, for buildings; neighbours may then overlap or part.
        block: side in pixels of the blocks that are worked on, a multiple of 512.
        workers: share the blocks among this many processes of Dask on this machine.
        scheduler: share the blocks among the workers of the Dask scheduler at this address.
        part: do only a share of the blocks, I/N, as a job of an array, beside the other jobs;
            when all are done, samdomain finish writes the file.
        resume: go on with work that was stopped, if it was.
        dry_run: tell what the run would cost, and do nothing.
        overwrite: replace an earlier file, and drop unfinished work.

    Returns:
        Polygons: where the rows are; facts of the work for a part or a dry run.

    Raises:
        InputError: an input or a flag cannot be used; nothing was written.
        MissingExtraError: a library that a flag needs is not installed.
        StoppedError: stopped half-way; `resume` goes on.
    """
    parameters = {
        "band": band,
        "nodata": nodata,
        "connectivity": connectivity,
        "dissolve": dissolve,
        "min_area": min_area,
        "simplify": simplify,
        "regularize": regularize,
    }
    clock, out = Stopwatch(), Path(out)
    conduct = Conduct(workers, scheduler, 1, part, resume, dry_run, overwrite)
    place = Place(out.with_name(out.name + _BLOCKS), (out.with_suffix(".qml"), out))
    vector = _check(mask, out, connectivity)
    if (ended := conduct.ended(place)) is not None:
        return ended
    with open_scene(mask, (band,)) as opened:
        _check_scene(opened, vector, Shaping(min_area, simplify, regularize))
        manifest = _plan(str(mask), opened, Tiling(block), parameters)
    clock.lap("plan")

    def finish(store: BlockStore, steps: Mapping[str, float]) -> Polygons:
        clock.lap("run")
        result = finish_polygonize(store)
        return replace(result, seconds={**clock.seconds, **result.seconds}, steps=steps)

    draft = partial(_write, name=out.name)
    return conduct.carry_out(place, manifest, Tracing(**parameters).work(), finish, draft)


def finish_polygonize(store: BlockStore) -> Polygons:
    """Join the blocks of a run and write its file.

    Raises:
        StoppedError: blocks are missing or torn.
    """
    out = store.folder.with_name(store.folder.name.removesuffix(_BLOCKS))
    names = (out.with_suffix(".qml").name, out.name)
    with finishing(store, out.parent, names) as output:
        result = _write(store, output.scratch, out.name)
    return replace(result, path=out)


def _write(store: BlockStore, folder: Path, name: str) -> Polygons:
    """Join blocks and write their file, with its style, into a folder."""
    clock, file = Stopwatch(), PolygonFile()
    traced = Tracing(**store.manifest.parameters).traced(store)
    clock.lap("join")
    file.write([traced], folder / name, store.manifest)
    clock.lap("write")
    return Polygons(folder / name, file.count, len(file.values), clock.seconds)


def _check(mask: str | Path, out: Path, connectivity: int) -> VectorFormat:
    if connectivity not in CONNECTIVITIES:
        raise InputError(f"--connectivity is {connectivity}: give 4 or 8")
    try:
        folder = out.is_dir()
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    if folder:
        raise InputError(f"{out} is a folder: give --out the name of a file")
    if str(out) == str(mask):
        raise InputError(f"{out} is the mask itself: give another --out")
    return format_of(out)


def _check_scene(scene: Scene, vector: VectorFormat, shaping: Shaping) -> None:
    vector.check(scene.crs)
    shaping.check(Ellipsoid.of(scene.crs))
    check_labels(scene)


def _plan(path: str, scene: Scene, tiling: Tiling, parameters: dict[str, Any]) -> Manifest:
    return Manifest(
        verb=VERB,
        scene=Identity.of(path, scene.dataset.files),
        grid=Grid.of(scene),
        tiling=tiling,
        threads=1,
        date=now(),
        parameters=parameters,
        versions=software(),
    )
