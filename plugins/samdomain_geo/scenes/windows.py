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
_SHARES = (0.0, -1.0, 1.0, -0.5, 0.5)
_STEPS = np.array([(x, y) for y in _SHARES for x in _SHARES])


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
        best = layout.best(seed, waiting)
        waiting[best.members] = False
        shared.append(best)
    return shared


class _Layout:
    """The boxes of a scene, with what it takes to find those that may share a window.

    They stand in one tree for each octave of their sides, so that a hall does not look through
    all the sheds around it.
    """

    def __init__(
        self, boxes: NDArray[np.float64], rows: int, columns: int, sharing: Sharing
    ) -> None:
        self.sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        self._boxes = boxes
        self._size = np.array([columns, rows])
        self._sharing = sharing
        octaves = np.floor(np.log2(self.sides)).astype(int)
        self._trees = {
            int(octave): _Tree.of(boxes, octaves == octave) for octave in np.unique(octaves)
        }

    def best(self, seed: np.intp, waiting: NDArray[np.bool_]) -> SharedWindow:
        """Return the window of a box that the most waiting boxes may share."""
        windows = self._placements(self._boxes[seed])
        sides = windows[:, 2:] - windows[:, :2]
        longer = sides.max(axis=1)
        near = self._near(windows, longer.min() / self._sharing.widest, self.sides[seed])
        near = near[waiting[near]]
        boxes, margins = self._boxes[near], self._sharing.margin * self.sides[near]
        # (windows, near, 4): room between a box and the window at each of its edges.
        before = boxes[:, :2] - windows[:, None, :2]
        behind = windows[:, None, 2:] - boxes[:, 2:]
        # A window's edge that is the scene's cuts nothing off, and needs no room.
        needed_before = margins[:, None] * (windows[:, None, :2] > 0)
        needed_behind = margins[:, None] * (windows[:, None, 2:] < self._size)
        roomy = ((before >= needed_before) & (behind >= needed_behind)).all(axis=2)
        similar = self.sides[near] * self._sharing.widest >= longer[:, None]
        fits = roomy & similar
        chosen = int(fits.sum(axis=1).argmax())
        left, top = windows[chosen, :2].tolist()
        width, height = sides[chosen].tolist()
        members = np.union1d(near[fits[chosen]], [seed])
        return SharedWindow(Window(left, top, width, height), members)

    def _placements(self, box: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return windows (n, 4) of a box: near and around it first, wider and off it later."""
        extent = box[2:] - box[:2]
        middle = (box[:2] + box[2:]) / 2
        longer = extent.max()
        margin = self._sharing.margin * longer
        windows: list[NDArray[np.int64]] = []
        for context in self._sharing.contexts:
            side = math.ceil(max(context * longer, _SMALLEST_SIDE))
            slack = np.maximum(0.0, (side - extent) / 2 - margin)
            start = np.floor(middle + _STEPS * slack - side / 2).astype(np.int64)
            start = np.maximum(0, np.minimum(start, self._size - side))
            windows.append(np.concatenate([start, np.minimum(start + side, self._size)], axis=1))
        return np.concatenate(windows)

    def _near(
        self, windows: NDArray[np.int64], smallest: float, largest: float
    ) -> NDArray[np.intp]:
        """Return boxes of about these sides that lie about these windows, in their order."""
        area = shapely.box(*windows[:, :2].min(axis=0), *windows[:, 2:].max(axis=0))
        octaves = range(math.floor(math.log2(smallest)), math.floor(math.log2(largest)) + 1)
        found = [
            self._trees[octave].members[self._trees[octave].tree.query(area)]
            for octave in octaves
            if octave in self._trees
        ]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.intp)


@dataclass(frozen=True, eq=False)
class _Tree:
    """Boxes of one octave of sides, by place.

    Attributes:
        tree: their index by place.
        members: index of each of them among all boxes.
    """

    tree: shapely.STRtree
    members: NDArray[np.intp]

    @classmethod
    def of(cls, boxes: NDArray[np.float64], chosen: NDArray[np.bool_]) -> "_Tree":
        return cls(shapely.STRtree(shapely.box(*boxes[chosen].T)), np.flatnonzero(chosen))
