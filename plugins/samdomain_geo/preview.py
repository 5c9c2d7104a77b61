"""Draw a picture from which a person can judge a result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib_scalebar.scalebar import ScaleBar
from shapely.geometry.base import BaseGeometry

from samdomain_geo.colours import OUTLINE
from samdomain_geo.ellipsoid import Ellipsoid
from samdomain_geo.raster import Scene
from samdomain_geo.stretch import Stretch
from samdomain_geo.vector import pixel_width

_LONGER_SIDE = 1600  # pixels of the picture; a screen shows no more
_SHORTEST_SIDE = 300  # so that a strip of a scene leaves room for title and scale bar
_DPI = 100
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
    pixels, valid = scene.thumbnail(_LONGER_SIDE)
    image = np.where(valid, stretch(pixels), 255).astype(np.uint8)[:3].transpose(1, 2, 0)
    longer = max(scene.rows, scene.columns)
    inches = (
        max(_SHORTEST_SIDE, _LONGER_SIDE * side / longer) / _DPI
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


def _rings(outline: BaseGeometry) -> list[BaseGeometry]:
    return list(shapely.get_rings(shapely.get_parts(outline)))


def _add_scale_bar(axes: Axes, scene: Scene, ellipsoid: Ellipsoid | None) -> None:
    if ellipsoid is None:
        bar = ScaleBar(1, "px", dimension="pixel-length", location="lower right", box_alpha=0.8)
    else:
        metres = pixel_width(scene, ellipsoid)
        bar = ScaleBar(metres, "m", location="lower right", box_alpha=0.8)
    axes.add_artist(bar)
