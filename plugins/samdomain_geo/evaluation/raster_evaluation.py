"""Evaluate a map of pixels: a raster, or polygons painted on one."""

import numpy as np

from samdomain.html_report import Picture
from samdomain_geo.engine.plan import Grid
from samdomain_geo.evaluation.confusion import ConfusionMatrix
from samdomain_geo.evaluation.raster_comparison import RasterComparison, compare_rasters
from samdomain_geo.evaluation.raster_outcome import RasterOutcome
from samdomain_geo.evaluation.raster_pictures import draw_close_ups, draw_confusion, draw_overview
from samdomain_geo.evaluation.raster_sides import RasterRules, RasterSides, open_sides
from samdomain_geo.evaluation.result import METRICS, REPORT, Result
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.results.output import Output
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import write_cog

_ERRORS, _CONFUSION = "errors.tif", "confusion.csv"

RASTER_FILES = (_ERRORS, _CONFUSION, REPORT, METRICS)
"""Names of the files; the last one proves the others."""


def evaluate_rasters(predicted: Side, true: Side, rules: RasterRules, output: Output) -> Result:
    """Compare pixel by pixel, and write the raster of errors and the confusion matrix.

    Args:
        predicted: the map; a vector file is painted on the truth's grid.
        true: the truth; a raster is brought onto the map's grid, a vector file painted on it.
        rules: how they are compared.
        output: where the files go.

    Raises:
        InputError: a file cannot be used, or the sides have nothing in common.
    """
    with open_sides(predicted, true, rules) as sides:
        plain = output.path("errors.plain.tif")
        grid = Grid.of(sides.scene)
        comparison = compare_rasters(sides.predicted, sides.true, grid, rules.tiling, plain)
        write_cog(plain, output.path(_ERRORS), {"overview_resampling": "MODE"})
        plain.unlink()
        outcome = RasterOutcome(comparison, sides.legend)
        outcome.write_confusion(output.path(_CONFUSION))
        pictures = _draw(sides, comparison)
        notes = [*sides.notes, *_foreign(comparison.confusion)]
        return Result(outcome, pictures, notes, sides.counts, sides.inputs)


def _foreign(confusion: ConfusionMatrix) -> list[str]:
    """Warn of sides whose classes are numbered otherwise, as 0 and 255 against 0 and 1."""
    values = np.array(confusion.classes)
    shared = (confusion.true > 0) & (confusion.predicted > 0) & (values != 0)
    sides = [values[pixels > 0].tolist() for pixels in (confusion.predicted, confusion.true)]
    if shared.any() or all(side == [0] for side in sides):
        return []
    mapped, true = (", ".join(map(str, side)) for side in sides)
    return [
        f"No class but 0 is on both sides: where they were compared, the map has {mapped} and the "
        f"truth {true}. Do the numbers mean the same?"
    ]


def _draw(sides: RasterSides, comparison: RasterComparison) -> list[Picture]:
    ellipsoid = Ellipsoid.of(sides.scene.crs)
    pixel_m = None if ellipsoid is None else pixel_width(sides.scene, ellipsoid)
    confusion, legend, places = comparison.confusion, sides.legend, comparison.places
    size = (sides.scene.rows, sides.scene.columns)
    close = draw_close_ups(places, (sides.predicted, sides.true), size, legend, pixel_m)
    return [
        draw_confusion(confusion, legend),
        draw_overview(places, size, confusion.classes, legend, pixel_m),
        *([] if close is None else [close]),
    ]
