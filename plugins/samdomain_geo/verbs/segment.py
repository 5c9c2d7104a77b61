"""`samdomain segment`: a scene in, polygons out, of prompted objects or of an adapter's classes."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from samdomain import accelerate, load_sam
from samdomain.acceleration import Precision
from samdomain.adapter_file import load_adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.sam import Sam, SamSpec
from samdomain.weights import DEFAULT
from samdomain_geo.classes.classification import Classification
from samdomain_geo.classes.named_pixels import COMMANDS, name_pixels
from samdomain_geo.engine.conduct import Conduct
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.record import Stopwatch, identify_adapter
from samdomain_geo.given import Given
from samdomain_geo.objects.prompted_work import PromptedWork, by_block
from samdomain_geo.objects.segmentation import Segmentation, finish_segmentation, results
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.polygons.vector_file import GEOPACKAGE, format_named
from samdomain_geo.prompts.placement import place_prompts
from samdomain_geo.prompts.prompt_file import PromptFile
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.block_cache import block_cache
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.stretch import parse_stretch
from samdomain_geo.scenes.windows import SHARED, share_windows

logger = logging.getLogger(__name__)


def segment(  # noqa: PLR0913 - a verb's parameters are its flags
    scene: str | Path,
    *,
    out: Path,
    prompts: Path | None = None,
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
    block: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    part: str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Segmentation | Classification | Facts:
    """Outline the object in each box or under each click of a vector file, or name every pixel.

    With prompts each one's object is outlined. An adapter that was trained to find without
    prompts gives the classes of all pixels instead, with their probabilities and polygons.

    Args:
        scene: raster to look at, anything that GDAL reads; of a URL only what is needed is read.
        out: folder for the results: instances.tif, or mask.tif and probability.tif; polygons with
            their style, preview.png and run.json.
        prompts: vector file in any CRS: polygons, whose bounds are boxes, or points, which are
            clicks. Of points, a column `label` says 1 (or nothing) on the object and 0 beside it,
            and rows with the same `object_id` are clicks, or a box and clicks, of one object.
        layer: layer of the prompts, where their file has several.
        where: take only prompts that meet this condition, in OGR's SQL: "height > 3".
        weights: name of known weights (see samdomain weights list), or path of a checkpoint; by
            default those that the adapter was trained on, or litemedsam.
        adapter: folder of an adapter, or name of a shipped one (see samdomain adapter list).
        bands: bands that the model takes, counted from 1, as "4,3,2" for red, green and blue.
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
        block: side in pixels of the blocks that are worked on, a multiple of 512; by default 512
            for prompts, and 2048 for classes.
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
        Segmentation: the objects and where their files are; Classification: where the maps of
        classes are; facts of the work for a part or a dry run.

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
    given = Given(str(scene), Path(out), weights, adapter, format_named(format), parameters)
    if prompts is None:
        _refuse_without_prompts(layer=layer, where=where, object_size=object_size)
        return name_pixels(given, Tiling(block or 2048), conduct, clock)
    return _outline(given, Path(prompts), Tiling(block or 512), conduct, clock)


def _refuse_without_prompts(**flags: object) -> None:
    """Refuse flags that say something of prompts where there are none."""
    if named := [name for name, value in flags.items() if value is not None]:
        flag = named[0].replace("_", "-")
        raise InputError(f"--{flag} is about prompts, but --prompts is not given: leave one out")


def _outline(
    given: Given, prompts: Path, tiling: Tiling, conduct: Conduct, clock: Stopwatch
) -> Segmentation | Facts:
    """Outline the object of each prompt."""
    place = given.place(results(given.vector))
    if (ended := conduct.ended(place)) is not None:
        return ended
    flags, which = given.flags, given.which
    measure, shaping = parse_stretch(flags["stretch"]), given.shaping
    with block_cache(), open_scene(given.scene, *which) as opened:
        ellipsoid = Ellipsoid.of(opened.crs)
        given.vector.check(opened.crs)
        shaping.check(ellipsoid)
        side = _in_pixels(flags["object_size"], opened, ellipsoid)
        asked = PromptFile(prompts, flags["layer"], flags["where"])
        placed = place_prompts(asked.read(opened), opened)
        sam = _load(given.weights, given.adapter)
        _check(sam.spec, opened, placed)
        stretching = measure(opened)
        extents = placed.extents(side or sam.spec.input_size / SHARED.contexts[0], opened)
        windows = share_windows(extents, opened.rows, opened.columns)
        sam = accelerate(sam, flags["precision"])  # what it was made from takes memory no longer
        work = PromptedWork(sam, *which, stretching, placed.bare(), windows)
        inputs = {
            "prompts": asdict(Identity.of(prompts)),
            "weights": {"name": sam.spec.name, "sha256": sam.weights_sha256},
            "adapter": None if given.adapter is None else identify_adapter(given.adapter),
            "engine": sam.engine,
        }
        measured = {"stretch": asdict(stretching), "windows": len(windows)}
        manifest = given.manifest(opened, tiling, conduct.threads_at(place), measured, inputs)
        manifest = replace(manifest, chosen=tuple(by_block(work.windows, manifest)))
    _warn(placed)
    clock.lap("prepare")
    return conduct.carry_out(
        place,
        manifest,
        work,
        lambda store, spent: finish_segmentation(store, clock.seconds | spent),
    )


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
    if found.card.output in COMMANDS:
        raise InputError(
            f"the adapter {adapter} gives {found.card.output} results: "
            f"samdomain {COMMANDS[found.card.output]} runs it"
        )
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
