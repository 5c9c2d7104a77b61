"""Make the files of `samdomain change` out of what its blocks hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from samdomain_geo.changes.areas import Areas, measure_areas
from samdomain_geo.changes.meaning import Changed, Meaning, Transitions, read_meaning
from samdomain_geo.changes.work import pair_of, radiometry_of
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.finishing import finishing, origin_tags
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.engine.record import Stopwatch, write_record
from samdomain_geo.pairs.pair import Pair
from samdomain_geo.polygons.tracing import PolygonFile, Tracing, trace
from samdomain_geo.polygons.vector_file import VectorFormat, format_named
from samdomain_geo.preview import LONGER_SIDE, draw_change
from samdomain_geo.results.output import Output
from samdomain_geo.scenes.class_names import SEPARATOR
from samdomain_geo.scenes.source import file_name, open_source

MASK, PROBABILITY, AREAS = "mask.tif", "probability.tif", "areas.csv"

# What the record tells besides: settings of the latent matching are many numbers.
_TOLD = ("method", "notes", "shift", "applied_shift", "residual_shift", "radiometry", "chips")


def results(vector: VectorFormat, meaning: Meaning) -> tuple[str, ...]:
    """Return the names of the files that a run writes, with polygons in a format."""
    # run.json comes last: where it stands, the others are complete.
    others = (vector.file_name, "polygons.qml", AREAS, "preview.png", "run.json")
    return (*meaning.rasters, *others)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of `change`.

    Attributes:
        folder: where the files are.
        record: the content of `run.json` that belongs to this run.
        areas: the ground of each kind of change.
        files: names of the files in the folder.
    """

    folder: Path
    record: dict[str, Any]
    areas: Areas
    files: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return what changed, how far the dates lie apart, and the files that were written."""
        return {
            "folder": str(self.folder),
            "files": ", ".join(self.files),
            "counts": self.record["counts"],
            "changed": self.record["changed"],
            **self._kinds(),
            "shift": self.record["shift"],
            **({"notes": " ".join(self.record["notes"])} if self.record["notes"] else {}),
            "seconds": self.record["seconds"],
            "look at": str(self.folder / "preview.png"),
        }

    def _kinds(self) -> dict[str, dict[str, float]]:
        told = {
            row.kind.name: round(row.share, 6) for row in self.areas.changed if row.kind.to_class
        }
        return {"shares of the overlap": told} if told else {}


def finish_comparison(store: BlockStore, seconds: Mapping[str, float] | None = None) -> Comparison:
    """Put what the blocks of a run hold together, trace what changed, and measure it.

    Args:
        store: blocks of a run, all of them done; removed in the end.
        seconds: what the run took so far, by step.

    Raises:
        InputError: a scene is no longer there.
        StoppedError: blocks are missing or torn, or the disk is full.
    """
    manifest, folder = store.manifest, store.folder.parent
    meaning = read_meaning(manifest.inputs["meaning"])
    vector, clock = format_named(manifest.parameters["format"]), Stopwatch()
    names = results(vector, meaning)
    with finishing(store, folder, names) as output, pair_of(manifest).open() as pair:
        _write_rasters(store, meaning, output, pair)
        areas = measure_areas(store, meaning)
        areas.write(output.path(AREAS))
        polygons = _write_polygons(output, vector, meaning, manifest)
        _draw(output, pair, manifest, areas)
        clock.lap("finish")
        record = {
            "inputs": {
                "before": manifest.scene.record(),
                "after": Identity(**manifest.inputs["after"]).record(),
            },
            **{name: manifest.inputs[name] for name in ("weights", "adapter", "engine")},
            **manifest.inputs["meaning"],
            "parameters": manifest.parameters,
            "threads": manifest.threads,
            **{name: manifest.measured[name] for name in _TOLD},
            **manifest.measured["first_sight"],
            "counts": {"polygons": polygons, "pixels_of_overlap": areas.overlap},
            "changed": areas.told(),
            "files": names,
            "seconds": {**(seconds or {}), **clock.seconds},
        }
        write_record(output.path("run.json"), manifest, record)
    return Comparison(folder, record, areas, names)


def _write_rasters(
    store: BlockStore, meaning: Changed | Transitions, output: Output, pair: Pair
) -> None:
    after = Identity(**store.manifest.inputs["after"])
    tags = {
        **origin_tags(store.manifest, pair.before),
        "after": file_name(after.path),
        "after_sha256": after.sha256,
    }
    names = {kind.value: kind.name for kind in meaning.kinds if kind.value}
    told = {MASK: [names.get(value, "") for value in range(max(names) + 1)]}
    if isinstance(meaning, Transitions):
        told |= {name: list(meaning.classes) for name in meaning.rasters if "classes" in name}
    for name, layer in meaning.rasters.items():
        classes = SEPARATOR.join(one.replace(SEPARATOR, ",") for one in told.get(name, ()))
        extra = {"classes": classes} if classes else {}
        write_mosaic(store, layer, output.path(name), {**tags, **extra})


def _write_polygons(
    output: Output, vector: VectorFormat, meaning: Meaning, manifest: Manifest
) -> int:
    given = manifest.parameters
    shaping = {name: given[name] for name in ("min_area", "simplify", "regularize")}
    tracing = Tracing(scores=meaning.scores(str(output.path(PROBABILITY))), **shaping)
    kinds = [kind for kind in meaning.kinds if kind.value]
    names = {kind.value: kind.name for kind in kinds}
    traced = trace(output.path(MASK), tracing, names, output.scratch / "trace", manifest)
    if all(kind.to_class is not None for kind in kinds):
        traced = traced.described(
            {
                "from_class": {kind.value: str(kind.from_class) for kind in kinds},
                "to_class": {kind.value: str(kind.to_class) for kind in kinds},
            }
        )
    file = PolygonFile()
    file.write([traced], output.path(vector.file_name), manifest)
    return file.count


def _draw(output: Output, pair: Pair, manifest: Manifest, areas: Areas) -> None:
    with open_source(str(output.path(MASK))) as mask:
        scale = min(1.0, LONGER_SIDE / max(pair.overlap.width, pair.overlap.height))
        rows, columns = (
            max(1, round(side * scale)) for side in (pair.overlap.height, pair.overlap.width)
        )
        changed: NDArray[np.uint8] = mask.read(
            1,
            window=pair.overlap,
            out_shape=(rows, columns),
            resampling=Resampling.nearest,
        )
    seen = pair.read(pair.overlap, (rows, columns))
    pictures = [np.where(seen.valid, one, 255) for one in radiometry_of(manifest)(seen)]
    largest = sorted(areas.changed, key=lambda row: -row.pixels)
    names = {row.kind.value: row.kind.name for row in largest}
    titles = (pair.before.name, pair.after.name, _title(areas))
    draw_change(pair, pictures, changed, names, titles, output.path("preview.png"))


def _title(areas: Areas) -> str:
    told = areas.told()
    ground = "" if told["area_ha"] is None else f", {told['area_ha']:.4g} ha"
    return f"changed: {100 * told['share_of_overlap']:.2g} % of the overlap{ground}"
