"""Give each instance one id in the whole scene, though each block has found it for itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import WindowError
from rasterio.windows import Window

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.mosaic import Layer
from samdomain_geo.engine.plan import Block
from samdomain_geo.polygons.labelling import components

LABELS = "labels"
"""Name of the block's own numbers of instances, over its context: 0 is none, then from 1 on."""


@dataclass(frozen=True, eq=False)
class InstanceIds:
    """Which id in the scene stands for which instance of a block.

    Attributes:
        offsets: (blocks + 1,) place of each block's first instance in `ids`.
        ids: ids from 1 on in the order of the instances' first pixels in the scene, whatever the
            blocks; 0 for an instance that no block sees among its own pixels.
    """

    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]

    def of_block(self, index: int) -> NDArray[np.int64]:
        """Return the id for each number of a block, which starts with 0."""
        own = self.ids[self.offsets[index] : self.offsets[index + 1]]
        return np.concatenate([np.zeros(1, np.int64), own])

    def layer(self, store: BlockStore) -> Layer:
        """Return the layer of ids, of the smallest unsigned type that holds them all."""

        def ids(index: int, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
            if not arrays:
                return None
            core = arrays[LABELS][store.manifest.block(index).core]
            return self.of_block(index)[core][None]

        largest = self.ids.max(initial=0)
        dtype = next(t for t in ("uint8", "uint16", "uint32") if largest <= np.iinfo(t).max)
        return Layer(of=ids, dtype=dtype, nodata=0, bands=("object id",))


def join_instances(store: BlockStore, agreement: float = 0.5) -> InstanceIds:
    """Join instances of neighbouring blocks that agree where both have looked.

    Two are one when their IoU is high enough on the pixels that both blocks see: a strip twice
    as wide as the halo. Memory depends on one row of blocks' strips, and on the number of
    instances.

    Args:
        store: blocks that hold `labels`, of a tiling with a halo.
        agreement: least IoU in the strip; from 0.5 on no instance has two partners in a block.
    """
    census = _Census(store, agreement)
    for block in store.manifest.blocks():
        census.add(block)
    first = np.concatenate(census.first)
    root = components(len(first), np.concatenate(census.pairs))
    earliest = first.copy()
    np.minimum.at(earliest, root, first)
    roots = np.flatnonzero((root == np.arange(len(root))) & (earliest < _NOWHERE))
    numbers = np.zeros(len(root), np.int64)
    numbers[roots[np.argsort(earliest[roots])]] = np.arange(1, len(roots) + 1)
    return InstanceIds(np.cumsum([len(one) for one in census.first]), numbers[root])


_NOWHERE = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class _Strip:
    """Numbered pixels of a window of the scene; 0 is no instance."""

    window: Window
    numbers: NDArray[np.int64]

    def cut(self, window: Window) -> "_Strip":
        """Return the part inside a window, which is inside this one."""
        top = round(window.row_off - self.window.row_off)
        left = round(window.col_off - self.window.col_off)
        rows = slice(top, top + round(window.height))
        return _Strip(window, self.numbers[rows, left : left + round(window.width)].copy())


class _Census:
    """Number all instances, and note which ones agree."""

    def __init__(self, store: BlockStore, agreement: float) -> None:
        self._store, self._agreement = store, agreement
        self._count = 0
        self._right: _Strip | None = None
        self._above: dict[int, _Strip] = {}  # lower strips of the last row of blocks, by column
        self._below: dict[int, _Strip] = {}
        self.first = [np.zeros(0, np.int64)]
        self.pairs = [np.zeros((0, 2), np.int64)]

    def add(self, block: Block) -> None:
        """Take in the next block."""
        if block.column == 0:
            self._above, self._below, self._right = self._below, {}, None
        labels = self._store.read(block.index).get(LABELS)
        if labels is None:
            self.first.append(np.zeros(0, np.int64))
            self._right = None
            return
        seen = _Strip(block.context, np.where(labels > 0, labels.astype(np.int64) + self._count, 0))
        for other in self._neighbours(block):
            self._agree(other, seen)
        self._right, self._below[block.column] = self._strips(block, seen)
        self.first.append(self._first(block, labels))
        self._count += int(labels.max(initial=0))

    def _neighbours(self, block: Block) -> Iterator[_Strip]:
        if self._right is not None:
            yield self._right
        for column in (block.column - 1, block.column, block.column + 1):
            if column in self._above:
                yield self._above[column]

    def _agree(self, one: _Strip, other: _Strip) -> None:
        try:
            shared = one.window.intersection(other.window)
        except WindowError:
            return
        a, b = one.cut(shared).numbers.ravel(), other.cut(shared).numbers.ravel()
        met, both = np.unique(np.stack([a, b])[:, (a > 0) & (b > 0)], axis=1, return_counts=True)
        sizes = [dict(zip(*np.unique(side, return_counts=True), strict=True)) for side in (a, b)]
        either = np.array([sizes[0][x] + sizes[1][y] for x, y in met.T], np.int64) - both
        agreed = both >= self._agreement * either
        self.pairs.append(met.T[agreed] - 1)

    def _strips(self, block: Block, seen: _Strip) -> tuple[_Strip, _Strip]:
        """Return the strips that the blocks to the right and below see too."""
        halo, context = self._store.manifest.tiling.halo, block.context
        bottom, right = context.row_off + context.height, context.col_off + context.width
        left = max(context.col_off, block.window.col_off + block.window.width - halo)
        top = max(context.row_off, block.window.row_off + block.window.height - halo)
        return (
            seen.cut(Window(left, context.row_off, right - left, context.height)),
            seen.cut(Window(context.col_off, top, context.width, bottom - top)),
        )

    def _first(self, block: Block, labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the first of the block's own pixels of each instance, counted in the scene."""
        first = np.full(int(labels.max(initial=0)) + 1, _NOWHERE)
        core = labels[block.core]
        rows, columns = np.divmod(np.arange(core.size), core.shape[1])
        place = (rows + round(block.window.row_off)) * self._store.manifest.grid.columns
        place += columns + round(block.window.col_off)
        np.minimum.at(first, core.ravel(), place)
        return first[1:]
