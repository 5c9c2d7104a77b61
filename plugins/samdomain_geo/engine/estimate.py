"""Tell what a run will cost, from one of its blocks."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.engine.station import IN_FLIGHT, ChippedWork, Work, open_station
from samdomain_geo.scenes.raster import Scene, open_scene

Draft = Callable[[BlockStore, Path], object]
"""Writes all that a run is for, from its blocks into a folder."""

# Windows in which the scene is looked at for data: this many each way, of this size.
_LOOKS = 24
_LOOK = 64
_GLANCE = 256  # pixels each way in which a block is looked at


def estimate(
    manifest: Manifest, work: Work, workers: int = 1, draft: Draft | None = None
) -> dict[str, Any]:
    """Do one block of a run, keep nothing of it, and scale up.

    Args:
        manifest: the run.
        work: what is done for each block.
        workers: processes that share the blocks.
        draft: writes the results of the run; it is tried on the one block.

    Returns:
        dict: blocks, chips of a network where there are some, the share of the scene with data,
        bytes on disk of the blocks and of the results, bytes of memory (the peak of this
        process, for each worker), seconds.
    """
    chips = work.count_chips(manifest) if isinstance(work, ChippedWork) else {}
    data = _look(manifest) if manifest.chosen is None else _chosen(manifest, chips)
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = BlockStore(folder, manifest)
        with open_station(work, store) as station:
            steps = station(data.block.index)
        size = sum(path.stat().st_size for path in folder.iterdir())
        results = None if draft is None else _try(draft, store, data.block)
    # Steps of different blocks overlap: the longest decides.
    longest = max(steps.values()) if workers == 1 else sum(steps.values())
    told: dict[str, Any] = {
        "blocks": len(manifest.todo),
        "blocks in flight": IN_FLIGHT * workers,
        "share with data": round(data.share, 3),
        "bytes of blocks": round(size * data.scale),
        "bytes of memory": _peak() * workers,
        "seconds": round(longest * data.scale / workers, 1),
    }
    if chips:
        told["chips"] = round(sum(chips.values()) * data.share)
    if results is not None:
        told["bytes of results"] = round(results.bytes.scaled(data.scale))
        told["seconds"] = round(told["seconds"] + results.seconds.scaled(data.scale), 1)
    return told


@dataclass(frozen=True)
class _Data:
    """Where a run has work.

    Attributes:
        share: share of the chosen blocks with data, 0 to 1.
        block: a block with some of it.
        scale: how often as much as in the block there is in all.
    """

    share: float
    block: Block
    scale: float


def _chosen(manifest: Manifest, chips: Mapping[int, int]) -> _Data:
    """Take the block in the middle of those that have work."""
    if not manifest.todo:
        return _Data(1.0, manifest.block(0), 0.0)
    index = manifest.todo[len(manifest.todo) // 2]
    scale = sum(chips.values()) / chips[index] if chips else float(len(manifest.todo))
    return _Data(1.0, manifest.block(index), scale)


def _look(manifest: Manifest) -> _Data:
    """Look where the scene has data, and take a block that is full enough."""
    with open_scene(manifest.scene.path) as scene:
        return _looked(scene, manifest)


def _looked(scene: Scene, manifest: Manifest) -> _Data:
    rows, columns, shares = _shares(scene)
    share = float(shares.mean())
    # Of the places that are full enough, the one nearest to the middle.
    away = abs(rows / scene.rows - 0.5)[:, None] + abs(columns / scene.columns - 0.5)[None]
    nearest = np.argmin(np.where(shares > share / 2, away, away + 2))
    row, column = np.unravel_index(nearest, shares.shape)
    side = manifest.tiling.block
    index = rows[row] // side * manifest.shape[1] + columns[column] // side
    block = manifest.block(int(index))
    own = _share(scene, block.window) * block.window.width * block.window.height
    return _Data(share, block, share * scene.rows * scene.columns / own if own else 1.0)


def _shares(scene: Scene) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return rows, columns and the share (rows, columns) with data around them."""
    if scene.dataset.overviews(scene.bands[0]):
        _, valid = scene.thumbnail(_GLANCE)
        height, width = valid.shape
        rows, columns = np.arange(height) * scene.rows, np.arange(width) * scene.columns
        return rows // height, columns // width, valid.astype(np.float64)
    # To read the scene whole, in small, could take as long as the run.
    rows, columns = (
        np.unique(np.linspace(0, max(0, side - _LOOK), _LOOKS).astype(np.intp))
        for side in (scene.rows, scene.columns)
    )
    shares = [[_share(scene, _window(scene, row, column)) for column in columns] for row in rows]
    return rows, columns, np.array(shares)


def _window(scene: Scene, row: np.intp, column: np.intp) -> Window:
    top, left = int(row), int(column)
    return Window(left, top, min(_LOOK, scene.columns - left), min(_LOOK, scene.rows - top))


def _share(scene: Scene, window: Window) -> float:
    shape = min(_GLANCE, round(window.height)), min(_GLANCE, round(window.width))
    _, valid = scene.read(window, shape)
    return float(valid.mean())


@dataclass(frozen=True)
class _Cost:
    """A cost without any block, and with one."""

    none: float
    one: float

    def scaled(self, scale: float) -> float:
        """Return the cost of so many blocks."""
        return self.none + max(0.0, self.one - self.none) * scale


@dataclass(frozen=True)
class _Results:
    bytes: _Cost
    seconds: _Cost


def _try(draft: Draft, store: BlockStore, block: Block) -> _Results:
    """Write results of nothing, and of one block as if it were the scene."""
    own = BlockStore(store.folder / "own", _alone(store.manifest, block))
    own.folder.mkdir()
    sizes: list[int] = []
    seconds: list[float] = []
    # The first time is slower than all others.
    for name, arrays in (("first", {}), ("none", {}), ("one", store.read(block.index))):
        own.write(0, arrays)
        folder = store.folder / name
        folder.mkdir()
        start = perf_counter()
        draft(own, folder)
        seconds.append(perf_counter() - start)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    return _Results(_Cost(*sizes[1:]), _Cost(*seconds[1:]))


def _alone(manifest: Manifest, block: Block) -> Manifest:
    """Return the manifest of a scene that ends where a block does."""
    window = block.window
    place = manifest.grid.affine @ Affine.translation(window.col_off, window.row_off)
    rows, columns = round(window.height), round(window.width)
    grid = replace(
        manifest.grid, rows=rows, columns=columns, transform=tuple(float(one) for one in place)[:6]
    )
    return replace(manifest, grid=grid, tiling=replace(manifest.tiling, halo=0), chosen=None)


def _peak() -> int:
    """Return the most memory that the process ever had, in bytes; 0 where it cannot be told."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ModuleNotFoundError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
