"""Write rasters for measurements, in memory that does not depend on their size."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

BLOCK = 1024
CELL = 16  # pixels from one building to the next
WALL = 4  # pixels that a wing of a building is wide


def write_sparse(path: Path, side: int) -> None:
    """Write a scene of which every fourth block has data: hills of brightness."""
    rows, columns = np.mgrid[:BLOCK, :BLOCK] / 40
    hills = (128 + 120 * np.sin(rows) * np.sin(columns)).astype(np.uint8)
    with rasterio.open(path, "w", **profile(side, side, 1), nodata=0) as target:
        for top in range(0, side, 2 * BLOCK):
            for left in range(0, side, 2 * BLOCK):
                target.write(hills, 1, window=Window(left, top, BLOCK, BLOCK))


def write_noise(path: Path, rows: int, columns: int) -> None:
    """Write a scene of random brightness in three bands."""
    values = np.random.default_rng(0).integers(0, 256, (3, rows, columns), dtype=np.uint8)
    with rasterio.open(path, "w", **profile(rows, columns, 3)) as target:
        target.write(values)


def write_nothing(path: Path, side: int) -> None:
    """Write a scene without data, which takes next to no space."""
    with rasterio.open(path, "w", **profile(side, side, 1), nodata=0):
        pass


def write_buildings(path: Path, count: int) -> None:
    """Write about as many L-shaped buildings of random sizes, in rows."""
    across = round(count**0.5)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:CELL, :CELL]
    height, width = rng.integers(6, CELL, (2, across, across))
    with rasterio.open(path, "w", **profile(across * CELL, across * CELL, 1)) as target:
        for row in range(across):
            tall, wide = height[row][:, None, None], width[row][:, None, None]
            wall = (rows < tall) & (columns < wide) & ((rows < WALL) | (columns < WALL))
            strip = wall.transpose(1, 0, 2).reshape(CELL, across * CELL)
            target.write(
                strip.astype(np.uint8), 1, window=Window(0, row * CELL, across * CELL, CELL)
            )


def profile(rows: int, columns: int, count: int) -> dict[str, Any]:
    """Return what rasterio is told of a scene of 0.5 m pixels."""
    return {
        "driver": "GTiff",
        "width": columns,
        "height": rows,
        "count": count,
        "dtype": "uint8",
        "crs": "EPSG:32636",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 30_000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "DEFLATE",
        "zlevel": 1,
        "sparse_ok": True,
        "bigtiff": "IF_SAFER",
    }
