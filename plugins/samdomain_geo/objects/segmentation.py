"""Make the files of `samdomain segment` out of what its blocks hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.finishing import finishing, opened_again, origin_tags
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.engine.record import Stopwatch, write_record
from samdomain_geo.objects.instances import write_instances
from samdomain_geo.objects.objects import SceneObjects, Shaping, collect_objects
from samdomain_geo.objects.prompted_work import read_found
from samdomain_geo.polygons.vector_file import VectorFormat, format_named, write_polygons
from samdomain_geo.preview import draw_preview
from samdomain_geo.prompts.placement import place_prompts
from samdomain_geo.prompts.prompt_file import PromptFile
from samdomain_geo.results.output import Output
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene
from samdomain_geo.scenes.stretch import Stretch

BLOCKS = ".blocks"
"""Name of the folder, inside that of the results, in which a run keeps its blocks."""


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


def finish_segmentation(
    store: BlockStore, seconds: Mapping[str, float] | None = None
) -> Segmentation:
    """Number, measure and write the objects that the blocks of a run hold.

    Args:
        store: blocks of a run, all of them done; removed in the end.
        seconds: what the run took so far, by step.

    Raises:
        InputError: the scene or the prompts are no longer there.
        StoppedError: blocks are missing or torn, or the disk is full.
    """
    manifest, folder = store.manifest, store.folder.parent
    given, clock = manifest.parameters, Stopwatch()
    vector = format_named(given["format"])
    shaping = Shaping(given["min_area"], given["simplify"], given["regularize"])
    asked = PromptFile(Path(manifest.inputs["prompts"]["path"]), given["layer"], given["where"])
    with finishing(store, folder, results(vector)) as output, opened_again(manifest) as scene:
        prompts = place_prompts(asked.read(scene), scene)
        ellipsoid = Ellipsoid.of(scene.crs)
        objects = collect_objects(read_found(store), prompts, scene, ellipsoid, shaping)
        _write(output, vector, scene, ellipsoid, objects, manifest)
        clock.lap("finish")
        record = _describe(manifest) | {
            "counts": {
                **objects.counts(),
                "outside": prompts.outside,
                "windows": manifest.measured["windows"],
            },
            "files": results(vector),
            "seconds": {**(seconds or {}), **clock.seconds},
        }
        write_record(output.path("run.json"), manifest, record)
    return Segmentation(folder, objects.table, record, results(vector))


def _describe(manifest: Manifest) -> dict[str, Any]:
    """Return what a run was made of, as its record tells it."""
    prompts = Identity(**manifest.inputs["prompts"])
    return {
        "inputs": {"scene": manifest.scene.record(), "prompts": prompts.record()},
        **{name: manifest.inputs[name] for name in ("weights", "adapter", "engine")},
        "parameters": manifest.parameters,
        "threads": manifest.threads,
        "stretch": manifest.measured["stretch"],
    }


def _write(
    output: Output,
    vector: VectorFormat,
    scene: Scene,
    ellipsoid: Ellipsoid | None,
    objects: SceneObjects,
    manifest: Manifest,
) -> None:
    write_instances(
        objects.shapes, scene, output.path("instances.tif"), origin_tags(manifest, scene)
    )
    write_polygons(objects.table, output.path(vector.file_name), manifest.when)
    stretch = Stretch(**manifest.measured["stretch"])
    outlines = [shape.outline for shape in objects.shapes]
    title = f"{scene.name}: {len(outlines)} objects for {len(objects.table)} prompts"
    draw_preview(scene, stretch, outlines, title, ellipsoid, output.path("preview.png"))
