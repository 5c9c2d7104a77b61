"""Make the files of `samdomain segment` for an adapter that names every pixel."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import Resampling

from samdomain.recipes import Legend
from samdomain_geo.classes.probability import NO_DATA, mask_layer, probability_layer
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.finishing import finishing, opened_again, origin_tags
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.engine.record import Stopwatch, write_record
from samdomain_geo.polygons.regions import Scores
from samdomain_geo.polygons.tracing import PolygonFile, Traced, Tracing, trace
from samdomain_geo.polygons.vector_file import VectorFormat, format_named
from samdomain_geo.preview import LONGER_SIDE, draw_map
from samdomain_geo.results.colours import BACKGROUND
from samdomain_geo.results.output import Output
from samdomain_geo.scenes.class_names import SEPARATOR
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene
from samdomain_geo.scenes.source import open_source
from samdomain_geo.scenes.stretch import Stretch

MASK, PROBABILITY = "mask.tif", "probability.tif"


def results(vector: VectorFormat) -> tuple[str, ...]:
    """Return the names of the files that a run writes, with polygons in a format."""
    # run.json comes last: where it stands, the others are complete.
    return (MASK, PROBABILITY, vector.file_name, "polygons.qml", "preview.png", "run.json")


@dataclass(frozen=True, eq=False)
class Classification:
    """Result of `segment` with an adapter that names every pixel.

    Attributes:
        folder: where the files are.
        record: the content of `run.json` that belongs to this run.
        files: names of the files in the folder.
    """

    folder: Path
    record: dict[str, Any]
    files: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return counts, seconds and the files that were written."""
        return {
            "folder": str(self.folder),
            "files": ", ".join(self.files),
            "counts": self.record["counts"],
            "share of pixels": self.record["shares"],
            "seconds": self.record["seconds"],
        }


def finish_classification(
    store: BlockStore, seconds: Mapping[str, float] | None = None
) -> Classification:
    """Put the probabilities that the blocks of a run hold together, and trace the classes.

    Args:
        store: blocks of a run, all of them done; removed in the end.
        seconds: what the run took so far, by step.

    Raises:
        InputError: the scene is no longer there.
        StoppedError: blocks are missing or torn, or the disk is full.
    """
    manifest, folder = store.manifest, store.folder.parent
    vector, clock = format_named(manifest.parameters["format"]), Stopwatch()
    with finishing(store, folder, results(vector)) as output, opened_again(manifest) as scene:
        shares = _write_rasters(store, output, origin_tags(manifest, scene))
        polygons = _write_polygons(output, vector, manifest)
        _draw(output, scene, manifest)
        clock.lap("finish")
        record = {
            "inputs": {"scene": manifest.scene.record()},
            **{name: manifest.inputs[name] for name in ("weights", "adapter", "engine")},
            "classes": manifest.inputs["legend"]["names"],
            "parameters": manifest.parameters,
            "threads": manifest.threads,
            **manifest.measured,
            "counts": {"polygons": polygons},
            "shares": shares,
            "files": results(vector),
            "seconds": {**(seconds or {}), **clock.seconds},
        }
        write_record(output.path("run.json"), manifest, record)
    return Classification(folder, record, results(vector))


def legend_of(manifest: Manifest) -> Legend:
    """Return what the bands of a run's probabilities mean."""
    given = manifest.inputs["legend"]
    return Legend(tuple(given["names"]), given["overlapping"])


def _write_rasters(store: BlockStore, output: Output, tags: Mapping[str, str]) -> dict[str, float]:
    legend = legend_of(store.manifest)
    names = ("", *legend.names) if legend.overlapping else legend.names
    told = {"classes": SEPARATOR.join(one.replace(SEPARATOR, ",") for one in names)}
    single = len(legend) == 1 or not legend.overlapping
    mask = mask_layer(legend.names, overlapping=legend.overlapping)
    write_mosaic(store, mask, output.path(MASK), {**tags, **(told if single else {})})
    write_mosaic(store, probability_layer(legend.names), output.path(PROBABILITY), tags)
    return _shares(output.path(MASK), legend)


def _shares(mask: Path, legend: Legend) -> dict[str, float]:
    """Return the share of the valid pixels that each class has."""
    counts = np.zeros((len(legend), 256), np.int64)
    with open_source(str(mask)) as dataset:
        for _, window in dataset.block_windows(1):
            for band in range(dataset.count):
                values = dataset.read(band + 1, window=window)
                counts[band] += np.bincount(values.ravel(), minlength=256)
    valid = max(1, int(counts[0].sum() - counts[0, NO_DATA]))
    own = counts[:, 1] if legend.overlapping else counts[0, : len(legend)]
    return {n: round(int(c) / valid, 4) for n, c in zip(legend.names, own, strict=True)}


def _write_polygons(output: Output, vector: VectorFormat, manifest: Manifest) -> int:
    parts = list(_traced(output, manifest))
    file = PolygonFile()
    file.write(parts, output.path(vector.file_name), manifest)
    return file.count


def _traced(output: Output, manifest: Manifest) -> Iterator[Traced]:
    legend, given = legend_of(manifest), manifest.parameters
    shaping = {name: given[name] for name in ("min_area", "simplify", "regularize")}
    mask, probability = output.path(MASK), str(output.path(PROBABILITY))
    if not legend.overlapping:
        ground = legend.names[0] == BACKGROUND
        tracing = Tracing(
            nodata=None if ground else NO_DATA, scores=Scores(probability, 1), **shaping
        )
        names = dict(enumerate(legend.names))
        yield trace(mask, tracing, names, output.scratch / "trace", manifest)
        return
    for place, name in enumerate(legend.names):
        tracing = Tracing(band=place + 1, scores=Scores(probability, place), **shaping)
        folder = output.scratch / f"trace-{place}"
        yield trace(mask, tracing, {1: name}, folder, manifest).moved(place)


def _draw(output: Output, scene: Scene, manifest: Manifest) -> None:
    legend = legend_of(manifest)
    with open_source(str(output.path(MASK))) as mask:
        scale = min(1.0, LONGER_SIDE / max(mask.shape))
        shape = mask.count, *(max(1, round(side * scale)) for side in mask.shape)
        classes = mask.read(out_shape=shape, resampling=Resampling.nearest)
    stretch, ellipsoid = Stretch(**manifest.measured["stretch"]), Ellipsoid.of(scene.crs)
    draw_map(scene, stretch, classes, legend, ellipsoid, output.path("preview.png"))
