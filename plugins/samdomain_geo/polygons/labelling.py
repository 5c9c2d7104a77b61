"""Number what is connected: pixels of a raster, and parts of an object in different blocks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CORNERS = 8
"""Connectivity by which also corners join; by 4, edges alone do."""


def components(count: int, pairs: NDArray[np.integer]) -> NDArray[np.intp]:
    """Find what is connected, as union-find does, on whole arrays at a time.

    In each round every component hooks onto the least neighbour that it has, and all paths are
    cut short (Shiloach and Vishkin 1982).

    Args:
        count: how many things there are.
        pairs: (N, 2) things that are connected.

    Returns:
        NDArray: (count,) for each thing the first one of its component.
    """
    root = np.arange(count)
    a, b = pairs[:, 0], pairs[:, 1]
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        apart = low != high
        if not apart.any():
            return root
        a, b = low[apart], high[apart]
        np.minimum.at(root, b, a)
        while (root != (shorter := root[root])).any():
            root = shorter


@dataclass(frozen=True, eq=False)
class Regions:
    """The connected regions of a raster of values.

    Attributes:
        labels: (rows, columns) number of each pixel's region from 1 on, in the order of the
            regions' first pixels, row by row; 0 where there is no value.
        first: (N,) first pixel of each region, counted row by row.
        values: (N,) what the raster holds there.
    """

    labels: NDArray[np.int32]
    first: NDArray[np.int64]
    values: NDArray[np.int64]


def label_regions(
    values: NDArray[np.int64], valid: NDArray[np.bool_], connectivity: int
) -> Regions:
    """Number the connected regions of equal values.

    Args:
        values: (rows, columns).
        valid: (rows, columns), false where there is no value.
        connectivity: 4, or 8 to join regions that meet at corners only.
    """
    begins = np.ones(values.shape, dtype=bool)  # true on the first pixel of a run in a row
    begins[:, 1:] = (values[:, 1:] != values[:, :-1]) | (valid[:, 1:] != valid[:, :-1])
    runs = (np.cumsum(begins.ravel(), dtype=np.int32) - 1).reshape(values.shape)
    starts = np.flatnonzero(begins)
    same = _alike(values, valid, slice(None), slice(None))
    # One pair for each two runs is enough: where either begins.
    met = same & (begins[1:] | begins[:-1])
    pairs = [np.stack([runs[:-1][met], runs[1:][met]], axis=1)]
    if connectivity == CORNERS:
        for upper, lower in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            met = _alike(values, valid, upper, lower)
            pairs.append(np.stack([runs[:-1, upper][met], runs[1:, lower][met]], axis=1))
    root = components(len(starts), np.concatenate(pairs))
    counted = valid.ravel()[starts]
    roots = np.flatnonzero((root == np.arange(len(root))) & counted)
    numbers = np.zeros(len(root), np.int32)
    numbers[roots] = np.arange(1, len(roots) + 1)
    labels = np.where(counted, numbers[root], 0).astype(np.int32)[runs]
    first = starts[roots]
    return Regions(labels, first.astype(np.int64), values.ravel()[first])


def _alike(
    values: NDArray[np.int64], valid: NDArray[np.bool_], upper: slice, lower: slice
) -> NDArray[np.bool_]:
    above, below = values[:-1, upper], values[1:, lower]
    return (above == below) & valid[:-1, upper] & valid[1:, lower]
