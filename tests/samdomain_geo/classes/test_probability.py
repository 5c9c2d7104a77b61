from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from samdomain_geo.classes.probability import (
    ProbabilityWork,
    decided,
    mask_layer,
    probability_layer,
)
from samdomain_geo.engine.block_store import claim_store
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.run import Part, run
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.stretch import Stretch

WHOLE = Chips(size=4096, overlap=64, margin=0)
AS_IS = Stretch((0.0,), (255.0,))
RADIUS = 4


def work(chips: Chips, network: Any) -> ProbabilityWork:
    return ProbabilityWork(lambda: network, (1,), AS_IS, (0.0,), chips)


@pytest.fixture
def noisy(write_scene: Any) -> Path:
    """A scene of 1100 x 1300 pixels, a part of it nodata."""
    values = np.random.default_rng(1).integers(1, 256, (1, 1100, 1300), dtype=np.uint8)
    values[0, 900:, 1100:] = 0
    values[0, 50:60] = 0
    return write_scene(values, "noisy.tif", nodata=0)


@pytest.fixture
def mosaic(noisy: Path, tmp_path: Path, plan: Any, box_mean: Any) -> Any:
    """Run a toy over the scene and read what comes of it."""
    folders = iter(range(100))

    def make(chips: Chips, tiling: Tiling, parts: Sequence[Part] = (Part(),)) -> np.ndarray:
        folder = tmp_path / f"run{next(folders)}"
        store = claim_store(folder, plan(noisy, tiling), resume=False)
        for part in parts:
            run(store, work(chips, box_mean(RADIUS)), InProcess(), part)
        write_mosaic(store, probability_layer(["bright"]), folder / "probability.tif", {})
        with rasterio.open(folder / "probability.tif") as dataset:
            return dataset.read(1)

    return make


@pytest.mark.parametrize(
    ("chips", "tiling"),
    [
        (Chips(256, 64, RADIUS, 1), Tiling(512)),
        (Chips(256, 64, RADIUS, 3), Tiling(1024, halo=64)),
        (Chips(300, 37, RADIUS, 4), Tiling(512, halo=512)),
        (Chips(600, 300, 100, 2), Tiling(2048)),
    ],
)
def test_tiled_equals_whole(mosaic: Any, chips: Chips, tiling: Tiling) -> None:
    """Block, halo, chip and batch change no byte where the network sees the same everywhere."""
    assert (mosaic(chips, tiling) == mosaic(WHOLE, Tiling(2048))).all()


def test_a_part_and_its_order_change_nothing(mosaic: Any) -> None:
    """Three jobs of an array, the last first, make what one run makes."""
    chips = Chips(256, 64, RADIUS, 2)
    jobs = [Part(3, 3), Part(1, 3), Part(2, 3)]
    assert (mosaic(chips, Tiling(512), jobs) == mosaic(chips, Tiling(512))).all()


def test_a_margin_too_narrow_shows(mosaic: Any) -> None:
    """Without a margin the toy sees chip edges: the equality above is no accident."""
    assert (mosaic(Chips(256, 64, 0), Tiling(512)) != mosaic(WHOLE, Tiling(2048))).any()


def test_nodata_in_is_nodata_out(mosaic: Any, noisy: Path) -> None:
    """Pixels without data are nodata in the mosaic, and no others are."""
    with rasterio.open(noisy) as dataset:
        without = dataset.read(1) == 0
    assert ((mosaic(Chips(256, 64, RADIUS), Tiling(512)) == 255) == without).all()


def test_a_byte_is_at_most_a_508th_off(mosaic: Any, noisy: Path, box_mean: Any) -> None:
    """The quantised probability keeps the promised distance from the network's own."""
    with rasterio.open(noisy) as dataset:
        pixels = dataset.read(1).astype(np.float32)
    exact = box_mean(RADIUS)(pixels[None, None])[0, 0]
    stored = mosaic(WHOLE, Tiling(2048))
    assert np.abs(stored[stored < 255] / 254 - exact[stored < 255]).max() <= 1 / 508 + 1e-7


def test_blocks_without_data_are_not_computed(
    write_scene: Any, tmp_path: Path, plan: Any, box_mean: Any
) -> None:
    """The network never sees a block or a chip in which nothing is valid."""
    values = np.zeros((1, 512, 1536), np.uint8)
    values[0, :, :200] = 9
    path = write_scene(values, "sparse.tif", nodata=0)
    network = box_mean(1)
    store = claim_store(tmp_path / "run", plan(path, Tiling(512)), resume=False)
    assert run(store, work(Chips(128, 32, 1, 1), network), InProcess())["blocks"] == 3
    assert store.read(2) == {}
    # Chips of 128 at a stride of 96 that touch the first 200 columns: 3 by 5 of them.
    assert len(network.shapes) == 15


def test_classes_are_decided_for() -> None:
    """Of several the most probable is taken; those that overlap need a half; nodata stays."""
    two = np.array([[[200, 10, 7, 255]], [[54, 244, 7, 255]]], np.uint8)
    assert decided(two).tolist() == [[[0, 1, 0, 255]]]
    both = np.array([[[126, 127, 254, 255]], [[200, 0, 254, 255]]], np.uint8)
    assert decided(both, overlapping=True).tolist() == [[[0, 1, 1, 255]], [[1, 0, 1, 255]]]


def test_rasters_are_on_the_grid(
    write_scene: Any, tmp_path: Path, plan: Any, box_mean: Any
) -> None:
    """A CRS without a code survives, values scale to probabilities, two runs are equal bytes."""
    crs = "+proj=laea +lat_0=11.5 +lon_0=13.25 +x_0=7 +y_0=9 +ellps=bessel +units=m"
    values = np.random.default_rng(0).integers(1, 256, (1, 700, 700), dtype=np.uint8)
    path = write_scene(values, "custom.tif", crs=crs, nodata=0)
    written = []
    for name in "ab":
        store = claim_store(tmp_path / name, plan(path, Tiling(512)), resume=False)
        run(store, work(Chips(256, 64, 1, 2), box_mean(1)), InProcess())
        write_mosaic(
            store, probability_layer(["bright"]), tmp_path / f"{name}.tif", {"weights": "x"}
        )
        write_mosaic(store, mask_layer(["bright"], overlapping=True), tmp_path / f"{name}m.tif", {})
        written.append([(tmp_path / f"{name}{kind}.tif").read_bytes() for kind in ("", "m")])
    assert written[0] == written[1]
    with rasterio.open(tmp_path / "a.tif") as dataset, rasterio.open(path) as scene:
        assert (dataset.crs, dataset.transform) == (scene.crs, scene.transform)
        assert dataset.scales == (1 / 254,)
        assert dataset.tags()["SAMDOMAIN_WEIGHTS"] == "x"
        assert dataset.overviews(1)
