"""Join the regions of all blocks, and number the whole ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.polygons.labelling import CORNERS, components

_SIDES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, eq=False)
class RegionTable:
    """Which pieces in the blocks make up which region.

    Memory is by the piece, some tens of bytes each.

    Attributes:
        offsets: (blocks + 1,) number of the first piece of each block.
        region: (pieces,) number of the region of each piece, from 1 on in the order of the
            regions' first pixels in the scene, whatever the blocks; 0 for one that is dropped.
        value: (pieces,) what the raster holds there.
        pieces: (regions + 1,) how many pieces each region has.
        score: (regions + 1,) mean over the pixels of each region of how sure they are; NaN where
            nothing tells.
    """

    offsets: NDArray[np.int64]
    region: NDArray[np.int64]
    value: NDArray[np.int64]
    pieces: NDArray[np.int64]
    score: NDArray[np.float64]

    def of_block(self, index: int) -> NDArray[np.int64]:
        """Return the region of each piece of a block."""
        return self.region[self.offsets[index] : self.offsets[index + 1]]

    def values(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the distinct values of the regions that are kept, and how many have each."""
        held = np.zeros(len(self.pieces), np.int64)  # by region; the first stands for none
        held[self.region] = self.value
        return np.unique(held[1:], return_counts=True)


def join_regions(store: BlockStore, connectivity: int, min_area: float) -> RegionTable:
    """Join pieces of one value that meet across block edges.

    Args:
        store: blocks of a `RegionsWork`.
        connectivity: 4, or 8 to join what meets at corners only.
        min_area: regions below this many square metres are dropped.
    """
    census = _Census(store, connectivity)
    for index in range(len(store.manifest)):
        census.add(index)
    first, value = np.concatenate(census.first), np.concatenate(census.value)
    pairs = np.concatenate(census.pairs)
    root = components(len(first), pairs[value[pairs[:, 0]] == value[pairs[:, 1]]])
    earliest = first.copy()
    np.minimum.at(earliest, root, first)
    kept = root == np.arange(len(root))
    if min_area > 0:
        area = np.zeros(len(root))
        np.add.at(area, root, np.concatenate(census.area))
        kept &= area >= min_area
    roots = np.flatnonzero(kept)
    number = np.zeros(len(root), np.int64)
    number[roots[np.argsort(earliest[roots])]] = np.arange(1, len(roots) + 1)
    region = number[root]
    # The census starts with an empty piece of its own.
    offsets = np.cumsum([len(one) for one in census.first])
    pieces = np.bincount(region, minlength=len(roots) + 1)
    return RegionTable(offsets, region, value, pieces, census.score(region, len(roots)))


class _Census:
    """Count the pieces block by block, and note which ones meet."""

    def __init__(self, store: BlockStore, connectivity: int) -> None:
        self._store, self._diagonal = store, connectivity == CORNERS
        self._count = 0
        columns = store.manifest.grid.columns
        # Pieces along the lower and upper edge of a row of blocks, numbered from 1.
        self._above = self._bottom = np.zeros(columns, np.int64)
        self._top = np.zeros(columns, np.int64)
        self._right = np.zeros(0, np.int64)
        none = np.zeros(0, np.int64)
        self.first, self.value, self.area = [none], [none], [none.astype(np.float64)]
        self.sure, self.pixels = [none.astype(np.float64)], [none]
        self.pairs = [np.zeros((0, 2), np.int64)]

    def add(self, index: int) -> None:
        """Take in the next block."""
        manifest = self._store.manifest
        block, arrays = manifest.block(index), self._store.read(index)
        height, width = round(block.window.height), round(block.window.width)
        none = {"top": width, "bottom": width, "left": height, "right": height}
        edges = {side: self._edge(arrays.get(side), none[side]) for side in _SIDES}
        if block.column == 0:
            self._above, self._bottom = self._bottom, np.zeros_like(self._bottom)
            self._top = np.zeros_like(self._top)
        else:
            self._meet(self._right, edges["left"])
        place = slice(round(block.window.col_off), round(block.window.col_off) + width)
        self._top[place], self._bottom[place] = edges["top"], edges["bottom"]
        self._right = edges["right"]
        if block.column == manifest.shape[1] - 1 and block.row > 0:
            self._meet(self._above, self._top)
        own = (("area", self.area), ("sure", self.sure), ("pixels", self.pixels))
        for name, pieces in (("first", self.first), ("value", self.value), *own):
            if name in arrays:
                pieces.append(arrays[name])
            elif name in {"first", "value"}:
                pieces.append(np.zeros(0, np.int64))
        self._count += len(arrays.get("first", ()))

    def score(self, region: NDArray[np.int64], regions: int) -> NDArray[np.float64]:
        """Return the mean score of each region; see `RegionTable`."""
        sure, pixels = np.concatenate(self.sure), np.concatenate(self.pixels)
        if len(pixels) != len(region):
            return np.full(regions + 1, np.nan)
        total = np.bincount(region, sure, regions + 1)
        return total / np.maximum(1, np.bincount(region, pixels, regions + 1))

    def _edge(self, labels: NDArray[np.int32] | None, length: int) -> NDArray[np.int64]:
        if labels is None:
            return np.zeros(length, np.int64)
        return np.where(labels > 0, labels.astype(np.int64) + self._count, 0)

    def _meet(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        sides = [(one, other)]
        if self._diagonal:
            sides += [(one[1:], other[:-1]), (one[:-1], other[1:])]
        for a, b in sides:
            both = (a > 0) & (b > 0)
            met = np.stack([a[both], b[both]], axis=1) - 1
            if len(met):
                self.pairs.append(np.unique(met, axis=0))
