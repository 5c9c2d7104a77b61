"""Small scenes for the geo plugin's tests."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from torch import Tensor, nn

from samdomain.sam import Sam, SamSpec
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Grid, Manifest, Tiling
from samdomain_geo.scenes.raster import open_scene

# Tests of workers run where the extra dask is installed.
collect_ignore = ["engine/test_cluster.py"] if find_spec("distributed") is None else []

UTM = "EPSG:32636"
ORIGIN = (500_000.0, 30_000.0)
PIXEL = 0.5

WriteScene = Callable[..., Path]
PixelBox = Callable[[float, float, float, float], shapely.Polygon]


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Write a raster; every part of it can be chosen."""

    def write(pixels: np.ndarray, name: str = "scene.tif", **profile: object) -> Path:
        count, rows, columns = pixels.shape
        transform = Affine.translation(*ORIGIN) @ Affine.scale(PIXEL, -PIXEL)
        chosen = {"crs": UTM, "transform": transform, **profile}
        with rasterio.open(
            tmp_path / name,
            "w",
            driver="GTiff",
            width=columns,
            height=rows,
            count=count,
            dtype=pixels.dtype,
            **chosen,
        ) as target:
            target.write(pixels)
        return tmp_path / name

    return write


@pytest.fixture
def scene(write_scene: WriteScene) -> Path:
    """A scene of 120 x 160 pixels of 0.5 m in UTM, random but always the same."""
    rng = np.random.default_rng(0)
    return write_scene(rng.integers(0, 255, (3, 120, 160), dtype=np.uint8))


@pytest.fixture
def pixel_box() -> PixelBox:
    """Make a box of pixels in coordinates of the scenes' CRS."""
    x, y = ORIGIN

    def make(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
        return shapely.box(x + left * PIXEL, y - bottom * PIXEL, x + right * PIXEL, y - top * PIXEL)

    return make


@pytest.fixture
def boxes(tmp_path: Path, pixel_box: PixelBox) -> Path:
    """Three boxes inside the scene, with a name each."""
    frame = gpd.GeoDataFrame(
        {"name": ["a", "b", "c"], "id": [7, 8, 9]},
        geometry=[
            pixel_box(10, 10, 40, 30),
            pixel_box(60, 50, 90, 90),
            pixel_box(100, 20, 140, 60),
        ],
        crs=UTM,
    )
    frame.to_file(tmp_path / "boxes.gpkg", layer="boxes")
    return tmp_path / "boxes.gpkg"


class BrightEncoder(nn.Module):
    """See how bright each pixel is."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        return pixels.mean(dim=1, keepdim=True), {}


class SilentPromptEncoder(nn.Module):
    """Take any prompt and say nothing."""

    def forward(self, *, points: object, boxes: object, masks: object) -> tuple[Tensor, Tensor]:
        count = len(boxes) if points is None else len(points[0])
        return torch.zeros(count, 0, 1), torch.zeros(count, 1, 64, 64)

    def get_dense_pe(self) -> Tensor:
        return torch.zeros(1, 1, 64, 64)


class BrightDecoder(nn.Module):
    """Call an object what is brighter than the middle; the other two answers are all and none."""

    def forward(
        self, *, image_embeddings: Tensor, multimask_output: bool, **rest: object
    ) -> tuple[Tensor, Tensor]:
        bright = image_embeddings - 127.5
        scores = bright.new_tensor([0.3, 0.8, 0.2]).repeat(len(bright), 1)
        answers = torch.cat([bright.abs() + 1, bright, -bright.abs() - 1], dim=1)
        chosen = slice(None) if multimask_output else slice(1, 2)
        return answers[:, chosen], scores[:, chosen]


@pytest.fixture
def bright_sam() -> Sam:
    """A SAM whose masks are known: all that is bright, wherever the prompt is."""
    spec = SamSpec("bright", 64, 1, 64, 3, "none", (0.0,) * 3, (1.0,) * 3)
    return Sam(BrightEncoder(), SilentPromptEncoder(), BrightDecoder(), spec)


class BoxMean:
    """A network that is the same everywhere: the mean brightness within a radius, 0 to 1.

    Sums of whole numbers are exact, so that equal places give equal values in any chip.
    """

    def __init__(self, radius: int) -> None:
        self.radius = radius
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, chips: np.ndarray) -> np.ndarray:
        self.shapes.append(chips.shape)
        side = 2 * self.radius + 1
        bright = torch.from_numpy(chips).double().sum(dim=1, keepdim=True)
        total = nn.functional.avg_pool2d(bright, side, 1, self.radius, divisor_override=1)
        return (total / (chips.shape[1] * 255 * side**2)).float().numpy()


@dataclass(frozen=True)
class MakePlan:
    """Plan work on a raster as a verb would."""

    verb: str = "test"

    def __call__(self, path: Path, tiling: Tiling, **parameters: object) -> Manifest:
        with open_scene(path) as scene:
            return Manifest(
                verb=self.verb,
                scene=Identity.of(path, scene.dataset.files),
                grid=Grid.of(scene),
                tiling=tiling,
                threads=1,
                date="2026-01-02T03:04:05+00:00",
                parameters=parameters,
            )


@pytest.fixture
def plan() -> MakePlan:
    return MakePlan()


@pytest.fixture
def box_mean() -> type[BoxMean]:
    return BoxMean
