"""A part of a scene as a sample of training: its pixels, and the class of each."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from affine import Affine
from jaxtyping import Float, Int
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from samdomain_geo.data.labels import IGNORED, PlacedLabels
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.stretch import Stretch

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
        transform: from pixels (column, row) to the scene's CRS.
        changed: when the file was last written, in nanoseconds; 0 of what is no file.
    """

    path: str
    bands: tuple[int, ...] | None
    nodata: float | None
    stretch: Stretch
    transform: Affine
    changed: int


# A sample asks for its image and then for its masks, which both want the pixels.
@lru_cache(maxsize=1)
def _pixels(scene: SeenScene, window: Window) -> tuple[NDArray[np.number], NDArray[np.bool_]]:
    with open_scene(scene.path, scene.bands, scene.nodata) as opened:
        return opened.read(window)


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
        raw, valid = _pixels(self.scene, self.window)
        return torch.from_numpy(np.where(valid, self.scene.stretch(raw), np.float32(FILL)))

    def digest(self) -> str:
        """Return the place in the file, and which version of the file it is."""
        return f"{self.scene.path} {self.scene.changed} {self.window}"

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
        _, valid = _pixels(self.chip.scene, self.chip.window)
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
