"""Georeferenced pictures of a folder, and the polygons of a vector file as their objects."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
import torch
from affine import Affine
from jaxtyping import Bool
from rasterio.features import rasterize
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.folders import SPLITS
from samdomain.training.pictures import pictures
from samdomain.training.sample import FolderSource, Found, ImageFile, Sample, Split
from samdomain.training.splits import chosen, read_splits
from samdomain_geo.data.labels import Labels
from samdomain_geo.scenes.raster import open_scene


@dataclass(frozen=True)
class PolygonObjects(FolderSource):
    """Take the polygons of a vector file as objects, each by itself also where they touch.

    Pictures are of eight bits, in everyday formats that hold a place, as GeoTIFF. The splits stand
    in `splits.csv` beside their folder; without it all is for training. Pictures without a polygon
    have no object.

    Attributes:
        labels: vector file of polygons in any CRS, below the data's folder.
        images: name of the folder of pictures.
        smallest: pixels of the smallest object; what an edge leaves of others is no object.
        layer: layer of the labels' file; needed only where it has several.
        where: condition for rows of the labels, in OGR's SQL.
        within, looks: see `FolderSource`.
    """

    labels: str
    images: str = "images"
    smallest: int = 1
    layer: str | None = None
    where: str | None = None

    def find(self, folder: Path, split: Split) -> Found:
        """Find the pictures of a split; see `Source.find`.

        Raises:
            InputError: there is no such folder, or no such file of labels.
        """
        folder = folder / self.within
        root, listing = folder / self.images, folder / SPLITS
        labels = Labels(folder / self.labels, layer=self.layer, where=self.where)
        if not root.is_dir() or not labels.path.is_file():
            raise InputError(
                f"{folder} has no folder {self.images!r}, or no file {self.labels!r}: give the "
                "folder of the data, as --data.folder"
            )
        splits = read_splits(listing) if listing.is_file() else None
        files = pictures(root) if splits is not None or split == "train" else []
        samples = (
            Sample(
                path.relative_to(root).with_suffix("").as_posix(),
                ImageFile(path),
                PolygonMasks(path, labels, self.smallest),
            )
            for path in files
            if splits is None or chosen(path, root, splits, split)
        )
        return Found(tuple(samples))


@dataclass(frozen=True)
class PolygonMasks:
    """The polygons over a picture as masks of its objects.

    Attributes:
        path: the picture.
        labels: the polygons.
        smallest: see `PolygonObjects`.
    """

    path: Path
    labels: Labels
    smallest: int

    def read(self) -> Bool[Tensor, "n h w"]:
        """Return a mask a polygon, by the centres of pixels.

        Raises:
            InputError: one of the files cannot be read, or only one of them has a CRS.
        """
        with open_scene(self.path) as scene:
            shapes = self.labels.over(scene).shapes
            size = (scene.rows, scene.columns)
        seen = shapes[shapely.intersects(shapes, shapely.box(0, 0, size[1], size[0]))]
        pixels = Affine.identity()
        planes = [
            np.asarray(rasterize([shape], size, transform=pixels), np.bool_) for shape in seen
        ]
        large = [plane for plane in planes if np.count_nonzero(plane) >= self.smallest]
        return torch.from_numpy(np.stack(large) if large else np.zeros((0, *size), np.bool_))

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the picture."""
        with open_scene(self.path) as scene:
            return scene.rows, scene.columns
