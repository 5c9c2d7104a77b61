"""Choose the windows of a scene in which objects are looked at."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

# Below this a window holds too few pixels to tell anything, and is widened instead.
_SMALLEST_SIDE = 16

# Places tried for a window on either axis, in shares of the room that it has.
_STEPS = (0.0, -1.0, 1.0, -0.5, 0.5)


@dataclass(frozen=True)
class Sharing:
    """How much of a scene objects see, and which of them share a window.

    All lengths are in longer sides of an object's box.

    Attributes:
        contexts: sides of a window that are tried for the object that it is made for, the
            first where nothing is gained by the others: SAM needs to see what the object is
            not.
        widest: side of the widest window that an object may share.
        margin: least distance of a sharing object from the window's edges.
    """

    contexts: tuple[float, ...] = (2.5, 3.25, 4.0)
    widest: float = 5.0
    margin: float = 0.25


SHARED = Sharing()


@dataclass(frozen=True, eq=False)
class SharedWindow:
    """A window and the objects that are decoded in it.

    Attributes:
        window: whole pixels of the scene; it holds each of its objects whole.
        members: (M,) indices of the objects' boxes.
    """

    window: Window
    members: NDArray[np.intp]


def share_windows(
    boxes: NDArray[np.float64], rows: int, columns: int, sharing: Sharing = SHARED
) -> list[SharedWindow]:
    """Cover boxes with few windows, since the encoder's work is by the window.

    From the largest object to the smallest, each that has no window yet gets one, placed
    where it holds the most others of similar size. Which objects share depends on their
    places alone, never on their order in the file.

    Args:
        boxes: (N, 4) as left, top, right, bottom in pixels of the scene; inside it.
        rows: height of the scene in pixels.
        columns: width of the scene in pixels.
        sharing: how windows are shared.

    Returns:
        list: windows; each box is a member of exactly one.
    """
    layout = _Layout(boxes, rows, columns, sharing)
    order = np.lexsort((*boxes.T, -layout.sides))  # ties are broken by place
    waiting = np.ones(len(boxes), dtype=bool)
    shared: list[SharedWindow] = []
    for seed in order:
        if not waiting[seed]:
            continue
        choices = [layout.members(window, waiting) for window in layout.placements(boxes[seed])]
        best = max(choices, key=lambda choice: len(choice.members))
        members = np.union1d(best.members, [seed])
        waiting[members] = False
        shared.append(SharedWindow(best.window, members))
    return shared


class _Layout:
    """The boxes of a scene, with what it takes to find those inside a window."""

    def __init__(
        self, boxes: NDArray[np.float64], rows: int, columns: int, sharing: Sharing
    ) -> None:
        self.sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        self._boxes = boxes
        self._tree = shapely.STRtree(shapely.box(*boxes.T))
        self._rows, self._columns = rows, columns
        self._sharing = sharing

    def placements(self, box: NDArray[np.float64]) -> list[Window]:
        """Return windows of a box: near and around it first, wider and off its middle later."""
        left, top, right, bottom = box
        longer = max(right - left, bottom - top)
        margin = self._sharing.margin * longer
        x, y = (left + right) / 2, (top + bottom) / 2
        windows: list[Window] = []
        for context in self._sharing.contexts:
            side = math.ceil(max(context * longer, _SMALLEST_SIDE))
            slack_x = max(0.0, (side - (right - left)) / 2 - margin)
            slack_y = max(0.0, (side - (bottom - top)) / 2 - margin)
            windows += [
                _square(x + dx * slack_x, y + dy * slack_y, side, self._rows, self._columns)
                for dy in _STEPS
                for dx in _STEPS
            ]
        return windows

    def members(self, window: Window, waiting: NDArray[np.bool_]) -> SharedWindow:
        """Return a window with those waiting boxes that may share it."""
        left, top = window.col_off, window.row_off
        right, bottom = left + window.width, top + window.height
        near = np.sort(self._tree.query(shapely.box(left, top, right, bottom), "contains"))
        near = near[waiting[near]]
        sides, boxes = self.sides[near], self._boxes[near]
        room = np.stack(
            [boxes[:, 0] - left, boxes[:, 1] - top, right - boxes[:, 2], bottom - boxes[:, 3]]
        )  # (4, n)
        # A window's edge that is the scene's cuts nothing off, and needs no room.
        inner = np.array([left > 0, top > 0, right < self._columns, bottom < self._rows])
        roomy = (room >= self._sharing.margin * sides * inner[:, None]).all(axis=0)
        similar = sides * self._sharing.widest >= max(window.width, window.height)
        return SharedWindow(window, near[roomy & similar])


def _square(x: float, y: float, side: int, rows: int, columns: int) -> Window:
    column, width = _span(x, side, columns)
    row, height = _span(y, side, rows)
    return Window(column, row, width, height)


def _span(centre: float, side: int, length: int) -> tuple[int, int]:
    start = math.floor(centre - side / 2)
    start = max(0, min(start, length - side))
    return start, min(side, length)
