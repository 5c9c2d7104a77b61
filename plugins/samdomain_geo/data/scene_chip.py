"""A part of a scene as a sample of training: its pixels, and the class of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from rasterio.windows import Window
from torch import Tensor

from samdomain_geo.data.labels import IGNORED, PlacedLabels
from samdomain_geo.raster import Scene, open_scene
from samdomain_geo.stretch import Stretch

FILL = 127.5
"""What stands for nodata: the middle of the values 0 to 255 that the network gets."""


@dataclass(frozen=True)
class SeenScene:
    """A scene, and how its pixels become the network's.

    Attributes:
        path: the raster.
        bands: one-based bands that are read; None for the scene's own choice.
        nodata: value that is nodata in place of the scene's own.
        stretch: radiometric stretch of the whole scene.
    """

    path: str
    bands: tuple[int, ...] | None
    nodata: float | None
    stretch: Stretch

    @contextmanager
    def opened(self) -> Iterator[Scene]:
        """Open the raster."""
        with open_scene(self.path, self.bands, self.nodata) as scene:
            yield scene


@dataclass(frozen=True, eq=False)
class SceneChip:
    """The pixels of a window of a scene.

    Attributes:
        scene: the scene.
        window: its pixels.
    """

    scene: SeenScene
    window: Window

    def read(self) -> Float[Tensor, "b h w"]:
        """Return pixels (bands, rows, columns), 0 to 255; nodata is 127.5."""
        with self.scene.opened() as opened:
            raw, valid = opened.read(self.window)
        return torch.from_numpy(np.where(valid, self.scene.stretch(raw), np.float32(FILL)))

    def digest(self) -> str:
        """Return the place in the file, and which version of the file it is."""
        changed = Path(self.scene.path).stat().st_mtime_ns if Path(self.scene.path).exists() else 0
        return f"{self.scene.path} {changed} {self.window}"

    def __str__(self) -> str:
        place = f"row {round(self.window.row_off)}, column {round(self.window.col_off)}"
        return f"{self.scene.path} at {place}"


@dataclass(frozen=True, eq=False)
class SceneClasses:
    """The class of each pixel of a window of a scene.

    Attributes:
        chip: the pixels.
        labels: polygons in the scene.
        areas: where the chip's split is, as its only class; None for everywhere.
    """

    chip: SceneChip
    labels: PlacedLabels
    areas: PlacedLabels | None = None

    def read(self) -> Int[Tensor, "h w"]:
        """Return the classes; 255 on nodata, outside the split, and where nobody labelled."""
        with self.chip.scene.opened() as opened:
            _, valid = opened.read(self.chip.window)
        classes = np.where(valid & self.inside(), self.labels.burn(self.chip.window), IGNORED)
        return torch.from_numpy(classes.astype(np.int64))

    def inside(self) -> np.ndarray:
        """Return which pixels belong to the split (rows, columns)."""
        if self.areas is None:
            return np.ones(self.size(), bool)
        return self.areas.burn(self.chip.window) != IGNORED

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the window."""
        return round(self.chip.window.height), round(self.chip.window.width)
