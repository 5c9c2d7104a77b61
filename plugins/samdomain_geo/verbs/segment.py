"""`samdomain segment`: a scene and rough boxes or clicks in, georeferenced polygons out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from samdomain import accelerate, load_sam
from samdomain.acceleration import Precision
from samdomain.adapter_file import load_adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.sam import Sam, SamSpec
from samdomain.weights import DEFAULT
from samdomain_geo.block_cache import block_cache
from samdomain_geo.conduct import Conduct, Place
from samdomain_geo.ellipsoid import Ellipsoid
from samdomain_geo.identity import Identity
from samdomain_geo.nodata import parse_nodata
from samdomain_geo.objects import Shaping
from samdomain_geo.placement import place_prompts
from samdomain_geo.plan import Grid, Manifest, Tiling, now, software
from samdomain_geo.prompt_file import PromptFile
from samdomain_geo.prompted_work import PromptedWork, by_block
from samdomain_geo.prompts import ObjectPrompts
from samdomain_geo.raster import Scene, open_scene, parse_bands
from samdomain_geo.record import Stopwatch, identify_adapter
from samdomain_geo.segmentation import BLOCKS, Segmentation, finish_segmentation, results
from samdomain_geo.stretch import parse_stretch
from samdomain_geo.vector import pixel_width
from samdomain_geo.vector_file import GEOPACKAGE, format_named
from samdomain_geo.windows import SHARED, share_windows

VERB = "segment"

logger = logging.getLogger(__name__)


def segment(  # noqa: PLR0913 - a verb's parameters are its flags
    scene: str | Path,
    *,
    prompts: Path,
    out: Path,
    layer: str | None = None,
    where: str | None = None,
    weights: str | None = None,
    adapter: str | None = None,
    bands: str | Sequence[int] | None = None,
    object_size: float | None = None,
    nodata: str | float | None = None,
    stretch: str | None = None,
    min_area: float = 0.0,
    simplify: float = 0.0,
    regularize: bool = False,
    format: str = GEOPACKAGE.extension,
    precision: Precision = "f32",
    block: int = 512,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    part: str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Segmentation | Facts:
    """Outline the object in each box or under each click of a vector file.

    Args:
        scene: raster to look at, anything that GDAL reads; of a URL only what is needed is read.
        prompts: vector file in any CRS: polygons, whose bounds are boxes, or points, which are
            clicks. Of points, a column `label` says 1 (or nothing) on the object and 0 beside it,
            and rows with the same `object_id` are clicks, or a box and clicks, of one object.
        out: folder for instances.tif, polygons.gpkg with its style, preview.png and run.json.
        layer: layer of the prompts, where their file has several.
        where: take only prompts that meet this condition, in OGR's SQL: "height > 3".
        weights: name of known weights (see samdomain weights list), or path of a checkpoint; by
            default those that the adapter was trained on, or litemedsam.
        adapter: folder of an adapter, or name of a shipped one (see samdomain adapter list).
        bands: three bands, counted from 1, as red, green and blue: "4,3,2".
        object_size: about how large clicked objects are in metres; 2.5 to 5 times as much is seen
            around a click. By default the weights see the scene's own pixels, one to one.
        nodata: value that is nodata in place of the scene's own; "none" where it has none.
        stretch: what becomes black and white: percentiles as 2,98, or values as 100:3000 for all
            bands or, parted by commas, each; "none" where values are 0 to 255. By default 2,98,
            and 8 bits as they are.
        min_area: drop parts of objects below this many square metres.
        simplify: drop vertices within this distance of the line, in units of the CRS.
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
        Segmentation: the objects and where their files are; facts of the work for a part or a
        dry run.

    Raises:
        InputError: an input or a flag cannot be used; nothing was written.
        StoppedError: stopped half-way, the disk is full, or the server of a remote scene
            failed; `resume` goes on.
        MissingExtraError: a library that a flag needs is not installed.
    """
    parameters = {
        "layer": layer,
        "where": where,
        "bands": bands,
        "object_size": object_size,
        "nodata": nodata,
        "stretch": stretch,
        "min_area": min_area,
        "simplify": simplify,
        "regularize": regularize,
        "format": format,
        "precision": precision,
    }
    clock = Stopwatch()
    conduct = Conduct(workers, scheduler, threads, part, resume, dry_run, overwrite)
    tiling, vector, folder = Tiling(block), format_named(format), Path(out)
    measure, which = parse_stretch(stretch), (parse_bands(bands), parse_nodata(nodata))
    place = Place(folder / BLOCKS, tuple(folder / name for name in results(vector)))
    if (ended := conduct.ended(place)) is not None:
        return ended
    with block_cache(), open_scene(scene, *which) as opened:
        ellipsoid = Ellipsoid.of(opened.crs)
        vector.check(opened.crs)
        Shaping(min_area, simplify, regularize).check(ellipsoid)
        side = _in_pixels(object_size, opened, ellipsoid)
        placed = place_prompts(PromptFile(Path(prompts), layer, where).read(opened), opened)
        sam = _load(weights, adapter)
        _check(sam.spec, opened, placed)
        stretching = measure(opened)
        extents = placed.extents(side or sam.spec.input_size / SHARED.contexts[0], opened)
        windows = share_windows(extents, opened.rows, opened.columns)
        sam = accelerate(sam, precision)  # what it was made from takes memory no longer
        work = PromptedWork(sam, *which, stretching, placed.bare(), windows)
        inputs = {
            "prompts": asdict(Identity.of(prompts)),
            "weights": {"name": sam.spec.name, "sha256": sam.weights_sha256},
            "adapter": None if adapter is None else identify_adapter(adapter),
            "engine": sam.engine,
        }
        manifest = _plan(opened, tiling, conduct.threads_at(place), work, parameters, inputs)
    _warn(placed)
    clock.lap("prepare")
    return conduct.carry_out(
        place,
        manifest,
        work,
        lambda store, spent: finish_segmentation(store, clock.seconds | spent),
    )


def _plan(
    scene: Scene,
    tiling: Tiling,
    threads: int,
    work: PromptedWork,
    parameters: dict[str, Any],
    inputs: dict[str, Any],
) -> Manifest:
    manifest = Manifest(
        verb=VERB,
        scene=Identity.of(scene.path, scene.dataset.files),
        grid=Grid.of(scene),
        tiling=tiling,
        threads=threads,
        date=now(),
        parameters=parameters,
        measured={"stretch": asdict(work.stretch), "windows": len(work.windows)},
        inputs=inputs,
        versions=software(),
    )
    return replace(manifest, chosen=tuple(by_block(work.windows, manifest)))


def _in_pixels(
    object_size: float | None, scene: Scene, ellipsoid: Ellipsoid | None
) -> float | None:
    if object_size is None:
        return None
    if not 0 < object_size < float("inf"):
        raise InputError(f"--object-size is {object_size}: give metres above 0")
    if ellipsoid is None:
        raise InputError("--object-size is in metres, but the scene has no CRS to tell them")
    return object_size / pixel_width(scene, ellipsoid)


def _warn(prompts: ObjectPrompts) -> None:
    if prompts.outside:
        rows = len(prompts.columns) + prompts.outside
        logger.warning("%d of %d prompts lie outside the scene: left out", prompts.outside, rows)


def _load(weights: str | None, adapter: str | None) -> Sam:
    if adapter is None:
        return load_sam(weights or DEFAULT)
    folder = find_adapter(adapter)
    found = read_adapter(folder)
    if found.card.output != "prompted":
        raise InputError(
            f"the adapter {adapter} gives {found.card.output} results, which take no --prompts: "
            "leave them out"
        )
    base = None if weights is None else load_sam(weights, input_size=found.spec.input_size)
    return load_adapter(folder, base).sam


def _check(spec: SamSpec, scene: Scene, prompts: ObjectPrompts) -> None:
    prompts.check(spec)
    if len(scene.bands) != spec.input_channels:
        raise InputError(
            f"--bands names {len(scene.bands)}, but {spec.name!r} takes {spec.input_channels}"
        )
