"""Choose the window of a scene in which an object is looked at."""

import math
from collections.abc import Sequence

from rasterio.windows import Window

CONTEXT = 2.5
"""Side of a window in sides of its object's box: SAM needs to see what the object is not."""

# Below this a window holds too few pixels to tell anything, and is widened instead.
_SMALLEST_SIDE = 16


def window_of(box: Sequence[float], rows: int, columns: int, context: float = CONTEXT) -> Window:
    """Return the square window around a box, moved and cut to lie inside the scene.

    Args:
        box: left, top, right, bottom in pixels of the scene; inside it.
        rows: height of the scene in pixels.
        columns: width of the scene in pixels.
        context: side of the window in longer sides of the box.

    Returns:
        Window: whole pixels; it holds the box whole.
    """
    left, top, right, bottom = box
    side = math.ceil(max(context * max(right - left, bottom - top), _SMALLEST_SIDE))
    column, width = _span((left + right) / 2, side, columns)
    row, height = _span((top + bottom) / 2, side, rows)
    return Window(column, row, width, height)


def _span(centre: float, side: int, length: int) -> tuple[int, int]:
    start = math.floor(centre - side / 2)
    start = max(0, min(start, length - side))
    return start, min(side, length)
