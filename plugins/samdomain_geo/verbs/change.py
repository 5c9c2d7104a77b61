"""`samdomain change`: two dates of a place in, what changed out."""

from collections.abc import Sequence
from pathlib import Path

from samdomain.acceleration import Precision
from samdomain.door import Facts
from samdomain_geo.changes.compared_dates import compare_dates
from samdomain_geo.changes.comparison import Comparison
from samdomain_geo.engine.conduct import Conduct
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.record import Stopwatch
from samdomain_geo.given import CHANGE, Given
from samdomain_geo.pairs.radiometry import Match
from samdomain_geo.polygons.vector_file import GEOPACKAGE, format_named


def change(  # noqa: PLR0913 - a verb's parameters are its flags
    before: str | Path,
    after: str | Path,
    *,
    out: Path,
    adapter: str | None = None,
    weights: str | None = None,
    bands: str | Sequence[int] | None = None,
    after_bands: str | Sequence[int] | None = None,
    nodata: str | float | None = None,
    stretch: str | None = None,
    match: Match | None = None,
    align: bool = False,
    min_area: float = 0.0,
    simplify: float = 0.0,
    regularize: bool = False,
    format: str = GEOPACKAGE.extension,
    precision: Precision = "f32",
    block: int = 2048,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    part: str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Comparison | Facts:
    """Map what changed between two rasters of a place, which need not share a grid.

    The grid of the results is that of `before`. `after` is resampled to it as it is read, from
    any CRS, pixel size and extent; where one of them has no data, the results have none. An
    adapter that was trained on pairs gives the probability of a change; one that names the pixels
    of one date gives what became of what. Without an adapter the features of the weights
    are compared, as a rough first look.

    Args:
        before: raster of the earlier date, anything that GDAL reads.
        after: raster of the later date.
        out: folder for the results: mask.tif, probability.tif, polygons with their style,
            areas.csv, preview.png and run.json; classes_before.tif and classes_after.tif from an
            adapter of classes.
        adapter: folder of an adapter whose output is change or semantic, or name of a shipped
            one (see samdomain adapter list).
        weights: name of known weights (see samdomain weights list), or path of a checkpoint; by
            default those that the adapter was trained on, or litemedsam.
        bands: bands that the model takes of both dates, counted from 1, as "4,3,2" for red, green
            and blue.
        after_bands: those of `after`, where they stand elsewhere.
        nodata: value that is nodata in both, in place of their own; "none" where they have none.
        stretch: what becomes black and white, for each date by itself: percentiles as 2,98, or
            values as 100:3000 for all bands or, parted by commas, each; "none" where values are 0
            to 255. By default 2,98, and 8 bits as they are.
        match: make the values of `after` like those of `before`: "mean" by medians and quartiles,
            "histogram" by their whole distribution, which also takes back what many new bright
            roofs did to it; each band once for the overlap.
        align: move `after` by the shift that is estimated between the dates, a translation. The
            estimate is always told, in pixels.
        min_area: drop parts of the ground below this many square metres from the polygons.
        simplify: drop corners of about this size, in units of the CRS.
        regularize: straighten walls and square corners, for buildings; the raster keeps them.
        format: format of the polygons: gpkg, parquet, fgb or geojson.
        precision: f32, or bf16: faster where the processor knows it, and less exact.
        block: side in pixels of the blocks that are worked on, a multiple of 512.
        workers: share the blocks among this many processes of Dask on this machine.
        scheduler: share the blocks among the workers of the Dask scheduler at this address; they
            see the same files, and the same folder SAMDOMAIN_CACHE.
        threads: threads of the network in each process, on which the last bits of its sums
            depend: by default all cores of this process alone, and 1 with workers.
        part: do only a share of the blocks, I/N, as a job of an array, beside the other jobs;
            when all are done, samdomain finish writes the files.
        resume: go on with work that was stopped, if it was.
        dry_run: tell what the run would cost, and do nothing.
        overwrite: replace earlier results in the folder, and drop unfinished work.

    Returns:
        Comparison: what changed and where the files are; facts of the work for a part or a dry
        run.

    Raises:
        InputError: an input or a flag cannot be used, or the rasters cannot be compared; nothing
            was written.
        StoppedError: stopped half-way, the disk is full, or the server of a remote raster
            failed; `resume` goes on.
        MissingExtraError: a library that a flag needs is not installed.
    """
    parameters = {
        "bands": bands,
        "after_bands": after_bands,
        "nodata": nodata,
        "stretch": stretch,
        "match": match,
        "align": align,
        "min_area": min_area,
        "simplify": simplify,
        "regularize": regularize,
        "format": format,
        "precision": precision,
    }
    clock = Stopwatch()
    conduct = Conduct(workers, scheduler, threads, part, resume, dry_run, overwrite)
    vector = format_named(format)
    given = Given(str(before), Path(out), weights, adapter, vector, parameters, CHANGE)
    return compare_dates(given, str(after), Tiling(block), conduct, clock)
