"""Two dates in; maps, polygons, areas and a picture of what changed out."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject
from rio_cogeo.cogeo import cog_validate
from scipy.ndimage import gaussian_filter

import samdomain_geo
from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.cli import main
from samdomain.lora import LoRA
from samdomain.recipes import SAMed, SamSP
from samdomain.sam import Sam

FILES = ("mask.tif", "probability.tif", "polygons.gpkg", "areas.csv")
NEW, GONE = (slice(20, 60), slice(30, 80)), (slice(100, 150), slice(150, 200))


def ground(shape: tuple[int, int] = (192, 256)) -> np.ndarray:
    """Grey ground with structure, the same at both dates."""
    rough = np.random.default_rng(3).normal(0, 60, shape)
    smooth = gaussian_filter(rough, 1.5) * 3 + 100
    return np.repeat(smooth[None], 3, axis=0)


def dates() -> tuple[np.ndarray, np.ndarray]:
    """The ground with a bright roof that goes and one that comes."""
    before, after = ground(), ground()
    before[:, *GONE], after[:, *NEW] = 230, 230
    return tuple(np.clip(one, 1, 255).astype(np.uint8) for one in (before, after))


@pytest.fixture
def pair(write_scene: Callable[..., Path]) -> tuple[Path, Path]:
    """Both dates on one grid of 0.5 m."""
    before, after = dates()
    return write_scene(before, "before.tif", nodata=0), write_scene(after, "after.tif", nodata=0)


@pytest.fixture
def adapter(trained: Callable[..., Sam], tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter of the tiny SAM with noise for values."""

    def write(recipe: Any, output: str = "semantic", **card: Any) -> Path:
        sam = trained()
        recipe.adapt(sam)
        told = AdapterCard(recipe=recipe.name, output=output, options=recipe.to_json(), **card)
        save_adapter(sam, tmp_path / "adapter", told)
        return tmp_path / "adapter"

    return write


def change(pair: tuple[Path, Path], out: Path, *flags: str) -> int:
    return main(["change", *map(str, pair), "--out", str(out), *flags])


def band(path: Path, number: int = 1) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(number)


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_first_sight_makes_all_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Maps lie on the earlier grid, and the record says that it is a rough look."""
    assert change(pair, tmp_path / "out", "--weights", "tiny") == 0
    with rasterio.open(pair[0]) as before, rasterio.open(tmp_path / "out/mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.shape) == (before.crs, before.transform, before.shape)
        assert mask.tags()["SAMDOMAIN_CLASSES"] == ";changed"
    assert set(np.unique(band(tmp_path / "out/mask.tif"))) <= {0, 1}
    assert cog_validate(tmp_path / "out/probability.tif")[0]
    told = record(tmp_path / "out")
    assert told["method"] == "latent matching, zero-shot"
    assert "rough first look" in " ".join(told["notes"])
    assert told["latent"].keys() == {"threshold", "softness", "looks"}
    assert told["inputs"]["before"]["sha256"] != told["inputs"]["after"]["sha256"]
    assert (tmp_path / "out/preview.png").stat().st_size > 10_000
