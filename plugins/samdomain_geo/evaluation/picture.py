"""Draw pictures for a report."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib_scalebar.scalebar import ScaleBar
from numpy.typing import NDArray

from samdomain_geo.results.colours import colour_of

_DPI = 110

# A legend of more is no help.
_MOST_ENTRIES = 24

# Characters of a name in a legend or along an axis.
_LONGEST = 28

_BAR = {"location": "lower right", "box_alpha": 0.8, "width_fraction": 0.006}

Colour = tuple[float, float, float]

NO_DATA: Colour = to_rgb("#ffffff")
_BACKGROUND: Colour = to_rgb("#e8e8e4")


@dataclass(frozen=True)
class Legend:
    """How classes are called and coloured.

    Attributes:
        names: names by value, where there are any.
        colours: red, green and blue, 0 to 255, by value, where a file has its own.
    """

    names: Mapping[int, str]
    colours: Mapping[int, tuple[int, int, int]]

    def name(self, label: int) -> str:
        """Return what a class is called: its value and, where it has one, its name."""
        return f"{label} {self.names[label]}" if label in self.names else str(label)

    def colour(self, label: int) -> Colour:
        """Return the colour of a class, each part 0 to 1; the background is pale."""
        if label not in self.colours and label == 0:
            return _BACKGROUND
        red, green, blue = self.colours.get(label) or colour_of(label)
        return red / 255, green / 255, blue / 255

    def paint(self, labels: NDArray[np.int64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return classes as a picture (rows, columns, 3), white where there is none."""
        values, places = np.unique(labels, return_inverse=True)
        palette = np.array([self.colour(value) for value in values.tolist()])
        image = palette[places.reshape(labels.shape)]
        return np.where(valid[..., None], image, NO_DATA)

    def patches(self, labels: Iterable[int]) -> list[Patch]:
        """Return the entries of a legend."""
        shown = list(labels)[:_MOST_ENTRIES]
        return [
            Patch(
                facecolor=self.colour(label), edgecolor="#888888", label=shortened(self.name(label))
            )
            for label in shown
        ]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    target = io.BytesIO()
    # Without matplotlib's version in it, the same figures make the same bytes.
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None})
    return target.getvalue()


def place_legend(figure: Figure, patches: Sequence[Patch]) -> None:
    """Put a legend below a figure."""
    columns = max(1, min(len(patches), 6))
    figure.legend(
        handles=list(patches), loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )


def add_scale_bar(axes: Axes, metres: float | None, pixels: float = 1.0) -> None:
    """Put a scale bar into a map.

    Args:
        axes: the map.
        metres: length of one unit of its axes; None where it is not known.
        pixels: length of one unit of its axes in pixels, which are told where metres are not.
    """
    if metres is None:
        kind = "pixel-length"
        bar = ScaleBar(pixels, "px", dimension=kind, **_BAR)
    else:
        bar = ScaleBar(metres, "m", **_BAR)
    axes.add_artist(bar)


def mark_place(axes: Axes, number: int, place: tuple[float, float, float, float]) -> None:
    """Draw a numbered frame around a place of a map.

    Args:
        axes: the map.
        number: number of the place.
        place: x and y of a corner, width and height.
    """
    x, y, width, height = place
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="black", linewidth=1))
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "black"}
    axes.text(x, y, str(number), fontsize=7, ha="center", va="center", bbox=box, clip_on=True)


def shortened(name: str) -> str:
    """Return a name that fits into a picture."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
