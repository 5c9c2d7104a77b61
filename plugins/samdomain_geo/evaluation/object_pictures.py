"""Draw which polygons were found, invented and missed."""

from collections import Counter

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from samdomain.html_report import Picture
from samdomain_geo.evaluation.metric_plane import MetricPlane
from samdomain_geo.evaluation.object_comparison import (
    INVENTED,
    MISSED,
    RIGHT,
    TRUTH,
)
from samdomain_geo.evaluation.picture import add_scale_bar, mark_place, new_figure, to_png

# Apart for the colour-blind too (Okabe and Ito 2008).
VERDICT_COLOURS = {RIGHT: (0, 158, 115), INVENTED: (213, 94, 0), MISSED: (0, 114, 178)}

WORDS = {
    RIGHT: "found (TP)",
    INVENTED: "invented (FP)",
    MISSED: "missed (FN)",
}

Bounds = tuple[float, float, float, float]

# More outlines than these are dots in a picture, and take long to draw.
_MOST_OUTLINES = 20_000

_CLOSE_UPS = 4

_THIN, _THICK = 1.0, 1.8  # points
_SIDES = 8  # sides of a usual object in the side of a close-up


def draw_objects(table: gpd.GeoDataFrame) -> list[Picture]:
    """Draw the whole scene and the places with the most mistakes.

    Args:
        table: polygons with the columns side and verdict, as `compare_objects` makes it.
    """
    if not len(table):
        return []
    plane = MetricPlane.around(table.geometry)
    shapes = plane.place(table.geometry)
    verdicts = table["verdict"].to_numpy()
    truth = (table["side"] == TRUTH).to_numpy()
    metres = None if plane.crs is None else 1.0
    worst = _worst(shapes, verdicts)
    pictures = [_overview(shapes, verdicts, truth, worst, metres)]
    if worst:
        pictures.append(_close_ups(shapes, verdicts, truth, worst, metres))
    return pictures


def _overview(
    shapes: NDArray[np.object_],
    verdicts: NDArray[np.object_],
    truth: NDArray[np.bool_],
    worst: list[Bounds],
    metres: float | None,
) -> Picture:
    left, bottom, right, top = shapely.total_bounds(shapes)
    width = 10.0
    height = float(np.clip(width * (top - bottom) / max(right - left, 1e-9), 2.0, 12.0))
    figure = new_figure(width, height + 0.6)
    axes = figure.add_subplot()
    # A true polygon that was found is drawn by the prediction that found it.
    shown = ~(truth & (verdicts == RIGHT))
    if shown.sum() > _MOST_OUTLINES:
        _add_dots(axes, shapes[shown], verdicts[shown])
        how = "Each dot is a polygon."
    else:
        for verdict in VERDICT_COLOURS:
            _add_outlines(axes, shapes[shown & (verdicts == verdict)], verdict, _THIN)
        how = "Missed polygons are drawn as the truth has them, the others as they were predicted."
    _frame(axes, (left, bottom, right, top), metres)
    for number, (west, south, east, north) in enumerate(worst, start=1):
        mark_place(axes, number, (west, south, east - west, north - south))
    counts = Counter(verdicts[shown].tolist())
    handles = [
        Line2D([], [], color=_colour(verdict), label=f"{WORDS[verdict]}: {counts[verdict]}")
        for verdict in VERDICT_COLOURS
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return Picture("Found, invented and missed", how, to_png(figure))


def _close_ups(
    shapes: NDArray[np.object_],
    verdicts: NDArray[np.object_],
    truth: NDArray[np.bool_],
    worst: list[Bounds],
    metres: float | None,
) -> Picture:
    figure = new_figure(10.0, 5.4 * ((len(worst) + 1) // 2))
    tree = shapely.STRtree(shapes)
    panels = figure.subplots((len(worst) + 1) // 2, 2, squeeze=False).ravel()
    for axes in panels[len(worst) :]:
        axes.set_axis_off()
    for number, (axes, bounds) in enumerate(zip(panels, worst, strict=False), start=1):
        near = np.zeros(len(shapes), bool)
        near[tree.query(shapely.box(*bounds))] = True
        found = near & truth & (verdicts == RIGHT)
        _fill(axes, shapes[near & truth])
        for verdict in VERDICT_COLOURS:
            chosen = near & (verdicts == verdict) & ~found
            _add_outlines(axes, shapes[chosen], verdict, _THICK)
        _frame(axes, bounds, metres)
        mistakes = Counter(verdicts[near & ~found].tolist())
        told = f"{mistakes[INVENTED]} invented, {mistakes[MISSED]} missed"
        axes.set_title(f"{number}: {told}", fontsize=10, loc="left")
    handles = [Line2D([], [], color=_colour(one), label=WORDS[one]) for one in VERDICT_COLOURS]
    filled = Patch(facecolor="#dddddd", label="truth")
    figure.legend(handles=[*handles, filled], loc="outside lower center", ncols=4, frameon=False)
    return Picture(
        "The worst places",
        "The places with the most invented and missed polygons, numbered as in the picture above. "
        "The truth is filled with grey.",
        to_png(figure),
    )


def _worst(shapes: NDArray[np.object_], verdicts: NDArray[np.object_]) -> list[Bounds]:
    """Return left, bottom, right and top of the squares with the most mistakes."""
    wrong = shapes[verdicts != RIGHT]
    if not len(wrong):
        return []
    side = _SIDES * float(np.median(np.sqrt(shapely.area(shapes))))
    centres = shapely.get_coordinates(shapely.centroid(wrong))
    _, places, counts = np.unique(
        np.floor(centres / side), axis=0, return_inverse=True, return_counts=True
    )
    bounds = []
    for square in np.argsort(-counts, kind="stable")[:_CLOSE_UPS]:
        x, y = centres[places.ravel() == square].mean(axis=0).tolist()
        bounds.append((x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    return bounds


def _add_outlines(axes: Axes, shapes: NDArray[np.object_], verdict: str, width: float) -> None:
    rings = shapely.get_rings(shapely.get_parts(shapes))
    lines = [shapely.get_coordinates(ring) for ring in rings]
    # Dashes would break up what is small.
    style = "--" if verdict == MISSED and width > _THIN else "-"
    axes.add_collection(
        LineCollection(lines, colors=[_colour(verdict)], linewidths=width, linestyles=style)
    )


def _add_dots(axes: Axes, shapes: NDArray[np.object_], verdicts: NDArray[np.object_]) -> None:
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    for verdict in VERDICT_COLOURS:
        x, y = centres[verdicts == verdict].T
        axes.plot(x, y, ",", color=_colour(verdict))


def _fill(axes: Axes, shapes: NDArray[np.object_]) -> None:
    # Holes stay open where they run the other way round than the outer rings.
    parts = shapely.orient_polygons(shapely.get_parts(shapes))
    rings = [Path(shapely.get_coordinates(ring)) for ring in shapely.get_rings(parts)]
    if rings:
        outlines = Path.make_compound_path(*rings)
        axes.add_patch(PathPatch(outlines, facecolor="#dddddd", edgecolor="none"))


def _frame(axes: Axes, bounds: tuple[float, ...], metres: float | None) -> None:
    left, bottom, right, top = bounds
    margin = 0.02 * max(right - left, top - bottom, 1e-9)
    axes.set(
        xlim=(left - margin, right + margin),
        ylim=(bottom - margin, top + margin),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    if metres is not None:
        add_scale_bar(axes, metres)


def _colour(verdict: str) -> tuple[float, float, float]:
    red, green, blue = VERDICT_COLOURS[verdict]
    return red / 255, green / 255, blue / 255
