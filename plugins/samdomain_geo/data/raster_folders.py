"""Folders of small rasters of any bands, with masks of the same names."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rasterio.windows import Window
from torch import Tensor

from samdomain.training.folders import Folders
from samdomain.training.sample import Found, ImageFile, Scale, Split
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import open_scene, parse_bands
from samdomain_geo.scenes.stretch import DISPLAY_RANGE, parse_stretch


@dataclass(frozen=True)
class RasterFolders(Folders):
    """Pair rasters with masks by their names, as `Folders` does with everyday images.

    Rasters may have any number of bands and any type. Masks are images of whole numbers.

    Attributes:
        bands: bands to read, counted from 1, as "4,3,2"; by default red, green and blue.
        nodata: see `samdomain segment`.
        stretch: what becomes 0 and 255. Give values, as "0:3000", where rasters have more than 8
            bits: percentiles are those of each raster, and jump from one to the next.
    """

    bands: str | None = None
    nodata: str | None = None
    stretch: str | None = None

    def find(self, folder: Path, split: Split) -> Found:
        """Find the pairs of a split; see `Source.find`."""
        found = super().find(folder, split)
        samples = (
            replace(one, image=self._raster(one.image.path), value_range=DISPLAY_RANGE)
            for one in found.samples
            if isinstance(one.image, ImageFile)
        )
        return replace(found, samples=tuple(samples))

    def scale(self, folder: Path) -> Scale:
        """Return the ground size of the first raster's pixels; chips are whole rasters."""
        samples = self.find(folder, "train").samples
        if not samples:
            return Scale(values=DISPLAY_RANGE)
        with open_scene(str(samples[0].image), parse_bands(self.bands)) as scene:
            ellipsoid = Ellipsoid.of(scene.crs)
            pixel = None if ellipsoid is None else pixel_width(scene, ellipsoid)
            return Scale(max(scene.rows, scene.columns), pixel, DISPLAY_RANGE)

    def _raster(self, path: Path) -> "RasterImage":
        return RasterImage(path, self.bands, self.nodata, self.stretch)


@dataclass(frozen=True)
class RasterImage:
    """A raster as an image of training.

    Attributes:
        path: the file.
        bands: see `RasterFolders`.
        nodata: see `RasterFolders`.
        stretch: see `RasterFolders`.
    """

    path: Path
    bands: str | None = None
    nodata: str | None = None
    stretch: str | None = None

    def read(self) -> Float[Tensor, "b h w"]:
        """Return pixels (bands, rows, columns), 0 to 255; nodata is 127.5."""
        bands, nodata = parse_bands(self.bands), parse_nodata(self.nodata)
        with open_scene(self.path, bands, nodata) as scene:
            raw, valid = scene.read(Window(0, 0, scene.columns, scene.rows))
            shown = parse_stretch(self.stretch)(scene)(raw)
        return torch.from_numpy(np.where(valid, shown, np.float32(FILL)))

    def digest(self) -> str | None:
        """Return the SHA-256 of the file."""
        return ImageFile(self.path).digest()

    def __str__(self) -> str:
        return str(self.path)
