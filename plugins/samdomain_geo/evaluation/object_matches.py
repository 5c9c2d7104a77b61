"""Find out which predicted polygons are which true ones."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from samdomain.metrics.objects import best_pairs

# Pairs that are intersected at a time: what they make is small, but there are many.
_PAIRS = 1 << 15

# COCO's places on the axis of recall, and its thresholds.
_RECALLS = np.linspace(0, 1, 101)
COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a predicted and a true polygon that overlap.

    Attributes:
        predicted: (N,) index of the predicted one.
        true: (N,) index of the true one.
        iou: (N,) their intersection over union.
        shape: how many predicted and how many true ones there are.
    """

    predicted: Indices
    true: Indices
    iou: NDArray[np.float64]
    shape: tuple[int, int]

    def where(self, kept: NDArray[np.bool_]) -> "Overlaps":
        """Return some of the pairs (N,)."""
        return Overlaps(self.predicted[kept], self.true[kept], self.iou[kept], self.shape)


def find_overlaps(predicted: NDArray[np.object_], true: NDArray[np.object_]) -> Overlaps:
    """Return all pairs of polygons that share some area, found by a spatial index.

    Args:
        predicted: valid polygons.
        true: valid polygons in the same CRS.
    """
    here, there = shapely.STRtree(true).query(predicted, predicate="intersects")
    both = np.zeros(len(here))
    for start in range(0, len(here), _PAIRS):
        part = slice(start, start + _PAIRS)
        met = shapely.intersection(predicted[here[part]], true[there[part]])
        both[part] = shapely.area(met)
    either = shapely.area(predicted)[here] + shapely.area(true)[there] - both
    touching = both > 0
    iou = np.divide(both, either, out=np.zeros_like(both), where=touching)
    pairs = Overlaps(here, there, np.minimum(iou, 1.0), (len(predicted), len(true)))
    return pairs.where(touching)


def match(overlaps: Overlaps, threshold: float) -> tuple[Indices, Indices]:
    """Match predicted with true polygons one to one, whatever their scores.

    As many pairs as possible, and of these choices the highest IoU in total: the best that a
    fair judge could find (`samdomain.metrics.match_objects` says the same of masks). Each group
    of polygons that can be matched with one another is solved for itself.

    Args:
        overlaps: pairs that overlap.
        threshold: smallest IoU of a match, above 0; equal is enough.

    Returns:
        tuple: indices (M,) of the predicted and of the true polygons that match.
    """
    allowed = overlaps.where(overlaps.iou >= threshold)
    if not len(allowed.iou):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    count, total = allowed.shape[0], sum(allowed.shape)
    links = coo_array(
        (np.ones(len(allowed.iou), bool), (allowed.predicted, allowed.true + count)),
        shape=(total, total),
    )
    _, groups = connected_components(links, directed=False)
    order = np.argsort(groups[allowed.predicted], kind="stable")
    sorted_groups = groups[allowed.predicted][order]
    pieces = np.split(order, np.flatnonzero(np.diff(sorted_groups)) + 1)
    pairs = [_match_group(allowed, piece) for piece in pieces]
    return (
        np.concatenate([allowed.predicted[piece] for piece in pairs]),
        np.concatenate([allowed.true[piece] for piece in pairs]),
    )


def average_precision(
    overlaps: Overlaps, scores: NDArray[np.float64], true: int, threshold: float
) -> float:
    """Return the average precision as COCO defines it, over the whole scene as one image.

    Predictions are taken from the highest score down, and each takes the true polygon with the
    highest IoU that is still free. Precision is interpolated at 101 recalls. Unlike COCO's, any
    number of predictions counts.

    Args:
        overlaps: pairs that overlap.
        scores: score of each predicted polygon, NaN for those that do not take part.
        true: how many true polygons take part.
        threshold: smallest IoU of a match.

    Returns:
        float: 0 to 1; NaN where there is no true polygon.
    """
    if true == 0:
        return float("nan")
    taking = np.flatnonzero(~np.isnan(scores))
    ranked = taking[np.argsort(-scores[taking], kind="stable")]
    found = np.isin(ranked, _greedy(overlaps, ranked, threshold))
    hits = np.cumsum(found)
    precision = hits / np.arange(1, len(ranked) + 1)
    # At each recall the best precision at that recall or beyond.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / true, _RECALLS, side="left")
    reached = places < len(ranked)
    return float(np.where(reached, np.append(best, 0.0)[np.minimum(places, len(best))], 0.0).mean())


def _match_group(allowed: Overlaps, pairs: Indices) -> Indices:
    """Return which of the pairs of a group are made."""
    if len(pairs) == 1:
        return pairs
    rows, row = np.unique(allowed.predicted[pairs], return_inverse=True)
    columns, column = np.unique(allowed.true[pairs], return_inverse=True)
    ious = np.zeros((len(rows), len(columns)))
    ious[row, column] = allowed.iou[pairs]
    numbers = np.zeros(ious.shape, np.intp)
    numbers[row, column] = pairs
    return numbers[best_pairs(ious, float(allowed.iou[pairs].min()))]


def _greedy(overlaps: Overlaps, ranked: Indices, threshold: float) -> Indices:
    """Return the predicted polygons that find a true one, taken in the order of their rank."""
    rank = np.full(overlaps.shape[0], -1, np.intp)
    rank[ranked] = np.arange(len(ranked))
    allowed = overlaps.where((overlaps.iou >= threshold) & (rank[overlaps.predicted] >= 0))
    order = np.lexsort((-allowed.iou, rank[allowed.predicted]))
    taken: set[int] = set()
    found: dict[int, int] = {}
    pairs = zip(allowed.predicted[order].tolist(), allowed.true[order].tolist(), strict=True)
    for predicted, true in pairs:
        if predicted not in found and true not in taken:
            taken.add(true)
            found[predicted] = true
    return np.fromiter(found, np.intp)
