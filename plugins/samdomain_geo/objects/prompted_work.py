"""Find the prompted objects of a scene block by block."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samdomain.sam import SamLike
from samdomain_geo.engine.block_store import Arrays, BlockStore
from samdomain_geo.engine.packed import pack, unpack
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.objects.prompted import Chip, FoundObject, find_objects, read_chip
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.stretch import Stretch
from samdomain_geo.scenes.windows import SharedWindow


@dataclass(frozen=True, eq=False)
class PromptedWork:
    """Find the objects of each window in the block that holds the window's middle.

    Attributes:
        sam: model that understands the prompts; an accelerated one travels to other processes
            as the path of its files.
        bands: one-based bands of the scene; None for its own choice.
        nodata: value that is nodata in place of the scene's own.
        stretch: the scene's radiometric stretch.
        prompts: N objects in the scene; their columns may be empty.
        windows: where to look for which of them; see `share_windows`.
    """

    sam: SamLike
    bands: tuple[int, ...] | None
    nodata: float | None
    stretch: Stretch
    prompts: ObjectPrompts
    windows: Sequence[SharedWindow]

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["_PromptedWorker"]:
        """Open the scene."""
        with open_scene(manifest.scene.path, self.bands, self.nodata) as scene:
            yield _PromptedWorker(self, scene, by_block(self.windows, manifest))

    def count_chips(self, manifest: Manifest) -> dict[int, int]:
        """Return how many windows each block looks at, by its number."""
        blocks = by_block(self.windows, manifest)
        return {index: len(windows) for index, windows in blocks.items()}


class _PromptedWorker:
    def __init__(
        self, work: PromptedWork, scene: Scene, windows: Mapping[int, Sequence[SharedWindow]]
    ) -> None:
        self._work, self._scene, self._windows = work, scene, windows

    def read(self, block: Block) -> list[Chip] | None:
        spec, stretch = self._work.sam.spec, self._work.stretch
        windows = self._windows.get(block.index, ())
        return [read_chip(spec, self._scene, stretch, window) for window in windows] or None

    def compute(self, block: Block, source: list[Chip]) -> Arrays:  # noqa: ARG002 - the protocol's
        found = sorted(find_objects(self._work.sam, source, self._work.prompts), key=_index)
        arrays: dict[str, NDArray[np.generic]] = {
            "object": np.array([index for index, _ in found], np.int64),
            "score": np.array([one.score for _, one in found], np.float64),
            **pack(one.outline for _, one in found),
        }
        return arrays


def by_block(windows: Sequence[SharedWindow], manifest: Manifest) -> dict[int, list[SharedWindow]]:
    """Return the windows of each block that has any, in the order of the blocks."""
    blocks: defaultdict[int, list[SharedWindow]] = defaultdict(list)
    for shared in windows:
        window = shared.window
        middle = window.col_off + window.width / 2, window.row_off + window.height / 2
        blocks[manifest.holding(*middle)].append(shared)
    return dict(sorted(blocks.items()))


def read_found(store: BlockStore) -> list[FoundObject]:
    """Return what the blocks of a `PromptedWork` hold, in the order of the prompts.

    Raises:
        StoppedError: a block is missing or torn.
    """
    found: dict[int, FoundObject] = {}
    for index in store.manifest.todo:
        arrays = store.read(index)
        rows = zip(arrays["object"].tolist(), unpack(arrays), arrays["score"].tolist(), strict=True)
        found |= {number: FoundObject(outline, score) for number, outline, score in rows}
    return [found[number] for number in sorted(found)]


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]
