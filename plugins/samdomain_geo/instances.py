"""Paint the objects of a scene into one raster of their ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from samdomain_geo.raster import Scene, write_cog

# Painted at a time; a multiple of the tile of the file that it goes into.
_BLOCK = 2048
_TILE = 512


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
        path: file to write: uint32, 0 where no object is.
        tags: provenance, written as SAMDOMAIN_NAME; GDAL's COG driver drops namespaces.
    """
    plain = path.with_suffix(".plain.tif")
    profile = {
        "driver": "GTiff",
        "width": scene.columns,
        "height": scene.rows,
        "count": 1,
        "dtype": "uint32",
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
    with rasterio.open(plain, "w", **profile) as target:
        target.update_tags(**{f"SAMDOMAIN_{name.upper()}": tag for name, tag in tags.items()})
        target.set_band_description(1, "object id")
        for window in _blocks(scene.rows, scene.columns):
            inside = np.sort(tree.query(_extent(window)))
            if inside.size:
                target.write(_paint([ordered[i] for i in inside], window), 1, window=window)
    write_cog(plain, path, {"overview_resampling": "NEAREST"})
    plain.unlink()


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
