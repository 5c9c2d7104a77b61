"""A scene of 128 x 192 pixels with labelled polygons."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

# Tests of data modules run where Lightning is installed.
collect_ignore_glob = ["test_*_data_module.py"] if find_spec("lightning") is None else []

BOXES = {"a": (10, 10, 50, 40), "b": (30, 20, 45, 35), "c": (100, 60, 180, 120)}


@pytest.fixture
def land(write_scene: Callable[..., Path]) -> Path:
    """Noise of 8 bits; the lower left corner has no data."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, 128, 192), dtype=np.uint8)
    pixels[:, 96:, :32] = 0
    return write_scene(pixels, nodata=0)


@pytest.fixture
def write_labels(tmp_path: Path, pixel_box: Any) -> Callable[..., Path]:
    """Write boxes of pixels as polygons; columns can be added."""

    def write(crs: int | None = 4326, **columns: list[Any]) -> Path:
        shapes = [pixel_box(*box) for box in BOXES.values()]
        table: dict[str, Any] = {"kind": ["field", "water", "field"], **columns}
        frame = gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:32636")
        path = tmp_path / "labels.gpkg"
        (frame if crs is None else frame.to_crs(crs)).to_file(path, layer="labels")
        return path

    return write


@pytest.fixture
def write_areas(tmp_path: Path, pixel_box: Any) -> Callable[..., Path]:
    """Write areas of splits, in pixels."""

    def write(**areas: tuple[int, int, int, int]) -> Path:
        shapes: list[shapely.Polygon] = [pixel_box(*box) for box in areas.values()]
        frame = gpd.GeoDataFrame({"split": list(areas)}, geometry=shapes, crs="EPSG:32636")
        frame.to_file(tmp_path / "areas.gpkg", layer="areas")
        return tmp_path / "areas.gpkg"

    return write
