"""`samdomain evaluate`: a map and its truth in, figures and a report out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from samdomain.errors import InputError
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.evaluation.object_comparison import ObjectRules
from samdomain_geo.evaluation.object_evaluation import OBJECT_FILES, ObjectsAsked, evaluate_objects
from samdomain_geo.evaluation.raster_evaluation import RASTER_FILES, evaluate_rasters
from samdomain_geo.evaluation.raster_sides import RasterRules
from samdomain_geo.evaluation.result import REPORT
from samdomain_geo.evaluation.shape_layer import Asked
from samdomain_geo.evaluation.sides import default_folder, find_sides
from samdomain_geo.results.output import output_folder
from samdomain_geo.scenes.block_cache import block_cache

_BY_CLASS = "class"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of `evaluate`.

    Attributes:
        folder: where the files are.
        metrics: all figures, as in `metrics.json`; what cannot be told is None.
        headline: the most important figures.
        notes: what a reader of the figures must know.
        files: names of the files in the folder.
    """

    folder: Path
    metrics: Mapping[str, Any]
    headline: Mapping[str, float | None]
    notes: tuple[str, ...]
    files: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return the figures that matter most, the notes, and where the rest is."""
        classes = {
            _named(label, figures): _short(figures)
            for label, figures in self.metrics["classes"].items()
        }
        return {
            **{name: _rounded(value) for name, value in self.headline.items()},
            **({"classes": classes} if classes else {}),
            **({"notes": " ".join(self.notes)} if self.notes else {}),
            "folder": str(self.folder),
            "files": ", ".join(self.files),
            "look at": str(self.folder / REPORT),
        }


def evaluate(  # noqa: PLR0913 - a verb's parameters are its flags
    predicted: str | Path,
    *,
    truth: str | Path,
    out: Path | None = None,
    by: Literal["class"] | None = None,
    class_column: str | None = None,
    layer: str | None = None,
    background: int | Literal["none"] | None = None,
    ignore: int | None = None,
    iou: float = 0.5,
    tolerance: float = 2.0,
    area: Path | None = None,
    block: int = 2048,
    overwrite: bool = False,
) -> Evaluation:
    """Compare a map with the truth: rasters pixel by pixel, polygons one by one.

    Rasters: confusion matrix, IoU, F1, and areas with their errors. Polygons: precision, recall
    and F1, average precision, boundary F1. A raster and a vector file are compared as rasters.
    CRS and grid may differ. The report, report.html, has pictures; metrics.json has all figures;
    errors.tif or errors.gpkg shows in a GIS where the map is wrong.

    Args:
        predicted: raster of classes or vector file of polygons, or the folder that a command of
            ours wrote: its polygons are taken where the truth is polygons, else its mask.
        truth: raster of classes or vector file; truth for a raster may also be points.
        out: folder for the files; by default evaluation, beside the prediction.
        by: class to match polygons within their class only, with figures for each; rasters
            always have these.
        class_column: column of the truth's classes, numbers or words, or of the only vector
            file's; by default class_id where it has values, else all is class 1.
        layer: layer of the truth, or of the only vector file, where it has several.
        background: class of the pixels that no polygon holds, or none where that is unknown; by
            default 0 for predictions and for a truth of one class, else none.
        ignore: class of a raster that does not count, on either side; nodata never does.
        iou: smallest intersection over union at which two polygons match.
        tolerance: distance in metres within which a polygon's boundary is right; two pixels of
            the image that was segmented are a good choice. Without a CRS, units of the file.
        area: where the truth was mapped, if not everywhere: vector file of polygons, or raster
            as the scene that was segmented; the polygons of both sides are cut to it.
        block: side in pixels of the blocks of rasters that are read at a time, a multiple of
            512.
        overwrite: replace an earlier evaluation.

    Returns:
        Evaluation: the figures, and where the files are.

    Raises:
        InputError: an input or a flag cannot be used, or the sides have nothing in common;
            nothing was written.
        StoppedError: the disk is full.
    """
    if by not in {None, _BY_CLASS}:
        raise InputError(f"--by is {by!r}: give class, or omit it")
    sides = find_sides(predicted, truth, layer)
    folder = default_folder(predicted) if out is None else Path(out)
    objects = all(side.vector for side in sides)
    asked = Asked(class_column, layer)
    object_rules = ObjectRules(iou, tolerance, by == _BY_CLASS)
    raster_rules = RasterRules(asked, background, ignore, Tiling(block))
    _refuse_unfit(objects, {"--background": background, "--ignore": ignore}, {"--area": area})
    names = OBJECT_FILES if objects else RASTER_FILES
    parameters = {
        "by": by,
        "class_column": class_column,
        "layer": layer,
        **(
            {"iou": iou, "tolerance": tolerance, "area": None if area is None else str(area)}
            if objects
            else {"background": background, "ignore": ignore}
        ),
    }
    with output_folder(folder, names, overwrite=overwrite) as output, block_cache():
        if objects:
            result = evaluate_objects(*sides, ObjectsAsked(asked, area), object_rules, output)
        else:
            result = evaluate_rasters(*sides, raster_rules, output)
        if sides[0].note:
            result = replace(result, notes=[sides[0].note, *result.notes])
        result.write(output, (sides[0].name, sides[1].name), parameters)
    outcome = result.outcome
    return Evaluation(folder, outcome.metrics(), outcome.headline, tuple(result.notes), names)


def _refuse_unfit(
    objects: bool,  # noqa: FBT001 - a fact, not a switch
    rasters_only: Mapping[str, object],
    objects_only: Mapping[str, object],
) -> None:
    """Refuse flags that have nothing to say of the files."""
    unfit = rasters_only if objects else objects_only
    for flag, value in unfit.items():
        if value is not None and objects:
            raise InputError(
                f"{flag} is about rasters, but both sides are vector files: omit it, or name a "
                "raster, as the mask.tif of a folder"
            )
        if value is not None:
            raise InputError(
                f"{flag} is about two vector files, but one side is a raster: omit it, or name a "
                "vector file"
            )


def _named(label: str, figures: Mapping[str, Any]) -> str:
    return f"{label} {figures['name']}" if figures["name"] else label


def _short(figures: Mapping[str, Any]) -> str:
    names = ("iou", "f1", "precision", "recall", "ap50", "boundary_f1")
    told = ((name, _rounded(figures[name])) for name in names if name in figures)
    return ", ".join(f"{name} {'-' if value is None else value}" for name, value in told)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
