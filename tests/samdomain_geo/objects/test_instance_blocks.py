from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from samdomain_geo.engine.block_store import claim_store
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Block, Manifest, Tiling
from samdomain_geo.engine.run import run
from samdomain_geo.objects.instance_blocks import join_instances
from samdomain_geo.polygons.labelling import label_regions


@dataclass(frozen=True)
class Blobs:
    """Work that calls each bright blob an instance, as far as its block sees it."""

    path: Path

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["Blobs"]:
        yield self

    def read(self, block: Block) -> np.ndarray | None:
        with rasterio.open(self.path) as dataset:
            bright = dataset.read(1, window=block.context) > 127
        return bright if bright.any() else None

    def compute(self, block: Block, source: np.ndarray) -> dict[str, np.ndarray]:
        return {"labels": label_regions(source.astype(np.int64), source, 4).labels}


@pytest.fixture
def blobs(write_scene: Any) -> Path:
    """Bright discs of up to 40 pixels, apart from one another, some over block edges."""
    rows, columns = np.mgrid[:1100, :1300]
    values = np.zeros((1100, 1300), np.uint8)
    rng = np.random.default_rng(0)
    centres = [(512, 512), (1024, 512), (512, 200), (300, 1024)]
    centres += [tuple(one) for one in rng.integers(0, (1100, 1300), (60, 2))]
    for row, column in centres:
        near = (rows - row) ** 2 + (columns - column) ** 2
        if not values[near < 45**2].any():
            values[near < rng.integers(3, 40) ** 2] = 255
    return write_scene(values[None], "blobs.tif")


@pytest.mark.parametrize(("side", "halo"), [(512, 41), (512, 300), (1024, 64), (2048, 41)])
def test_ids_are_the_same_whatever_the_blocks(
    blobs: Path, tmp_path: Path, plan: Any, side: int, halo: int
) -> None:
    """Each blob has one id in the scene, by its first pixel, as labelling the whole gives it."""
    store = claim_store(tmp_path / "run", plan(blobs, Tiling(side, halo)), resume=False)
    run(store, Blobs(blobs), InProcess())
    ids = join_instances(store)
    write_mosaic(store, ids.layer(store), tmp_path / "instances.tif", {})
    with rasterio.open(blobs) as dataset:
        bright = dataset.read(1) > 127
    with rasterio.open(tmp_path / "instances.tif") as dataset:
        found = dataset.read(1)
        assert dataset.dtypes == ("uint8",)
    assert (found == label_regions(bright.astype(np.int64), bright, 4).labels).all()


def test_what_disagrees_stays_apart(write_scene: Any, tmp_path: Path, plan: Any) -> None:
    """Instances of two blocks that share less than half of their strip keep ids of their own."""

    class Shifted(Blobs):
        def compute(self, block: Block, source: np.ndarray) -> dict[str, np.ndarray]:
            labels = super().compute(block, source)["labels"]
            return {"labels": np.roll(labels, 9 * block.column, axis=0)}

    values = np.zeros((512, 1024), np.uint8)
    values[100:112, 480:540] = 255
    path = write_scene(values[None], "one.tif")
    for work, count in ((Blobs(path), 1), (Shifted(path), 2)):
        store = claim_store(tmp_path / str(count), plan(path, Tiling(512, 64)), resume=False)
        run(store, work, InProcess())
        assert join_instances(store).ids.max() == count
