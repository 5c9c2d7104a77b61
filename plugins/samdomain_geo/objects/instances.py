"""Paint the objects of a scene into one raster of their ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from samdomain_geo.results.colours import colour_of
from samdomain_geo.scenes.raster import Scene, created, write_cog

# Painted at a time; a multiple of the tile of the file that it goes into.
_BLOCK = 2048
_TILE = 512

# A TIFF can have a colour table in the first two. It is as long as the type allows, and QGIS
# lists all of it: small scenes are spared 65536 lines of legend.
_COLOURED = ("uint8", "uint16")
_TYPES = (*_COLOURED, "uint32")


@dataclass(frozen=True)
class Shape:
    """An object as it is painted: its id, its score, and its outline in pixels."""

    id: int
    score: float
    outline: BaseGeometry


def write_instances(
    shapes: Sequence[Shape], scene: Scene, path: Path, tags: dict[str, str]
) -> None:
    """Write the ids of objects as a Cloud Optimized GeoTIFF on the scene's grid.

    Where objects overlap, the higher score is taken. Memory depends on the block, not on the
    scene.

    Args:
        shapes: objects to paint.
        scene: raster whose grid is taken.
        path: file to write, 0 where no object is, of the smallest unsigned type that holds all
            ids. Up to 65535 each has a colour of its own; uint32 can have no colour table.
        tags: provenance, written as SAMDOMAIN_NAME; GDAL's COG driver drops namespaces.
    """
    dtype = _dtype(shapes)
    plain = path.with_suffix(".plain.tif")
    profile = {
        "driver": "GTiff",
        "width": scene.columns,
        "height": scene.rows,
        "count": 1,
        "dtype": dtype,
        "crs": scene.crs,
        "transform": scene.transform,
        "nodata": 0,
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "compress": "DEFLATE",
        "sparse_ok": True,  # blocks without objects take no space
        "bigtiff": "IF_SAFER",
    }
    # The stable sort keeps the order of ids among equal scores.
    ordered = sorted(shapes, key=lambda shape: shape.score)
    tree = shapely.STRtree([shape.outline for shape in ordered])
    with created(plain, profile) as target:
        target.update_tags(**{f"SAMDOMAIN_{name.upper()}": tag for name, tag in tags.items()})
        target.set_band_description(1, "object id")
        if dtype in _COLOURED:
            target.write_colormap(1, {shape.id: colour_of(shape.id) for shape in shapes})
        for window in _blocks(scene.rows, scene.columns):
            inside = np.sort(tree.query(_extent(window)))
            if inside.size:
                painted = _paint([ordered[i] for i in inside], window)
                target.write(painted.astype(dtype), 1, window=window)
    write_cog(plain, path, {"overview_resampling": "NEAREST"})
    plain.unlink()


def _dtype(shapes: Sequence[Shape]) -> str:
    largest = max((shape.id for shape in shapes), default=0)
    return next(name for name in _TYPES if largest <= np.iinfo(name).max)


def _paint(shapes: Sequence[Shape], window: Window) -> NDArray[np.uint32]:
    size = (round(window.height), round(window.width))
    return rasterize(
        ((shape.outline, shape.id) for shape in shapes),
        out_shape=size,
        transform=Affine.translation(window.col_off, window.row_off),
        dtype="uint32",
    )


def _blocks(rows: int, columns: int) -> Iterator[Window]:
    for top in range(0, rows, _BLOCK):
        for left in range(0, columns, _BLOCK):
            yield Window(left, top, min(_BLOCK, columns - left), min(_BLOCK, rows - top))


def _extent(window: Window) -> BaseGeometry:
    left, top = window.col_off, window.row_off
    return shapely.box(left, top, left + window.width, top + window.height)
