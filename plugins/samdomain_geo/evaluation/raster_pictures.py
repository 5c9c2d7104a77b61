"""Draw how a map agrees with its truth, pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain.html_report import Picture
from samdomain_geo.evaluation.confusion import ConfusionMatrix
from samdomain_geo.evaluation.labels import LabelBlock, LabelSource
from samdomain_geo.evaluation.picture import (
    NO_DATA,
    Legend,
    add_scale_bar,
    mark_place,
    new_figure,
    place_legend,
    shortened,
    to_png,
)
from samdomain_geo.evaluation.raster_comparison import CLOSE_UP, COLOURS, RIGHT, WRONG, Places

# A table of more classes than this has no room for figures, of more than the other for names.
_MOST_FIGURES = 16
_MOST_NAMES = 40

_CLOSE_UPS = 4

# Shares above are on so dark a ground that figures are white.
_DARK = 0.6

Scale = float | None

_WIDTH = 11.0  # inches of a picture of three maps
_TALLEST = 9.0

_RIGHT, _WRONG = (np.array(COLOURS[verdict][:3]) / 255 for verdict in (RIGHT, WRONG))
_SHARES = LinearSegmentedColormap.from_list("wrong", [_RIGHT, to_rgb("#f4a582"), _WRONG])


def draw_confusion(confusion: ConfusionMatrix, legend: Legend) -> Picture:
    """Draw the confusion matrix, each row in shares of the true class."""
    count = len(confusion.classes)
    side = min(9.0, 2.6 + 0.55 * count)
    figure = new_figure(side + 1.2, side)
    axes = figure.add_subplot()
    shares = confusion.by_truth()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted class (map)", ylabel="true class", xticks=[], yticks=[])
    if count <= _MOST_NAMES:
        names = [shortened(legend.name(label)) for label in confusion.classes]
        axes.set_xticks(range(count), names, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(count), names, fontsize=8)
    if count <= _MOST_FIGURES:
        _add_figures(axes, shares)
    return Picture(
        "Confusion matrix",
        "Rows are the true classes, columns what the map says. Each row adds up to 1: the diagonal "
        "is each class's recall (producer's accuracy), the rest of a row is what the map takes the "
        "class for. A blank row is a class that the compared truth does not have.",
        to_png(figure),
    )


def draw_overview(
    places: Places, size: tuple[int, int], classes: tuple[int, ...], legend: Legend, scale: Scale
) -> Picture:
    """Draw the map, the truth, and the share of wrong pixels of each cell.

    Args:
        places: where the sides differ.
        size: rows and columns of their grid.
        classes: classes of the legend.
        legend: names and colours of the classes.
        scale: width of a pixel in metres, None where it is not known.
    """
    cells = places.cells
    with np.errstate(invalid="ignore"):
        shares = np.where(cells.counted > 0, cells.wrong / cells.counted, np.nan)
    images = [
        legend.paint(places.predicted.labels, places.predicted.valid),
        legend.paint(places.true.labels, places.true.valid),
        np.where(np.isnan(shares)[..., None], NO_DATA, _SHARES(np.nan_to_num(shares))[..., :3]),
    ]
    maps = _Maps([images])
    add_scale_bar(maps.axes[0], None if scale is None else scale * cells.side, cells.side)
    told = "one pixel" if cells.side == 1 else f"{cells.side} x {cells.side} pixels"
    how = f"Each dot is {told}; the redder it is in the last picture, the more of it is wrong."
    if places.close.sparse:
        for axes, image, shown in zip(
            maps.axes[1:], images[1:], (places.true.valid, cells.counted > 0), strict=True
        ):
            _scatter(axes, image, shown)
        how = "The dots are the places that were compared, enlarged so that they can be seen."
    else:
        for number, window in enumerate(_worst(places, size), start=1):
            corner = (window.col_off, window.row_off, window.width, window.height)
            frame = (np.array(corner) / cells.side).tolist()
            mark_place(maps.axes[2], number, (*frame,))
    place_legend(maps.figure, [*legend.patches(classes), *_verdicts()])
    return Picture(
        "Where the map is right and wrong",
        f"{how} White is not compared: no data, ignored, or without truth.",
        to_png(maps.figure),
    )


def draw_close_ups(
    places: Places,
    sources: tuple[LabelSource, LabelSource],
    size: tuple[int, int],
    legend: Legend,
    scale: Scale,
) -> Picture | None:
    """Draw the places with the most wrong pixels, the worst first.

    Args:
        places: where the sides differ.
        sources: the map and the truth.
        size: rows and columns of their grid.
        legend: names and colours of the classes.
        scale: width of a pixel in metres, None where it is not known.

    Returns:
        Picture: None where nothing is wrong, or only single pixels were compared.
    """
    worst = _worst(places, size)
    if not worst or places.close.sparse:
        return None
    looks = [_look(sources, window) for window in worst]
    maps = _Maps([look.images(legend) for look in looks])
    for number, (look, window) in enumerate(zip(looks, worst, strict=True), start=1):
        first = maps.axes[3 * number - 3]
        add_scale_bar(first, scale)
        corner = f"row {window.row_off:.0f}, column {window.col_off:.0f}"
        first.set_ylabel(f"{number}: {corner}: {look.wrong:.0%} wrong", fontsize=8)
    shown = sorted({label for look in looks for label in look.classes()})
    place_legend(maps.figure, [*legend.patches(shown), *_verdicts()])
    return Picture(
        "The worst places",
        f"Squares of {CLOSE_UP} pixels with the most wrong pixels, numbered as above.",
        to_png(maps.figure),
    )


@dataclass(frozen=True, eq=False)
class _Look:
    """Both sides in a window."""

    predicted: LabelBlock
    true: LabelBlock

    @property
    def counted(self) -> NDArray[np.bool_]:
        return self.predicted[1] & self.true[1]

    @property
    def differ(self) -> NDArray[np.bool_]:
        return self.predicted[0] != self.true[0]

    @property
    def wrong(self) -> float:
        return float(self.differ[self.counted].mean())

    def classes(self) -> set[int]:
        return {
            label
            for values, valid in (self.predicted, self.true)
            for label in np.unique(values[valid]).tolist()
        }

    def images(self, legend: Legend) -> list[NDArray[np.float64]]:
        verdict = np.where(self.differ[..., None], _WRONG, _RIGHT)
        judged = np.where(self.counted[..., None], verdict, NO_DATA)
        return [legend.paint(*self.predicted), legend.paint(*self.true), judged]


def _look(sources: tuple[LabelSource, LabelSource], window: Window) -> _Look:
    return _Look(sources[0].read(window), sources[1].read(window))


class _Maps:
    """A figure of rows of three maps of one shape: prediction, truth and verdict."""

    def __init__(self, images: list[list[NDArray[np.float64]]]) -> None:
        rows, columns = images[0][0].shape[:2]
        tall = float(np.clip(_WIDTH / 3 * rows / columns, 1.2, _TALLEST))
        self.figure = new_figure(_WIDTH, 0.8 + (tall + 0.02) * len(images))
        grid = self.figure.subplots(len(images), 3, squeeze=False)
        self.axes: list[Axes] = list(grid.ravel())
        titles = ("map (prediction)", "truth", "right and wrong")
        flat = [image for row in images for image in row]
        for index, (axes, image) in enumerate(zip(self.axes, flat, strict=True)):
            axes.imshow(image, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if index < len(titles):
                axes.set_title(titles[index], fontsize=10)


def _scatter(axes: Axes, image: NDArray[np.float64], shown: NDArray[np.bool_]) -> None:
    rows, columns = np.nonzero(shown)
    axes.scatter(columns, rows, s=9, c=image[rows, columns], edgecolors="#555555", linewidths=0.3)


def _worst(places: Places, size: tuple[int, int]) -> list[Window]:
    return [_window(row, column, size) for row, column in places.close.worst(_CLOSE_UPS)]


def _window(row: int, column: int, size: tuple[int, int]) -> Window:
    """Return a square of a cell, moved inward at the edges so that it is whole where it can be."""
    corner = [
        max(0, min(index * CLOSE_UP, length - CLOSE_UP))
        for index, length in zip((row, column), size, strict=True)
    ]
    height, width = (min(CLOSE_UP, length) for length in size)
    return Window(corner[1], corner[0], width, height)


def _verdicts() -> list[Patch]:
    return [
        Patch(facecolor=tuple(_RIGHT), edgecolor="#888888", label="right"),
        Patch(facecolor=tuple(_WRONG), edgecolor="#888888", label="wrong"),
    ]


def _add_figures(axes: Axes, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            told = "0" if share == 0 else f"{share:.2f}"
            colour = "white" if share > _DARK else "#222222"
            axes.text(column, row, told, ha="center", va="center", color=colour, size=8)
