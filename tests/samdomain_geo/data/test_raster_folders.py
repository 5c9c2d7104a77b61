from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samdomain.training.dataset import read_item
from samdomain.training.objects import Classes
from samdomain_geo.data import RasterFolders


@pytest.fixture
def folder(write_scene: Callable[..., Path], tmp_path: Path) -> Path:
    """Two rasters of six bands of 16 bits with masks of three classes."""
    chance = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        pixels = chance.integers(0, 3000, (6, 40, 48), dtype=np.uint16)
        pixels[:, :4] = 0
        path = write_scene(pixels, name=f"{name}.tif", nodata=0)
        (tmp_path / "images").mkdir(exist_ok=True)
        path.rename(tmp_path / "images" / path.name)
        mask = chance.integers(0, 3, (40, 48), dtype=np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def test_rasters_of_many_bands_are_samples(folder: Path) -> None:
    """Bands as named, stretched between values, nodata grey; one range for all."""
    source = RasterFolders(objects=Classes(), bands="6,5,4,3,2,1", stretch="0:3000")
    samples = source.find(folder, "train").samples
    assert [one.name for one in samples] == ["a", "b"]
    item = read_item(samples[0])
    assert item.image.shape == (6, 40, 48)
    assert item.image[:, :4].eq(127.5).all()
    assert 0 <= item.image.min() < item.image[:, 4:].max() <= 255
    assert item.masks.unique().tolist() == [0, 1, 2]
    assert item.value_range == (0.0, 255.0)
    scale = source.scale(folder)
    assert (scale.chip, scale.values) == (48, (0.0, 255.0))
    assert scale.pixel == pytest.approx(0.5, rel=1e-3)


def test_rasters_without_a_place_have_no_scale(folder: Path, write_scene) -> None:
    """Their pixels' size is unknown, and nothing is said of it."""
    for name in ("a", "b"):
        pixels = np.full((3, 40, 48), 100, np.uint8)
        write_scene(pixels, name=f"images/{name}.tif", crs=None)
    assert RasterFolders(objects=Classes()).scale(folder).pixel is None
