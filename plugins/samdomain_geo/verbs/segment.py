"""`samdomain segment`: a scene and rough boxes or clicks in, georeferenced polygons out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
from tqdm import tqdm

from samdomain import accelerate, load_sam
from samdomain.acceleration import Precision
from samdomain.adapter_file import load_adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.sam import Sam, SamLike, SamSpec
from samdomain.weights import DEFAULT
from samdomain_geo.block_cache import block_cache
from samdomain_geo.ellipsoid import Ellipsoid
from samdomain_geo.instances import write_instances
from samdomain_geo.nodata import parse_nodata
from samdomain_geo.objects import SceneObjects, Shaping, collect_objects
from samdomain_geo.output import Output, output_folder
from samdomain_geo.placement import place_prompts
from samdomain_geo.preview import draw_preview
from samdomain_geo.prompt_file import PromptFile
from samdomain_geo.prompted import FoundObject, find_objects
from samdomain_geo.prompts import ObjectPrompts
from samdomain_geo.raster import Scene, open_scene
from samdomain_geo.record import Stopwatch, identify, identify_adapter, write_record
from samdomain_geo.stretch import Stretch, parse_stretch
from samdomain_geo.vector import pixel_width
from samdomain_geo.vector_file import GEOPACKAGE, VectorFormat, format_named, write_polygons
from samdomain_geo.windows import SHARED, SharedWindow, share_windows

logger = logging.getLogger(__name__)


def results(vector: VectorFormat) -> tuple[str, ...]:
    """Return the names of the files that a run writes, with polygons in a format."""
    # run.json comes last: where it stands, the others are complete.
    return ("instances.tif", vector.file_name, "polygons.qml", "preview.png", "run.json")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Result of `segment`.

    Attributes:
        folder: where the files are.
        objects: the rows of the file of polygons, one for each prompt inside the scene.
        record: the content of `run.json` that belongs to this run.
        files: names of the files in the folder.
    """

    folder: Path
    objects: gpd.GeoDataFrame
    record: dict[str, Any]
    files: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return counts, seconds and the files that were written."""
        return {
            "folder": str(self.folder),
            "files": ", ".join(self.files),
            "counts": self.record["counts"],
            "mean score": round(float(self.objects["score"].mean()), 3),
            "seconds": self.record["seconds"],
        }


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
    overwrite: bool = False,
) -> Segmentation:
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
        overwrite: replace earlier results in the folder.

    Returns:
        Segmentation: the objects and where their files are.

    Raises:
        InputError: an input or a flag cannot be used; nothing was written.
        StoppedError: the disk is full, or the server of a remote scene failed.
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
    vector = format_named(format)
    measure = parse_stretch(stretch)
    clock = Stopwatch()
    with (
        block_cache(),
        open_scene(scene, _parse_bands(bands), parse_nodata(nodata)) as opened,
        output_folder(Path(out), results(vector), overwrite=overwrite) as output,
    ):
        ellipsoid = Ellipsoid.of(opened.crs)
        vector.check(opened.crs)
        shaping = Shaping(min_area, simplify, regularize)
        shaping.check(ellipsoid)
        guess = _in_pixels(object_size, opened, ellipsoid)
        placed = place_prompts(PromptFile(Path(prompts), layer, where).read(opened), opened)
        sam = _load(weights, adapter)
        _check(sam.spec, opened, placed)
        fast = accelerate(sam, precision)
        stretching = measure(opened)
        clock.lap("prepare")
        extents = placed.extents(guess or sam.spec.input_size / SHARED.contexts[0], opened)
        windows = share_windows(extents, opened.rows, opened.columns)
        found = _find(fast, opened, stretching, placed, windows)
        clock.lap("segment")
        objects = collect_objects(found, placed, opened, ellipsoid, shaping)
        record: dict[str, Any] = {
            "inputs": {"scene": identify(opened.path), "prompts": identify(prompts)},
            "weights": {"name": sam.spec.name, "sha256": sam.weights_sha256},
            "adapter": None if adapter is None else identify_adapter(adapter),
            "engine": fast.engine,
            "parameters": parameters,
            "stretch": {"low": stretching.low, "high": stretching.high},
            "counts": {**objects.counts(), "outside": placed.outside, "windows": len(windows)},
            "files": results(vector),
        }
        _write(output, vector, opened, stretching, ellipsoid, objects, record)
        clock.lap("write")
        record["seconds"] = clock.seconds
        write_record(output.path("run.json"), "segment", record)
    return Segmentation(Path(out), objects.table, record, results(vector))


def _parse_bands(bands: str | Sequence[int] | None) -> tuple[int, ...] | None:
    if bands is None:
        return None
    try:
        parts = bands.split(",") if isinstance(bands, str) else bands
        return tuple(int(band) for band in parts)
    except ValueError as error:
        raise InputError(
            f"--bands {bands!r} is not a list of numbers: give for example 4,3,2"
        ) from error


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


def _load(weights: str | None, adapter: str | None) -> Sam:
    if adapter is None:
        return load_sam(weights or DEFAULT)
    folder = find_adapter(adapter)
    output = read_adapter(folder).card.output
    if output != "prompted":
        raise InputError(
            f"the adapter {adapter} gives {output} results, which take no --prompts: leave them out"
        )
    return load_adapter(folder, None if weights is None else load_sam(weights)).sam


def _check(spec: SamSpec, scene: Scene, prompts: ObjectPrompts) -> None:
    prompts.check(spec)
    if len(scene.bands) != spec.input_channels:
        raise InputError(
            f"--bands names {len(scene.bands)}, but {spec.name!r} takes {spec.input_channels}"
        )


def _find(
    sam: SamLike,
    scene: Scene,
    stretch: Stretch,
    prompts: ObjectPrompts,
    windows: Sequence[SharedWindow],
) -> list[FoundObject]:
    hidden = True if logger.getEffectiveLevel() > logging.WARNING else None  # None: off a terminal
    found: dict[int, FoundObject] = {}
    with tqdm(desc="segment", total=len(prompts), unit="object", disable=hidden) as progress:
        for index, one in find_objects(sam, scene, stretch, prompts, windows):
            found[index] = one
            progress.update()
    return [found[index] for index in range(len(prompts))]


def _write(
    output: Output,
    vector: VectorFormat,
    scene: Scene,
    stretch: Stretch,
    ellipsoid: Ellipsoid | None,
    objects: SceneObjects,
    record: dict[str, Any],
) -> None:
    tags = {
        "scene": scene.name,
        "scene_sha256": record["inputs"]["scene"]["sha256"] or "",
        "weights": record["weights"]["name"],
        "weights_sha256": record["weights"]["sha256"],
    }
    write_instances(objects.shapes, scene, output.path("instances.tif"), tags)
    write_polygons(objects.table, output.path(vector.file_name), datetime.now(UTC))
    title = f"{scene.name}: {len(objects.shapes)} objects for {len(objects.table)} prompts"
    draw_preview(
        scene,
        stretch,
        [shape.outline for shape in objects.shapes],
        title,
        ellipsoid,
        output.path("preview.png"),
    )
