"""Compute the probabilities of classes for the blocks of a scene."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain_geo.engine.block_store import Arrays
from samdomain_geo.engine.mosaic import Layer
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.results.colours import BACKGROUND, colour_of
from samdomain_geo.scenes.chips import Blend, Chips
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.stretch import Stretch

LEVELS = 254
"""Steps between probability 0 and 1 in a byte: the error is at most 1/508."""

NO_DATA = 255
"""Byte of a pixel where the scene has no data."""

PROBABILITY = "probability"
"""Name of the bytes of probabilities in a block."""

_HALF = LEVELS // 2


class Network(Protocol):
    """A network that is ready for use."""

    def __call__(self, chips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (B, classes, rows, columns) of chips (B, bands, rows, columns)."""
        ...


class Pixels(Protocol):
    """What chips are cut from: stretched pixels on the grid of a scene."""

    @property
    def rows(self) -> int:
        """Height in pixels."""
        ...

    @property
    def columns(self) -> int:
        """Width in pixels."""
        ...

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels (bands, rows, columns), 0 to 255, and where they are valid."""
        ...


@dataclass(frozen=True, eq=False)
class StretchedScene:
    """A scene as a network sees it.

    Attributes:
        scene: open raster.
        stretch: its radiometric stretch.
    """

    scene: Scene
    stretch: Stretch

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.scene.rows

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.scene.columns

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels (bands, rows, columns), 0 to 255, and where they are valid."""
        raw, valid = self.scene.read(window)
        return self.stretch(raw), valid


@dataclass(frozen=True)
class ProbabilityWork:
    """Work that blends the probabilities of classes over overlapping chips.

    Attributes:
        load: loads the network; it is sent to other processes, so it can be pickled.
        bands: one-based bands that the network takes; None for the scene's own choice.
        stretch: the scene's radiometric stretch.
        fill: stretched value that stands for nodata, one a band.
        chips: the grid of chips.
        nodata: value that is nodata in place of the scene's own.
    """

    load: Callable[[], Network]
    bands: tuple[int, ...] | None
    stretch: Stretch
    fill: tuple[float, ...]
    chips: Chips
    nodata: float | None = None

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["ProbabilityWorker"]:
        """Open the scene and load the network."""
        with open_scene(manifest.scene.path, self.bands, self.nodata) as scene:
            pixels = StretchedScene(scene, self.stretch)
            yield ProbabilityWorker(pixels, self.load(), self.chips, self.fill)

    def count_chips(self, manifest: Manifest) -> dict[int, int]:
        """Return how many chips each block is blended from, by its number."""
        return count_chips(self.chips, manifest)


def count_chips(chips: Chips, manifest: Manifest) -> dict[int, int]:
    """Return how many chips each block that has work is blended from, by its number."""
    size = manifest.grid.rows, manifest.grid.columns
    return {
        index: len(list(chips.over(manifest.block(index).window, *size))) for index in manifest.todo
    }


@dataclass(frozen=True, eq=False)
class ChipSource:
    """What a block is computed from: stretched pixels, where they are valid, and where they lie."""

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    window: Window


class ProbabilityWorker:
    """Blend what a network says of overlapping chips, in one process.

    Args:
        pixels: what chips are cut from.
        network: what is asked.
        chips: the grid of chips.
        fill: stretched value that stands for nodata, one a band.
    """

    def __init__(
        self, pixels: Pixels, network: Network, chips: Chips, fill: Sequence[float]
    ) -> None:
        self._pixels, self._network, self._chips = pixels, network, chips
        self._fill = np.array(fill, np.float32)[:, None, None]

    def read(self, block: Block) -> ChipSource | None:
        """Read what the block's chips see; None where the block has no data."""
        chips = self._over(block)
        left = min(chip.col_off for chip in chips)
        top = min(chip.row_off for chip in chips)
        right = max(chip.col_off + chip.width for chip in chips)
        bottom = max(chip.row_off + chip.height for chip in chips)
        window = Window(left, top, right - left, bottom - top)
        stretched, valid = self._pixels.read(window)
        if not valid[_inside(block.window, window)].any():
            return None
        return ChipSource(np.where(valid, stretched, self._fill), valid, window)

    def compute(self, block: Block, source: ChipSource) -> Arrays:
        """Return bytes of probabilities (classes, rows, columns); nothing without a chip."""
        rows, columns = self._pixels.rows, self._pixels.columns
        # A chip without data says nothing of the pixels beside it.
        seen = [c for c in self._over(block) if source.valid[_inside(c, source.window)].any()]
        blend: Blend | None = None
        for first in range(0, len(seen), self._chips.batch):
            chips = seen[first : first + self._chips.batch]
            pixels = np.stack([source.pixels[:, *_inside(c, source.window)] for c in chips])
            values = self._network(pixels)
            blend = blend or Blend(block.window, values.shape[1])
            for chip, value in zip(chips, values, strict=True):
                blend.add(chip, value, self._chips.weights(chip, rows, columns))
        if blend is None:
            return {}
        valid = source.valid[_inside(block.window, source.window)]
        return {PROBABILITY: np.where(valid, quantized(blend.mean()), np.uint8(NO_DATA))}

    def _over(self, block: Block) -> list[Window]:
        return list(self._chips.over(block.window, self._pixels.rows, self._pixels.columns))


def quantized(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round probabilities 0 to 1 to bytes 0 to 254."""
    return np.rint(np.clip(probabilities, 0, 1) * np.float32(LEVELS)).astype(np.uint8)


def decided(levels: NDArray[np.uint8], *, overlapping: bool = False) -> NDArray[np.uint8]:
    """Return the class of each pixel from bytes (classes, rows, columns).

    Args:
        levels: bytes of probabilities.
        overlapping: whether a pixel may have any number of the classes.

    Returns:
        NDArray: (1, rows, columns) the number of the most probable class, from 0 on, the first of
        equals; of overlapping classes (classes, rows, columns), 1 from probability 0.5 on and 0
        below. 255 is nodata.
    """
    classes = levels >= _HALF if overlapping else levels.argmax(axis=0)[None]
    return np.where(levels[:1] == NO_DATA, NO_DATA, classes).astype(np.uint8)


def probability_layer(classes: Sequence[str]) -> Layer:
    """Return the layer of bytes, whose scale makes them probabilities again, a band a class."""
    return Layer(
        of=lambda _, arrays: arrays.get(PROBABILITY),
        dtype="uint8",
        nodata=NO_DATA,
        bands=tuple(classes),
        scale=1 / LEVELS,
        resampling="AVERAGE",
    )


def mask_layer(classes: Sequence[str] = (), *, overlapping: bool = False) -> Layer:
    """Return the layer of the classes that were decided for; see `decided`.

    Args:
        classes: names of the classes; overlapping ones have a band each.
        overlapping: whether a pixel may have any number of them.
    """

    def of(_: int, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
        return decided(arrays[PROBABILITY], overlapping=overlapping) if arrays else None

    shown = range(2) if overlapping else range(len(classes))
    # What is none of the classes lets the map below be seen.
    clear = 0 if overlapping or (classes and classes[0] == BACKGROUND) else None
    return Layer(
        of=of,
        dtype="uint8",
        nodata=NO_DATA,
        bands=tuple(classes) if overlapping else ("class",),
        colours={one: (*colour_of(one), 0 if one == clear else 255) for one in shown},
    )


def _inside(window: Window, outer: Window) -> tuple[slice, slice]:
    top, left = round(window.row_off - outer.row_off), round(window.col_off - outer.col_off)
    return slice(top, top + round(window.height)), slice(left, left + round(window.width))
