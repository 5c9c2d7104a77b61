from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from samdomain_geo.engine.block_store import BlockStore, claim_store
from samdomain_geo.engine.mosaic import Layer, write_mosaic
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.scenes.raster import COG_PROFILE, write_cog

PLACE = {"crs": "EPSG:32636", "transform": Affine.scale(2, -2)}
BIG_TIFF = b"II+\0"
CLASSIC_TIFF = b"II*\0"


@pytest.fixture
def store(write_scene: Any, tmp_path: Path, plan: Any) -> BlockStore:
    """Four blocks of numbers; the last is empty."""
    path = write_scene(np.zeros((1, 1000, 900), np.uint8))
    store = claim_store(tmp_path / "run", plan(path, Tiling(512)), resume=False)
    for block in store.manifest.blocks():
        height, width = round(block.window.height), round(block.window.width)
        full = np.full((1, height, width), block.index + 1, np.uint8)
        store.write(block.index, {"number": full} if block.index < 3 else {})
    return store


def layer() -> Layer:
    return Layer(lambda _, arrays: arrays.get("number"), "uint8", 0, ("number",))


def test_blocks_lie_where_they_belong(store: BlockStore, tmp_path: Path) -> None:
    """Each block's pixels are at its place, and an empty one is nodata."""
    write_mosaic(store, layer(), tmp_path / "m.tif", {"verb": "test"})
    with rasterio.open(tmp_path / "m.tif") as dataset:
        values = dataset.read(1)
        assert dataset.tags()["SAMDOMAIN_VERB"] == "test"
        assert dataset.descriptions == ("number",)
    for block in store.manifest.blocks():
        assert (values[block.window.toslices()] == (block.index + 1) % 4).all()
    assert [path.name for path in tmp_path.glob("*plain*")] == []


def test_small_mosaics_are_classic(store: BlockStore, tmp_path: Path) -> None:
    """What is far from 4 GB stays readable for programs that know no BigTIFF."""
    write_mosaic(store, layer(), tmp_path / "m.tif", {})
    assert (tmp_path / "m.tif").read_bytes()[:4] == CLASSIC_TIFF


@pytest.mark.parametrize(("option", "head"), [("IF_SAFER", BIG_TIFF), ("IF_NEEDED", CLASSIC_TIFF)])
def test_the_option_makes_big_files(tmp_path: Path, option: str, head: bytes) -> None:
    """IF_SAFER makes a BigTIFF of what could pass 4 GB; compressed, IF_NEEDED would break off."""
    path = tmp_path / "big.tif"
    how = {"driver": "GTiff", "width": 66_000, "height": 66_000, "count": 1, "dtype": "uint8"}
    how |= {"tiled": True, "compress": "DEFLATE", "sparse_ok": True, **PLACE}
    with rasterio.open(path, "w", **how, bigtiff=option):
        pass
    assert path.read_bytes()[:4] == head


def test_rasters_are_written_with_the_option(
    store: BlockStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the plain raster and the COG are made with IF_SAFER."""
    assert COG_PROFILE["bigtiff"] == "IF_SAFER"
    opened: list[str] = []
    genuine = rasterio.open

    def noted(path: Any, mode: str = "r", **how: Any) -> Any:
        if mode == "w":
            opened.append(how["bigtiff"])
        return genuine(path, mode, **how)

    monkeypatch.setattr(rasterio, "open", noted)
    write_mosaic(store, layer(), tmp_path / "m.tif", {})
    assert opened == ["IF_SAFER"]


@pytest.mark.slow
def test_a_cog_of_what_could_pass_4_gb_is_big(tmp_path: Path) -> None:
    """The COG driver heeds the option too: 2.2 GB of pixels, with overviews nearly 3."""
    how = {"driver": "GTiff", "width": 47_000, "height": 47_000, "count": 1, "dtype": "uint8"}
    how |= {"tiled": True, "compress": "DEFLATE", "sparse_ok": True, **PLACE}
    with rasterio.open(tmp_path / "plain.tif", "w", **how):
        pass
    write_cog(tmp_path / "plain.tif", tmp_path / "cog.tif", {"overview_resampling": "NEAREST"})
    assert (tmp_path / "cog.tif").read_bytes()[:4] == BIG_TIFF
