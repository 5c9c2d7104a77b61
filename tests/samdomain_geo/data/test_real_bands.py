"""Real rasters of ten and twelve bands through training and prediction, on a small model."""

import json
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import yaml
from rasterio.features import shapes
from shapely.geometry import shape

from samdomain.cli import main

FOLDER = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[4] / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "gf1-change-s2").exists(), reason="the real data is not here: set SAMDOMAIN_DATA"
)
pytest.importorskip("lightning")

CHANGED = 255  # in the masks of changes


def fit(
    source: dict[str, Any], folder: Path, classes: list[str], bands: int, limit: int | None = None
) -> Path:
    """Train a small model for an epoch, and return its adapter."""
    options = {"classes": classes, "bands": bands, "rgb": [3, 2, 1]}
    config = {
        "model": {
            "recipe": {"name": "samed", "preset": "pyramid", "options": options},
            "base": {"weights": "tiny"},
        },
        "data": {"folder": str(FOLDER), "source": source, "limit": limit},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "accelerator": "cpu"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run = ["fit", "--config", str(folder / "config.yaml"), "--out", str(folder / "run")]
    assert main(run) == 0
    return folder / "run/adapter"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_twelve_bands_without_a_crs(tmp_path: Path) -> None:
    """Sentinel-2 with the labels of the same places; a map comes out on the raster's grid."""
    objects = {
        "class_path": "samdomain.training.objects.Classes",
        "init_args": {"values": [0, CHANGED]},
    }
    source = {
        "class_path": "samdomain_geo.data.RasterFolders",
        "init_args": {
            "images": "gf1-change-s2/val/A",
            "masks": "gf1-change/val/label",
            "bands": ",".join(map(str, range(1, 13))),
            "objects": objects,
        },
    }
    adapter = fit(source, tmp_path, ["same", "changed"], bands=12, limit=8)
    scene = min((FOLDER / "gf1-change-s2/val/B").glob("*.tif"))
    out = tmp_path / "out"
    assert main(["segment", str(scene), "--adapter", str(adapter), "--out", str(out)]) == 0
    with rasterio.open(out / "mask.tif") as mask, rasterio.open(scene) as raster:
        assert mask.shape == raster.shape
        assert set(np.unique(mask.read())) <= {0, 1}


def test_ten_bands_of_floats(tmp_path: Path) -> None:
    """A scene of reflectances, labelled by a threshold of its own: plumbing, not accuracy."""
    scene = FOLDER / "geotiff-misc/tenband_float32_epsg32614.tif"
    with rasterio.open(scene) as raster:
        band = raster.read(8)
        bright = (band > np.median(band)).astype(np.uint8)
        traced = shapes(bright, mask=bright > 0, transform=raster.transform)
        frame = gpd.GeoDataFrame(geometry=[shape(one) for one, _ in traced], crs=raster.crs)
        grid = raster.shape, raster.transform, raster.crs
    frame.to_file(tmp_path / "bright.gpkg")
    source = {
        "class_path": "samdomain_geo.data.SceneSource",
        "init_args": {
            "scenes": [str(scene)],
            "labels": str(tmp_path / "bright.gpkg"),
            "size": 64,
            "block": 1,
            "bands": ",".join(map(str, range(1, 11))),
        },
    }
    adapter = fit(source, tmp_path, ["background", "object"], bands=10)
    out = tmp_path / "out"
    assert main(["segment", str(scene), "--adapter", str(adapter), "--out", str(out)]) == 0
    with rasterio.open(out / "probability.tif") as probability:
        assert (probability.shape, probability.transform, probability.crs) == grid
        assert probability.count == 2
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["bands"] == list(range(1, 11))
