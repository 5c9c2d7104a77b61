"""Draw a picture from which a person can judge a result."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib_scalebar.scalebar import ScaleBar
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from samdomain.recipes import Legend
from samdomain_geo.pairs.pair import Pair
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.results.colours import OUTLINE, colour_of, colour_of_class
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene
from samdomain_geo.scenes.stretch import Stretch

_RGB = 3
LONGER_SIDE = 1600
"""Pixels of a picture's longer side; a screen shows no more."""

_SHORTEST_SIDE = 300  # so that a strip of a scene leaves room for title and scale bar
_DPI = 100
_DATES = 3  # pictures of a change: before, after, and what is different
_LEGEND = 12  # kinds of change that a legend names at most
# Colour and width in points: a dark casing, so that the line is seen on bright ground too.
_LINES = (((0.0, 0.0, 0.0), 3.2), (tuple(part / 255 for part in OUTLINE), 1.6))


def draw_preview(
    scene: Scene,
    stretch: Stretch,
    outlines: Sequence[BaseGeometry],
    title: str,
    ellipsoid: Ellipsoid | None,
    path: Path,
) -> None:
    """Draw the scene with the outlines of its objects and a scale bar, as PNG.

    Args:
        scene: raster to show.
        stretch: its radiometric stretch.
        outlines: objects in pixels of the scene.
        title: line above the picture.
        ellipsoid: what the scale bar's metres are measured on; it counts pixels without.
        path: file to write.
    """
    image = _image(scene, stretch)
    longer = max(scene.rows, scene.columns)
    inches = (
        max(_SHORTEST_SIDE, LONGER_SIDE * side / longer) / _DPI
        for side in (scene.columns, scene.rows)
    )
    figure = Figure(figsize=(*inches,), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(image, extent=(0, scene.columns, scene.rows, 0), interpolation="nearest")
    rings = [np.asarray(ring.coords) for outline in outlines for ring in _rings(outline)]
    for colour, width in _LINES:
        axes.add_collection(LineCollection(rings, colors=[colour], linewidths=width))
    axes.set(xlim=(0, scene.columns), ylim=(scene.rows, 0), xticks=[], yticks=[])
    axes.set_title(title, loc="left")
    _add_scale_bar(axes, scene, ellipsoid)
    FigureCanvasAgg(figure).print_png(path)


def draw_map(
    scene: Scene,
    stretch: Stretch,
    classes: NDArray[np.uint8],
    legend: Legend,
    ellipsoid: Ellipsoid | None,
    path: Path,
) -> None:
    """Draw the scene and the classes of its pixels side by side, as PNG.

    Args:
        scene: raster to show.
        stretch: its radiometric stretch.
        classes: small picture (bands, rows, columns) of the raster of classes, as
            `probability.mask_layer` writes it.
        legend: names of the classes.
        ellipsoid: what the scale bar's metres are measured on; it counts pixels without.
        path: file to write.
    """
    image, extent = _image(scene, stretch), (0, scene.columns, scene.rows, 0)
    painted = np.full((*classes.shape[1:], 3), 255, np.uint8)
    for number, name in enumerate(legend.names):
        there = classes[number] == 1 if legend.overlapping else classes[0] == number
        painted[there] = colour_of_class(number, name)
    # Beside one another, or one below the other where the scene is wide.
    stacked = scene.columns > 2 * scene.rows
    inches = LONGER_SIDE / _DPI
    high = inches * scene.rows / scene.columns * (2 if stacked else 0.5)
    least = _SHORTEST_SIDE / _DPI
    figure = Figure(
        figsize=(inches, min(max(high, least), inches) + 1.0), dpi=_DPI, layout="constrained"
    )
    axes = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    axes[0].imshow(image, extent=extent, interpolation="nearest")
    axes[1].imshow(painted, extent=extent, interpolation="nearest")
    for one, title in zip(axes, (scene.name, "classes"), strict=True):
        one.set(xticks=[], yticks=[])
        one.set_title(title, loc="left")
    _add_scale_bar(axes[0], scene, ellipsoid)
    patches = [
        Patch(color=tuple(part / 255 for part in colour_of_class(number, name)), label=name)
        for number, name in enumerate(legend.names)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(8, len(patches)))
    FigureCanvasAgg(figure).print_png(path)


def draw_change(
    pair: Pair,
    pictures: Sequence[NDArray[np.float32]],
    changed: NDArray[np.uint8],
    names: Mapping[int, str],
    titles: Sequence[str],
    path: Path,
) -> None:
    """Draw both dates and what changed beside one another, as PNG.

    Args:
        pair: both dates; their overlap is drawn.
        pictures: the overlap at both dates (bands, rows, columns), small and 0 to 255.
        changed: the same of the map of changes (rows, columns), 0 where nothing did.
        names: name of each kind of change, the most frequent first.
        titles: lines above the three pictures.
        path: file to write.
    """
    area, ellipsoid = pair.overlap, Ellipsoid.of(pair.before.crs)
    left, top = area.col_off, area.row_off
    extent = (left, left + area.width, top + area.height, top)
    images = [_coloured(one) for one in pictures]
    # What changed stands out from a pale picture of what is there now.
    overlay = np.repeat(150 + images[1].mean(axis=2, keepdims=True) * 0.4, _RGB, axis=2)
    for value in names:
        overlay[changed == value] = colour_of(value)
    stacked = area.width > 1.5 * area.height
    inches = LONGER_SIDE / _DPI
    high = inches * area.height / area.width * (_DATES if stacked else 1 / _DATES)
    size = inches, min(max(high, _SHORTEST_SIDE / _DPI), 1.5 * inches) + 1.0
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    shape = (_DATES, 1) if stacked else (1, _DATES)
    panels = figure.subplots(*shape, sharex=True, sharey=True)
    shown = (*images, overlay.astype(np.uint8))
    for axes, image, title in zip(panels, shown, titles, strict=True):
        axes.imshow(image, extent=extent, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, loc="left")
    _add_scale_bar(panels[0], pair.before, ellipsoid)
    patches = [
        Patch(color=tuple(part / 255 for part in colour_of(value)), label=name)
        for value, name in list(names.items())[:_LEGEND]
    ]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)))
    FigureCanvasAgg(figure).print_png(path)


def _coloured(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the first three bands (rows, columns, 3) of a picture (bands, rows, columns)."""
    shown = picture[: _RGB if len(picture) >= _RGB else 1]  # two bands make no colours
    return np.broadcast_to(shown, (_RGB, *picture.shape[1:])).transpose(1, 2, 0).astype(np.uint8)


def _image(scene: Scene, stretch: Stretch) -> NDArray[np.uint8]:
    """Return a small picture (rows, columns, 3) of a scene's first three bands; nodata is white."""
    pixels, valid = scene.thumbnail(LONGER_SIDE)
    return _coloured(np.where(valid, stretch(pixels), np.float32(255)))


def _rings(outline: BaseGeometry) -> list[BaseGeometry]:
    return list(shapely.get_rings(shapely.get_parts(outline)))


def _add_scale_bar(axes: Axes, scene: Scene, ellipsoid: Ellipsoid | None) -> None:
    if ellipsoid is None:
        bar = ScaleBar(1, "px", dimension="pixel-length", location="lower right", box_alpha=0.8)
    else:
        metres = pixel_width(scene, ellipsoid)
        bar = ScaleBar(metres, "m", location="lower right", box_alpha=0.8)
    axes.add_artist(bar)
