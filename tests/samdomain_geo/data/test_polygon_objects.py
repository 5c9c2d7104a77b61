from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain.training.cameras import Cameras
from samdomain.training.dataset import SampleDataset, read_item
from samdomain_geo.data import PolygonObjects

TOUCHING = {"a": (10, 10, 50, 40), "b": (50, 10, 70, 40), "c": (-5, 60, 3, 64)}


@pytest.fixture
def folder(write_scene: Callable[..., Path], pixel_box: Callable, tmp_path: Path) -> Path:
    """Two pictures of one place; two houses that touch, and a sliver of a third."""
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        pixels = np.random.default_rng(0).integers(1, 255, (3, 80, 100), dtype=np.uint8)
        write_scene(pixels, name=f"images/{name}.tif")
    shapes = [pixel_box(*box) for box in TOUCHING.values()]
    frame = gpd.GeoDataFrame({"kind": ["flat", "hip", "hip"]}, geometry=shapes, crs="EPSG:32636")
    frame.to_crs(4326).to_file(tmp_path / "houses.geojson")
    return tmp_path


def test_objects_that_touch_stay_apart(folder: Path) -> None:
    """Each polygon is one, in whatever CRS; what an edge leaves of others counts from a size on."""
    samples = PolygonObjects("houses.geojson").find(folder, "train").samples
    assert [one.name for one in samples] == ["a", "b"]
    item = read_item(samples[0])
    assert item.image.shape == (3, 80, 100)
    assert sorted(item.masks.sum(dim=(1, 2)).tolist()) == [12, 600, 1200]
    assert not item.masks.all(dim=0).any()
    large = PolygonObjects("houses.geojson", smallest=13).find(folder, "train").samples[0]
    assert len(large.masks.read()) == 2
    assert large.masks.size() == (80, 100)


def test_rows_are_chosen(folder: Path) -> None:
    """By a condition; where none is left in a picture, it has no object."""
    source = PolygonObjects("houses.geojson", where="kind = 'hip'", smallest=13)
    (mask,) = source.find(folder, "train").samples[0].masks.read()
    assert mask[10:40, 50:70].all()
    assert mask.sum() == 600
    none = PolygonObjects("houses.geojson", smallest=9999).find(folder, "train").samples[0]
    assert none.masks.read().shape == (0, 80, 100)


def test_looks_reach_training(folder: Path) -> None:
    """As with other sources in folders: each look of a picture has its own masks."""
    source = PolygonObjects("houses.geojson", smallest=13, looks=Cameras(2))
    samples = source.find(folder, "train").samples
    dataset = SampleDataset(samples, 1, source.augmentation())
    assert [int(dataset[i].masks.sum()) for i in range(2)] == [1800, 900]


def test_a_list_says_the_splits(folder: Path) -> None:
    """Without one all is for training."""
    assert PolygonObjects("houses.geojson").find(folder, "val").samples == ()
    (folder / "splits.csv").write_text("tile,split\na,train\nb.tif,val\n")
    for split, name in (("train", "a"), ("val", "b")):
        (sample,) = PolygonObjects("houses.geojson").find(folder, split).samples
        assert sample.name == name


def test_what_is_missing_is_told(folder: Path) -> None:
    """The folder, or the file."""
    with pytest.raises(InputError, match=r"no file 'roofs\.geojson'"):
        PolygonObjects("roofs.geojson").find(folder, "train")
    with pytest.raises(InputError, match="no folder 'tiles'"):
        PolygonObjects("houses.geojson", images="tiles").find(folder, "train")
