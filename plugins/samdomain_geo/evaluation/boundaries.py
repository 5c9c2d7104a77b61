"""Compare the boundaries of polygons within a tolerance."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

# Corners of a piece of a boundary: short pieces have few neighbours, however large the polygon.
_CORNERS = 32

# Pieces that are worked on at a time, so that their buffers take bounded memory.
_PIECES = 1 << 14

# Edges of a quarter of a circle: a buffer falls short of its radius by 0.1% then.
_ROUND = 16


@dataclass(frozen=True)
class BoundaryScores:
    """Lengths of boundaries that lie near the other side's; the scores of classes add up by `+`.

    Attributes:
        predicted: length of the predicted boundaries.
        predicted_near: length of them within the tolerance of a true one.
        true: length of the true boundaries.
        true_near: length of them within the tolerance of a predicted one.
    """

    predicted: float = 0.0
    predicted_near: float = 0.0
    true: float = 0.0
    true_near: float = 0.0

    def __add__(self, other: "BoundaryScores") -> "BoundaryScores":
        """Return the lengths of both together."""
        return BoundaryScores(
            self.predicted + other.predicted,
            self.predicted_near + other.predicted_near,
            self.true + other.true,
            self.true_near + other.true_near,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted boundary that is near a true one; NaN without any."""
        return self.predicted_near / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true boundary that is near a predicted one; NaN without any."""
        return self.true_near / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where a side has no boundary."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else total


def compare_boundaries(
    predicted: NDArray[np.object_], true: NDArray[np.object_], tolerance: float
) -> BoundaryScores:
    """Measure how much of the boundaries of either side lies near the other's.

    A border that two polygons of a side share counts for both. Holes count too.

    Args:
        predicted: polygons in a plane.
        true: polygons in the same plane.
        tolerance: largest distance that is near, in units of the plane, above 0.
    """
    ours, theirs = _pieces(predicted), _pieces(true)
    return BoundaryScores(
        predicted=float(shapely.length(ours).sum()),
        predicted_near=_near(ours, theirs, tolerance),
        true=float(shapely.length(theirs).sum()),
        true_near=_near(theirs, ours, tolerance),
    )


def _near(lines: NDArray[np.object_], others: NDArray[np.object_], tolerance: float) -> float:
    """Return the length of lines that lies within a distance of others."""
    tree = shapely.STRtree(others)
    near = 0.0
    for start in range(0, len(lines), _PIECES):
        part = lines[start : start + _PIECES]
        line, other = tree.query(part, predicate="dwithin", distance=tolerance)
        near += float(shapely.length(part).sum())
        near -= float(shapely.length(_far(part, line, others[other], tolerance)).sum())
    return max(0.0, near)


def _far(
    lines: NDArray[np.object_],
    line: NDArray[np.intp],
    neighbours: NDArray[np.object_],
    tolerance: float,
) -> NDArray[np.object_]:
    """Return what is left of lines without the surroundings of their neighbours.

    Args:
        lines: lines.
        line: (N,) index of a line, ascending, for each of its neighbours.
        neighbours: (N,) lines near it.
        tolerance: how far the surroundings reach.
    """
    left = lines.copy()
    first = np.searchsorted(line, line, side="left")
    turn = np.arange(len(line)) - first
    # The first neighbours of all lines, then the second ones: each round is one call.
    for which in range(int(turn.max(initial=-1)) + 1):
        now = np.flatnonzero(turn == which)
        now = now[~shapely.is_empty(left[line[now]])]
        around = shapely.buffer(neighbours[now], tolerance, quad_segs=_ROUND)
        left[line[now]] = shapely.difference(left[line[now]], around)
    return left


def _pieces(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Cut the boundaries of polygons into lines of few corners."""
    rings = shapely.get_rings(shapely.get_parts(polygons))
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(corners):
        return np.array([], object)
    starts = np.searchsorted(ring, ring, side="left")
    place = np.arange(len(ring)) - starts
    last = place == shapely.get_num_coordinates(rings)[ring] - 1
    # A corner at a cut ends one piece and begins the next: it is there twice.
    begins = (place % _CORNERS == 0) & ~last
    number = np.cumsum(begins) - 1
    again = np.flatnonzero(begins & (place > 0))
    doubled = np.concatenate([corners, corners[again]])
    numbers = np.concatenate([number, number[again] - 1])
    # A line ends with the doubled corner: the stable sort leaves it behind the others.
    order = np.argsort(numbers, kind="stable")
    return shapely.linestrings(doubled[order], indices=numbers[order])
